"""Measure what a question leaves out, and whether a gallery is known to have no answer.

    python benchmarks/exclusion.py --data FOLDER --captions FILE --gallery FOLDER

`exclusions.csv` holds questions such as "dog - snow", with the words of captions that
describe a right picture and those of the excluded term, both as in `queries.csv`;
`off_topic.txt` holds questions that no picture of the galleries answers.
"""

import numpy as np
import pandas as pd
from queries import QUERIES, WEIGHTS, right_pictures
from record import ROOT, options, provenance, write_result

import clip_lib.towers  # noqa: F401  For their tokenizers.
from clip_lib.config import Config
from clip_lib.data.dataset import load_dataset
from clip_lib.errors import ClipError
from clip_lib.retrieval.question import embed_question, fits
from clip_lib.retrieval.search import Clip, Search, build_indexes

EXCLUSIONS = ROOT / "benchmarks" / "exclusions.csv"
OFF_TOPIC = ROOT / "benchmarks" / "off_topic.txt"
K = 10
METHODS = {
    "asked alone": lambda asked, left_out: asked,
    "minus 0.25": lambda asked, left_out: asked - 0.25 * left_out,
    "minus 0.5": lambda asked, left_out: asked - 0.5 * left_out,
    "minus 1": lambda asked, left_out: asked - left_out,
    "projection": lambda asked, left_out: asked - (asked @ left_out) * left_out,
}
"""Two unit vectors to the direction of a question; beside the library's own."""


def exclusion(clip: Clip, images, captions: pd.DataFrame, names) -> dict:
    """Return, for each method, the shares of three kinds of pictures among the answers.

    ``left_out`` are those that the question does not want, ``asked`` those that it asks
    for, be the other thing there or not, ``right`` those asked for without it.
    """
    table = pd.read_csv(EXCLUSIONS)

    def judged(words) -> np.ndarray:
        right = right_pictures(
            captions, pd.DataFrame({"query": words, "all_of": words})
        )
        return right.reindex(names)[words].to_numpy(bool).T

    asked, unwanted = judged(table["all_of"]), judged(table["none_of"])
    ours = [embed_question(clip, query) for query in table["query"]]
    terms = [query.split(" - ") for query in table["query"]]
    terms = [[clip.embed_text(term) for term in pair] for pair in terms]
    questions = {
        name: [method(*pair) for pair in terms] for name, method in METHODS.items()
    }
    found = {}
    for name, vectors in (questions | {"library": ours}).items():
        best = np.argsort(-np.array(vectors) @ images.embeds.T, axis=1)[:, :K]
        shares = {"left_out": unwanted, "asked": asked, "right": asked & ~unwanted}
        found[name] = {
            kind: float(np.take_along_axis(judge, best, axis=1).mean())
            for kind, judge in shares.items()
        }
    return found


def nothing_fits(clip: Clip, images, captions: pd.DataFrame, names) -> dict:
    """Return both error rates of `fits`: false alarms, and misses.

    A question counts as answerable if a picture is right. One of which the model knows
    no word is refused, which says as much.
    """
    right = right_pictures(captions, pd.read_csv(QUERIES, keep_default_na=False))
    right = right.reindex(names)
    answerable = [query for query in right if right[query].any()]
    off_topic = OFF_TOPIC.read_text(encoding="utf-8").splitlines()
    search = Search(clip, images)

    def fit(query: str) -> bool:
        try:
            return fits(search, query, "all")
        except ClipError:
            return False

    return {
        "answerable": len(answerable),
        "false_alarms": 1 - float(np.mean([fit(query) for query in answerable])),
        "off_topic": len(off_topic),
        "missed": float(np.mean([fit(query) for query in off_topic])),
    }


def main() -> None:
    """Measure both in two galleries; write benchmarks/results/exclusion.json."""
    parser = options(__doc__, jobs=False)
    parser.add_argument("--captions", required=True, help="table to judge by")
    parser.add_argument("--gallery", required=True, help="its test part, too")
    parser.add_argument("--model", default=WEIGHTS, help="(the pretrained weights)")
    given = parser.parse_args()
    about, clip, found = provenance(), Clip.load(given.model), {}
    for name, folder, split in (
        ("all", given.data, "all"),
        ("larger", given.gallery, "test"),
    ):
        dataset = load_dataset(Config(dataset_dir=folder))
        images, _ = build_indexes(clip, dataset, split)
        captions = pd.read_csv(given.captions) if name == "all" else dataset.test
        paths = dataset.pictures(split)["image_path"]
        about_gallery = clip, images, captions, paths
        found[name] = {"pictures": len(paths), "exclusion": exclusion(*about_gallery)}
        found[name]["nothing_fits"] = nothing_fits(*about_gallery)
    print(found)
    if not given.quick:
        count = len(pd.read_csv(EXCLUSIONS))
        write_result("exclusion", about | {"questions": count, "galleries": found})


if __name__ == "__main__":
    main()
