"""A tiny data set and an untrained model, made anew: no network, no photographs."""

import contextlib
import csv
import dataclasses

import numpy as np
import pytest
from PIL import Image

from clip_lib.config import ENVIRONMENT, Config
from clip_lib.data.dataset import load_dataset
from clip_lib.data.vocabulary import learn_vocabulary
from clip_lib.models.clip import build_clip, without_head
from clip_lib.models.initialization import start_image_classifier
from clip_lib.models.saving import save_model
from clip_lib.models.smallbert import build_text_classifier
from clip_lib.retrieval.runtime import open_clip
from clip_lib.retrieval.search import (
    IMAGE_INDEX_FILE,
    MODEL_FILE,
    TEXT_INDEX_FILE,
    VOCABULARY_FILE,
    Clip,
    build_indexes,
)


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    """Nothing is asked for there; what a command sets is undone."""
    for name in (*ENVIRONMENT.values(), "CLIP_PRESET"):
        monkeypatch.setenv(name, "")


LABELS = ("ball", "bike", "dog", "water")
COLOURS = {
    "ball": (230, 60, 50),
    "bike": (60, 180, 75),
    "dog": (150, 100, 50),
    "water": (50, 90, 220),
}


def write_folder(folder, rows, pictures):
    """Write a data folder from rows (path, label, caption) and path -> PIL picture."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        picture.save(folder / name)
    with open(folder / "captions.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("image_path", "label", "caption"), *rows])
    return folder


def make_folder(folder, per_label=12):
    """Noise of one hue a label around a square of each picture's own colour.

    Captions hold commas, quotes, a full stop, and one word that no other one has.
    """
    random = np.random.default_rng(0)
    rows, pictures = [], {}
    for label in LABELS:
        for number in range(1, per_label + 1):
            name = f"images/{label}/{label}_{number:03d}.jpg"
            pixels = random.normal(COLOURS[label], 40, (64, 64, 3)).clip(0, 255)
            pixels[16:48, 16:48] = random.integers(0, 255, 3)
            pictures[name] = Image.fromarray(pixels.astype("uint8"))
            own = f"{label}word{number}"
            rows.append((name, label, f'A "{label}" of {own}, on the grass .'))
    return write_folder(folder, rows, pictures)


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """The user's cache directory, in place of the real one."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        name = "clip_lib.retrieval.index.user_cache_path"
        patch.setattr(name, lambda name, version: folder / name)
        yield folder


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("data") / "tiny")


@pytest.fixture(scope="session")
def tiny_config(tiny_folder):
    return Config.quick(
        dataset_dir=str(tiny_folder), batch_size=8, clip_batch_size=8, seed=1
    )


@pytest.fixture(scope="session")
def tiny_dataset(tiny_config):
    return load_dataset(tiny_config)


@pytest.fixture(scope="session")
def vectorizer(tiny_dataset, tiny_config):
    return learn_vocabulary(tiny_dataset.train["caption"], tiny_config)


@pytest.fixture(scope="session")
def started_image_classifier(tiny_dataset, tiny_config):
    """Not trained, but its features lie around 0: they tell pictures apart."""
    return start_image_classifier(tiny_dataset, tiny_config)


@pytest.fixture
def tiny_clip(tiny_config, vectorizer, started_image_classifier):
    """An untrained CLIP."""
    images = started_image_classifier
    texts = build_text_classifier(
        tiny_config, vectorizer.vocabulary_size(), len(LABELS)
    )
    return build_clip(
        without_head(images, frozen=True), without_head(texts), tiny_config
    )


@pytest.fixture(scope="session")
def run_config(
    tmp_path_factory, tiny_config, tiny_dataset, vectorizer, started_image_classifier
):
    """What the notebook leaves behind, from an untrained model."""
    config = dataclasses.replace(
        tiny_config, model_dir=str(tmp_path_factory.mktemp("models"))
    )
    images = started_image_classifier
    texts = build_text_classifier(config, vectorizer.vocabulary_size(), len(LABELS))
    clip = build_clip(without_head(images, frozen=True), without_head(texts), config)
    save_model(clip, config.model_path(MODEL_FILE))
    vectorizer.save(config.model_path(VOCABULARY_FILE))
    config.save(config.config_file)
    indexes = build_indexes(Clip.load(config.model_path(MODEL_FILE)), tiny_dataset)
    for index, name in zip(indexes, (IMAGE_INDEX_FILE, TEXT_INDEX_FILE), strict=True):
        index.save(config.model_path(name))
    open_clip(config.clip_file)  # The encoders of each copy are those kept here.
    return config


@pytest.fixture(scope="session")
def page(run_config):
    """The search page of that model."""
    from clip_lib.web.page import Page

    return Page.load([run_config.clip_file])


@pytest.fixture(scope="session")
def address(page):
    """Where that page is served."""
    pytest.importorskip("gradio", reason="pip install -r requirements-app.txt")
    from clip_lib.web.app import launch

    app, url, _ = launch(page, quiet=True, prevent_thread_lock=True)
    yield url.rstrip("/")
    app.blocks.close()


@pytest.fixture
def full_disk():
    """While it is entered, no file of this process grows beyond five kilobytes."""
    resource = pytest.importorskip("resource", reason="limits of POSIX")

    @contextlib.contextmanager
    def limit():
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limit


@pytest.fixture
def photo(tiny_folder):
    return str(tiny_folder / "images/dog/dog_001.jpg")
