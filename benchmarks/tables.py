"""Write the measured figures into README.md and benchmarks/README.md.

python benchmarks/tables.py
"""

import functools
import re
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from speed import report

from clip_lib.evaluation.evaluate import DIRECTIONS, LEVELS
from clip_lib.evaluation.results import RESULTS, read_result, spread, summary

ROOT = Path(__file__).parents[1]
READMES = (
    ROOT / "README.md",
    ROOT / "benchmarks" / "README.md",
    ROOT / "models" / "pretrained" / "README.md",
)
CLEANING = {
    "near-duplicates": "20 near-duplicates, by hash",
    "near-duplicates, embedding alone": "the same, by embedding alone",
    "off-topic pairs": "30 swapped captions, words and CLIP",
    "off-topic pairs, words alone": "the same, words alone",
    "off-topic pairs, CLIP alone": "the same, CLIP alone",
    "label outliers, words alone": "30 foreign labels, words",
}
COLUMNS = {
    "pipeline_folds": "one caption a picture",
    "pipeline_five": "five captions a training picture",
    "handed_out_folds": "the course's recipe",
}
UNTOUCHED = {"pipeline_untouched": "pictures that chose nothing"}
TUNED = {"pipeline_tuned": "from our pretrained weights"}
NAMES = {
    "image_to_text": "image → text",
    "text_to_image": "text → image",
    "image_accuracy": "CNN accuracy",
    "text_accuracy": "SmallBERT accuracy",
    "zero_shot_accuracy": "CLIP zero-shot accuracy",
}
SEARCHES = {
    "ours": "`Index.search`: answers, margins, probabilities",
    "product": "NumPy, the product alone",
    "product, argpartition": "NumPy, product and `argpartition`",
    "product, stable sort": "NumPy, product and stable sort",
    "FAISS, one thread": "FAISS, flat index, one thread",
    "FAISS, all threads": "FAISS, flat index, all threads",
}
SECONDS = ("frozen_seconds", "fine_tuned_seconds")
MEGABYTES = ("frozen_megabytes", "fine_tuned_megabytes")
LOADINGS = (
    ("file, deflated / stored, MB", "megabytes", 1, "deflated", "stored"),
    ("loading, deflated, ms", "seconds", 1e3, "deflated"),
    ("loading, stored, ms", "seconds", 1e3, "stored"),
    ("first search, ms", "first_answer_milliseconds", 1, "stored"),
    ("memory, MB", "own", 1, "stored"),
)
"""Title, key, factor, and the ways of loading that share the row."""


def _cell(mean: float, deviation: float) -> str:
    return f"{mean:.2f}" + ("" if np.isnan(deviation) else f" ± {deviation:.2f}")


def _title(row: tuple[str, str]) -> str:
    subject, figure = row
    figure = NAMES.get(figure, figure.replace("_", " "))
    return figure if subject == "accuracy" else f"{NAMES[subject]}, {figure}"


def results_table(columns: dict[str, str] = COLUMNS) -> str:
    """Return the Markdown table of what was measured on galleries of one size.

    Args:
        columns: Name and title of each result; one that is missing is left out.
    """
    results = {
        title: read_result(name)["runs"]
        for name, title in columns.items()
        if (RESULTS / f"{name}.json").exists()
    }
    summaries = {title: summary(runs) for title, runs in results.items()}
    first = next(iter(summaries.values()))
    lines = [
        f"| | {' | '.join(results)} | chance | label oracle |",
        "|---" * (len(results) + 3) + "|",
    ]
    for row, levels in first.iterrows():
        cells = [
            _cell(*table.loc[row, ["mean", "deviation"]]) if row in table.index else ""
            for table in summaries.values()
        ]
        for level in LEVELS:
            cells.append("" if np.isnan(levels[level]) else f"{levels[level]:.2f}")
        lines.append(f"| {_title(row)} | {' | '.join(cells)} |")
    for name, key, unit in (
        ("training", "minutes", "minutes"),
        ("peak memory", "peak_gigabytes", "GB"),
    ):
        cells = [
            f"{np.mean([run[key] for run in runs]):.1f} {unit}"
            for runs in results.values()
        ]
        lines.append(f"| {name} | {' | '.join(cells)} | | |")
    return "\n".join(lines)


