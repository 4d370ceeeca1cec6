"""Our own pretrained weights: what starts from them, and that they are sound."""

import dataclasses
import subprocess
import sys

import keras
import numpy as np
import pytest
from conftest import LABELS

from clip_lib.config import PRETRAINED, Config
from clip_lib.data.pipelines import image_batches
from clip_lib.data.vocabulary import (
    load_vocabulary,
    save_vocabulary,
    vocabulary_fingerprint,
)
from clip_lib.models.clip import build_clip
from clip_lib.models.encoders import without_head
from clip_lib.models.initialization import start_image_classifier, start_text_classifier
from clip_lib.models.learner import locked_features
from clip_lib.models.reload import reload_difference
from clip_lib.models.saving import load_clip, save_model, save_small, split_encoders
from clip_lib.retrieval.search import MODEL_FILE, Clip
from clip_lib.towers.pretrained_clip import load_pretrained
from clip_lib.training.pipeline import prepare_vocabulary, train


@pytest.fixture
def folder(tmp_path, tiny_clip, vectorizer):
    """A CLIP to start from, whose weights are nobody else's."""
    random = np.random.default_rng(0)
    moved = [w * random.uniform(0.9, 1.1, w.shape) for w in tiny_clip.get_weights()]
    tiny_clip.set_weights(moved)
    loss = tiny_clip.get_layer("contrastive_loss")
    loss.vocabulary = vocabulary_fingerprint(vectorizer)
    save_model(tiny_clip, tmp_path / MODEL_FILE)
    save_vocabulary(vectorizer, tmp_path / "vocab.txt")
    return tmp_path


@pytest.fixture
def config(tiny_config, folder):
    return dataclasses.replace(
        tiny_config, pretrained=True, pretrained_dir=str(folder), model_dir=str(folder)
    )


def images_of(dataset):
    paths = dataset.paths(dataset.validation)
    return np.concatenate(list(image_batches(paths, (64, 64))))


def test_the_start_is_the_pretrained_model(config, tiny_dataset):
    """Before any training: features, words and embeddings are the pretrained ones."""
    clip = load_pretrained(config)
    vectorizer = prepare_vocabulary(["other words altogether"], config)
    images = images_of(tiny_dataset)
    token_ids = np.asarray(vectorizer(list(tiny_dataset.validation["caption"])))
    image_classifier = start_image_classifier(tiny_dataset, config)
    text_classifier = start_text_classifier(tiny_dataset, vectorizer, config)
    features = without_head(image_classifier).predict(images, verbose=0)
    expected = locked_features(clip).predict(images, verbose=0)
    assert np.allclose(features, expected, atol=1e-5)
    assert not image_classifier.get_layer("descriptors").trainable
    assert image_classifier.output.shape[1] == text_classifier.output.shape[1] == 4
    started = build_clip(
        without_head(image_classifier), without_head(text_classifier), config
    )
    inputs = {"image_input": images, "text_input": token_ids}
    for one, other in zip(
        started.predict(inputs, verbose=0), clip.predict(inputs, verbose=0), strict=True
    ):
        assert np.allclose(one, other, atol=1e-5)


def test_fine_tuning_moves_the_projection_and_not_the_features(
    config, tiny_dataset, tmp_path
):
    config = dataclasses.replace(config, model_dir=str(tmp_path / "tuned"))
    trained = train(tiny_dataset, config)
    before, after = load_pretrained(config), load_clip(config.clip_file)
    images = images_of(tiny_dataset)
    one, other = (
        locked_features(clip).predict(images, verbose=0) for clip in (before, after)
    )
    assert np.allclose(one, other, atol=1e-5)
    kernels = [
        split_encoders(clip)[0].get_layer("projection").get_weights()[0]
        for clip in (before, after)
    ]
    assert np.abs(kernels[0] - kernels[1]).max() > 1e-4
    images = images[:4]
    file = config.model_path("image_classifier.keras")
    assert reload_difference(trained.image_classifier, file, images) < 1e-5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"embed_dim": 64}, "trained with embed_dim = 32, not 64"),
        ({"image_size": (96, 96)}, r"trained with image_size = \(64, 64\)"),
        ({"sequence_length": 16}, "trained with sequence_length = 32, not 16"),
        ({"descriptors": 9}, "its layer descriptors has weights of shapes"),
        ({"cells": (3, 5)}, "statistics_7 in one of the model and the configuration"),
        ({"pretrained_dir": "nowhere"}, "no such model"),
    ],
)
def test_other_sizes_are_refused_by_name(config, tiny_dataset, changes, message):
    config = dataclasses.replace(config, **changes)
    with pytest.raises(ValueError, match=message):
        start_image_classifier(tiny_dataset, config)


