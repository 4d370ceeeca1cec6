"""Write the measured numbers into the pages, as Markdown tables.

    python benchmarks/tables.py

A change of the recipe measures the headline anew. A result of an earlier commit than
the headline's is not shown, and a sentence in its place says so; `make bench` measures
it again.
"""

import functools
import re
import subprocess
import sys

import numpy as np
from record import ROOT

from clip_lib import silence_tensorflow  # noqa: F401
from clip_lib.evaluation import results
from clip_lib.evaluation.evaluate import DIRECTIONS, LEVELS
from clip_lib.evaluation.results import (
    decimals,
    paired_difference,
    read_result,
    spread,
    summary,
)

PAGES = (
    ROOT / "README.md",
    ROOT / "benchmarks" / "README.md",
    ROOT / "models" / "pretrained" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
)
HEADLINE = "pipeline_folds"
CLEANING = {
    "near-duplicates": "20 near-duplicates, by hash",
    "near-duplicates, embedding alone": "the same, by embedding alone",
    "off-topic pairs": "30 swapped captions, words and CLIP",
    "off-topic pairs, words alone": "the same, words alone",
    "off-topic pairs, CLIP alone": "the same, CLIP alone",
    "label outliers, words alone": "30 foreign labels, words",
}
COLUMNS = {
    HEADLINE: "one caption a picture",
    "pipeline_five": "five captions a training picture",
    "handed_out_folds": "the course's recipe",
}
UNTOUCHED = {"pipeline_untouched": "pictures that chose nothing"}
MINILM = {"pipeline_untouched": "SmallBERT", "pipeline_minilm": "MiniLM, frozen"}
TUNED = "pipeline_tuned"
NAMES = {
    "image_to_text": "image → text",
    "text_to_image": "text → image",
    "image_accuracy": "image classifier, accuracy",
    "text_accuracy": "text classifier, accuracy",
    "zero_shot_accuracy": "CLIP, zero-shot accuracy",
}
SEARCHES = {
    "ours": "`Index.search`: answers, margins, probabilities",
    "product": "NumPy, the product alone",
}
SPEEDS = {
    "batch_size": "pictures a batch",
    "pictures_per_second": "pictures a second",
    "features_milliseconds_per_picture": "frozen features, once, ms a picture",
}
STARTS = {
    "imports_seconds": "imports, s",
    "model_and_text_seconds": "model, and the vector of one text, s",
    "first_answer_seconds": "`search` from pressing Enter to its answers, s",
    "picture_milliseconds": "a picture file in a running process, ms",
    "text_milliseconds": "a text in a running process, ms",
}
RUNS = {
    "photos": "photographs",
    "scenes": "drawn scenes",
    "quick": "drawn scenes, quick preset",
}
PEERS = {"image_accuracy": "0.50; with a frozen ResNet50 0.75", "text_accuracy": "0.83"}
"""Published by teams of the course, on validation."""
PUBLISHED = {
    "VSE, VGG, 2014 (Kiros et al.)": (".180 .409 .550", "8", ".125 .370 .515", "10"),
    "CCA on mean vectors, VGG, 2015 (Klein et al.)": (
        *(".226 .488 .612", "6"),
        *(".191 .453 .604", "7"),
    ),
    "VSE, VGG, a later code": (".239 .491 .613", "6", ".169 .418 .544", "9"),
    "m-CNN, VGG, 2015": (".248 .537 .671", "", ".203 .476 .617", ""),
    "NAA, ResNet": (".372 .681 .791", "", ".277 .596 .718", ""),
    "CLIP ViT-B/32, 400 million pairs, zero-shot": (
        *(".68 .88 .95", ""),
        *(".51 .78 .86", ""),
    ),
}
"""R@1, 5, 10 and median rank on Flickr8k's 1,000 test pictures, any of five captions,
from image to text and from text to image: as papers report them."""
QUERIES = {"search_text": "a text", "search_picture": "a picture", "classify": "labels"}
SEARCHED = {"test": "test part", "all": "all", "larger": "others"}
ANSWERS = ("precision@5", "answered@5")
ANSWER_LEVELS = ("chance_precision@5", "best_precision@5", "chance_answered@5")


