"""Measure the search among 600 to a million vectors, and the loading of their file.

    python benchmarks/galleries.py

Random unit vectors of the width of our embeddings, rows like those of a folder's index.
The peer is FAISS's exact index, if it is installed (pip install faiss-cpu). The machine
should have nothing else to do; Linux, for the memory.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from record import each_in_its_process, machine, write_result
from threadpoolctl import threadpool_info

sys.path.insert(0, str(Path(__file__).parents[1]))

from clip_lib.retrieval.index import Index

SIZES = (600, 10_000, 100_000, 1_000_000)
WIDTH = 128
K = 5
QUERIES = 200
REPEATS = 3
TEMPERATURE = 0.07


def unit_vectors(count: int, seed: int) -> np.ndarray:
    """Return random unit vectors, float32 (count, WIDTH)."""
    random = np.random.default_rng(seed)
    vectors = random.standard_normal((count, WIDTH), "float32")
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def gallery(size: int) -> Index:
    """Return an index of random vectors, with the columns of a folder's index."""
    random = np.random.default_rng(size)
    items = {
        "paths": [f"/home/student/Pictures/{row:07d}.jpg" for row in range(size)],
        "size": random.integers(10**5, 10**7, size),
        "mtime_ns": random.integers(16 * 10**17, 17 * 10**17, size),
    }
    return Index(unit_vectors(size, seed=0), pd.DataFrame(items))


def query_times(search, queries) -> dict[str, float]:
    """Time one query after the other, warm; milliseconds."""
    for query in queries[:5]:
        search(query)
    times = []
    for query in queries:
        began = time.perf_counter()
        search(query)
        times.append(1e3 * (time.perf_counter() - began))
    return {
        "median": float(np.median(times)),
        "percentile_95": float(np.percentile(times, 95)),
    }


def search_times(size: int, count: int = QUERIES) -> dict:
    """Time our search, the bare product and FAISS among ``size`` vectors.

    Returns:
        ``milliseconds`` by name; ``threads`` of NumPy and of FAISS; ``same_answers``,
        the share of queries for which FAISS gives our rows in our order. Without FAISS
        its figures are missing.
    """
    index, queries = gallery(size), unit_vectors(count, seed=1)
    embeds = index.embeds

    def ours(query):
        return index.search(query, K, TEMPERATURE)

    times = {
        "ours": query_times(ours, queries),
        "product": query_times(lambda query: embeds @ query, queries),
        "product, argpartition": query_times(
            lambda query: np.argpartition(embeds @ query, -K)[-K:], queries
        ),
        "product, stable sort": query_times(
            lambda query: np.argsort(-(embeds @ query), kind="stable")[:K], queries
        ),
    }
    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    threads = {"numpy": max(pool["num_threads"] for pool in pools)}
    result = {"size": size, "milliseconds": times, "threads": threads}
    try:
        # After the others: it brings threads of its own.
        import faiss
    except ImportError:
        return result
    flat = faiss.IndexFlatIP(embeds.shape[1])
    flat.add(embeds)
    threads["faiss"] = faiss.omp_get_max_threads()
    for name, number in (("one thread", 1), ("all threads", threads["faiss"])):
        faiss.omp_set_num_threads(number)
        times[f"FAISS, {name}"] = query_times(
            lambda query: flat.search(query[None], K), queries
        )
    paths = index.items["paths"].to_numpy()
    same = [
        (paths[rows] == ours(query)["paths"]).all()
        for query, rows in zip(queries, flat.search(queries, K)[1], strict=True)
    ]
    return result | {"same_answers": float(np.mean(same)), "faiss": faiss.__version__}


def resident() -> dict[str, float]:
    """Return the megabytes that this process holds now: its own, and those of files."""
    status = Path("/proc/self/status").read_text("utf-8").splitlines()
    fields = dict(line.split(":", 1) for line in status)
    return {
        name: int(fields[field].split()[0]) * 1024 / 1e6
        for name, field in (("own", "RssAnon"), ("of_files", "RssFile"))
    }


def loading(path: str) -> dict[str, float]:
    """Load an index file and ask it once; in a process of its own.

    Returns:
        Seconds of the loading, milliseconds of the first answer, and the megabytes that
        both added to the process.
    """
    query, before = unit_vectors(1, seed=1)[0], resident()
    began = time.perf_counter()
    index = Index.load(path)
    loaded = time.perf_counter()
    index.search(query, K, TEMPERATURE)
    answered = time.perf_counter()
    return {
        "seconds": loaded - began,
        "first_answer_milliseconds": 1e3 * (answered - loaded),
    } | {name: value - before[name] for name, value in resident().items()}


def loading_times(size: int, repeats: int = REPEATS) -> dict:
    """Measure two ways to a first answer; the file is in the system's cache.

    Returns:
        For "deflated", as `numpy.savez_compressed` writes it, and "stored", as ours is:
        the medians of `loading`, and the ``megabytes`` of the file.
    """
    with tempfile.TemporaryDirectory() as folder:
        index, deflated = gallery(size), f"{folder}/deflated.npz"
        stored = str(index.save(f"{folder}/stored.npz"))
        texts = index.items["paths"].to_numpy(str)
        columns = dict(index.items.items()) | {"paths": texts}
        np.savez_compressed(deflated, embeds=index.embeds, **columns)
        result = {}
        for name, path in {"deflated": deflated, "stored": stored}.items():
            runs = pd.DataFrame(each_in_its_process(loading, [path] * repeats))
            size_of_file = {"megabytes": os.path.getsize(path) / 1e6}
            result[name] = runs.median().to_dict() | size_of_file
    return result


def main() -> None:
    """Measure, print, and write benchmarks/results/galleries.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a trial, not written")
    arguments = parser.parse_args()
    sizes = SIZES[:2] if arguments.quick else SIZES
    result = {
        "command": "python benchmarks/galleries.py",
        "machine": machine(),
        "numpy": np.__version__,
        "load_before": os.getloadavg()[0],
        "galleries": [],
    }
    for measured in each_in_its_process(search_times, sizes):
        if "faiss" not in measured:
            print("FAISS is not installed: left out (pip install faiss-cpu).")
        result["galleries"].append(measured)
    for measured in result["galleries"]:
        measured["loading"] = loading_times(measured["size"])
        print(measured)
    if not arguments.quick:
        write_result("galleries", result)


if __name__ == "__main__":
    main()