def pretraining_table() -> str:
    """Return the Markdown table of what more pretraining pictures bring."""
    runs = read_result("pretraining")["runs"]
    lines = [
        "| pictures | captions | words | R@10 image → text | R@10 text → image "
        "| minutes | peak memory |",
        "|---" * 7 + "|",
    ]

    def row(run, split, title):
        recalls = [f"{run[split][way]['recall@10']:.2f}" for way in DIRECTIONS]
        chance = run[split]["chance"]["image_to_text"]["recall@10"]
        return (
            f"| {title} | {run['captions']:,} | {run['words']:,} | {recalls[0]} | "
            f"{recalls[1]} | {run['minutes']:.1f} | {run['peak_gigabytes']:.1f} GB |"
        ), (f"{run[split]['pairs']} {split} pairs, chance {chance:.3f}")

    for run in runs:
        line, about = row(run, "validation", f"{run['pictures']:,}")
        lines.append(line)
    line, tested = row(runs[-1], "test", f"{runs[-1]['pictures']:,}, on test")
    return "\n".join([*lines, line, "", f"{about}; {tested}."])


def growth_table() -> str:
    """Return the Markdown tables of what a training costs as it grows."""
    result = read_result("growth")
    lines = [
        "| pictures | batch | side | features, once, s | first epoch, s "
        "| later epochs, s | reading alone, first / later, pictures a second "
        "| peak memory, GB |",
        "|---" * 8 + "|",
    ]
    for run in result["runs"]:
        seconds, pictures = run["seconds"], run["pictures"]
        reading = " / ".join(
            f"{pictures / seconds[f'reading, {name}']:,.0f}"
            for name in ("first epoch", "later")
        )
        cells = (
            f"{pictures:,}",
            run["batch"],
            run["side"],
            f"{seconds['features, once']:.1f}",
            f"{seconds['first epoch']:.1f}",
            f"{seconds['later epochs']:.1f}",
            reading,
            f"{run['gigabytes']['peak']:.2f}",
        )
        lines.append(f"| {' | '.join(map(str, cells))} |")
    usual = next(run for run in result["runs"] if run["pictures"] == result["usual"])
    lines += ["", "| part of the work | milliseconds a picture |", "|---|---|"]
    for name, value in usual["milliseconds_per_picture"].items():
        lines.append(f"| {name} | {value:.2f} |")
    return "\n".join([*lines, "", f"Machine: {result['machine']}."])


def cost_table() -> str:
    """Return the Markdown table of what a run of the notebook costs."""
    costs = read_result("cost")
    titles = {
        "photos": "photographs",
        "scenes": "drawn scenes",
        "quick": "drawn scenes, quick preset",
    }
    lines = ["| whole notebook on | minutes | peak memory |", "|---|---|---|"]
    for name, title in titles.items():
        cost = costs[name]
        lines.append(
            f"| {title} | {cost['minutes']:.1f} | {cost['peak_gigabytes']:.1f} GB |"
        )
    return "\n".join([*lines, "", f"Machine: {costs['photos']['machine']}."])


def cleaning_table() -> str:
    """Return the Markdown table of the detectors' average precision."""
    result = read_result("cleaning")
    lines = [
        f"{len(result['runs'])} seeds, mean ± deviation.",
        "",
        "| detector | average precision | chance |",
        "|---|---|---|",
    ]
    for name, title in CLEANING.items():
        row = result["summary"][name]
        mean, spread = row["average_precision mean"], row["average_precision std"]
        lines.append(f"| {title} | {mean:.2f} ± {spread:.2f} | {row['chance']:.2g} |")
    return "\n".join(lines)


def ablation_table() -> str:
    """Return the Markdown table of the recipe's pieces, taken away one by one."""
    runs = read_result("ablation")["runs"]
    lines = [
        "| CLIP | R@10 image → text | R@10 text → image | label P@5, mean | seconds |",
        "|---|---|---|---|---|",
    ]
    for name in runs[0]["variants"]:
        variants = [run["variants"][name] for run in runs]
        reports = [variant["clip"] for variant in variants]
        precision = [
            np.mean([report[way]["label_precision@5"] for way in DIRECTIONS])
            for report in reports
        ]
        columns = [
            *([report[way]["recall@10"] for report in reports] for way in DIRECTIONS),
            precision,
        ]
        cells = [_cell(*spread(column)) for column in columns]
        seconds = np.mean([variant["seconds"] for variant in variants])
        lines.append(f"| {name} | {' | '.join(cells)} | {seconds:.0f} |")
    lines += ["", "| classifier | best accuracy |", "|---|---|"]
    for name in runs[0]["best_accuracy"]:
        values = [run["best_accuracy"][name] for run in runs]
        lines.append(f"| {name} | {_cell(*spread(values))} |")
    return "\n".join(lines)


def speed_table() -> str:
    """Return the table of the speeds, as benchmarks/speed.py prints it."""
    return f"```\n{report(read_result('speed'))}\n```"


