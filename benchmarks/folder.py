"""Index a folder whose process is killed ten times; open one of 100,000 pictures.

    python benchmarks/folder.py --data scenes

The pictures are made on the spot. For the large folder the vectors are random: what is
measured is all that surrounds the model (listing, comparing, reading, searching).
"""

import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from queries import WEIGHTS
from record import ROOT, options, peak_gigabytes, provenance, write_result

from clip_lib.retrieval import folder_index
from clip_lib.retrieval.index import Index
from clip_lib.retrieval.search import Clip, Search

KILLS, SMALL, LARGE = 10, 800, 100_000


def make_pictures(folder: Path, count: int) -> None:
    """Make different pictures, each of a few pixels."""
    for number in range(count):
        path = folder / f"{number // 1000:03d}" / f"{number:06d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.frombuffer(number.to_bytes(4, "big") * 12, "uint8")
        Image.fromarray(pixels.reshape(4, 4, 3)).save(path)


def kill_and_resume(clip: Clip, folder: Path, kills: int, count: int) -> dict:
    """Kill the command at random moments; count what the next process finds saved."""
    make_pictures(folder, count)
    path, saved = folder_index.index_file(clip, folder), []
    command = [sys.executable, "-m", "clip_lib", "index", str(folder)]
    command += ["--model", str(WEIGHTS)]
    for _ in range(kills):
        before = len(list(path.with_suffix(".parts").glob("*.npz")))
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as process:
            while len(list(path.with_suffix(".parts").glob("[0-9]*"))) == before:
                assert process.poll() is None, "it ended before it was killed"
                time.sleep(0.01)
            time.sleep(random.uniform(0, 0.5))
            process.kill()
        saved.append(len(folder_index.saved_index(path).items))
    index, changes = folder_index.update_index(clip, folder)
    _, vectors, _ = folder_index.embed_files(clip, index.items["paths"])
    return {
        "pictures": len(index.items),
        "saved_after_each_kill": saved,
        "kept_at_the_end": changes.kept,
        "read_at_the_end": changes.read,
        "largest_difference": float(np.abs(vectors - index.embeds).max()),
        "batch": folder_index.CHUNK,
    }


def open_large(clip: Clip, folder: Path, count: int) -> dict:
    """Time a search in a folder whose index is up to date."""
    make_pictures(folder, count)
    vectors = (
        np.random.default_rng(0).normal(size=(count, clip.width)).astype("float32")
    )
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    seconds, began = {}, time.perf_counter()
    files, _ = folder_index.list_pictures(folder)
    seconds["list"] = time.perf_counter() - began
    items = pd.DataFrame(files, columns=folder_index.FILE).assign(content="", taken="")
    index = Index(vectors, items, clip.fingerprint, str(folder))
    index.save(folder_index.index_file(clip, folder))
    began = time.perf_counter()
    found, changes = folder_index.update_index(clip, folder)
    seconds["open, nothing changed"] = time.perf_counter() - began
    assert changes.kept == count
    search, times = Search(clip, found), []
    for vector in vectors[:20]:
        began = time.perf_counter()
        search.images.search(vector, 5, clip.temperature)
        times.append(time.perf_counter() - began)
    seconds["search, median"] = float(np.median(times))
    return {"pictures": count, "seconds": seconds, "peak_gigabytes": peak_gigabytes()}


def main() -> None:
    """Measure both; write benchmarks/results/folder.json."""
    given = options(__doc__, jobs=False).parse_args()
    about, clip = provenance(), Clip.load(WEIGHTS)
    kills, small, large = (1, 300, 2000) if given.quick else (KILLS, SMALL, LARGE)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        found = {"killed": kill_and_resume(clip, Path(folder, "small"), kills, small)}
        found["large"] = open_large(clip, Path(folder, "large"), large)
    print(found)
    if not given.quick:
        write_result("folder", about | found)


if __name__ == "__main__":
    main()
