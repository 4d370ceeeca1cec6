"""Measure the search page under load: 16 visitors query it without a pause.

    python benchmarks/page.py --data FOLDER

The page runs in a process of its own, with our pretrained weights and the pictures of a
data folder. Each visitor queries, in turn, with a text, a picture and labels, as a
browser would, and waits for the answer. Visitors and server share the machine.
"""

import itertools
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil
from record import ROOT, options, provenance, write_result

from clip_lib import silence_tensorflow  # noqa: F401
from clip_lib.config import Config
from clip_lib.data.captions_table import picture_files
from clip_lib.data.source import find_folder
from clip_lib.retrieval.answers import QUERIES

KINDS = ("search_text", "search_picture", "classify")


def start_page(*arguments: str) -> tuple[subprocess.Popen, str, float]:
    """Start the page; return its process, its address and how many seconds it took."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "clip_lib", "app", "--json", *arguments]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    address = json.loads(server.stdout.readline())["address"]
    return server, address, time.perf_counter() - began


def visit(address, gallery, photos, deadline, found) -> None:
    """Query until the deadline; add (kind, seconds, error) to what was found."""
    from gradio_client import Client, handle_file

    with tempfile.TemporaryDirectory() as downloads:
        client = Client(address, verbose=False, download_files=downloads)
        texts, pictures = itertools.cycle(QUERIES), itertools.cycle(photos)
        for kind in itertools.cycle(KINDS):
            if time.monotonic() > deadline:
                return
            if kind == "search_text":
                name, query = kind, (gallery, next(texts))
            else:
                labels = "dog, bike, ball" if kind == "classify" else ""
                name = "search_picture"
                query = (gallery, handle_file(next(pictures)), labels)
            began, error = time.perf_counter(), ""
            try:
                answer = client.predict(*query, api_name=f"/{name}")
                if "<li>" not in answer:
                    error = answer[:200]
            except Exception as failure:
                error = repr(failure)[:200]
            found.append((kind, time.perf_counter() - began, error))


def measure(folder: Path, visitors: int, seconds: float) -> dict:
    """Put the page under load; return latencies, errors and the server's memory."""
    photos = [str(folder / path) for path in picture_files(folder)]
    weights = str(Config.fine_tuning().pretrained_path / Config().clip_file.name)
    server, address, start = start_page("--model", weights, "--gallery", str(folder))
    try:
        found, memory = [], []
        process = psutil.Process(server.pid)
        deadline = time.monotonic() + seconds
        gallery = f"{folder.name}/"
        threads = [
            threading.Thread(
                target=visit,
                args=(address, gallery, photos[n:] + photos[:n], deadline, found),
            )
            for n in range(visitors)
        ]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            memory.append(process.memory_info().rss / 1e9)
            time.sleep(1)
    finally:
        server.terminate()
        server.wait()
    errors = [error for _, _, error in found if error]
    latencies = {
        name: [1000 * one for kind, one, error in found if kind == name and not error]
        for name in KINDS
    }
    return {
        "visitors": visitors,
        "seconds": seconds,
        "start_seconds": round(start, 1),
        "questions": len(found),
        "errors": len(errors),
        "first_errors": errors[:3],
        "gigabytes": {"after 10 seconds": memory[:11][-1], "at the end": memory[-1]},
        "milliseconds": {
            name: {f"p{p}": round(float(np.percentile(taken, p))) for p in (50, 95, 99)}
            for name, taken in latencies.items()
        },
    }


def main() -> None:
    """Measure a crowd and one visitor; write benchmarks/results/page.json."""
    parser = options(__doc__, jobs=False)
    parser.add_argument("--visitors", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=180)
    given = parser.parse_args()
    about = provenance()
    folder, _ = find_folder(Config(dataset_dir=given.data))
    seconds = 10 if given.quick else given.seconds
    crowd = measure(folder.resolve(), given.visitors, seconds)
    alone = measure(folder.resolve(), 1, min(seconds, 15))
    print(crowd, alone)
    if not given.quick:
        write_result("page", about | {"crowd": crowd, "alone": alone})


if __name__ == "__main__":
    main()
