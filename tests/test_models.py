"""The classifiers, the contrastive loss and CLIP: geometry, masks, saving."""

import dataclasses
import math
import subprocess
import sys

import keras
import numpy as np
import pytest

from clip_lib.data.vocabulary import encode
from clip_lib.models.clip import (
    build_clip,
    frozen_features,
    trainable_part,
    without_head,
)
from clip_lib.models.cnn import build_image_classifier
from clip_lib.models.contrastive_loss import (
    MAX_SCALE,
    ContrastiveLoss,
    contrastive_loss,
)
from clip_lib.models.saving import (
    load_clip,
    reload_difference,
    save_model,
    split_encoders,
)
from clip_lib.models.smallbert import build_text_classifier
from clip_lib.training.fit import clip_batches

SENTENCE = [5, 9, 7, 3]


@pytest.fixture(scope="module")
def images(tiny_config):
    shape = (4, *tiny_config.image_shape)
    return np.random.default_rng(0).integers(0, 256, shape, "uint8")


@pytest.fixture(scope="module")
def image_classifier(tiny_config):
    return build_image_classifier(tiny_config, 3)


@pytest.fixture
def text_classifier(tiny_config):
    return build_text_classifier(tiny_config, 20, 4)


def padded(length, sentence=SENTENCE):
    return np.array([sentence + [0] * (length - len(sentence))], "int32")


# The classifiers


def test_bytes_and_floats_give_the_same_probabilities(image_classifier, images):
    outputs = image_classifier.predict(images, verbose=0)
    assert outputs.shape == (4, 3) and np.allclose(outputs.sum(axis=1), 1, atol=1e-5)
    as_floats = image_classifier.predict(images.astype("float32"), verbose=0)
    assert np.allclose(outputs, as_floats, atol=1e-6)


def test_augmentation_acts_in_training_only(image_classifier, images):
    last = image_classifier.get_layer("contrast").output
    augmented = keras.Model(image_classifier.input, last)
    served = np.asarray(augmented(images, training=False))
    assert (served == np.asarray(augmented(images, training=False))).all()
    assert np.abs(served - np.asarray(augmented(images, training=True))).mean() > 0.01
    assert (served >= -1).all() and (served <= 1).all()


def test_cells_hold_the_means_and_deviations_of_their_pixels(
    image_classifier, tiny_config, images
):
    """And the edge energies, in eight directions."""
    (cell, *_) = tiny_config.cells
    inner = [
        image_classifier.get_layer(name).output
        for name in ("colours", "edge_strength", f"statistics_{cell}")
    ]
    outputs = keras.Model(image_classifier.input, inner).predict(images, verbose=0)
    colours, edges, found = outputs
    halves = images.reshape(len(images), 32, 2, 32, 2, 3).mean(axis=(2, 4))
    assert np.allclose(colours, halves[:, 1:-1, 1:-1] / 127.5 - 1, atol=1e-5)
    place = colours[0, cell : 2 * cell, :cell].reshape(-1, 3)
    strengths = edges[0, cell : 2 * cell, :cell].reshape(-1, 8).mean(axis=0)
    expected = *place.mean(axis=0), *place.std(axis=0), *np.sqrt(strengths)
    assert np.allclose(found[0, 1, 0], expected, atol=2e-3)


@pytest.mark.parametrize(("slope", "direction"), [((0, 1), 0), ((-1, 0), 6)])
def test_an_edge_responds_in_the_direction_of_its_gradient(
    image_classifier, slope, direction
):
    edges = image_classifier.get_layer("edge_strength").output
    rows, columns = np.indices((64, 64))
    grey = 128 + 0.9 * (slope[0] * (rows - 32) + slope[1] * (columns - 32))
    image = np.repeat(grey[None, :, :, None], 3, axis=-1).astype("float32")
    model = keras.Model(image_classifier.input, edges)
    found = model.predict(image, verbose=0)[0].mean(axis=(0, 1))
    assert found.argmax() == direction
    assert found[(direction + 4) % 8] < 1e-4 * found[direction]


