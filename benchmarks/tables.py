"""Write the measured figures into README.md, between its markers.

python benchmarks/tables.py
"""

import json
import re
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
CLEANING = {
    "near-duplicates": "20 near-duplicates, by hash",
    "near-duplicates, embedding alone": "the same, by embedding alone",
    "off-topic pairs": "30 swapped captions, words and CLIP",
    "off-topic pairs, words alone": "the same, words alone",
    "off-topic pairs, CLIP alone": "the same, CLIP alone",
    "label outliers": "30 foreign labels, neighbours and words",
    "label outliers, words alone": "the same, words alone",
}
FIGURES = ("recall@1", "recall@5", "recall@10", "median_rank", "label_precision@5")


def _load(name: str) -> dict:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def _spread(values) -> str:
    return f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}"


def results_table() -> str:
    """Return the Markdown table of the pipeline's figures: mean ± deviation."""
    runs = _load("pipeline_photos")["runs"]
    clips = [run["clip"] for run in runs]
    seeds = ", ".join(str(run["seed"]) for run in runs)
    lines = [
        f"On the course's photographs, {clips[0]['pairs']} test pairs; mean ± "
        f"deviation over seeds {seeds}, each with its own split; training takes "
        f"{np.mean([run['minutes'] for run in runs]):.0f} minutes.",
        "",
        "| | measured | chance | label oracle |",
        "|---|---|---|---|",
    ]
    for name, title in (
        ("image_accuracy", "CNN accuracy"),
        ("text_accuracy", "SmallBERT accuracy"),
        ("zero_shot_accuracy", "CLIP zero-shot accuracy"),
    ):
        measured = _spread([run[name] for run in runs])
        lines.append(f"| {title} | {measured} | {runs[0]['chance_accuracy']:.2f} | |")
    for direction, arrow in (
        ("image_to_text", "image → text"),
        ("text_to_image", "text → image"),
    ):
        for figure in FIGURES:
            measured, chance, oracle = (
                [at(clip[direction])[figure] for clip in clips]
                for at in (
                    lambda figures: figures,
                    lambda figures: figures["chance"],
                    lambda figures: figures["label_oracle"],
                )
            )
            lines.append(
                f"| {arrow}, {figure.replace('_', ' ')} | {_spread(measured)} | "
                f"{np.mean(chance):.2f} | {np.mean(oracle):.2f} |"
            )
    return "\n".join(lines)


def cost_table() -> str:
    """Return the Markdown table of what a run of the notebook costs."""
    costs = _load("cost")
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
    result = _load("cleaning")
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


def with_tables(text: str) -> str:
    """Return a text whose marked parts hold the current tables."""
    tables = {
        "results": results_table(),
        "cost": cost_table(),
        "cleaning": cleaning_table(),
    }
    for name, table in tables.items():
        text = re.sub(
            rf"(<!-- {name} -->\n).*?(<!-- end -->)",
            lambda match, table=table: f"{match[1]}{table}\n{match[2]}",
            text,
            flags=re.DOTALL,
        )
    return text


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(with_tables(readme.read_text("utf-8")), encoding="utf-8")
