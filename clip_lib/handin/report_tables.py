"""Tables of the report, in LaTeX and French, made of what benchmarks/results holds."""

import numpy as np

from clip_lib.evaluation.evaluate import DIRECTIONS
from clip_lib.evaluation.results import read_result, read_runs, spread, summary
from clip_lib.figures.tables import summary_table
from clip_lib.handin.latex import decimal_commas, escape, number, tabular

COLUMNS = {
    "pipeline_folds": "une légende",
    "pipeline_five": "cinq légendes",
    "handed_out_folds": "recette du cours",
}
ABLATION = {
    "the recipe": "la recette",
    "without targets shared by label": "sans cibles partagées par étiquette",
    "without label smoothing": "sans lissage des cibles",
    "without word dropout": "sans mots cachés",
    "without dropout of the features": "sans mesures cachées",
    "temperature from 0.07": "température partant de 0,07",
    "image encoder not locked": "encodeur d'images non verrouillé",
    "batches of 42": "lots de 42",
    "classifiers as they start, not trained": "classifieurs de départ, non entraînés",
    "convolution as it starts": "convolution de départ",
    "convolution at random": "convolution au hasard",
    "word vectors at random": "vecteurs de mots au hasard",
}
"""Variants of benchmarks/ablation.py, as tables and charts call them."""
CLEANING = {
    "near-duplicates": "quasi-doublons, par empreinte",
    "near-duplicates, embedding alone": "les mêmes, par cosinus seul",
    "off-topic pairs": "légendes échangées, mots et CLIP",
    "off-topic pairs, words alone": "les mêmes, mots seuls",
    "off-topic pairs, CLIP alone": "les mêmes, CLIP seul",
    "label outliers, words alone": "étiquettes fausses, mots",
}
COSTS = {
    "photos": "photographies",
    "scenes": "scènes dessinées",
    "quick": "scènes dessinées, essai rapide",
}


def _measured(values) -> str:
    mean, deviation = spread(values)
    beside = "" if np.isnan(deviation) else f" ± {deviation:.2f}"
    return decimal_commas(f"{mean:.2f}{beside}")


def results_tabular() -> str:
    """Our recipe, with one caption and with five, beside the course's and baselines."""
    shown = {name: summary_table(summary(read_runs(name))) for name in COLUMNS}
    first = shown["pipeline_folds"]
    rows, subject = [], None
    for row in first.index:
        rows += [None] if subject not in (None, row[0]) else []
        cells = [
            table.loc[row, "mesuré"] if row in table.index else ""
            for table in shown.values()
        ]
        cells += [first.loc[row, level] for level in ("hasard", "oracle")]
        title = row[0] if row[0] != subject else ""
        rows.append([decimal_commas(cell) for cell in (title, row[1], *cells)])
        subject = row[0]
    header = ["", "", *COLUMNS.values(), "hasard", "oracle"]
    return tabular("llrrrrr", header, rows)


def untouched_tabular() -> str:
    """The single test on pictures that chose nothing, with its 95 % intervals."""
    (run,) = read_runs("pipeline_untouched")
    shown = summary_table(summary([run]))
    rows, subject = [], None
    keys = summary([run]).index
    for row, (direction, figure) in zip(shown.index, keys, strict=True):
        if direction not in DIRECTIONS:
            continue
        rows += [None] if subject not in (None, row[0]) else []
        low, high = run["clip"][direction]["interval"][figure]
        measured, chance, oracle = shown.loc[row, ["mesuré", "hasard", "oracle"]]
        interval = f"[{low:.2f} ; {high:.2f}]"
        title = row[0] if row[0] != subject else ""
        cells = (title, row[1], measured, interval, chance, oracle)
        rows.append([decimal_commas(cell) for cell in cells])
        subject = row[0]
    level = r"intervalle à 95~\%"
    return tabular("llrrrr", ["", "", "mesuré", level, "hasard", "oracle"], rows)


def ablation_tabular() -> str:
    """Each piece of the recipe taken away: recalls, label precision, seconds."""
    runs = read_result("ablation")["runs"]
    rows = []
    for name in runs[0]["variants"]:
        variants = [run["variants"][name] for run in runs]
        reports = [variant["clip"] for variant in variants]
        precisions = [
            np.mean([report[way]["label_precision@5"] for way in DIRECTIONS])
            for report in reports
        ]
        recalls = [
            _measured([report[way]["recall@10"] for report in reports])
            for way in DIRECTIONS
        ]
        seconds = np.mean([variant["seconds"] for variant in variants])
        title = escape(ABLATION.get(name, name))
        rows.append([title, *recalls, _measured(precisions), number(seconds, 0)])
        rows += [None] if name == "the recipe" else []
    header = [
        "",
        r"\shortstack[r]{R@10\\image $\rightarrow$ texte}",
        r"\shortstack[r]{R@10\\texte $\rightarrow$ image}",
        r"\shortstack[r]{P@5 étiquette\\(moyenne)}",
        "secondes",
    ]
    return tabular("lrrrr", header, rows)


def accuracy_tabular() -> str:
    """The same for the two classifiers: their best accuracy on validation."""
    runs = read_result("ablation")["runs"]
    rows = []
    for name in runs[0]["best_accuracy"]:
        model, _, change = name.partition(", ")
        title = ", ".join([model, *([ABLATION.get(change, change)] if change else [])])
        values = [run["best_accuracy"][name] for run in runs]
        rows.append([escape(title), _measured(values)])
    return tabular("lr", ["", "exactitude"], rows)


def cleaning_tabular() -> str:
    """The detectors of the cleaning, on planted faults."""
    result = read_result("cleaning")["summary"]
    rows = []
    for name, title in CLEANING.items():
        row = result[name]
        mean, deviation = (row[f"average_precision {kind}"] for kind in ("mean", "std"))
        measured = decimal_commas(f"{mean:.2f} ± {deviation:.2f}")
        rows.append([escape(title), measured, number(row["chance"])])
    return tabular("lrr", ["détecteur", "précision moyenne", "hasard"], rows)


def cost_tabular() -> str:
    """What a run of the whole notebook costs."""
    costs = read_result("cost")
    rows = [
        [title, number(costs[name]["minutes"], 1), gigabytes]
        for name, title in COSTS.items()
        for gigabytes in [number(costs[name]["peak_gigabytes"], 1)]
    ]
    return tabular("lrr", ["notebook entier", "minutes", "mémoire (Go)"], rows)


def means_tabular() -> str:
    """Three ways to sum up a sentence of three tokens, padded to two lengths."""
    tokens = np.array([[1.0, 0.0], [0.0, 1.0], [2.0, 2.0]])
    padding = np.array([9.0, -9.0])
    rows = []
    for length in (5, 10):
        sentence = np.vstack([tokens, np.tile(padding, (length - len(tokens), 1))])
        real = np.arange(length) < len(tokens)
        ways = sentence[0], sentence.mean(axis=0), sentence[real].mean(axis=0)
        cells = [f"({first:.1f} ; {second:.1f})" for first, second in ways]
        rows.append([f"remplie à {length}", *map(decimal_commas, cells)])
    header = ["phrase de trois tokens", "premier token", "moyenne simple"]
    return tabular("lrrr", [*header, "moyenne masquée"], rows)


TABLES = {
    "results": results_tabular,
    "untouched": untouched_tabular,
    "ablation": ablation_tabular,
    "accuracy": accuracy_tabular,
    "cleaning": cleaning_tabular,
    "cost": cost_tabular,
    "means": means_tabular,
}
