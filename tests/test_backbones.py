"""Pretrained picture encoders: every network of keras.applications that is offered."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import h5py
import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest
from keras import applications, layers
from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

from clip_lib.config import Config
from clip_lib.data.vocabulary import save_vocabulary
from clip_lib.evaluation.embeddings import colour_filters
from clip_lib.handin.architecture import architecture_figure
from clip_lib.handin.model_summary import architecture_sizes, encoder_titles
from clip_lib.models.augmentation import augmented_views
from clip_lib.models.clip import build_clip
from clip_lib.models.encoders import (
    FEATURES,
    build_text_classifier,
    mirrors_only,
    networks_in,
    unfreeze,
    without_head,
)
from clip_lib.models.saving import save_model, split_encoders
from clip_lib.retrieval.search import Clip
from clip_lib.towers.images import BACKBONES, build_backbone_classifier, load_backbone
from clip_lib.training.fit import fit_clip, fit_image_classifier
from clip_lib.training.fitting import fit

MODULES = {
    "mobilenet_v3": applications.mobilenet_v3,
    "efficientnet_v2": applications.efficientnet_v2,
    "resnet50": applications.resnet50,
}
SIDES = (48, 64)
OFFERED = dict(BACKBONES)


@pytest.fixture(scope="module", autouse=True)
def small():
    """The small MobileNetV3 in place of the large one: the same code, in less time."""
    with pytest.MonkeyPatch.context() as patch:
        offered = OFFERED["mobilenet_v3"]
        other = dataclasses.replace(offered, build=applications.MobileNetV3Small)
        patch.setitem(BACKBONES, "mobilenet_v3", other)
        yield


@pytest.fixture(scope="module")
def config(tiny_config):
    """The cheapest one, on small pictures that are not square."""
    return dataclasses.replace(
        tiny_config,
        image_size=SIDES,
        image_encoder="mobilenet_v3",
        image_weights="",
    )


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (6, *SIDES, 3), "uint8")


def enliven(network, images):
    """Give drawn weights the statistics of pictures: else their answers fade to 0."""
    norms = [
        each for each in network.layers if isinstance(each, layers.BatchNormalization)
    ]
    usual = [norm.momentum for norm in norms]
    network.trainable = True
    for norm in norms:
        norm.momentum = 0.0
    network(images, training=True)
    for norm, momentum in zip(norms, usual, strict=True):
        norm.momentum = momentum
    network.trainable = False


@pytest.fixture(scope="module")
def classifiers(config, images):
    """One classifier a network: weights drawn at random, with lively answers."""
    made = {}
    for name in BACKBONES:
        model = build_backbone_classifier(
            dataclasses.replace(config, image_encoder=name), 4
        )
        pixels = MODULES[name].preprocess_input(images.astype("float32"))
        enliven(networks_in(model)[0], pixels)
        made[name] = model
    return made


def network_of(model) -> keras.Model:
    (network,) = networks_in(model)
    return network


def answers(model, images) -> np.ndarray:
    """Not by ``predict``, which would compile hundreds of layers for one batch."""
    return np.asarray(model(images, training=False))


def copied(weights) -> list[np.ndarray]:
    return [each.numpy().copy() for each in weights]


@pytest.fixture(scope="module")
def weights_file(config, classifiers, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "mobile.weights.h5"
    network_of(classifiers["mobilenet_v3"]).save_weights(path)
    return path


# Vectors.


@pytest.mark.parametrize("name", BACKBONES)
def test_features_are_the_means_of_what_keras_itself_computes(
    name, config, images, classifiers
):
    """By its own preprocessing and the same weights, built apart from ours."""
    model = classifiers[name]
    apart = BACKBONES[name].build(
        weights=None, include_top=False, input_shape=(*SIDES, 3), pooling="avg"
    )
    apart.set_weights(network_of(model).get_weights())
    pixels = MODULES[name].preprocess_input(images.astype("float32"))
    expected = answers(apart, pixels)
    inner = [model.get_layer(FEATURES).output, model.output]
    found, probabilities = keras.Model(model.input, inner)(images, training=False)
    assert np.abs(expected).max() > 0.1  # Or the threshold would say nothing.
    assert np.abs(found - expected).max() < 1e-4
    assert probabilities.shape == (6, 4)
    assert np.allclose(np.sum(probabilities, axis=1), 1, atol=1e-5)
    headless = mirrors_only(without_head(model))
    assert np.abs(answers(headless, images) - expected).max() < 1e-4
    # In training too, frozen or not: no statistics of the batch, no block left out.
    network = network_of(headless)
    for _ in range(2):
        trained = np.mean(network(pixels, training=True), axis=(1, 2))
        assert np.abs(trained - expected).max() < 1e-4
        assert unfreeze(headless)
    assert network.trainable_weights


@pytest.mark.parametrize("name", BACKBONES)
def test_the_pixels_that_a_network_reads_are_those_of_its_training(
    name, images, classifiers
):
    """Until the first convolution; the scale of each stands in its documentation."""
    model = classifiers[name]
    network = network_of(model)
    before = keras.Model(model.input, model.layers[-5].output)
    assert model.layers[-4] is network
    first = next(each for each in network.layers if isinstance(each, layers.Conv2D))
    scaled = answers(keras.Model(network.input, first.input), answers(before, images))
    pixels = images.astype("float64")
    if name == "mobilenet_v3":
        expected = pixels / 127.5 - 1
    elif name == "efficientnet_v2":
        expected = (pixels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    else:
        expected = pixels[..., ::-1] - [103.939, 116.779, 123.68]
        expected = np.pad(expected, [(0, 0), (3, 3), (3, 3), (0, 0)])
    assert np.abs(scaled - expected).max() < 1e-4
    if name == "resnet50":
        own = applications.resnet50.preprocess_input(images.astype("float32"))
        assert np.abs(answers(before, images) - own).max() < 1e-4


def test_pictures_are_distorted_as_pixels(
    images, classifiers, started_image_classifier
):
    for model, shape in (
        (classifiers["mobilenet_v3"], SIDES),
        (started_image_classifier, (32, 32)),
    ):
        image = np.zeros((*model.input.shape[1:3], 3), "uint8") + images[0, 0, 0]
        image[8:24, 8:24] = 255 - image[8:24, 8:24]
        views = augmented_views(model, image, 16)
        assert views.shape == (16, *shape, 3)
        assert views.min() >= 0 and views.max() <= 1
        # Neither black nor white: they keep the colours of the picture, about.
        assert (
            np.abs(views.mean(axis=(0, 1, 2)) - image.mean(axis=(0, 1)) / 255).max()
            < 0.2
        )
        assert views.std(axis=0).max() > 0.05
        filters = colour_filters(model, 5)
        assert filters.shape[0] == 5 and filters.shape[-1] == 3
        assert filters.min() >= 0 and filters.max() <= 1


def test_the_colours_of_filters_are_red_green_and_blue(classifiers):
    model = classifiers["resnet50"]
    first = network_of(model).get_layer("conv1_conv")
    kernel, bias = first.get_weights()
    before = kernel.copy(), bias
    kernel[:] = 0
    kernel[:, :, 2] = 1  # It reads blue, green, red.
    first.set_weights([kernel, bias])
    found = colour_filters(model, 1)[0]
    first.set_weights(before)
    assert (found[..., 0] == 1).all() and (found[..., 1:] == 0.5).all()


def test_too_small_a_picture_is_refused(config):
    config = dataclasses.replace(config, image_size=(224, 31))
    with pytest.raises(ValueError, match=r"image_size.*31.*at least 32.*mobilenet_v3"):
        build_backbone_classifier(config, 4)


# Weights.


def with_weights(config, path) -> list[np.ndarray]:
    config = dataclasses.replace(config, image_weights=str(path))
    return load_backbone(config).get_weights()


def test_weights_come_from_a_local_file(config, tmp_path, classifiers, weights_file):
    """Of Keras 3, whole or weights alone; and as keras.applications gives them out."""
    network = network_of(classifiers["mobilenet_v3"])
    network.save(tmp_path / "mobile.keras")
    legacy = tmp_path / Path(BACKBONES["mobilenet_v3"].url).name
    with h5py.File(legacy, "w") as file:
        save_weights_to_hdf5_group(file, network)
    for path in (weights_file, tmp_path / "mobile.keras", legacy):
        found = with_weights(config, path)
        for one, other in zip(found, network.get_weights(), strict=True):
            assert (one == other).all()


@pytest.fixture(scope="module")
def wrong(tmp_path_factory, classifiers, started_image_classifier):
    """Files that are none of MobileNetV3's weights, by what is wrong with them."""
    folder = tmp_path_factory.mktemp("wrong")
    network_of(classifiers["efficientnet_v2"]).save_weights(
        folder / "another.weights.h5"
    )
    started_image_classifier.save(folder / "another.keras")
    for name in ("broken.weights.h5", "broken.keras", "broken_notop.h5", "weights.bin"):
        (folder / name).write_bytes(b"no weights")
    return folder


