"""The two classifiers as they start: what the training data says without labels."""

import keras
import numpy as np

from clip_lib.config import Config
from clip_lib.data.dataset import Dataset
from clip_lib.data.pipelines import image_batches
from clip_lib.data.vocabulary import encode
from clip_lib.models.descriptors import learn_descriptors
from clip_lib.models.encoders import (
    FEATURES,
    PIECE,
    STATISTICS,
    build_image_classifier,
    build_text_classifier,
)
from clip_lib.models.word_vectors import learn_word_vectors
from clip_lib.towers.images import build_backbone_classifier
from clip_lib.towers.pretrained_clip import (
    pretrained_image_classifier,
    pretrained_text_classifier,
)
from clip_lib.towers.texts import build_distilbert_classifier

START_PICTURES = 1_000
"""Pictures that the CNN's start is learned from, at most."""
START_CAPTIONS = 50_000
"""Captions that SmallBERT's start is learned from, at most: counts take memory."""


def start_image_classifier(dataset: Dataset, config: Config) -> keras.Model:
    """Build the CNN, from `learn_descriptors` or pretrained, or else a backbone."""
    keras.utils.set_random_seed(config.seed)
    # Without labels, the head is never used.
    num_classes = max(1, len(dataset.class_names))
    if config.image_encoder != "cnn":
        return build_backbone_classifier(config, num_classes)
    if config.pretrained:
        return pretrained_image_classifier(config, num_classes)
    model = build_image_classifier(config, num_classes)
    rows = dataset.pictures("train")
    rows = rows.sample(min(len(rows), START_PICTURES), random_state=config.seed)
    batches = image_batches(dataset.paths(rows), config.image_size, cached=False)
    names = [f"{STATISTICS}_{cell}" for cell in config.cells]
    statistics = [model.get_layer(name).output for name in names]
    maps = keras.Model(model.input, statistics).predict(batches, verbose=0)
    model.get_layer("descriptors").set_weights(
        learn_descriptors(maps, config.descriptors, PIECE, config.seed)
    )
    scale_features(model, batches)
    return model


def scale_features(model: keras.Model, images) -> None:
    """Bring the features of a CNN around 0, to a variance of 1 in the mean.

    Args:
        model: Of `build_image_classifier`.
        images: Training pictures, in batches.
    """
    pooled = keras.Model(model.input, model.get_layer("second_order").output)
    vectors = pooled.predict(images, verbose=0)
    mean = vectors.mean(axis=0)
    variance = np.full_like(mean, (vectors - mean).var())
    model.get_layer(FEATURES).set_weights([mean, variance])


def start_text_classifier(dataset: Dataset, vectorizer, config: Config) -> keras.Model:
    """Build SmallBERT, its words learned by `learn_word_vectors`, or one pretrained.

    Args:
        dataset, config: As in `fit_text_classifier`.
        vectorizer: Of `learn_vocabulary`, for the same ``config``.
    """
    keras.utils.set_random_seed(config.seed)
    num_classes = max(1, len(dataset.class_names))
    if config.text_encoder == "distilbert":
        return build_distilbert_classifier(config, vectorizer, num_classes)
    if config.pretrained:
        return pretrained_text_classifier(config, vectorizer, num_classes)
    vocabulary = vectorizer.get_vocabulary()
    captions = dataset.train["caption"]
    if len(captions) > START_CAPTIONS:
        captions = captions.sample(START_CAPTIONS, random_state=config.seed)
    token_ids = encode(vectorizer, captions)
    word_vectors = learn_word_vectors(token_ids, vocabulary, config.embed_dim)
    return build_text_classifier(config, len(vocabulary), num_classes, word_vectors)
