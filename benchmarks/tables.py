"""Write the measured figures into README.md, between its markers.

python benchmarks/tables.py
"""

import json
import re
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"


def _load(name: str) -> dict:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def _spread(values) -> str:
    return f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}"


def results_table() -> str:
    """Return the Markdown table of the pipeline's figures: mean ± deviation."""
    photos, scenes = (
        _load(f"pipeline_{name}")["runs"] for name in ("photos", "scenes")
    )
    seeds = ", ".join(str(run["seed"]) for run in photos)
    lines = [
        f"Test split, {photos[0]['clip']['pairs']} pairs; mean ± deviation over seeds "
        f"{seeds}, each with its own split.",
        "",
        "| | photographs | drawn scenes | chance |",
        "|---|---|---|---|",
    ]
    for name, title in (
        ("image_accuracy", "CNN accuracy"),
        ("text_accuracy", "SmallBERT accuracy"),
        ("zero_shot_accuracy", "CLIP zero-shot accuracy"),
    ):
        cells = [_spread([run[name] for run in runs]) for runs in (photos, scenes)]
        lines.append(
            f"| {title} | {' | '.join(cells)} | {photos[0]['chance_accuracy']:.2f} |"
        )
    for direction, arrow in (
        ("image_to_text", "image → text"),
        ("text_to_image", "text → image"),
    ):
        for figure in (
            "recall@1",
            "recall@5",
            "recall@10",
            "median_rank",
            "label_precision@5",
        ):
            cells = [
                _spread([run["clip"][direction][figure] for run in runs])
                for runs in (photos, scenes)
            ]
            chance = np.mean(
                [run["clip"][direction]["chance"][figure] for run in photos]
            )
            title = figure.replace("_", " ")
            lines.append(f"| {arrow}, {title} | {' | '.join(cells)} | {chance:.2f} |")
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


def with_tables(text: str) -> str:
    """Return a text whose marked parts hold the current tables."""
    for name, table in (("results", results_table()), ("cost", cost_table())):
        text = re.sub(
            rf"(<!-- {name} -->\n).*?(\n<!-- end -->)",
            lambda match, table=table: match[1] + table + match[2],
            text,
            flags=re.DOTALL,
        )
    return text


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(with_tables(readme.read_text("utf-8")), encoding="utf-8")
