"""Run the tasks of a benchmark, and record what was measured, how and on what.

Every benchmark imports this first: it makes `clip_lib` importable without installing.
"""

import argparse
import contextlib
import dataclasses
import functools
import json
import multiprocessing
import os
import platform
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).parents[1]))

from clip_lib.atomic import replacing
from clip_lib.config import Config
from clip_lib.errors import ClipError

ROOT = Path(__file__).parents[1]
PLACES = ("seed", "model_dir", "dataset_dir")
"""Settings that are not the recipe's: the runs name their seeds."""
FOLDERS = ("--data", "--captions", "--gallery", "--model", "--others", "--output")
FOLDERS += ("--lite0", "--glove", "--rclip")
"""Options whose value is private to a machine."""


def options(description: str, jobs: bool = True, splits: bool = False):
    """Return a parser of the options that benchmarks share.

    Args:
        description: Docstring of the benchmark.
        jobs: Whether it measures several tasks.
        splits: Whether these are seeds and folds, see `list_splits`.
    """
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--data", required=True, help="data folder, or 'scenes'")
    parser.add_argument("--quick", action="store_true", help="a trial, not written")
    if jobs:
        about = "processes at a time, which share the cores (1)"
        parser.add_argument("--jobs", type=int, default=1, metavar="N", help=about)
    if splits:
        parser.add_argument("--name", required=True, help="of the result")
        parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
        parser.add_argument("--folds", type=int, default=0, help="cross-validation")
    return parser


def list_splits(given: argparse.Namespace) -> list[tuple]:
    """List the seed of each run with its fold (number, count), or None."""
    folds = [(number, given.folds) for number in range(given.folds)] or [None]
    return [(seed, fold) for seed in given.seeds for fold in folds]


def commit() -> str:
    """Name the commit that is measured.

    ``-dirty`` follows if tracked files differ from it, results apart. Where there is no
    git, the environment variable CLIP_COMMIT names it.

    Raises:
        ClipError: If there is neither.
    """
    if not (ROOT / ".git").exists():
        if name := os.environ.get("CLIP_COMMIT"):
            return name
        raise ClipError("no git here: name the measured commit in CLIP_COMMIT.")
    git = ["git", "-C", str(ROOT)]
    name = subprocess.check_output([*git, "rev-parse", "--short", "HEAD"], text=True)
    compare = ["diff", "--quiet", "HEAD", "--", ".", ":!benchmarks/results"]
    dirty = subprocess.run([*git, *compare]).returncode
    return name.strip() + "-dirty" * bool(dirty)


def command() -> str:
    """Return the command of this process, without this machine's folders."""
    words = [f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]
    for place, word in enumerate(words[:-1]):
        if word in FOLDERS:
            words[place + 1] = "..."
    return f"python {shlex.join(words)}"


def machine() -> str:
    """Name what the numbers were measured on."""
    from clip_lib import silence_tensorflow  # noqa: F401

    # isort: split
    import tensorflow as tf

    devices = len(tf.config.list_physical_devices("GPU"))
    graphics = f"{devices} GPU" if devices else "no GPU"
    return f"{os.cpu_count()} cores {platform.machine()}, {graphics}"


def provenance(config: Config | None = None) -> dict:
    """Return what a result states of itself: commit, command, machine and settings.

    Call it before measuring: files may change in the meantime, and a missing commit
    should not be noticed after hours.
    """
    about = {"commit": commit(), "command": command(), "machine": machine()}
    if config is not None:
        settings = dataclasses.asdict(config)
        about["config"] = {k: v for k, v in settings.items() if k not in PLACES}
    return about


def peak_gigabytes() -> float:
    """Return the most memory that this process has held until now (Linux)."""
    import resource  # Windows has none, and there the other helpers work.

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def each_in_its_process(function, tasks, jobs: int = 1):
    """Yield the result of each task, in order; each runs in a fresh process.

    The peak memory of one is then not the next one's. Of ``jobs`` processes at a time,
    each computes on its share of the cores.
    """
    # Set here, not in the processes: they import TensorFlow before anything can run.
    threads = str(max(1, (os.cpu_count() or 1) // jobs))
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    names += ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    limits = dict.fromkeys(names, threads) if jobs > 1 else {}
    limits["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"  # Several may share a GPU.
    spawn = multiprocessing.get_context("spawn")
    with (
        mock.patch.dict(os.environ, limits),
        spawn.Pool(jobs, maxtasksperchild=1) as pool,
    ):
        yield from pool.imap(function, tasks)


def _in_folder(function, task) -> dict:
    config, *others = task
    # Progress bars are no results: they go to standard error.
    output = contextlib.redirect_stdout(sys.stderr)
    with tempfile.TemporaryDirectory() as folder, output:
        return function(dataclasses.replace(config, model_dir=folder), *others)


def measure_all(function, tasks, jobs: int = 1) -> list[dict]:
    """Measure each task with `each_in_its_process`, and print what it found.

    Args:
        function: (config, others...) to what was measured.
        tasks: Its arguments; each run gets a temporary ``model_dir`` of its own.
        jobs: Processes at a time.

    Raises:
        RuntimeError: If a task gave nothing: a StopIteration raised in it would end the
            pool's results in silence.
    """
    runs, tasks = [], list(tasks)
    call = functools.partial(_in_folder, function)
    for run in each_in_its_process(call, tasks, jobs):
        runs.append(run)
        print(json.dumps(run), flush=True)
    if len(runs) < len(tasks):
        raise RuntimeError(f"task {len(runs) + 1} of {len(tasks)} gave no result.")
    return runs


def write_result(name: str, result: dict) -> None:
    """Write benchmarks/results/<name>.json, whole or not at all, and say so."""
    from clip_lib.evaluation.results import RESULTS

    path = RESULTS / f"{name}.json"
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(path)