def test_another_number_of_blocks_is_refused(config, tiny_dataset, vectorizer):
    config = dataclasses.replace(config, num_layers=2)
    with pytest.raises(ValueError, match="transformer_2 in one of the model"):
        start_text_classifier(tiny_dataset, vectorizer, config)


def test_unlocked_it_learns(config, tiny_dataset, vectorizer):
    clips = [
        build_clip(
            without_head(start_image_classifier(tiny_dataset, config)),
            without_head(start_text_classifier(tiny_dataset, vectorizer, config)),
            config,
        )
        for config in (config, dataclasses.replace(config, locked_images=False))
    ]
    locked, free = (
        {weights.path for weights in split_encoders(clip)[0].trainable_weights}
        for clip in clips
    )
    assert not any("descriptors" in path for path in locked)
    assert any("descriptors" in path for path in free)


def test_another_vocabulary_is_refused_by_name(config, folder, tiny_dataset):
    path = folder / "vocab.txt"
    lines = path.read_text(encoding="utf-8").split("\n")
    path.write_text("\n".join([*lines[:2], *lines[3:], lines[2]]), encoding="utf-8")
    vectorizer = prepare_vocabulary([], config)
    with pytest.raises(ValueError, match=r"vocab\.txt: .* or in another order"):
        start_text_classifier(tiny_dataset, vectorizer, config)


def test_a_small_file_says_nearly_the_same(tmp_path, tiny_clip, tiny_dataset):
    whole = save_model(tiny_clip, tmp_path / "whole.keras")
    small = save_small(tiny_clip, tmp_path / "small.keras")
    assert small.stat().st_size < 0.75 * whole.stat().st_size
    images = images_of(tiny_dataset)
    one, other = (
        split_encoders(load_clip(path))[0].predict(images, verbose=0)
        for path in (whole, small)
    )
    assert np.abs(one - other).max() < 2e-2
    assert (one * other).sum(axis=1).min() > 0.999
    for weights in load_clip(small).get_weights():
        assert np.array_equal(weights, weights.astype("float16").astype("float32"))
    assert keras.saving.load_model(whole).count_params() == tiny_clip.count_params()


def test_our_weights_fit_the_preset():
    """What is committed can be fine-tuned, and is small enough to be committed."""
    config = Config.fine_tuning()
    clip = load_pretrained(config)
    vectorizer = prepare_vocabulary([], config)
    assert clip.get_layer("contrastive_loss").vocabulary == vocabulary_fingerprint(
        load_vocabulary(PRETRAINED / "vocab.txt", config.sequence_length)
    )
    assert vectorizer.vocabulary_size() > 3_000
    size = sum(path.stat().st_size for path in PRETRAINED.iterdir())
    assert size <= 10_000_000


def test_our_weights_answer_untuned(tiny_folder, tmp_path):
    """In a fresh process: a folder of anybody's photos is indexed and asked."""
    model = str(PRETRAINED / MODEL_FILE)
    index = str(tmp_path / "photos.npz")
    pictures = str(tiny_folder / "images" / LABELS[0])
    command = [sys.executable, "-m", "clip_lib"]
    about = {"capture_output": True, "text": True, "check": True}
    subprocess.run(
        [*command, "index", pictures, "--model", model, "--output", index], **about
    )
    query = [*command, "search", "a red ball", "--model", model, "--gallery", index]
    found = subprocess.run(query, **about)
    assert "ball_0" in found.stdout
    vectors = Clip.load(model).embed_texts(
        ["a dog runs", "a dog is running", "the sea"]
    )
    near, far = vectors[0] @ vectors[1], vectors[0] @ vectors[2]
    assert near > far + 0.2