class NotShown(Exception):
    """A result that must not be printed, and why."""


def result_of(name: str) -> dict:
    """Return a result.

    Raises:
        NotShown: If it was not measured, or at an earlier commit than the headline.
    """
    if not (results.RESULTS / f"{name}.json").is_file():
        raise NotShown(f"{name} has not been measured.")
    result = read_result(name)
    measured, expected = result.get("commit"), read_result(HEADLINE).get("commit")
    if measured != expected and not _follows(measured, expected):
        raise NotShown(
            f"{name} is not shown: it was measured at commit {measured or 'unknown'}, "
            f"the headline at {expected or 'unknown'}; `make bench` measures it again."
        )
    return result


def _follows(commit, earlier) -> bool:
    """Return whether the history of a commit holds an earlier one."""
    if not (commit and earlier):
        return False
    command = ["git", "-C", ROOT, "merge-base", "--is-ancestor", earlier, commit]
    try:
        return not subprocess.run(command, capture_output=True).returncode
    except FileNotFoundError:  # No git.
        return False


def _table(heading, rows) -> str:
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _about(result: dict, machine: str = "") -> str:
    commit = f"Commit {result['commit']}. " if "commit" in result else ""
    return f"\n\n{commit}Machine: {machine or result['machine']}."


def _cell(mean: float, deviation: float, digits: int = 2) -> str:
    spread = "" if np.isnan(deviation) else f" ± {deviation:.{digits}f}"
    return f"{mean:.{digits}f}{spread}"


def _title(row: tuple[str, str]) -> str:
    subject, metric = row
    metric = NAMES.get(metric, metric.replace("_", " "))
    return metric if subject == "accuracy" else f"{NAMES[subject]}, {metric}"


def results_table(columns: dict[str, str] = COLUMNS) -> str:
    """Return the table of what was measured on galleries of one size.

    Args:
        columns: Name and title of each result; the first must be shown, others that
            must not be are named below the table.
    """
    shown, left_out = {}, ""
    for name, title in columns.items():
        try:
            shown[title] = result_of(name)
        except NotShown as reason:
            if not shown:
                raise
            left_out += f"\n\n{reason}"
    runs = {title: result["runs"] for title, result in shown.items()}
    commits = {f"{title}: {result['commit']}" for title, result in shown.items()}
    first = next(iter(shown.values()))
    about = f"\n\nCommits: {', '.join(sorted(commits))}. Machine: {first['machine']}."
    return runs_table(runs) + about + left_out


def headline_table() -> str:
    """Return the short table: from scratch, and from pretrained towers."""
    scratch, tuned = (result_of(name)["runs"] for name in (HEADLINE, TUNED))
    columns = [summary(runs) for runs in (scratch, _started(tuned), tuned)]
    rows = []
    for row, levels in columns[0].iterrows():
        if row[1] in ("recall@1", "recall@5", "median_rank"):
            continue
        cells = [
            _cell(*table.loc[row, ["mean", "deviation"]]) if row in table.index else ""
            for table in columns
        ]
        rows.append([_title(row), *cells, f"{levels['chance']:.2f}"])
        rows[-1].append(PEERS.get(row[1], ""))
    searched = result_of("queries")["runs"]
    found = [
        [run["galleries"]["all"] for run in searched if run["model"] == model]
        for model in ("from scratch", "pretrained", "fine-tuned")
    ]
    cells = [_cell(*spread([one["precision@5"] for one in each])) for each in found]
    chance = f"{found[0][0]['chance_precision@5']:.2f}"
    rows.append(["everyday queries, precision@5 among 600", *cells, chance, ""])
    minutes = [np.mean([run["minutes"] for run in runs]) for runs in (scratch, tuned)]
    cells = [f"{minutes[0]:.1f}", "none", f"{minutes[1]:.1f}", "", ""]
    rows.append(["minutes of training, at most", *cells])
    heading = ["", "from scratch", "pretrained weights as they are", "fine-tuned"]
    return _table([*heading, "chance", "peers"], rows)


def _started(runs: list[dict]) -> list[dict]:
    """Return what the pretrained weights measured before they were fine-tuned."""
    kept = "chance_accuracy"
    return [{"clip": run["start"], kept: run[kept]} for run in runs]


def published_table() -> str:
    """Return recall@10 of the pretrained weights beside what papers report."""
    (run,) = result_of("pretraining")["runs"]
    ours = [f"{run['test'][way]['recall@10']:.2f}" for way in DIRECTIONS]
    rows = [[f"ours, {run['megabytes']:.0f} MB, 2 cores", *ours]]
    for name, (images, _, texts, _) in PUBLISHED.items():
        rows.append(
            [name, *(f"{float(one.split()[2]):.2f}" for one in (images, texts))]
        )
    return _table(["", *(NAMES[way] for way in DIRECTIONS)], rows)


def papers_table() -> str:
    """Return all that papers report."""
    columns = [(f"{NAMES[way]}: R@1, 5, 10", "median rank") for way in DIRECTIONS]
    rows = [[name, *cells] for name, cells in PUBLISHED.items()]
    return _table(["model, features of the pictures", *sum(columns, ())], rows)


def runs_table(runs: dict[str, list[dict]]) -> str:
    """Return the table of runs, one column for each title."""
    summaries = {title: summary(each) for title, each in runs.items()}
    rows = []
    fullest = max(summaries.values(), key=len)
    for row, levels in fullest.iterrows():
        digits = decimals(row[1])
        cells = [
            _cell(*table.loc[row, ["mean", "deviation"]], digits)
            if row in table.index
            else ""
            for table in summaries.values()
        ]
        for level in LEVELS:
            known = not np.isnan(levels[level])
            cells.append(f"{levels[level]:.{digits}f}" if known else "")
        rows.append([_title(row), *cells])
    for title, key, unit in (
        ("training", "minutes", "minutes"),
        ("peak memory", "peak_gigabytes", "GB"),
    ):
        means = [np.mean([run.get(key, 0) for run in each]) for each in runs.values()]
        cells = [f"{mean:.1f} {unit}" if mean else "" for mean in means]
        rows.append([title, *cells, "", ""])
    return _table(["", *runs, "chance", "label oracle"], rows)


def tuned_table() -> str:
    """Return the table of the pretrained weights on the course's data.

    Below it, recall@10 on other pictures, before and after the fine-tuning.
    """
    result = result_of(TUNED)
    runs = result["runs"]
    table = runs_table({"nothing trained": _started(runs), "fine-tuned": runs})
    kept = {
        name: " / ".join(
            _cell(*spread([run["others"][key][way]["recall@10"] for run in runs]))
            for way in DIRECTIONS
        )
        for name, key in (("before", "start"), ("after", "clip"))
    }
    pictures = runs[0]["others"]["clip"]["images"]
    about = (
        f"\n\n{len(runs)} folds. R@10 among {pictures} other test pictures with all "
        f"captions, image → text / text → image: {kept['before']} before the "
        f"fine-tuning, {kept['after']} after it."
    )
    return table + about + _about(result)


def pretraining_table() -> str:
    """Return the table of the pretrained weights, as the literature reports it."""
    result = result_of("pretraining")
    (run,) = result["runs"]
    rows = []
    for split in ("validation", "test"):
        report = run[split]
        for title, each in (
            (f"{split}, {report['images']} pictures", report),
            ("chance", report["chance"]),
        ):
            cells = [title]
            for way in DIRECTIONS:
                recalls = [f"{each[way][f'recall@{k}']:.3f}" for k in (1, 5, 10)]
                # That of chance is an expected rank.
                rank = f"{each[way]['median_rank']:.0f}" if title != "chance" else ""
                cells += [" ".join(recalls), rank]
            rows.append(cells)
    columns = [(f"{NAMES[way]}: R@1, 5, 10", "median rank") for way in DIRECTIONS]
    after = [
        f"{stage} {' / '.join(f'{recalls[way]:.3f}' for way in DIRECTIONS)}"
        for stage, recalls in run["validation_recall@10"].items()
    ]
    about = (
        f"\n\n{run['pictures']:,} training pictures, {run['captions']:,} captions, "
        f"{run['words']:,} words; {run['minutes']:.0f} minutes, a file of "
        f"{run['megabytes']:.1f} MB. {result.get('note', '')}\n\nR@10 on "
        f"validation before rounding: {'; '.join(after)}."
    )
    return _table(["", *sum(columns, ())], rows) + about + _about(result)


