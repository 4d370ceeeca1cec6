"""How every benchmark records what it measured, and on what."""

import json
import multiprocessing
import os
import platform
import resource
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from clip_lib.atomic import replacing
from clip_lib.evaluation.results import RESULTS


def machine() -> str:
    """Name what the figures were measured on."""
    import tensorflow as tf

    devices = len(tf.config.list_physical_devices("GPU"))
    graphics = f"{devices} GPU" if devices else "no GPU"
    return f"{os.cpu_count()} cores {platform.machine()}, {graphics}"


def peak_gigabytes() -> float:
    """Return the most memory that this process has held until now (Linux)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def each_in_its_process(function, tasks):
    """Yield the result of each task; the peak memory of one is not the next one's."""
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        yield from pool.imap(function, tasks)


def write_result(name: str, result: dict) -> None:
    """Write benchmarks/results/<name>.json, whole or not at all, and say so."""
    path = RESULTS / f"{name}.json"
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(path)