def test_edges_and_feature_statistics_are_never_trained(tiny_config, images):
    model = build_image_classifier(tiny_config, 3)
    before = {weights.path: weights.numpy() for weights in model.weights}
    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.Adam(0.1), loss, run_eagerly=True)
    model.train_on_batch(images, np.arange(len(images)) % 3)
    for weights in model.weights:
        if "seed" in weights.path:
            continue
        moved = np.abs(weights.numpy() - before[weights.path]).max() > 1e-4
        trained = "descriptors" in weights.path or "label" in weights.path
        assert moved == trained, weights.path


def test_an_image_too_small_for_the_cells_is_refused(tiny_config):
    config = dataclasses.replace(tiny_config, image_size=(224, 56))
    with pytest.raises(ValueError, match=r"image_size.*56.*at least 60"):
        build_image_classifier(config, 3)


def test_the_sentence_vector_is_the_mean_over_real_tokens(text_classifier):
    """Of the word vectors, then of the contextual vectors, which the head reads."""
    sentence = without_head(text_classifier).predict(padded(32), verbose=0)
    halves = np.split(sentence[0], 2)
    for name, mean in zip(("words", "last_norm"), halves, strict=True):
        layer = text_classifier.get_layer(name)
        tokens = keras.Model(text_classifier.input, layer.output)(padded(32))[0].numpy()
        assert np.allclose(mean, tokens[: len(SENTENCE)].mean(axis=0), atol=1e-5)
        assert not np.allclose(mean, tokens.mean(axis=0), atol=1e-2)
    head = text_classifier.get_layer("label").kernel
    expected = keras.ops.softmax(halves[1] @ head)
    found = text_classifier.predict(padded(32), verbose=0)
    assert np.allclose(found, expected, atol=1e-5)


def test_the_vector_of_the_padding_token_has_no_influence(text_classifier):
    features = without_head(text_classifier)
    before = features.predict(padded(32), verbose=0)
    table = features.get_layer("embedding").token_embedding
    weights = table.get_weights()[0]
    weights[0] += 100
    table.set_weights([weights])
    assert np.abs(features.predict(padded(32), verbose=0) - before).max() < 1e-5


@pytest.mark.parametrize("training", [False, True])
def test_padding_changes_nothing(tiny_config, training):
    """Against a model of exactly the sentence's length, where nothing is padded."""
    config = dataclasses.replace(tiny_config, num_layers=2, dropout=0.0)
    bare, long = (
        without_head(
            build_text_classifier(
                dataclasses.replace(config, sequence_length=tokens), 20, 4
            )
        )
        for tokens in (len(SENTENCE), 32)
    )
    long_weights = long.get_weights()
    for index, weights in enumerate(bare.get_weights()):
        long_weights[index][: len(weights)] = weights  # The first position embeddings.
    long.set_weights(long_weights)
    one = np.asarray(bare(padded(len(SENTENCE)), training=training))
    other = np.asarray(long(padded(32), training=training))
    assert np.abs(one - other).max() < 1e-5


def test_without_head_returns_a_copy(image_classifier, images):
    features = image_classifier.get_layer("features").output
    inside = keras.Model(image_classifier.input, features)
    expected = inside.predict(images, verbose=0)
    copy = without_head(image_classifier)
    assert np.allclose(copy.predict(images, verbose=0), expected, atol=1e-6)
    copy.set_weights([0 * weights for weights in copy.get_weights()])
    assert np.allclose(inside.predict(images, verbose=0), expected, atol=1e-6)
    inputs = keras.Input((3,))
    with pytest.raises(ValueError, match="features"):
        without_head(keras.Model(inputs, keras.layers.Dense(2)(inputs)))


# The loss


def slow_loss(logits, labels=None, share=0.0):
    """The definition, one pair at a time."""
    size, total = len(logits), 0.0
    labels = range(size) if labels is None else list(labels)
    for matrix in (logits, logits.T):
        for i in range(size):
            log_sum = math.log(sum(math.exp(value) for value in matrix[i]))
            for j in range(size):
                same = labels[i] == labels[j]
                target = (1 - share) * (i == j)
                target += share / labels.count(labels[i]) if same else 0
                total += target * (log_sum - matrix[i, j])
    return total / (2 * size)


