"""Measure the minutes and the memory of the whole notebook.

    python benchmarks/cost.py --data FOLDER

On the photographs, on the drawn scenes, and on these with the quick preset. Memory is
the largest sum over all processes of the run (command, kernel, the fresh process that
reloads a model), sampled twice a second; pages that processes share are counted once
(proportional set size), which only Linux reports.
"""

import subprocess
import sys
import tempfile
import time

import psutil
from record import ROOT, machine, options, provenance, write_result


def memory(process: psutil.Process) -> int:
    """Return the bytes that a process and its descendants hold."""
    total = 0
    for member in [process, *process.children(recursive=True)]:
        try:
            total += member.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return total


def measure(*arguments: str) -> dict:
    """Run the notebook once, with these arguments of ``python -m clip_lib run``."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "clip_lib", "run", *arguments]
        command += ["--models", f"{folder}/models", "--output", f"{folder}/run.ipynb"]
        started, peak = time.monotonic(), 0
        process = subprocess.Popen(command, cwd=ROOT)
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            peak = max(peak, memory(watched))
            time.sleep(0.5)
    if process.returncode:
        sys.exit(f"the notebook failed with status {process.returncode}")
    return {
        "minutes": (time.monotonic() - started) / 60,
        "peak_gigabytes": peak / 1e9,
        "machine": machine(),
    }


def main() -> None:
    """Run the notebook three times and write benchmarks/results/cost.json."""
    given = options(__doc__, jobs=False).parse_args()
    costs, quick = provenance(), ("--data", "scenes", "--quick")
    runs = {"photos": ("--data", given.data), "scenes": quick[:2], "quick": quick}
    for name in ["quick"] if given.quick else runs:
        costs[name] = measure(*runs[name])
        print(name, costs[name], flush=True)
    if not given.quick:
        write_result("cost", costs)


if __name__ == "__main__":
    main()
