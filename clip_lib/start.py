"""The two classifiers as they start: what the training data says without labels."""

import keras

from clip_lib.batches import image_batches
from clip_lib.config import Config
from clip_lib.data import Dataset
from clip_lib.encoders import SCALED, build_image_classifier, build_text_classifier
from clip_lib.patches import learn_patches
from clip_lib.text import encode
from clip_lib.word_vectors import learn_word_vectors

PATCH_PICTURES = 1_000
"""Pictures from which the first layer is learned, at most."""


def start_image_classifier(dataset: Dataset, config: Config) -> keras.Model:
    """Build the CNN, its first layer learned by `learn_patches`."""
    keras.utils.set_random_seed(config.seed)
    model = build_image_classifier(config, len(dataset.class_names))
    rows = dataset.pictures("train")
    rows = rows.sample(min(len(rows), PATCH_PICTURES), random_state=config.seed)
    scaled = keras.Model(model.input, model.get_layer(SCALED).output)
    batches = image_batches(dataset.paths(rows), config.image_size, cached=False)
    patches = learn_patches(
        scaled.predict(batches, verbose=0),
        config.patch_filters,
        config.patch_size,
        config.seed,
    )
    return build_image_classifier(config, len(dataset.class_names), patches)


def start_text_classifier(dataset: Dataset, vectorizer, config: Config) -> keras.Model:
    """Build SmallBERT, its word vectors learned by `learn_word_vectors`."""
    keras.utils.set_random_seed(config.seed)
    vocabulary = vectorizer.get_vocabulary()
    token_ids = encode(vectorizer, dataset.train["caption"])
    word_vectors = learn_word_vectors(token_ids, vocabulary, config.embed_dim)
    return build_text_classifier(
        config, len(vocabulary), len(dataset.class_names), word_vectors
    )