@pytest.fixture
def logits():
    return np.random.default_rng(0).normal(0, 3, (6, 6)).astype("float32")


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("labels", [[0, 1, 0, 2, 0, 1], [7] * 6, range(6)])
def test_the_loss_is_its_definition(logits, share, labels):
    found = float(contrastive_loss(logits, np.array(labels, "int32"), share))
    assert found == pytest.approx(slow_loss(logits, labels, share), rel=1e-5)
    plain = float(contrastive_loss(logits))
    assert plain == pytest.approx(slow_loss(logits), rel=1e-5)
    shared = share and len(set(labels)) < 6
    assert (found == pytest.approx(plain, rel=1e-3)) != shared


def test_the_loss_of_no_and_of_perfect_discrimination():
    equal = float(contrastive_loss(np.zeros((5, 5), "float32")))
    assert equal == pytest.approx(math.log(5), rel=1e-6)
    assert float(contrastive_loss(50 * np.eye(4, dtype="float32"))) < 1e-6


def test_the_loss_depends_on_the_pairs_alone(logits):
    order = np.random.default_rng(1).permutation(6)
    loss = float(contrastive_loss(logits))
    assert float(contrastive_loss(logits[order][:, order])) == pytest.approx(loss, 1e-5)
    assert float(contrastive_loss(logits.T)) == pytest.approx(loss, 1e-5)
    assert float(contrastive_loss(logits[order])) != pytest.approx(loss, 1e-2)


def unit(array):
    return (array / np.linalg.norm(array, axis=1, keepdims=True)).astype("float32")


def test_the_layer_adds_the_loss_and_returns_the_embeddings():
    random = np.random.default_rng(0)
    images, texts = unit(random.normal(size=(4, 8))), unit(random.normal(size=(4, 8)))
    layer = ContrastiveLoss(0.1, label_share=0.6, rate=10)
    logits, labels = images @ texts.T / 0.1, np.array([3, 1, 3, 3], "int32")
    for inputs, expected in (
        ([images, texts, labels], slow_loss(logits, labels, 0.6)),
        ([images, texts], slow_loss(logits)),
    ):
        outputs = layer(inputs)
        assert np.allclose(outputs[0], images) and np.allclose(outputs[1], texts)
        assert float(layer.losses[-1]) == pytest.approx(expected, rel=1e-4)
    assert layer.temperature == pytest.approx(0.1, rel=1e-5)


def test_the_temperature_moves_at_its_own_rate_within_its_limits():
    vectors = np.eye(4, 8, dtype="float32")  # Perfect pairs: a larger scale pays.
    moved = {}
    for rate in (1, 10):
        layer = ContrastiveLoss(temperature=0.3, rate=rate)
        inputs = [keras.Input((8,)), keras.Input((8,))]
        model = keras.Model(inputs, layer(inputs))
        model.compile(keras.optimizers.Adam(1e-2))
        model.train_on_batch([vectors, vectors])
        moved[rate] = math.log(0.3 / layer.temperature)
        for _ in range(3):
            layer.log_scale.assign_add(1.0)
            model.train_on_batch([vectors, vectors])
        assert 1 / layer.temperature <= MAX_SCALE * (1 + 1e-5)
    assert moved[1] == pytest.approx(0.01, rel=0.1)
    assert moved[10] == pytest.approx(0.1, rel=0.1)


# CLIP


@pytest.fixture
def batch(tiny_dataset, vectorizer, tiny_config):
    return next(iter(clip_batches(tiny_dataset, vectorizer, tiny_config, "test")))


def test_embeddings_have_length_one(tiny_clip, tiny_config, vectorizer, batch):
    """Black images and texts without a word included."""
    empty = {
        "image_input": np.zeros((2, *tiny_config.image_shape), "uint8"),
        "text_input": encode(vectorizer, ["", "!?"]),
    }
    for inputs in (batch, empty):
        for embeddings in tiny_clip.predict(inputs, verbose=0):
            assert np.allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("frozen", [True, False])
