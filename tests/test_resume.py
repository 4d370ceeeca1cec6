"""A training that was killed goes on to the same result, bit for bit."""

import dataclasses
import json
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
import small_training
import tensorflow as tf

from clip_lib.data.dataset import Dataset
from clip_lib.training.distribution import open_strategy
from clip_lib.training.epochs import EpochStream
from clip_lib.training.resume import Resume, training_mark

STATE = "clip.training.npz"


def train(folder):
    return small_training.train(open_strategy(""), folder, dropout=0.5)


def assert_identical(found, expected):
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert np.array_equal(found[name], value), name


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What a training that nobody killed finds."""
    return train(tmp_path_factory.mktemp("whole"))


def test_a_killed_training_goes_on_to_the_same_result(tmp_path, whole, capsys):
    """With dropout, shuffles, the optimiser, the best epoch and the patience."""
    command = [sys.executable, small_training.__file__, "killed", tmp_path, "1"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 200
        while not (tmp_path / STATE).exists():
            assert time.monotonic() < end and process.poll() is None
            time.sleep(0.1)
        process.send_signal(signal.SIGKILL)
        assert process.wait(60) == -signal.SIGKILL
    finally:
        process.kill()
    found = train(tmp_path)
    assert f"{STATE}: the training goes on after epoch " in capsys.readouterr().out
    assert_identical(found, whole)
    assert [path.name for path in tmp_path.iterdir()] == ["clip.keras"]


class Killed(BaseException):
    """Ends a training at once, as a signal does."""


@pytest.fixture
def kill_after(monkeypatch):
    """Return a function that trains, and ends it once an epoch has been kept."""

    def train_and_kill(folder, epoch):
        kept = Resume.on_epoch_end

        def keep_and_die(self, number, logs=None):
            kept(self, number, logs)
            if number + 1 == epoch:
                raise Killed

        with monkeypatch.context() as patch:
            patch.setattr("clip_lib.training.resume.SHARE", np.inf)  # After each epoch.
            patch.setattr(Resume, "on_epoch_end", keep_and_die)
            with pytest.raises(Killed):
                train(folder)
        return folder / STATE

    return train_and_kill


@pytest.mark.parametrize("epoch", [3, 5])
def test_it_goes_on_from_any_epoch(tmp_path, kill_after, whole, epoch, capsys):
    """After the fifth nothing is left to learn: it had lost its patience."""
    kill_after(tmp_path, epoch)
    found = train(tmp_path)
    assert f"goes on after epoch {epoch}." in capsys.readouterr().out
    assert_identical(found, whole)


def test_twice_killed_is_the_same_as_well(tmp_path, kill_after, whole):
    kill_after(tmp_path, 1)
    kill_after(tmp_path, 2)
    assert_identical(train(tmp_path), whole)


def change_mark(path):
    with np.load(path) as arrays:
        values = dict(arrays)
    state = json.loads(str(values["state"])) | {"mark": "another training"}
    np.savez(path, **values | {"state": json.dumps(state)})


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (change_mark, "it is of another training"),
        (lambda path: path.write_bytes(path.read_bytes()[:2000]), "it is damaged"),
        (lambda path: path.write_text("hello"), "it is damaged"),
        (lambda path: (path.parent / "clip.keras").unlink(), "clip.keras is missing"),
        (lambda path: None, None),
    ],
)
def test_a_checkpoint_of_no_use_is_named_and_kept_aside(
    tmp_path, kill_after, spoil, reason, capsys
):
    path = kill_after(tmp_path, 1)
    spoil(path)
    capsys.readouterr()
    clip = small_training.small_clip(0.5)
    before = clip.get_weights()
    resume = Resume(
        tmp_path / "clip.keras", clip, open_strategy(""), small_training.MARK
    )
    same = all(map(np.array_equal, before, clip.get_weights()))
    said = capsys.readouterr().out.strip()
    if reason is None:
        assert (resume.epoch, same) == (1, False)
        assert said == f"{path}: the training goes on after epoch 1."
    else:
        assert (resume.epoch, same) == (0, True)
        assert said.startswith(f"{path}: not taken up (") and reason in said
        assert said.endswith(
            "kept as clip.training.other.npz; the training starts anew."
        )
        # Nothing is lost: this training will write its own checkpoint.
        assert not path.exists() and (tmp_path / "clip.training.other.npz").is_file()


class Clock:
    """A clock by which a checkpoint takes a second and an epoch ten."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now


def test_checkpoints_cost_two_per_cent_at_most(tmp_path, monkeypatch):
    clock, written = Clock(), []
    monkeypatch.setattr("clip_lib.training.resume.time", clock)

    def write(self, epoch):
        clock.now += 1
        written.append(epoch)

    monkeypatch.setattr(Resume, "_write", write)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    resume = Resume(tmp_path / "clip.keras", model, open_strategy(""), "mark")
    for epoch in range(20):
        clock.now += 10
        resume.on_epoch_end(epoch, {"loss": 1.0})
    assert written == [1, 6, 11, 16]
    assert resume.history == {"loss": [1.0] * 20}


def test_an_epoch_is_the_same_however_one_comes_to_it():
    def stream():
        shuffled = tf.data.Dataset.range(24).shuffle(24, 3, True)
        return EpochStream(shuffled.batch(8, drop_remainder=True), open_strategy(""))

    def read(batches):
        return np.concatenate([batch.numpy() for batch in batches]).tolist()

    straight, epochs = stream(), []
    assert straight.cardinality() == 3
    for epoch in range(4):
        looked_at = next(iter(straight))  # As Keras does: it takes nothing away.
        assert looked_at.shape == (8,) and looked_at.dtype == tf.int64
        straight.enter(epoch)
        epochs.append(read(iter(straight)))
    assert all(sorted(epoch) == list(range(24)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4
    resumed = stream()
    resumed.enter(2)
    assert read(iter(resumed)) == epochs[2]
    resumed.enter(3)
    assert read(iter(resumed)) == epochs[3]


def test_a_training_is_known_by_its_settings_its_data_and_its_words(
    tiny_config, tiny_dataset
):
    mark = training_mark(tiny_config, tiny_dataset, "words")
    elsewhere = dataclasses.replace(
        tiny_config, model_dir="/elsewhere", dataset_dir="/moved", strategy="mirrored"
    )
    assert training_mark(elsewhere, tiny_dataset, "words") == mark
    fewer = Dataset(
        tiny_dataset.folder, tiny_dataset.records[:-1], tiny_dataset.class_names
    )
    other = dataclasses.replace(tiny_config, clip_epochs=7)
    assert training_mark(other, tiny_dataset, "words") != mark
    assert training_mark(tiny_config, fewer, "words") != mark
    assert training_mark(tiny_config, tiny_dataset, "other words") != mark
