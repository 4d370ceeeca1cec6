"""From data to a trained CLIP in one call.

The notebook takes the same steps one by one, and shows what they give.
"""

import dataclasses
from collections.abc import Callable

import keras

from clip_lib.config import Config
from clip_lib.data.dataset import Dataset
from clip_lib.data.vocabulary import learn_vocabulary
from clip_lib.models.clip import build_clip, without_head
from clip_lib.models.initialization import (
    start_image_classifier,
    start_text_classifier,
)
from clip_lib.training.fit import fit_clip, fit_image_classifier, fit_text_classifier

IMAGE_FILE = "image_classifier.keras"
TEXT_FILE = "text_classifier.keras"


@dataclasses.dataclass(frozen=True)
class Builders:
    """How the models of a run are made; by default CNN and SmallBERT from scratch.

    `towers.choice.choose_builders` makes those of pretrained encoders.

    Attributes:
        vocabulary: (captions, config) to the vectorizer.
        image: (dataset, config) to an image classifier.
        text: (dataset, vectorizer, config) to a text classifier.
        clip: (image_features, text_features, config) to a CLIP.
        frozen_images, frozen_texts: Whether CLIP keeps an encoder as it is.
    """

    vocabulary: Callable = learn_vocabulary
    image: Callable = start_image_classifier
    text: Callable = start_text_classifier
    clip: Callable = build_clip
    frozen_images: bool = True
    frozen_texts: bool = False


FROM_SCRATCH = Builders()


@dataclasses.dataclass(frozen=True)
class Trained:
    """What `train` returns.

    Attributes:
        clip: The trained CLIP; `retrieval.search.Clip.load` reads it from
            ``config.clip_file``, with its vocabulary.
        vectorizer: Captions to token ids.
        history: Name -> a value for each epoch of its training.
        image_classifier, text_classifier: What it was made of. Without labels they are
            untrained, and their heads mean nothing.
    """

    clip: keras.Model
    vectorizer: Callable
    history: dict
    image_classifier: keras.Model
    text_classifier: keras.Model


def train(
    dataset: Dataset, config: Config, builders: Builders = FROM_SCRATCH
) -> Trained:
    """Train both classifiers, if there are labels, then CLIP; save everything.

    Args:
        dataset: Split data.
        config: Settings, and the folder of the models.
        builders: How the models are made.
    """
    vectorizer = builders.vocabulary(dataset.train["caption"], config)
    vectorizer.save(config.vocabulary_file)
    image_classifier = builders.image(dataset, config)
    text_classifier = builders.text(dataset, vectorizer, config)
    if dataset.class_names:
        image_classifier, _ = fit_image_classifier(
            image_classifier, dataset, config, config.model_path(IMAGE_FILE)
        )
        text_classifier, _ = fit_text_classifier(
            text_classifier, dataset, vectorizer, config, config.model_path(TEXT_FILE)
        )
    clip = builders.clip(
        without_head(image_classifier, builders.frozen_images),
        without_head(text_classifier, builders.frozen_texts),
        config,
    )
    clip, history = fit_clip(clip, dataset, vectorizer, config, config.clip_file)
    return Trained(clip, vectorizer, history, image_classifier, text_classifier)