def reloads_table() -> str:
    """Return what Keras says of layers that do not reload."""
    said = result_of("failures")["reloads"]
    rows = [
        [name, f"`{text}`" if "Error" in text else text] for name, text in said.items()
    ]
    return _table(["custom layer", "what Keras says in a fresh process"], rows)


def leak_table() -> str:
    """Return what a vocabulary of all captions hides."""
    found = result_of("failures")["curves"]
    unknown = found["unknown words of test"]
    rows = [
        [title, f"{100 * unknown[key]:.0f} %", f"{max(found[curve]['val_recall']):.2f}"]
        for title, key, curve in (
            ("the training captions", "train", "right"),
            ("all captions", "all", "vocabulary of all"),
        )
    ]
    heading = ["vocabulary of", "test words unknown", "best validation recall"]
    return _table(heading, rows)


def cost_table() -> str:
    """Return the table of what a run of the notebook costs."""
    costs = result_of("cost")
    rows = []
    for name, title in RUNS.items():
        minutes, peak = costs[name]["minutes"], costs[name]["peak_gigabytes"]
        rows.append([title, f"{minutes:.1f}", f"{peak:.1f} GB"])
    heading = ["whole notebook on", "minutes", "peak memory"]
    return _table(heading, rows) + _about(costs, costs["photos"]["machine"])


def cleaning_table() -> str:
    """Return the table of the detectors' average precision."""
    result = result_of("cleaning")
    rows = []
    for name, title in CLEANING.items():
        row = result["summary"][name]
        cell = _cell(row["average_precision mean"], row["average_precision std"])
        rows.append([title, cell, f"{row['chance']:.2g}"])
    table = _table(["detector", "average precision", "chance"], rows)
    seeds = f"\n\n{len(result['runs'])} seeds, mean ± deviation."
    return table + seeds + _about(result)


def ablation_table() -> str:
    """Return the tables of the recipe's pieces, each changed alone.

    A difference is that to the recipe on the same folds, with half its 95 % interval.
    """
    result = result_of("ablation")
    runs = result["runs"]

    def measured(name):
        """Return both recalls, their mean and the mean label precision, by fold."""
        reports = [run["variants"][name]["clip"] for run in runs]
        recalls = [
            [report[way]["recall@10"] for report in reports] for way in DIRECTIONS
        ]
        precision = [
            np.mean([report[way]["label_precision@5"] for way in DIRECTIONS])
            for report in reports
        ]
        return np.array([*recalls, np.mean(recalls, axis=0), precision])

    recipe, rows = measured("the recipe"), []
    for name in runs[0]["variants"]:
        values = measured(name)
        cells = [_cell(*spread(row)) for row in values[[0, 1, 3]]]
        for one, other in zip(values[2:], recipe[2:], strict=True):
            mean, half = paired_difference(one, other)
            known = name != "the recipe" and not np.isnan(half)
            cells.append(f"{mean:+.3f} ± {half:.3f}" if known else "")
        seconds = np.mean([run["variants"][name]["seconds"] for run in runs])
        rows.append([name, *cells, f"{seconds:.0f}"])
    heading = ["CLIP", *(f"R@10 {NAMES[way]}" for way in DIRECTIONS), "label P@5, mean"]
    heading += ["R@10, to the recipe", "label P@5, to the recipe", "seconds"]
    accuracies = [
        [name, _cell(*spread([run["best_accuracy"][name] for run in runs]))]
        for name in runs[0]["best_accuracy"]
    ]
    best = _table(["classifier", "best accuracy"], accuracies)
    return f"{_table(heading, rows)}\n\n{best}{_about(result)}"


