"""The whole way from data to a trained CLIP, in one call.

The notebook walks it step by step, and shows what it sees.
"""

import dataclasses

import keras

from clip_lib.config import Config
from clip_lib.data.dataset import Dataset
from clip_lib.data.vocabulary import (
    Vectorizer,
    learn_vocabulary,
    load_vocabulary,
    save_vocabulary,
)
from clip_lib.models.clip import build_clip
from clip_lib.models.encoders import without_head
from clip_lib.models.initialization import start_image_classifier, start_text_classifier
from clip_lib.models.saving import split_encoders
from clip_lib.retrieval.search import Clip
from clip_lib.towers.word_pieces import WordPieces, checkpoint_folder
from clip_lib.training.fit import fit_clip, fit_image_classifier, fit_text_classifier

IMAGE_FILE = "image_classifier.keras"
TEXT_FILE = "text_classifier.keras"


@dataclasses.dataclass(frozen=True)
class Trained:
    """What `train` leaves.

    Attributes:
        clip: The trained CLIP with its vocabulary.
        history: Figures of each epoch of its training.
        image_classifier, text_classifier: What it was made of. If the pictures have no
            labels, they are as they start, and their heads mean nothing.
    """

    clip: Clip
    history: dict
    image_classifier: keras.Model
    text_classifier: keras.Model


def prepare_vocabulary(captions, config: Config) -> Vectorizer:
    """Learn the training captions' vocabulary, or load that of a pretrained encoder.

    Raises:
        ClipError: If the pretrained one cannot be had, see `checkpoint_folder` and
            `load_vocabulary`.
    """
    if config.text_encoder == "distilbert":
        folder = checkpoint_folder(config.text_weights)
        return WordPieces.from_checkpoint(folder, config.sequence_length)
    if config.pretrained:
        path = config.pretrained_path / config.vocabulary_file.name
        return load_vocabulary(path, config.sequence_length)
    return learn_vocabulary(captions, config)


def train(dataset: Dataset, config: Config) -> Trained:
    """Train the two classifiers, if there are labels, then CLIP; save all of it.

    Args:
        dataset: Split data.
        config: Says how, and where the models and the vocabulary are saved.
    """
    vectorizer = prepare_vocabulary(dataset.train["caption"], config)
    save_vocabulary(vectorizer, config.vocabulary_file)
    if dataset.class_names:
        image_classifier, _ = fit_image_classifier(
            dataset, config, config.model_path(IMAGE_FILE)
        )
        text_classifier, _ = fit_text_classifier(
            dataset, vectorizer, config, config.model_path(TEXT_FILE)
        )
    else:
        image_classifier = start_image_classifier(dataset, config)
        text_classifier = start_text_classifier(dataset, vectorizer, config)
    clip = build_clip(
        without_head(image_classifier), without_head(text_classifier), config
    )
    clip, history = fit_clip(clip, dataset, vectorizer, config, config.clip_file)
    temperature = clip.get_layer("contrastive_loss").temperature
    engine = Clip(*split_encoders(clip), vectorizer, temperature)
    return Trained(engine, history.history, image_classifier, text_classifier)
