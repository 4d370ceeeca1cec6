"""The benchmarks compare like with like: the course's recipe, the counts, the clock."""

import dataclasses
import sys
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from clip_lib.cli.parser import parse
from clip_lib.models.clip import build_clip
from clip_lib.models.contrastive_loss import contrastive_loss
from clip_lib.retrieval.search import MODEL_FILE, Clip
from clip_lib.training.fit import clip_batches

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import backbones
import clock
import galleries
import handed_out
import speed
import tables


@pytest.fixture(autouse=True)
def shrunk(monkeypatch):
    monkeypatch.setattr(handed_out, "BATCH_SIZE", 8)
    monkeypatch.setattr(handed_out, "FILTERS", (4, 4, 4))
    monkeypatch.setattr(handed_out, "NUM_LAYERS", 1)


@pytest.fixture
def recipe(tiny_config, vectorizer):
    return handed_out.build_handed_out(tiny_config, vectorizer.vocabulary_size())


@pytest.fixture
def batches(tiny_dataset, tiny_config, vectorizer):
    return handed_out.handed_out_batches(tiny_dataset, vectorizer, tiny_config, "train")


def epochs(batches, count=3):
    """The token ids of each epoch, batch by batch: they tell the rows apart."""
    return [
        np.stack([batch["text_input"].numpy() for batch in batches])
        for _ in range(count)
    ]