def speed_table() -> str:
    """Return the tables of the speeds."""
    result = result_of("speed")
    training = result["training"]
    both = training["ours"], training["handed_out"]
    rows = [
        [title, *(f"{each[name]:,.3g}" if name in each else "" for each in both)]
        for name, title in SPEEDS.items()
    ]
    rows.append(["ratio of training speeds", f"{training['ratio']:.3g}", ""])
    query = result["query_milliseconds"]
    numbers = {
        "query, median, ms": query["median"],
        "query, 95 %, ms": query["percentile_95"],
        "index, ms a picture": result["index_milliseconds_per_picture"],
    }
    answers = [[title, f"{number:.2f}"] for title, number in numbers.items()]
    steps = _table(["training", "ours", "the course's recipe"], rows)
    return f"{steps}\n\n{_table(['answers', ''], answers)}{_about(result)}"


def startup_table() -> str:
    """Return the table of the wait for the first answer."""
    result = result_of("startup")
    both = result["litert"], result["keras"]
    rows = [
        [title, *(f"{each[name]:.2f}" for each in both)]
        for name, title in STARTS.items()
    ]
    alone = {"an empty Python, s": result["python_seconds"]}
    alone["the first use of a model, once, s"] = result["first_use_seconds"]
    if seconds := result.get("rclip_help_seconds"):
        alone["`rclip --help`, s"] = seconds
    rows += [[title, f"{seconds:.2f}", ""] for title, seconds in alone.items()]
    return _table(["", "LiteRT", "Keras"], rows) + _about(result)


def galleries_table() -> str:
    """Return the table of the search among big galleries."""
    result = result_of("speed")
    galleries = result["galleries"]
    rows = []
    for name, title in SEARCHES.items():
        times = [gallery["milliseconds"][name] for gallery in galleries]
        cells = [f"{t['median']:.3g} ({t['percentile_95']:.3g})" for t in times]
        rows.append([title, *cells])
    sizes = [f"{gallery['size']:,}" for gallery in galleries]
    heading = ["milliseconds a query, median (95 %)", *sizes]
    return _table(heading, rows) + _about(result)


def page_table() -> str:
    """Return the table of the search page under load."""
    result = result_of("page")
    crowd, alone = result["crowd"], result["alone"]
    rows = []
    for kind, title in QUERIES.items():
        one, many = (each["milliseconds"][kind] for each in (alone, crowd))
        rows.append([title, one["p50"], *many.values()])
    heading = ["milliseconds to the answer", "one visitor, median"]
    heading += [f"{crowd['visitors']} visitors, median", "95 %", "99 %"]
    early, late = crowd["gigabytes"].values()
    about = (
        f"{crowd['questions']} queries in {crowd['seconds']:.0f} seconds, "
        f"{crowd['errors']} errors. The server holds {early:.2f} GB after 10 seconds "
        f"and {late:.2f} GB at the end; it starts in {crowd['start_seconds']:.0f} "
        "seconds."
    )
    return f"{_table(heading, rows)}\n\n{about}{_about(result)}"


def queries_table() -> str:
    """Return the table of the everyday queries."""
    result, rows = result_of("queries"), []
    models = dict.fromkeys(run["model"] for run in result["runs"])
    for part, title in SEARCHED.items():
        for model in models:
            runs = [run for run in result["runs"] if run["model"] == model]
            found = [run["galleries"].get(part) for run in runs]
            if None in found:
                continue
            cells = [_cell(*spread([each[name] for each in found])) for name in ANSWERS]
            levels = [f"{found[0][name]:.2f}" for name in ANSWER_LEVELS]
            refused = f"{np.mean([each['refused'] for each in found]):.2g}"
            about = [f"{found[0]['pictures']}, {title}", model, found[0]["queries"]]
            rows.append([*about, refused, cells[0], *levels[:2], cells[1], levels[2]])
    heading = ["gallery", "model", "queries", "refused", "P@5", "chance", "best"]
    heading += ["a right one among five", "chance"]
    return _table(heading, rows) + _about(result)


