"""Charts of what benchmarks/results holds, for the report: French, and legible in grey.

Every function returns its figure and shows nothing.
"""

import math

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from clip_lib.evaluation.evaluate import DIRECTIONS, LEVELS
from clip_lib.evaluation.metrics import RECALLS
from clip_lib.evaluation.results import summary
from clip_lib.handin.report_tables import ABLATION

TITLES = {"image_to_text": "image → texte", "text_to_image": "texte → image"}
_BARS = (
    {"color": "0.35"},
    {"color": "0.75"},
    {"color": "white", "hatch": "/////"},
)
_LEVELS = {"chance": ("hasard", ":"), "label_oracle": ("oracle d'étiquette", "--")}


def recall_bars(columns: dict[str, list[dict]]) -> Figure:
    """Draw the recalls of several recipes, chance and oracle across their bars.

    Args:
        columns: Name -> runs, all on galleries of one size, three names at most.
    """
    figure, panels = plt.subplots(
        1, 2, figsize=(6.3, 2.2), sharey=True, layout="constrained"
    )
    summaries = {name: summary(runs) for name, runs in columns.items()}
    baselines = next(iter(summaries.values()))
    width = 0.78 / len(columns)
    for axes, direction in zip(panels, DIRECTIONS, strict=True):
        rows = [(direction, f"recall@{k}") for k in RECALLS]
        places = np.arange(len(rows))
        for number, (name, table) in enumerate(summaries.items()):
            axes.bar(
                places - 0.39 + (number + 0.5) * width,
                table.loc[rows, "mean"],
                width,
                yerr=table.loc[rows, "deviation"],
                edgecolor="black",
                linewidth=0.6,
                error_kw={"linewidth": 0.8, "capsize": 2},
                label=name,
                **_BARS[number],
            )
        for level in LEVELS:
            name, line = _LEVELS[level]
            axes.hlines(
                baselines.loc[rows, level],
                places - 0.46,
                places + 0.46,
                color="black",
                linestyles=line,
                linewidth=1.4,
                label=name,
            )
        axes.set_xticks(places, [f"R@{k}" for k in RECALLS])
        axes.set_title(TITLES[direction])
        axes.grid(axis="y", alpha=0.3)
        axes.set_axisbelow(True)
    panels[0].set_ylabel("rappel")
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=5, frameon=False)
    return figure


def ablation_points(runs: list[dict]) -> Figure:
    """Draw R@10 of each variant of the recipe, with its 95 % interval.

    Args:
        runs: Of benchmarks/results/ablation.json; of several, the mean is drawn.
    """
    names = list(runs[0]["variants"])
    figure, axes = plt.subplots(
        figsize=(6.3, 0.195 * len(names) + 0.75), layout="constrained"
    )
    for shift, marker, direction in zip((-0.16, 0.16), "os", DIRECTIONS, strict=True):
        triples = []
        for name in names:
            reports = [run["variants"][name]["clip"][direction] for run in runs]
            triples.append(
                np.mean(
                    [[r["recall@10"], *r["interval"]["recall@10"]] for r in reports],
                    axis=0,
                )
            )
        middle, low, high = np.transpose(triples)
        axes.errorbar(
            middle,
            np.arange(len(names)) + shift,
            xerr=[middle - low, high - middle],
            fmt=marker,
            markersize=4,
            linewidth=0.8,
            color="black",
            markerfacecolor="black" if marker == "o" else "white",
            label=TITLES[direction],
        )
        if names[0] == "the recipe":
            line = "-" if marker == "o" else "--"
            axes.axvline(middle[0], color="0.6", linewidth=0.8, linestyle=line)
    axes.set_yticks(range(len(names)), [ABLATION.get(name, name) for name in names])
    axes.invert_yaxis()
    axes.set_xlabel("R@10 en validation")
    axes.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside lower right", ncols=2, frameon=False)
    return figure


def loss_curves(runs: list[dict], batch_size: int) -> Figure:
    """Draw the losses of several trainings: a thin line each, their mean in bold.

    Args:
        runs: Each with its ``history``: name -> a number an epoch.
        batch_size: Pairs a batch: a loss of ln(batch_size) tells nothing apart.
    """
    figure, axes = plt.subplots(figsize=(4.6, 2.2), layout="constrained")
    for name, title, line in (
        ("loss", "entraînement", "-"),
        ("val_loss", "validation", "--"),
    ):
        histories = [run["history"][name] for run in runs]
        for history in histories:
            epochs = np.arange(1, len(history) + 1)
            axes.plot(epochs, history, "0.7", linewidth=0.6, linestyle=line)
        common = min(map(len, histories))
        mean = np.mean([history[:common] for history in histories], axis=0)
        axes.plot(range(1, common + 1), mean, "k", linestyle=line, label=title)
    chance = f"{math.log(batch_size):.2f}".replace(".", ",")
    axes.axhline(
        math.log(batch_size),
        color="black",
        linestyle=":",
        label=f"hasard : ln {batch_size} = {chance}",
    )
    axes.set(xlabel="époque", ylabel="perte contrastive")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure
