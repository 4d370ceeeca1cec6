"""Put everyday queries to models: how many of the five pictures found are right?

    python benchmarks/queries.py --data FOLDER --captions FILE --gallery FOLDER

`queries.csv` holds the queries and what makes a picture right: see `right_pictures`.
"""

import dataclasses
import re

import numpy as np
import pandas as pd
from record import ROOT, measure_all, options, provenance, write_result

from clip_lib import silence_tensorflow  # noqa: F401
from clip_lib.config import PRESETS, PRETRAINED, Config
from clip_lib.data.dataset import load_dataset
from clip_lib.data.vocabulary import clean
from clip_lib.errors import ClipError
from clip_lib.evaluation import metrics
from clip_lib.retrieval.search import MODEL_FILE, Clip
from clip_lib.towers.choice import choose_builders
from clip_lib.training.pipeline import train

QUERIES = ROOT / "benchmarks" / "queries.csv"
AGREEING, FOUND = 2, 5
"""Captions of a picture that must agree, as one may be wrong; answers of a query."""
WEIGHTS = ROOT / PRETRAINED / MODEL_FILE
MODELS = ("from scratch=course", f"pretrained={WEIGHTS}", "fine-tuned=fine-tuning")


def right_pictures(captions: pd.DataFrame, queries=None) -> pd.DataFrame:
    """Judge which pictures are right for which query, by the words of their captions.

    At least `AGREEING` captions must meet each group of ``all_of``, not necessarily the
    same ones, and fewer ``none_of``. ``&`` joins groups; ``|`` words or phrases, one of
    which suffices; ``*`` is the rest of a word, or a word; a plural in s is the word.

    Args:
        captions: Columns image_path and caption, several rows a picture.
        queries: Columns query, all_of and, if needed, none_of (those of queries.csv).

    Returns:
        bool, a row per picture and a column per query.
    """
    texts, pictures = captions["caption"].map(clean), captions["image_path"]

    def agreed(words: str) -> pd.Series:
        each = "|".join(re.escape(word.strip()) for word in words.split("|"))
        pattern = each.replace(r"\*", r"\w*")
        met = texts.str.contains(rf"\b(?:{pattern})(?:e?s)?\b")
        return met.groupby(pictures).sum() >= AGREEING

    right = {}
    if queries is None:
        queries = pd.read_csv(QUERIES, keep_default_na=False)
    for row in queries.itertuples():
        none_of = getattr(row, "none_of", "")
        right[row.query] = ~agreed(none_of) if none_of else True
        for words in row.all_of.split("&"):
            right[row.query] &= agreed(words)
    return pd.DataFrame(right)


def search(clip: Clip, dataset, split: str, right: pd.DataFrame) -> dict:
    """Put the queries that have a right picture in a split to it."""
    pictures = dataset.pictures(split)
    size, right = len(pictures), right.loc[pictures["image_path"]]
    right = right.loc[:, right.any()]
    if right.empty:
        raise ClipError(f"{dataset.folder}: none is right; expected 5 captions each.")

    def embed(query: str) -> np.ndarray:
        try:
            return clip.embed_text(query)
        except ClipError:  # It knows no word of the query, and finds nothing right.
            return np.full(clip.width, np.nan)

    texts = np.array([embed(query) for query in right])
    scores = texts @ clip.embed_images(dataset.paths(pictures)).T
    relevant, counts = right.to_numpy().T, right.sum().to_numpy()
    precisions = metrics.precisions_at_k(scores, relevant, FOUND)
    return {
        "pictures": size,
        "of_training": float((pictures["split"] == "train").mean()),
        "queries": len(counts),
        "refused": int(np.isnan(texts).any(axis=1).sum()),
        "precision@5": float(precisions.mean()),
        "answered@5": float((precisions > 0).mean()),
        "chance_precision@5": float(relevant.mean()),
        "chance_answered@5": metrics.random_recall_at_k(counts, size, FOUND),
        "best_precision@5": float(np.minimum(counts / FOUND, 1).mean()),
        "by_query": dict(zip(right, precisions.tolist(), strict=True)),
    }


def measure(config: Config, name: str, file, captions, gallery, seed=None) -> dict:
    """Train with a seed, unless there is a file; search every gallery."""
    dataset, right = load_dataset(config), right_pictures(pd.read_csv(captions))
    if not file:
        config = dataclasses.replace(config, seed=seed)
        train(dataset, config, choose_builders(config))
    clip = Clip.load(file or config.clip_file)
    found = {part: search(clip, dataset, part, right) for part in ("test", "all")}
    if gallery:
        other = load_dataset(Config(dataset_dir=gallery))
        found["larger"] = search(clip, other, "test", right_pictures(other.test))
    return {"model": name, "train_seed": seed, "galleries": found}


def main() -> None:
    """Measure every model; write benchmarks/results/queries.json."""
    parser = options(__doc__)
    parser.add_argument("--captions", required=True, help="table to judge by")
    parser.add_argument("--gallery", help="folder whose test part is searched too")
    about = "NAME=FILE, or NAME=PRESET to train it (three models)"
    parser.add_argument("--model", action="append", metavar="NAME=FILE", help=about)
    parser.add_argument("--seeds", type=int, nargs="+", default=[42, 43, 44])
    given = parser.parse_args()
    about, tasks = provenance(), []
    for name, source in (model.split("=", 1) for model in given.model or MODELS):
        make = Config.quick if given.quick else PRESETS.get(source, Config)
        config = make(dataset_dir=given.data)  # One split, that of seed 42.
        file, seeds = (None, given.seeds) if source in PRESETS else (source, [None])
        where = given.captions, given.gallery
        tasks += [(config, name, file, *where, seed) for seed in seeds]
    runs = measure_all(measure, tasks, given.jobs)
    if not given.quick:
        write_result("queries", about | {"runs": runs})


if __name__ == "__main__":
    main()