def test_the_recipe_has_the_same_batches_for_ever_and_ours_has_not(
    batches, tiny_dataset, tiny_config, vectorizer
):
    one, *others = epochs(batches)
    assert len(one) == len(tiny_dataset.train) // 8
    assert all((one == other).all() for other in others)
    as_they_lie = vectorizer(list(tiny_dataset.train["caption"])).numpy()
    assert (
        one.reshape(-1, 32) != as_they_lie[: one.size // 32]
    ).any()  # Shuffled once.
    config = dataclasses.replace(tiny_config, word_dropout=0.0)
    one, *others = epochs(clip_batches(tiny_dataset, vectorizer, config, "train"))
    assert all((one != other).any() for other in others)


def test_its_batches_stay_frozen_through_fit(batches):
    """``fit`` reads a cache to its end, or it would be filled anew each epoch."""
    seen = []

    def note(token_ids):
        seen.append(token_ids.numpy().tolist())
        return tf.ones((8, 1))

    def spy(batch):
        ones = tf.py_function(note, [batch["text_input"]], tf.float32)
        return tf.ensure_shape(ones, (8, 1)), tf.ones((8, 1))

    model = keras.Sequential([layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(batches.map(spy), epochs=3, shuffle=False, verbose=0)
    length = int(batches.cardinality())
    assert seen[:length] == seen[length : 2 * length] == seen[2 * length :]


def test_it_trains_on_pixels_up_to_255(batches):
    images = next(iter(batches))["image_input"].numpy()
    assert images.dtype == "float32" and images.shape == (8, 64, 64, 3)
    assert 128 < images.max() <= 255 and images.min() >= 0


def test_its_loss_is_the_contrastive_loss_at_a_fixed_temperature(recipe, batches):
    batch = next(iter(batches))
    image_embeddings, text_embeddings = recipe(batch, training=False)
    for embeddings in (image_embeddings, text_embeddings):
        assert np.allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)
    logits = image_embeddings @ tf.transpose(text_embeddings) / 0.07
    (loss,) = recipe.losses
    assert float(loss) == pytest.approx(float(contrastive_loss(logits)), rel=1e-5)
    # Its layer holds nothing that could be learned.
    assert recipe.get_layer("contrastive_loss").weights == []


def test_padding_does_not_change_its_sentence_vector(recipe):
    encoder = recipe.get_layer("text_encoder")
    token_ids = np.zeros((1, 32), "int32")
    token_ids[0, :3] = 2, 3, 4
    before = encoder(token_ids).numpy()
    (words,) = (
        variable for variable in encoder.weights if "token_embedding" in variable.path
    )
    padding = np.zeros(words.shape, "float32")
    padding[0] = 3
    words.assign_add(padding)
    assert np.allclose(encoder(token_ids), before, atol=1e-5)
    words.assign_add(padding[[2, 0, 1, *range(3, len(padding))]])  # Token 1: not there.
    assert np.allclose(encoder(token_ids), before, atol=1e-5)
    words.assign_add(np.roll(padding, 2, axis=0))  # Token 2 is.
    assert not np.allclose(encoder(token_ids), before, atol=1e-2)


def test_the_recipe_is_measured_as_our_pipeline_is(tiny_config, tiny_dataset, tmp_path):
    config = dataclasses.replace(tiny_config, model_dir=str(tmp_path))
    result = handed_out.measure(config, epochs=2)
    assert set(result) == {
        "seed",
        "minutes",
        "seconds_per_epoch",
        "peak_gigabytes",
        "epochs",
        "best_epoch",
        "vocabulary",
        "parameters",
        "chance_accuracy",
        "history",
        "clip",
        "clip_as_served",
    }
    assert {len(values) for values in result["history"].values()} == {2}
    assert set(result["history"]) == {"loss", "val_loss"}
    assert result["vocabulary"] > 48  # Each of the 48 captions has a word of its own.
    assert result["clip"]["pairs"] == len(tiny_dataset.test)
    assert result["clip"]["split"] == "test"
    assert result["clip"] != result["clip_as_served"]


def test_flops_are_those_counted_by_hand():
    """A layer that is called twice counts twice, and so do products of the answers."""
    inputs = keras.Input((9, 8, 3))
    convolution = layers.Conv2D(5, 3, padding="same", use_bias=False)
    one = 2 * 9 * 8 * 5 * (3 * 3 * 3)
    once = convolution(inputs)
    assert speed.forward_flops(keras.Model(inputs, once)) == one
    twice = (
        keras.ops.reshape(once, (-1, 72, 5)),
        keras.ops.reshape(convolution(keras.ops.flip(inputs, axis=1)), (-1, 5, 72)),
    )
    product = keras.Model(inputs, twice[1] @ twice[0])
    assert speed.forward_flops(product) == 2 * one + 2 * 5 * 72 * 5


def test_epochs_are_timed_without_the_first(monkeypatch):
    now = 0.0

    def spend(seconds):
        nonlocal now
        now += seconds

    class Stream:
        """Four batches that cost 5 seconds each to decode, 1 once they are cached."""

        seconds = 5.0

        def cardinality(self):
            return 4

        def __iter__(self):
            for batch in range(4):
                spend(self.seconds)
                yield batch
            self.seconds = 1.0

    class Model:
        """A model that traces for 9 seconds, then learns a batch in 3."""

        def fit(self, batches, epochs, callbacks, **options):
            (watch,) = callbacks
            watch.on_train_begin()
            for epoch in range(epochs):
                watch.on_epoch_begin(epoch)
                for number in batches:
                    spend(9.0 if epoch == 0 else 3.0)
                    watch.on_train_batch_end(number)
                watch.on_epoch_end(epoch)

    for module in (speed, clock):
        monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: now))
    assert speed.train_speed(Model(), Stream(), batch_size=2, epochs=2) == {
        "batch_size": 2,
        "pictures_per_second": 8 / 16,
        "milliseconds_per_picture": 2000,
        "milliseconds_per_batch": 4000,
        "input_milliseconds_per_picture": 500,
        "input_pictures_per_second": 8 / 4,
        "input_pictures_per_second_first_epoch": 8 / 20,
        "input_share_of_step": 0.25,
    }