@pytest.mark.parametrize(
    "name",
    [
        *("another.weights.h5", "another.keras", "broken.weights.h5"),
        *("broken.keras", "broken_notop.h5", "weights.bin"),
    ],
)
def test_a_wrong_file_is_refused_by_name(config, wrong, name):
    match = rf"{name}: not the weights of MobileNetV3Small \(.*\); expected .*no_top"
    with pytest.raises(ValueError, match=match) as caught:
        with_weights(config, wrong / name)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(config):
    with pytest.raises(ValueError, match=r"none\.weights\.h5: no such file; expected"):
        with_weights(config, "none.weights.h5")


@pytest.mark.parametrize("name", BACKBONES)
def test_weights_that_cannot_be_downloaded_are_one_sentence(
    name, config, monkeypatch, tmp_path
):
    """Keras asks for the very file that the sentence names."""
    asked = []

    def refuse(url, *rest):
        asked.append(url)
        raise TimeoutError("timed out")

    monkeypatch.setattr("keras.src.utils.file_utils.urlretrieve", refuse)
    monkeypatch.setattr(
        "keras.src.utils.file_utils.config.keras_home", lambda: str(tmp_path)
    )
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setitem(BACKBONES, name, OFFERED[name])
    config = dataclasses.replace(
        config, image_encoder=name, image_weights="imagenet", image_size=(32, 32)
    )
    with pytest.raises(ValueError, match="could not be downloaded") as caught:
        build_backbone_classifier(config, 4)
    said = str(caught.value)
    (url,) = asked
    assert said.startswith(url) and "(timed out)" in said and "\n" not in said
    assert f"put it into {tmp_path / 'models'}, or name the file in image_" in said