def galleries_table() -> str:
    """Return the Markdown tables of the search and the loading of big galleries."""
    result = read_result("galleries")
    galleries = result["galleries"]
    last = galleries[-1]
    sizes = " | ".join(f"{gallery['size']:,}" for gallery in galleries)

    def row(title, cell):
        return f"| {title} | {' | '.join(cell(gallery) for gallery in galleries)} |"

    def latency(name):
        def cell(gallery):
            if not (times := gallery["milliseconds"].get(name)):
                return "not installed"
            return f"{times['median']:.3g} ({times['percentile_95']:.3g})"

        return cell

    def loaded(key, *names, factor=1):
        def cell(gallery):
            ways = [gallery["loading"][name] for name in names]
            return " / ".join(f"{factor * way[key]:,.0f}" for way in ways)

        return cell

    rule = "|---" * (len(galleries) + 1) + "|"
    lines = [f"| milliseconds a query, median (95 %) | {sizes} |", rule]
    lines += [row(title, latency(name)) for name, title in SEARCHES.items()]
    lines += ["", f"| until the first answer | {sizes} |", rule]
    for title, key, factor, *names in LOADINGS:
        lines.append(row(title, loaded(key, *names, factor=factor)))
    about = f"Machine: {result['machine']}, NumPy on {last['threads']['numpy']} threads"
    if "faiss" in last:
        about += (
            f", FAISS {last['faiss']} on 1 or {last['threads']['faiss']}; its five are "
            f"ours for {100 * min(g['same_answers'] for g in galleries):g} % of the "
            "queries"
        )
    load = f"{result['load_before']:.1f}"
    return "\n".join([*lines, "", f"{about}. Load before the run: {load}."])


def page_table() -> str:
    """Return the Markdown table of the search page under load."""
    result = read_result("page")
    crowd, alone = result["crowd"], result["alone"]
    kinds = {
        "search_text": "a text",
        "search_picture": "a picture",
        "classify": "labels",
    }
    lines = [
        f"| milliseconds to the answer | one visitor, median | {crowd['visitors']} "
        "visitors, median | 95 % | 99 % |",
        "|---|---|---|---|---|",
    ]
    for kind, title in kinds.items():
        many = crowd["milliseconds"][kind]
        cells = [alone["milliseconds"][kind]["p50"], *many.values()]
        lines.append(f"| {title} | {' | '.join(f'{cell:.0f}' for cell in cells)} |")
    sizes = dict(crowd["gigabytes"])
    tenth, last = sizes[min(sizes, key=lambda moment: abs(moment - 10))], max(sizes)
    return "\n".join(
        [
            *lines,
            "",
            f"{crowd['questions']} questions in {crowd['seconds']:.0f} seconds, "
            f"{crowd['errors']} errors. The server holds {tenth:.2f} GB after 10 "
            f"seconds and {sizes[last]:.2f} GB at the end; it starts in "
            f"{crowd['start_seconds']:.0f} seconds. {result['machine']}, visitors "
            "included.",
        ]
    )


def backbones_table() -> str:
    """Return the Markdown table of what each picture encoder costs."""
    result = read_result("backbones")
    lines = [
        "| picture encoder | weights, millions | seconds an epoch, frozen "
        "| fine-tuned | a query, ms | file, MB | fine-tuned | peak memory, GB |",
        "|---" * 8 + "|",
    ]
    for name, found in result["encoders"].items():
        cells = [
            f"{found['weights'] / 1e6:.2f}",
            *(f"{found[key]:.0f}" if key in found else "" for key in SECONDS),
            f"{found['query_milliseconds']:.0f}",
            *(f"{found[key]:.1f}" if key in found else "" for key in MEGABYTES),
            f"{found['peak_gigabytes']:.1f}",
        ]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    pictures = next(iter(result["encoders"].values()))["pictures"]
    height, width = result["image_size"]
    return "\n".join(
        [
            *lines,
            "",
            f"{pictures} pictures of {height} x {width} pixels, weights drawn at "
            f"random. Machine: {result['machine']}, with other work on it.",
        ]
    )


TABLES = {
    "backbones": backbones_table,
    "page": page_table,
    "results": results_table,
    "untouched": functools.partial(results_table, UNTOUCHED),
    "tuned": functools.partial(results_table, TUNED),
    "pretraining": pretraining_table,
    "growth": growth_table,
    "cost": cost_table,
    "cleaning": cleaning_table,
    "ablation": ablation_table,
    "speed": speed_table,
    "galleries": galleries_table,
}


def with_tables(text: str) -> str:
    """Return a text whose marked parts hold the current tables."""
    for name in re.findall(r"<!-- (\w+) -->\n", text):
        if name in TABLES:
            table = TABLES[name]()
            text = re.sub(
                rf"(<!-- {name} -->\n).*?(<!-- end -->)",
                lambda match, table=table: f"{match[1]}{table}\n{match[2]}",
                text,
                flags=re.DOTALL,
            )
    return text


if __name__ == "__main__":
    # All of them, or none if a result is missing.
    texts = {path: with_tables(path.read_text("utf-8")) for path in READMES}
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