EXCLUSION = ("left_out", "right", "asked")
PARTS = {"all": "the course's", "larger": "others"}


def exclusion_table() -> str:
    """Return the table of what questions leave out, by method."""
    result = result_of("exclusion")
    rows = []
    for part, title in PARTS.items():
        found = result["galleries"][part]
        for method, shares in found["exclusion"].items():
            cells = [f"{shares[name]:.2f}" for name in EXCLUSION]
            rows.append([f"{found['pictures']}, {title}", method, *cells])
    heading = ["gallery", "method", "unwanted", "right", "what is asked for"]
    return _table(heading, rows) + _about(result)


def fits_table() -> str:
    """Return the errors of "nothing here fits well"."""
    result, rows = result_of("exclusion"), []
    for part, title in PARTS.items():
        found = result["galleries"][part]
        errors = found["nothing_fits"]
        cells = [errors["answerable"], f"{errors['false_alarms']:.2f}"]
        cells += [errors["off_topic"], f"{errors['missed']:.2f}"]
        rows.append([f"{found['pictures']}, {title}", *cells])
    heading = [
        "gallery",
        "answerable",
        "answerable, warned by mistake",
        "off topic",
        "off topic, not warned",
    ]
    return _table(heading, rows) + _about(result)


def folder_table() -> str:
    """Return what killed processes left, and the times of a large folder."""
    result = result_of("folder")
    killed, large = result["killed"], result["large"]
    rows = [
        [
            "pictures saved after each kill",
            ", ".join(map(str, killed["saved_after_each_kill"])),
        ],
        [
            "kept and read at the end",
            f"{killed['kept_at_the_end']}, {killed['read_at_the_end']}",
        ],
    ]
    for name, seconds in large["seconds"].items():
        rows.append([f"{large['pictures']:,} pictures: {name}", f"{seconds:.2f} s"])
    rows.append(["peak memory", f"{large['peak_gigabytes']:.1f} GB"])
    return _table(["", "measured"], rows) + _about(result)


TABLES = {
    "headline": headline_table,
    "published": published_table,
    "papers": papers_table,
    "reloads": reloads_table,
    "leak": leak_table,
    "results": results_table,
    "untouched": functools.partial(results_table, UNTOUCHED),
    "minilm": functools.partial(results_table, MINILM),
    "tuned": tuned_table,
    "pretraining": pretraining_table,
    "cost": cost_table,
    "cleaning": cleaning_table,
    "ablation": ablation_table,
    "speed": speed_table,
    "startup": startup_table,
    "galleries": galleries_table,
    "page": page_table,
    "queries": queries_table,
    "exclusion": exclusion_table,
    "fits": fits_table,
    "folder": folder_table,
}


def with_tables(text: str) -> tuple[str, list[str]]:
    """Put the current tables into a text; return it, and what is not shown."""
    refused = []
    for name in re.findall(r"<!-- (\w+) -->\n", text):
        if name in TABLES:
            try:
                table = TABLES[name]()
            except NotShown as reason:
                table = str(reason)
                refused.append(table)
            text = re.sub(
                rf"(<!-- {name} -->\n).*?(<!-- end -->)",
                lambda match, table=table: f"{match[1]}{table}\n{match[2]}",
                text,
                flags=re.DOTALL,
            )
    return text, refused


def main() -> None:
    """Write all of them; exit with status 1 if one is not shown."""
    refused = []
    for path in PAGES:
        text, reasons = with_tables(path.read_text(encoding="utf-8"))
        path.write_text(text, encoding="utf-8")
        refused += reasons
    if refused:
        sys.exit("\n".join(refused))


if __name__ == "__main__":
    main()