def test_what_is_trained_is_the_clip_but_not_its_frozen_part(
    tiny_config, tiny_dataset, vectorizer, frozen
):
    """And never the models that it was built from."""
    words = vectorizer.vocabulary_size()
    images = without_head(build_image_classifier(tiny_config, 4), frozen)
    texts = without_head(build_text_classifier(tiny_config, words, 4))
    given = [w.numpy() for w in (*images.weights, *texts.weights)]
    clip = build_clip(images, texts, tiny_config)
    batches = clip_batches(tiny_dataset, vectorizer, tiny_config, "train")
    labelled = next(iter(batches))
    features = frozen_features(split_encoders(clip)[0])
    assert (features is not None) == frozen
    if frozen:
        labelled["feature_input"] = features(labelled.pop("image_input"))
    trained = trainable_part(clip, labelled=True)
    assert set(trained.input) == set(labelled)
    assert {id(w) for w in trained.trainable_weights} == {
        id(w) for w in clip.trainable_weights
    }
    encoder = split_encoders(clip)[0]
    before = encoder.get_layer("descriptors").kernel.numpy()
    start = encoder.get_layer("projection").kernel.numpy()
    trained.compile(keras.optimizers.Adam(1e-2))
    trained.train_on_batch(labelled)
    assert (encoder.get_layer("descriptors").kernel.numpy() == before).all() == frozen
    assert np.abs(encoder.get_layer("projection").kernel.numpy() - start).max() > 1e-3
    for weights, old in zip((*images.weights, *texts.weights), given, strict=True):
        assert "seed" in weights.path or (weights.numpy() == old).all()


def test_the_trained_loss_is_that_of_its_embeddings(
    tiny_clip, tiny_dataset, vectorizer, tiny_config
):
    batches = clip_batches(tiny_dataset, vectorizer, tiny_config, "train")
    labelled = next(iter(batches))
    images = frozen_features(split_encoders(tiny_clip)[0])(labelled.pop("image_input"))
    trained = trainable_part(tiny_clip, labelled=True)
    embeddings = trained(labelled | {"feature_input": images}, training=False)
    logits = embeddings[0] @ np.transpose(embeddings[1]) / tiny_config.temperature
    labels = labelled["label_input"]
    assert len(set(labels.numpy())) < len(labels)
    expected = slow_loss(logits.numpy(), labels.numpy(), tiny_config.label_share)
    assert float(trained.losses[0]) == pytest.approx(expected, rel=1e-4)


def test_a_fresh_process_gives_the_same_vectors(tmp_path, tiny_clip, batch):
    tiny_clip.get_layer("contrastive_loss").log_scale.assign(0.3)
    path = save_model(tiny_clip, tmp_path / "clip.keras")
    assert reload_difference(tiny_clip, path, batch) < 1e-5
    loss = load_clip(path).get_layer("contrastive_loss")
    assert loss.temperature == pytest.approx(np.exp(-3.0))
    tiny_clip.set_weights([weights + 0.01 for weights in tiny_clip.get_weights()])
    assert reload_difference(tiny_clip, path, batch) > 1e-3


def test_the_encoders_work_on_their_own(tmp_path, tiny_clip, batch):
    expected = tiny_clip.predict(batch, verbose=0)
    inputs = (batch["image_input"], batch["text_input"])
    for encoder, array, vectors in zip(
        split_encoders(tiny_clip), inputs, expected, strict=True
    ):
        path = save_model(encoder, tmp_path / f"{encoder.name}.keras")
        again = keras.saving.load_model(path)
        assert np.allclose(again.predict(array, verbose=0), vectors, atol=1e-5)


def test_a_failing_save_leaves_the_old_model(tmp_path, tiny_clip, monkeypatch):
    path = save_model(tiny_clip, tmp_path / "clip.keras")
    before = path.read_bytes()

    def half(target):
        target.write_bytes(b"half a model")
        raise OSError("disk full")

    monkeypatch.setattr(tiny_clip, "save", half)
    with pytest.raises(OSError, match="disk full"):
        save_model(tiny_clip, path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["clip.keras"]


def test_a_model_that_is_missing_or_not_a_clip_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"none\.keras: no such model"):
        load_clip(tmp_path / "none.keras")
    (tmp_path / "text.keras").write_text("hello")
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    other.save(tmp_path / "other.keras")
    for name in ("text", "other"):
        with pytest.raises(ValueError, match=rf"{name}\.keras: not a CLIP"):
            load_clip(tmp_path / f"{name}.keras")


def test_importing_and_computing_prints_nothing():
    """TensorFlow's start-up messages never reach the notebook; failures do."""
    code = "import clip_lib.models, tensorflow as tf; tf.zeros(3) + 1"
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert (process.stdout, process.stderr) == ("", "")
    code = "import sys; sys.modules['keras_nlp'] = None; import clip_lib.models"
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert process.returncode != 0 and "keras_nlp" in process.stderr
