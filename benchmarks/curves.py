"""Draw what README shows of the measured figures.

python benchmarks/curves.py
"""

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

sys.path.insert(0, str(Path(__file__).parents[1]))

from clip_lib import silence_tensorflow as quiet  # noqa: F401
from clip_lib.atomic import replacing
from clip_lib.evaluation.results import read_result

FIGURES = Path(__file__).parents[1] / "report" / "figures"
WAYS = {"image_to_text": "image → text", "text_to_image": "text → image"}


def pretraining_curve(result: dict):
    """Draw recall@10 on validation against the pictures of the pretraining."""
    figure, axes = plt.subplots(figsize=(5.2, 3.4), layout="constrained")
    runs = result["runs"]
    pictures = [run["pictures"] for run in runs]
    for way, title in WAYS.items():
        recalls = [run["validation"][way]["recall@10"] for run in runs]
        axes.plot(pictures, recalls, "o-", label=title)
    chance = runs[0]["validation"]["chance"]["image_to_text"]["recall@10"]
    axes.axhline(chance, color="grey", linestyle=":", label="chance")
    axes.set_xscale("log")
    axes.set_xticks(pictures, [f"{count:,}" for count in pictures])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_xlabel("pictures of the pretraining, five captions each")
    axes.set_ylabel(f"recall@10 among {runs[0]['validation']['images']} pictures")
    axes.legend(frameon=False)
    return figure


def growth_curves(result: dict):
    """Draw seconds and memory against the pictures of a training, on log-log axes."""
    runs = [run for run in result["runs"] if run["axis"] == "pictures"]
    runs.sort(key=lambda run: run["pictures"])
    pictures = [run["pictures"] for run in runs]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for name in ("features, once", "first epoch", "later epochs", "reading, later"):
        title = name.replace("reading, later", "reading the pictures alone")
        left.loglog(pictures, [run["seconds"][name] for run in runs], "o-", label=title)
    left.set_ylabel("seconds")
    peak = [run["gigabytes"]["peak"] for run in runs]
    right.loglog(pictures, peak, "o-", label="most memory held")
    width = [run["features_gigabytes"] for run in runs]
    right.loglog(pictures, width, "o:", label="file of features, on disk")
    right.set_ylabel("gigabytes")
    for axes in (left, right):
        axes.set_xticks(pictures, [f"{count:,}" for count in pictures])
        axes.minorticks_off()
        axes.set_xlabel("training pictures")
        axes.grid(alpha=0.3)
    left.set_ylim(top=30 * left.get_ylim()[1])  # Room for the legend.
    left.legend(frameon=False, loc="upper left")
    right.legend(frameon=False, loc="lower right")
    return figure


def main() -> None:
    """Write report/figures/pretraining.png and growth.png."""
    for name, draw in (("pretraining", pretraining_curve), ("growth", growth_curves)):
        path = FIGURES / f"{name}.png"
        with replacing(path) as temporary:
            draw(read_result(name)).savefig(temporary, dpi=110)
        print(path)


if __name__ == "__main__":
    main()