def test_environment_variables_choose_the_encoders(monkeypatch):
    for name in ("IMAGE_ENCODER", "IMAGE_WEIGHTS", "TEXT_ENCODER", "TEXT_WEIGHTS"):
        monkeypatch.delenv(f"CLIP_{name}", raising=False)
    usual = Config.from_environment()
    assert (usual.image_encoder, usual.image_weights) == ("cnn", "imagenet")
    monkeypatch.setenv("CLIP_IMAGE_ENCODER", "resnet50")
    monkeypatch.setenv("CLIP_IMAGE_WEIGHTS", "")
    monkeypatch.setenv("CLIP_TEXT_ENCODER", "distilbert")
    monkeypatch.setenv("CLIP_TEXT_WEIGHTS", "/somewhere")
    found = Config.from_environment()
    assert (found.image_encoder, found.image_weights) == ("resnet50", "")
    assert (found.text_encoder, found.text_weights) == ("distilbert", "/somewhere")
    assert Config.from_environment(image_weights="mine.h5").image_weights == "mine.h5"
    monkeypatch.setenv("CLIP_IMAGE_ENCODER", "vgg")
    with pytest.raises(ValueError, match="image_encoder = 'vgg': expected one of cnn"):
        Config.from_environment()


# Training.


def by_kind(model) -> dict[str, list[np.ndarray]]:
    """The weights of its network: of batch normalisations, and all others."""
    kinds = {"norms": [], "others": []}
    for layer in network_of(model).layers:
        norm = isinstance(layer, layers.BatchNormalization)
        kinds["norms" if norm else "others"] += copied(layer.weights)
    return kinds


