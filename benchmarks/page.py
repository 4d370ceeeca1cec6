"""Measure the search page under load: 16 visitors ask without a pause.

    python benchmarks/page.py

The page runs in a process of its own, with the model in models/ (``make run``). Each
visitor asks, in turn, a text, a picture and labels, as a browser would, and waits for
the answer. Visitors and server share the machine.
"""

import argparse
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
from record import machine, write_result

from clip_lib.config import Config
from clip_lib.retrieval.answers import QUERIES
from clip_lib.retrieval.search import IMAGE_INDEX_FILE, MODEL_FILE

ROOT = Path(__file__).parents[1]


def start_page(model) -> tuple[subprocess.Popen, str, float]:
    """Start the page; return its process, its address and how many seconds it took."""
    begin = time.perf_counter()
    command = [sys.executable, "-m", "clip_lib", "app", "--json", "--model", str(model)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    address = json.loads(server.stdout.readline())["address"]
    return server, address, time.perf_counter() - begin


def visit(address, photos, deadline, found) -> None:
    """Ask until the deadline; add (kind, seconds, error) to what was found."""
    from gradio_client import Client, handle_file

    with tempfile.TemporaryDirectory() as downloads:
        client = Client(address, verbose=False, download_files=downloads)
        texts, pictures = itertools.cycle(QUERIES), itertools.cycle(photos)
        for kind in itertools.cycle(("search_text", "search_picture", "classify")):
            if time.monotonic() > deadline:
                return
            if kind == "search_text":
                name, question = kind, ("test", next(texts))
            else:
                labels = "dog, bike, ball" if kind == "classify" else ""
                question = ("test", handle_file(next(pictures)), labels)
                name = "search_picture"
            begin, error = time.perf_counter(), ""
            try:
                answer = client.predict(*question, api_name=f"/{name}")
                if "<li>" not in answer:
                    error = answer[:200]
            except Exception as failure:
                error = repr(failure)[:200]
            found.append((kind, time.perf_counter() - begin, error))


def measure(model, visitors: int, seconds: float) -> dict:
    """Put the page under load; return latencies, errors and the server's memory."""
    from clip_lib.retrieval.index import Index

    index = Index.load(Path(model).parent / IMAGE_INDEX_FILE).part("test")
    photos = [path for path in index.items["paths"] if Path(path).is_file()]
    server, address, start = start_page(model)
    try:
        found, memory = [], []
        process = psutil.Process(server.pid)
        deadline = time.monotonic() + seconds
        threads = [
            threading.Thread(
                target=visit,
                args=(address, photos[place:] + photos[:place]),
                kwargs={"deadline": deadline, "found": found},
            )
            for place in range(visitors)
        ]
        for thread in threads:
            thread.start()
        begin = time.monotonic()
        while any(thread.is_alive() for thread in threads):
            memory.append((time.monotonic() - begin, process.memory_info().rss / 1e9))
            time.sleep(1)
    finally:
        server.terminate()
        server.wait()
    errors = [error for _, _, error in found if error]
    result = {
        "visitors": visitors,
        "seconds": seconds,
        "start_seconds": round(start, 1),
        "questions": len(found),
        "errors": len(errors),
        "first_errors": errors[:3],
        "gigabytes": [[round(moment), round(size, 3)] for moment, size in memory],
        "milliseconds": {},
    }
    for kind in ("search_text", "search_picture", "classify"):
        taken = [1000 * one for name, one, error in found if name == kind and not error]
        result["milliseconds"][kind] = {
            f"p{share}": round(float(np.percentile(taken, share)))
            for share in (50, 95, 99)
        }
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default=Config().model_path(MODEL_FILE))
    parser.add_argument("--visitors", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=180)
    options = parser.parse_args()
    crowd = measure(options.model, options.visitors, options.seconds)
    alone = measure(options.model, 1, min(options.seconds, 15))
    write_result("page", {"machine": machine(), "crowd": crowd, "alone": alone})


if __name__ == "__main__":
    main()
