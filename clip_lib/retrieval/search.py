"""Query a trained CLIP: a text for pictures, a picture for texts or pictures."""

import dataclasses
import functools
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from clip_lib.config import CONFIG_FILE, TOKENIZER_FILE, VOCABULARY_FILE, Config
from clip_lib.data.dataset import Dataset
from clip_lib.data.images import MAX_PIXELS, load_image
from clip_lib.data.vocabulary import (
    Vectorizer,
    check_query,
    check_vocabulary,
    clean,
    encode,
    load_vocabulary,
)
from clip_lib.errors import ClipError
from clip_lib.retrieval.index import ROUNDING, Index
from clip_lib.retrieval.question import embed_question

if TYPE_CHECKING:
    import keras

MODEL_FILE = Config().clip_file.name
IMAGE_INDEX_FILE = "image_index.npz"
TEXT_INDEX_FILE = "text_index.npz"
BATCH = 32
TEMPLATES = ("a {}", "the {}", "a man with a {}")
"""Sentences around a label or a bare word, of words that are common in captions."""


def query_sentences(text: str) -> list[str]:
    """Put a query of one bare word into sentences: no caption is a single word."""
    word = clean(text)
    return [one.replace("{}", word) for one in TEMPLATES] if word.isalpha() else [text]


def settings_beside(model_file) -> Config | None:
    """Read the settings of a model's training; None if it has no config.json."""
    settings = Path(model_file).with_name(CONFIG_FILE)
    return Config.load(settings) if settings.is_file() else None


def _in_batches(encoder, items, load) -> np.ndarray:
    """Embed items, any number of them; ``load`` turns some into an encoder's input."""
    items = list(items)
    starts = range(0, len(items), BATCH)
    batches = (load(items[start : start + BATCH]) for start in starts)
    none = np.empty((0, encoder.output_shape[1]), "float32")
    return np.concatenate([none, *map(encoder.predict_on_batch, batches)])