def differ(one, other) -> bool:
    return any((a != b).any() for a, b in zip(one, other, strict=True))


def build_tiny(weights, include_top, input_shape) -> keras.Model:
    """As keras.applications builds: a few of the layers that need care in training."""
    assert weights is None and not include_top
    inputs = keras.Input(input_shape)
    outputs = layers.Rescaling(1 / 127.5, offset=-1)(inputs)
    for number, width in enumerate((8, 16)):
        outputs = layers.Conv2D(width, 3, strides=4, name=f"conv_{number}")(outputs)
        outputs = layers.BatchNormalization(momentum=0.5, name=f"norm_{number}")(
            outputs
        )
        outputs = layers.Dropout(0.5, name=f"drop_{number}")(outputs)
        outputs = layers.Activation("hard_swish", name=f"active_{number}")(outputs)
    return keras.Model(inputs, outputs, name="tiny")


@pytest.fixture(scope="module")
def run(config, tiny_dataset, vectorizer, tmp_path_factory):
    """A short training of all: what its network was at each stage, and its files."""
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        other = dataclasses.replace(OFFERED["mobilenet_v3"], build=build_tiny)
        patch.setitem(BACKBONES, "mobilenet_v3", other)
        yield trained(config, tiny_dataset, vectorizer, folder)


def trained(config, tiny_dataset, vectorizer, folder) -> SimpleNamespace:
    weights = folder / "tiny.weights.h5"
    load_backbone(config).save_weights(weights)
    config = dataclasses.replace(
        config,
        model_dir=str(folder),
        image_weights=str(weights),
        image_epochs=1,
        fine_tune_epochs=1,
        fine_tune_learning_rate=1e-2,
        clip_epochs=1,
        clip_learning_rate=1e-2,
    )
    stages, shown = [], []

    def spy(model, *rest):
        if networks_in(model):
            stages.append(by_kind(model))
        history = fit(model, *rest)
        if networks_in(model):
            stages.append(by_kind(model))
            shown.append(len(model.trainable_weights))
        return history

    path = config.model_path("image_classifier.keras")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("clip_lib.training.fit.fit", spy)
        kept, history = fit_image_classifier(tiny_dataset, config, path)
    assert len(history.history["val_accuracy"]) == 2
    texts = build_text_classifier(config, vectorizer.vocabulary_size(), 4)
    clip = build_clip(without_head(kept), without_head(texts), config)
    before = copied(split_encoders(clip)[0].weights)
    fit_clip(clip, tiny_dataset, vectorizer, config, config.clip_file)
    return SimpleNamespace(
        config=config,
        stages=stages,
        shown=shown,
        kept=kept,
        clip=clip,
        before=before,
    )


def test_the_network_is_frozen_and_then_fine_tuned(run):
    start, frozen, again, tuned = run.stages
    expected = load_backbone(run.config)
    for kind, weights in by_kind(keras.Sequential([expected])).items():
        assert not differ(start[kind], weights)
        assert not differ(frozen[kind], weights)
        assert not differ(again[kind], weights)
        assert all(np.isfinite(each).all() for each in tuned[kind])
    assert differ(tuned["others"], frozen["others"])
    assert not differ(tuned["norms"], frozen["norms"])  # Nor their moving averages.
    head, everything = run.shown
    assert head == 2 and everything == 2 + len(tuned["others"])


