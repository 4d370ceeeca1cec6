"""How every benchmark records what it measured, and on what."""

import json
import os
import platform
import resource
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from clip_lib.atomic import replacing
from clip_lib.results import RESULTS


def machine() -> str:
    """Name what the figures were measured on."""
    return f"{os.cpu_count()} cores {platform.machine()}, no GPU"


def peak_gigabytes() -> float:
    """Return the most memory that this process has held until now (Linux)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def write_result(name: str, result: dict) -> None:
    """Write benchmarks/results/<name>.json, whole or not at all, and say so."""
    path = RESULTS / f"{name}.json"
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(path)