@dataclasses.dataclass(frozen=True)
class Clip:
    """A trained CLIP with its vocabulary: pictures and texts to unit vectors.

    `models.clip.build_clip` makes the Keras model; this is what answers queries.

    Attributes:
        image_encoder, text_encoder: Models that return unit vectors (B, D): Keras', or
            what `runtime` puts in their place.
        vectorizer: Texts to token ids.
        temperature: Divides the cosines before a softmax; 1 if it is not known, which
            makes probabilities nearly even.
        config: The settings of its training, from the config.json beside it; None if
            there is none.
    """

    image_encoder: "keras.Model"
    text_encoder: "keras.Model"
    vectorizer: Vectorizer
    temperature: float = 1.0
    config: Config | None = None

    @classmethod
    def load(cls, model_file, vocabulary_file=None) -> "Clip":
        """Load a ``.keras`` file and its vocabulary, by default the one beside it.

        `runtime.open_clip` does it in a fraction of the time, to answer queries alone.

        Raises:
            ClipError: If a file is missing, is not ours, or the two do not match.
        """
        # Here, because TensorFlow comes with it.
        from clip_lib.models import saving

        model = saving.load_clip(model_file)
        image_encoder, text_encoder = saving.split_encoders(model)
        # SmallBERT is a part of the encoder, another text encoder a nested network.
        nested = any(hasattr(layer, "layers") for layer in text_encoder.layers)
        name = TOKENIZER_FILE if nested else VOCABULARY_FILE
        path = vocabulary_file or Path(model_file).parent / name
        vectorizer = load_vocabulary(path, text_encoder.input.shape[1])
        loss = model.get_layer(saving.LOSS)
        known = saving.token_embedding(text_encoder).input_dim
        check_vocabulary(vectorizer, path, model_file, known, loss.vocabulary)
        config = settings_beside(model_file)
        return cls(image_encoder, text_encoder, vectorizer, loss.temperature, config)

    @functools.cached_property
    def fingerprint(self) -> str:
        """Hash of the weights, computed once: it ties an index to its model."""
        digest = hashlib.sha256()
        for encoder in (self.image_encoder, self.text_encoder):
            for weights in encoder.get_weights():
                digest.update(weights.tobytes())
        return digest.hexdigest()[:16]

    @functools.cached_property
    def width(self) -> int:
        """Width D of the embeddings."""
        return self.text_encoder.output_shape[1]

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width that the image encoder expects."""
        return tuple(self.image_encoder.input_shape[1:3])

    def embed_images(self, paths) -> np.ndarray:
        """Return the unit vectors (N, D) of picture files of any size and mode."""
        load = functools.partial(load_image, image_size=self.image_size)
        with ThreadPoolExecutor() as pool:
            return _in_batches(
                self.image_encoder,
                paths,
                lambda batch: np.stack([*pool.map(load, batch)]),
            )

    def embed_image(self, source, max_pixels: int = MAX_PIXELS) -> np.ndarray:
        """Return the unit vector (D,) of one picture; see `open_picture`."""
        image = load_image(source, self.image_size, max_pixels)
        # Compiled: calling the model layer by layer is ten times slower.
        return self.image_encoder.predict_on_batch(image[None])[0]

    def embed_texts(self, texts) -> np.ndarray:
        """Return the unit vectors (N, D) of texts."""
        return _in_batches(
            self.text_encoder, texts, lambda batch: encode(self.vectorizer, batch)
        )

    def embed_text(self, text: str) -> np.ndarray:
        """Return the unit vector (D,) of one query; see `check_query`.

        That of a bare word is the mean over `query_sentences`.
        """
        check_query(self.vectorizer, text)
        mean = self.embed_texts(query_sentences(text)).mean(axis=0)
        return mean / np.linalg.norm(mean)


def build_indexes(
    clip: Clip, dataset: Dataset, split: str = "all"
) -> tuple[Index, Index]:
    """Embed every picture and every caption of a split of a data set.

    Returns:
        The image index (columns paths, labels, splits), one row per picture, and the
        text index (columns captions, image_paths, labels, splits), one row per caption.
        No labels if the data has none.
    """
    rows = dataset.part(split)
    columns = {"caption": "captions", "label": "labels", "split": "splits"}
    texts = rows[[*columns]].rename(columns=columns)
    texts.insert(1, "image_paths", dataset.paths(rows))
    if not dataset.class_names:
        texts = texts.drop(columns="labels")
    images = texts.drop(columns="captions").rename(columns={"image_paths": "paths"})
    images = images.drop_duplicates("paths", ignore_index=True)
    about = (clip.fingerprint, dataset.source)
    return (
        Index(clip.embed_images(images["paths"]), images, *about),
        Index(clip.embed_texts(texts["captions"]), texts, *about),
    )


def open_index(clip: Clip, path) -> Index:
    """Load an index; ClipError unless it is there and this CLIP made it."""
    index = Index.load(path)
    # An interrupted training leaves a new model beside an old index.
    same = index.model in ("", clip.fingerprint) and index.embeds.shape[1] == clip.width
    if not same:
        raise ClipError(
            f"{path}: made by another model than this one; run the notebook to its "
            "end, or train again."
        )
    return index


@dataclasses.dataclass(frozen=True)
class Search:
    """A trained CLIP and the indexes that it searches.

    Attributes:
        clip: The model.
        images, texts: What it searches; pictures without captions have no ``texts``.
    """

    clip: Clip
    images: Index
    texts: Index | None = None

    @classmethod
    def load(cls, model_file, load=Clip.load) -> "Search":
        """Load a model, with the vocabulary and the indexes beside it.

        ``load`` may be `runtime.open_clip`.
        """
        clip, folder = load(model_file), Path(model_file).parent
        names = (IMAGE_INDEX_FILE, TEXT_INDEX_FILE)
        return cls(clip, *(open_index(clip, folder / name) for name in names))

    def images_for(
        self, text: str, k: int = 5, gallery: str = "test", pictures: bool = False
    ) -> pd.DataFrame:
        """Return the k pictures nearest to a text; see `Index.search`.

        The text may combine several, "dog + snow - person", and pictures if they are
        allowed: see `embed_question`.
        """
        embedding = embed_question(self.clip, text, pictures)
        return self.images.part(gallery).search(embedding, k, self.clip.temperature)

    def images_like(
        self, picture, k: int = 5, gallery: str = "test", embedding=None
    ) -> pd.DataFrame:
        """Return the k pictures most like a picture, itself left out.

        Args:
            picture: Path of a picture; one of the gallery's is not read again.
            k, gallery: See `Index.search`.
            embedding: The picture's unit vector (D,), if it is known already.
        """
        images = self.images.part(gallery)
        paths = images.items["paths"].map(os.path.abspath)
        own = (paths == os.path.abspath(picture)).to_numpy()
        if own.any():
            embedding = images.embeds[own.argmax()]
        else:
            if embedding is None:
                embedding = self.clip.embed_image(picture)
            # A copy of it, such as what a visitor of the search page uploads.
            own = images.embeds @ embedding > 1 - ROUNDING
        return images.search(embedding, k, self.clip.temperature, np.flatnonzero(own))

    def texts_for(self, picture, k: int = 5, gallery: str = "test") -> pd.DataFrame:
        """Return the k captions nearest to a picture; see `Index.search`."""
        if self.texts is None:
            raise ClipError(
                f"{self.images.source}: these pictures have no captions, so a picture "
                "has nothing to find there; expected a text as query."
            )
        embedding = self.clip.embed_image(picture)
        return self.texts.part(gallery).search(embedding, k, self.clip.temperature)