def test_the_parts_of_a_step_are_the_step(tiny_config):
    images, token_ids = keras.Input((16, 16, 3)), keras.Input((5,), dtype="int32")
    outputs = layers.Conv2D(4, 3)(layers.RandomFlip()(images))
    pictures = keras.Model(images, layers.GlobalAveragePooling2D()(outputs))
    outputs = layers.GlobalAveragePooling1D()(layers.Embedding(9, 4)(token_ids))
    clip = build_clip(pictures, keras.Model(token_ids, outputs), tiny_config)
    clip.compile(keras.optimizers.AdamW(1e-3, global_clipnorm=1.0))
    clip.optimizer.build(clip.trainable_variables)
    batch = {
        "image_input": tf.random.uniform((8, 16, 16, 3), maxval=255),
        "text_input": tf.reshape(tf.range(40) % 9, (8, 5)),
    }
    figures = {"input_milliseconds_per_picture": 2.0, "milliseconds_per_picture": 50.0}
    parts = speed.step_parts(clip, batch, figures, repeats=1)
    assert parts.pop("whole step") == 50
    assert parts["input pipeline"] == 2
    assert sum(parts.values()) == pytest.approx(50)
    measured = {"scaling and augmentation", "text encoder, both ways", "optimizer"}
    assert all(parts[name] > 0 for name in measured)


def test_a_start_is_timed_up_to_the_answer(run_config, monkeypatch, capsys):
    model_file = run_config.model_path(MODEL_FILE).resolve()
    commands = []

    def run(command, **options):
        """The process that is not the command line, inside this one."""
        commands.append(command)
        if command[1] == "-c":
            monkeypatch.setattr(sys, "argv", command[2:])
            exec(command[2], {})
        return SimpleNamespace(stdout=capsys.readouterr().out)

    monkeypatch.setattr(Clip, "load", Clip.load)  # START replaces it.
    monkeypatch.setattr(speed.subprocess, "run", run)
    seconds = speed.start_times(model_file, "A dog on the grass", repeats=1)
    parts = ["interpreter", "imports", "model", "indexes", "first answer"]
    assert list(seconds) == ["command", *parts]
    assert all(seconds[name] > 0 for name in parts)
    assert len(commands) == 2
    timed = parse(commands[0][commands[0].index("clip_lib") + 1 :])
    assert (timed.query, timed.model) == ("A dog on the grass", str(model_file))
    assert (timed.gallery, timed.k) == ("all", 5)


def report(recall, precision):
    """The parts of an evaluation that the ablation's table reads."""
    figures = {"recall@10": recall, "label_precision@5": precision}
    return {"image_to_text": figures, "text_to_image": figures | {"recall@10": 0.5}}


def test_the_table_of_the_ablation_lays_out_means_over_seeds(monkeypatch):
    runs = [
        {
            "best_accuracy": {"CNN": accuracy},
            "variants": {
                "the recipe": {"clip": report(0.25, 0.5), "seconds": 10},
                "without a piece": {"clip": report(recall, 0.25), "seconds": 21},
            },
        }
        for recall, accuracy in ((0.125, 0.5), (0.375, 0.7))
    ]
    monkeypatch.setattr(tables, "read_result", lambda name: {"runs": runs})
    lines = tables.ablation_table().splitlines()
    assert "| the recipe | 0.25 ± 0.00 | 0.50 ± 0.00 | 0.50 ± 0.00 | 10 |" in lines
    assert "| without a piece | 0.25 ± 0.18 | 0.50 ± 0.00 | 0.25 ± 0.00 | 21 |" in lines
    assert "| CNN | 0.60 ± 0.14 |" in lines
    del runs[1]
    lines = tables.ablation_table().splitlines()
    assert "| without a piece | 0.12 | 0.50 | 0.25 | 21 |" in lines


def test_results_that_were_not_measured_leave_no_column(monkeypatch, tmp_path):
    real = tables.RESULTS / "pipeline_folds.json"
    (tmp_path / "pipeline_folds.json").write_text(real.read_text("utf-8"), "utf-8")
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    heading, _, *rows = tables.results_table().splitlines()
    assert heading == "| | one caption a picture | chance | label oracle |"
    assert {row.count("|") for row in rows} == {5}


def test_a_search_of_a_gallery_is_timed_beside_its_peers(monkeypatch):
    # As where FAISS is not installed.
    monkeypatch.setitem(sys.modules, "faiss", None)
    figures = galleries.search_times(50, count=3)
    assert set(figures) == {"size", "milliseconds", "threads"}
    assert len(figures["milliseconds"]) == 4
    for times in figures["milliseconds"].values():
        assert 0 < times["median"] <= times["percentile_95"]


