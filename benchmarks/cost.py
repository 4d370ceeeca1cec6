"""Measure the minutes and the memory of the whole notebook.

    python benchmarks/cost.py --data FOLDER --name photos
    python benchmarks/cost.py --data scenes --name scenes
    python benchmarks/cost.py --data scenes --name quick --quick

Memory is the largest sum over all processes of the run (command, kernel, the fresh
process that reloads a model), sampled twice a second; pages that processes share are
counted once (proportional set size), which only Linux reports.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from record import machine, write_result

sys.path.insert(0, str(Path(__file__).parents[1]))

from clip_lib.evaluation.results import RESULTS, read_result

ROOT = Path(__file__).parents[1]


def memory(process: psutil.Process) -> int:
    """Return the bytes that a process and its descendants hold."""
    total = 0
    for member in [process, *process.children(recursive=True)]:
        try:
            total += member.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return total


def main() -> None:
    """Run the notebook once and add its cost to benchmarks/results/cost.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="data folder, or 'scenes'")
    parser.add_argument("--name", required=True, help="photos, scenes or quick")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--models", help="keep the models")
    parser.add_argument("--output", help="keep the executed notebook")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "clip_lib", "run", "--data", arguments.data]
        command += ["--models", arguments.models or f"{folder}/models"]
        command += ["--output", arguments.output or f"{folder}/run.ipynb"]
        started, peak = time.monotonic(), 0
        process = subprocess.Popen(command + ["--quick"] * arguments.quick, cwd=ROOT)
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            peak = max(peak, memory(watched))
            time.sleep(0.5)
    if process.returncode:
        sys.exit(f"the notebook failed with status {process.returncode}")
    costs = read_result("cost") if (RESULTS / "cost.json").exists() else {}
    costs[arguments.name] = {
        "minutes": (time.monotonic() - started) / 60,
        "peak_gigabytes": peak / 1e9,
        "machine": machine(),
    }
    write_result("cost", costs)
    print(arguments.name, costs[arguments.name])


if __name__ == "__main__":
    main()
