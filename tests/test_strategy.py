"""Several devices, in one process and in two, against a single one."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import small_training
import tensorflow as tf

from clip_lib.__main__ import main
from clip_lib.config import Config
from clip_lib.models.saving import load_clip
from clip_lib.training.distribution import open_devices, open_strategy, per_device
from clip_lib.training.workers import of_first_worker, own_folder, worker

SCRIPT = Path(small_training.__file__)


def start(folder, *arguments, **variables):
    """Start the small training in a process of its own; its output is a file."""
    folder.mkdir(exist_ok=True)
    number = len(list(folder.glob("log_*")))
    with open(folder / f"log_{number}", "w") as log:
        return subprocess.Popen(
            [sys.executable, SCRIPT, *map(str, arguments)],
            stdout=log,
            stderr=log,
            env=os.environ | {"TMPDIR": str(folder)} | variables,
        )


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def start_workers(folder, seconds):
    cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(2)]}
    tasks = [{"type": "worker", "index": index} for index in range(2)]
    return [
        start(
            folder,
            "workers",
            folder,
            seconds,
            TF_CONFIG=json.dumps({"cluster": cluster, "task": task}),
        )
        for task in tasks
    ]


def wait_for(path, processes, seconds=300):
    """Wait for a file, as long as the processes that shall write it run."""
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end and all(one.poll() is None for one in processes)
        time.sleep(0.1)


def load(path) -> dict:
    with np.load(path) as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """What a single device finds."""
    strategy = open_strategy("")
    trained = small_training.train(strategy, tmp_path_factory.mktemp("one"))
    return SimpleNamespace(compared=small_training.compare(strategy), trained=trained)


@pytest.fixture(scope="module")
def devices(tmp_path_factory, tiny_folder):
    """What two and four devices of one process find."""
    folder = tmp_path_factory.mktemp("devices")
    processes = [
        start(folder, "two", folder, tiny_folder),
        start(folder, "four", folder),
    ]
    for number, process in enumerate(processes):
        assert process.wait(400) == 0, (folder / f"log_{number}").read_text()
    return folder


@pytest.fixture(scope="module")
def workers(tmp_path_factory):
    """What two processes find, of which the second is killed in its training."""
    folder = tmp_path_factory.mktemp("workers")
    processes = start_workers(folder, 1)
    try:
        wait_for(folder / "clip.training.npz", processes)
        processes[1].send_signal(signal.SIGKILL)
        status = processes[0].wait(200)
        left = sorted(path.name for path in folder.glob("clip.*"))
        processes += start_workers(folder, 0)
        again = [process.wait(300) for process in processes[2:]]
    finally:
        for process in processes:
            process.kill()
    logs = [(folder / f"log_{number}").read_text() for number in range(4)]
    return SimpleNamespace(
        folder=folder, status=status, left=left, again=again, logs=logs
    )


def assert_same(found, expected, tolerance=1e-5):
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert np.allclose(found[name], value, rtol=0, atol=tolerance), name


@pytest.mark.parametrize("name", ["two", "four"])
def test_devices_find_the_loss_and_the_gradients_of_one(one, devices, name):
    """With labels, batch normalisation, and clipped steps of the optimiser."""
    assert len(one.compared) == 10
    assert_same(load(devices / f"{name}.npz"), one.compared)


def test_two_workers_find_the_loss_and_the_gradients_of_one(one, workers):
    for number in range(2):
        assert_same(load(workers.folder / f"compared_{number}.npz"), one.compared)


def test_without_gathering_and_clipping_the_whole_they_would_not(one, devices):
    found = load(devices / "without.npz")
    for name in ("loss", "gradient 0 hidden/kernel", "clipped"):
        assert np.abs(found[name] - one.compared[name]).max() > 1e-3, name
    assert found["loss"] < one.compared["loss"]  # Fewer others to tell apart.


def test_the_gradients_are_clipped(one):
    gradients = [value for name, value in one.compared.items() if "gradient" in name]
    assert np.sqrt(sum((value**2).sum() for value in gradients)) > 2


def test_a_whole_training_on_two_devices_is_that_on_one(one, devices):
    """Shuffled: each epoch has the same batches; the best and the last are kept."""
    assert one.trained["stopped"] == 4
    assert_same(load(devices / "trained.npz"), one.trained)


def test_our_clip_is_trained_on_devices_measured_and_saved(devices):
    found = load(devices / "ours.npz")
    assert len(found["val_recall"]) == len(found["loss"]) == 2
    assert np.isfinite(found["loss"]).all()
    assert set(load_clip(devices / "ours.keras").input) == {"image_input", "text_input"}
    lengths = np.linalg.norm(found["embeddings"], axis=-1)
    assert np.allclose(lengths, 1, atol=1e-5)
    assert not list(devices.glob("*.npz.*")) and not list(
        devices.glob("*.training.npz")
    )


def test_a_lost_worker_ends_the_other_with_one_clear_sentence(workers):
    assert workers.status == 1
    assert workers.left == ["clip.keras", "clip.training.npz"]
    (line,) = [line for line in workers.logs[0].splitlines() if "error: " in line]
    assert "worker 0 of 2 cannot go on, since another one has ended" in line
    assert "The checkpoint of epoch " in line
    assert f"is in {workers.folder / 'clip.training.npz'}: the same command" in line


def test_the_same_command_brings_both_to_the_result_of_one_device(one, workers):
    assert workers.again == [0, 0], workers.logs
    for number in range(2):
        assert "the training goes on after epoch" in workers.logs[2]
        assert_same(load(workers.folder / f"trained_{number}.npz"), one.trained)
    assert not list(workers.folder.glob("*.training.npz"))


@pytest.mark.parametrize("name", ["mirored", "mirrored:0", "mirrored:x", "cpu"])
def test_an_unknown_strategy_is_named(name):
    with pytest.raises(
        ValueError, match=rf"strategy '{name}': expected .* multiworker"
    ):
        open_strategy(name)


def test_mirrored_is_as_many_devices_as_there_are_gpus():
    strategy, gpus = open_strategy("mirrored"), tf.config.list_physical_devices("GPU")
    assert strategy.num_replicas_in_sync == max(1, len(gpus))
    if len(gpus) < 2:
        assert strategy is tf.distribute.get_strategy()


def test_devices_that_come_too_late_are_refused():
    tf.constant(1)
    with pytest.raises(ValueError, match="'mirrored:2': too late"):
        open_strategy("mirrored:2")


CLUSTER = {"worker": ["127.0.0.1:2000", "127.0.0.1:2001"]}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        json.dumps({"cluster": CLUSTER}),
        json.dumps({"cluster": CLUSTER, "task": {"type": "worker", "index": 2}}),
        json.dumps({"cluster": CLUSTER, "task": {"type": "ps", "index": 0}}),
        json.dumps(
            {"cluster": {"worker": ["host"]}, "task": {"type": "worker", "index": 0}}
        ),
        json.dumps(
            {"cluster": {"worker": "a:1"}, "task": {"type": "worker", "index": 0}}
        ),
    ],
)
def test_a_cluster_that_cannot_be_is_refused(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match=r"TF_CONFIG is .* expected"):
        open_strategy("multiworker")


def test_a_batch_that_cannot_be_shared_is_refused():
    stream = tf.data.Dataset.range(16).batch(8, drop_remainder=True)
    with pytest.raises(ValueError, match="a batch of 8 pairs on 3 devices"):
        per_device(stream, SimpleNamespace(num_replicas_in_sync=3))


def test_so_is_one_of_the_configuration_before_anything_is_trained(monkeypatch):
    three = SimpleNamespace(num_replicas_in_sync=3)
    monkeypatch.setattr(
        "clip_lib.training.distribution.open_strategy", lambda name: three
    )
    with pytest.raises(ValueError, match="a batch of 64 pairs on 3 devices"):
        open_devices(Config(clip_batch_size=64))


def test_one_device_is_its_own_first_worker(tmp_path):
    strategy = open_strategy("")
    assert worker(strategy) == (0, 1)
    assert own_folder(strategy, tmp_path) == tmp_path
    assert of_first_worker(strategy, b"abc") == b"abc"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["run", "--strategy", "multiworker"], "the notebook trains its classifiers"),
        (["train", "--strategy", "mirored"], "strategy 'mirored': expected"),
    ],
)
def test_the_command_line_refuses_what_it_cannot(monkeypatch, capsys, command, words):
    monkeypatch.setenv("CLIP_STRATEGY", "")
    assert main(command) == 1
    assert words in capsys.readouterr().err


def test_the_environment_names_the_strategy(monkeypatch):
    assert Config.from_environment().strategy == ""
    monkeypatch.setenv("CLIP_STRATEGY", "mirrored")
    assert Config.from_environment().strategy == "mirrored"