def test_its_features_are_locked_in_clip(run):
    """Trained for an epoch: the projection moved, and nothing below it."""
    encoder, _ = split_encoders(run.clip)
    moved = [
        weights.path
        for weights, before in zip(encoder.weights, run.before, strict=True)
        if (np.asarray(weights) != before).any()
    ]
    assert len(moved) == 2 and all("projection" in path for path in moved)
    assert not differ(by_kind(encoder)["norms"], by_kind(run.kept)["norms"])
    assert {each.path for each in encoder.trainable_weights} == set(moved)


def test_it_is_fine_tuned_in_clip_if_asked(run, vectorizer):
    config = dataclasses.replace(run.config, locked_images=False)
    texts = build_text_classifier(config, vectorizer.vocabulary_size(), 4)
    clip = build_clip(without_head(run.kept), without_head(texts), config)
    network = network_of(split_encoders(clip)[0])
    norms = {
        each.trainable
        for each in network.layers
        if isinstance(each, layers.BatchNormalization)
    }
    assert norms == {False}
    assert len(network.trainable_weights) == len(by_kind(run.kept)["others"])


# A process that knows nothing but the folder of the run.
COLD = """
import socket, sys

def refuse(*rest):
    raise OSError("no network here")

socket.socket.connect = socket.getaddrinfo = refuse
import numpy as np
from clip_lib.retrieval.search import Clip
from clip_lib.models.saving import save_model

clip = Clip.load(sys.argv[1])
images = np.load(sys.argv[2])
np.save(sys.argv[2], clip.image_encoder(images, training=False))
"""


@pytest.fixture(scope="module")
def saved(config, classifiers, vectorizer, tmp_path_factory):
    """A CLIP of a whole MobileNetV3, as it is saved."""
    config = dataclasses.replace(
        config, model_dir=str(tmp_path_factory.mktemp("saved"))
    )
    texts = build_text_classifier(config, vectorizer.vocabulary_size(), 4)
    parts = without_head(classifiers["mobilenet_v3"]), without_head(texts)
    clip = build_clip(*parts, config)
    save_model(clip, config.clip_file)
    save_vocabulary(vectorizer, config.vocabulary_file)
    return SimpleNamespace(file=config.clip_file, image_encoder=split_encoders(clip)[0])


def test_a_saved_clip_gives_the_same_vectors_in_a_fresh_process(
    saved, tmp_path, images
):
    expected = answers(saved.image_encoder, images)
    assert np.abs(expected - expected[0]).max() > 1e-3
    np.save(tmp_path / "vectors.npy", images)
    subprocess.run(
        [sys.executable, "-c", COLD, saved.file, tmp_path / "vectors.npy"],
        env=os.environ | {"KERAS_HOME": str(tmp_path / "keras")},
        cwd=Path(__file__).parents[1],
        check=True,
    )
    assert np.abs(np.load(tmp_path / "vectors.npy") - expected).max() < 1e-5


def test_the_report_draws_it(saved):
    clip = Clip.load(saved.file)
    sizes = architecture_sizes(clip)
    assert sizes["channels"] == sizes["image_features"] == 576
    assert (sizes["last_height"], sizes["last_width"]) == (2, 2)
    assert sizes["trained_image"] == 576 * 32 + 32
    # Counted in the table of Howard et al. 2019: a first and a last one, 11 blocks of
    # three but the first of two, and two more in each of the 9 that squeeze.
    assert sizes["convolutions"] == 2 + 11 * 3 - 1 + 9 * 2
    assert "descriptors" not in sizes
    assert encoder_titles(clip) == ("MobileNetV3Small", "SmallBERT")
    figure = architecture_figure(clip, 4)
    shown = "\n".join(text.get_text() for text in figure.axes[0].texts)
    plt.close(figure)
    for words in ("MobileNetV3", "52 convolutions", "576 nombres", "1 bloc Transfor"):
        assert words in shown