def test_faiss_gives_the_same_answers():
    pytest.importorskip("faiss", reason="FAISS is optional")
    figures = galleries.search_times(500, count=9)
    assert figures["same_answers"] == 1
    assert figures["milliseconds"]["FAISS, one thread"]["median"] > 0


def test_the_table_of_the_galleries_tells_what_was_not_installed(monkeypatch):
    times = {"median": 0.12345, "percentile_95": 12.345}
    way = {
        "seconds": 0.5,
        "first_answer_milliseconds": 2.0,
        "own": 3.4,
        "of_files": 0.0,
        "megabytes": 1234.5,
    }
    measured = {
        "size": 10_000,
        "milliseconds": {"ours": times},
        "threads": {"numpy": 2},
        "loading": {"deflated": way, "stored": way},
    }
    result = {"machine": "a laptop", "load_before": 0.04, "galleries": [measured]}
    monkeypatch.setattr(tables, "read_result", lambda name: result)
    lines = tables.galleries_table().splitlines()
    assert lines[0] == "| milliseconds a query, median (95 %) | 10,000 |"
    assert lines[2].endswith("probabilities | 0.123 (12.3) |")
    assert "| FAISS, flat index, one thread | not installed |" in lines
    assert "| loading, stored, ms | 500 |" in lines
    assert "| file, deflated / stored, MB | 1,234 / 1,234 |" in lines
    assert lines[-1].endswith("NumPy on 2 threads. Load before the run: 0.0.")


def test_the_cost_of_a_picture_encoder_is_measured(tiny_config, tiny_dataset):
    found = backbones.measure(dataclasses.replace(tiny_config, image_encoder="cnn"))
    assert found["pictures"] == len(tiny_dataset.pictures("train"))
    assert found["features"] == (8 + 3) * (8 + 4) // 2
    assert "fine_tuned_seconds" not in found  # Nothing in it is pretrained.
    for name in ("frozen_seconds", "query_milliseconds", "frozen_megabytes"):
        assert found[name] > 0


def test_epochs_are_timed_frozen_and_fine_tuned(tiny_config):
    inputs = keras.Input((4,))
    inner = keras.Sequential([inputs, layers.Dense(3)], name="network")
    inner.trainable = False
    outputs = layers.Dense(2, activation="softmax")(inner(inputs))
    model = keras.Model(inputs, outputs)
    rows = np.ones((6, 4), "float32"), np.zeros(6, "int32")
    batches = tf.data.Dataset.from_tensor_slices(rows).batch(3)
    before = inner.get_weights()[0]
    assert backbones.seconds_per_epoch(model, batches, tiny_config) > 0
    assert (inner.get_weights()[0] == before).all()
    light = backbones.megabytes(model)
    backbones.unfreeze(model)
    assert backbones.seconds_per_epoch(model, batches, tiny_config) > 0
    assert (inner.get_weights()[0] != before).any()
    assert backbones.megabytes(model) > light


def test_the_table_of_the_picture_encoders(monkeypatch):
    common = {"features": 9, "pictures": 420, "query_milliseconds": 3.14}
    common |= {"frozen_seconds": 2.4, "frozen_megabytes": 0.46, "peak_gigabytes": 1.24}
    tuned = {"fine_tuned_seconds": 14.6, "fine_tuned_megabytes": 36.4}
    result = {
        "machine": "a laptop",
        "image_size": [224, 200],
        "encoders": {
            "cnn": common | {"weights": 39_136},
            "resnet50": common | tuned | {"weights": 23_600_000},
        },
    }
    monkeypatch.setattr(tables, "read_result", lambda name: result)
    lines = tables.backbones_table().splitlines()
    assert lines[2] == "| `cnn` | 0.04 | 2 |  | 3 | 0.5 |  | 1.2 |"
    assert lines[3] == "| `resnet50` | 23.60 | 2 | 15 | 3 | 0.5 | 36.4 | 1.2 |"
    assert lines[-1].startswith("420 pictures of 224 x 200 pixels, weights drawn")
    assert len({line.count("|") for line in lines[:4]}) == 1
