"""Say in a French sentence what a figure shows, on this very run.

Each function returns a sentence of the numbers behind one figure; `show` puts it below.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown, display
from matplotlib.figure import Figure
from sklearn.metrics import confusion_matrix

from clip_lib.evaluation.embeddings import level_means
from clip_lib.figures.french import french

_WAYS = {"image_to_text": "image → texte", "text_to_image": "texte → image"}


def show(figure: Figure, *remarks: str) -> None:
    """Display a figure, and below it what was seen."""
    display(figure)
    plt.close(figure)  # Jupyter would draw it once more at the end of the cell.
    if remarks:
        display(Markdown(f"*Sur cette exécution.* {' '.join(remarks)}"))


def classifier(history: dict, num_classes: int) -> str:
    """Read the curves of a classifier: the kept epoch, chance, overfitting."""
    accuracy = history["val_accuracy"]
    best = int(np.argmax(accuracy))
    gap = history["accuracy"][best] - accuracy[best]
    side = f"plus {'haute' if gap > 0 else 'basse'} de {french(abs(gap))}"
    side = "la même" if abs(gap) < 0.005 else side
    words = ""
    if gap > 0.1:
        words = " : le modèle apprend aussi par cœur"
    elif gap < -0.1:
        words = " : dropout et augmentation rendent l'exercice plus dur"
    lowest = int(np.argmin(history["val_loss"]))
    return (
        f"Époque gardée : {best + 1} sur {len(accuracy)}, exactitude en validation "
        f"{french(accuracy[best])} (hasard : {french(1 / num_classes)}). "
        f"L'exactitude d'entraînement est {side}{words}. La perte de validation, elle, "
        f"est la plus basse à l'époque {lowest + 1}."
    )


def confusion(labels, predictions, class_names) -> str:
    """Read a confusion matrix: the surest label, the most frequent confusion."""
    counts = confusion_matrix(labels, predictions, labels=range(len(class_names)))
    shares = counts.diagonal() / np.maximum(counts.sum(axis=1), 1)
    best = [class_names[n] for n in np.flatnonzero(shares == shares.max())]
    wrong = counts - np.diag(counts.diagonal())
    real, taken = np.unravel_index(wrong.argmax(), wrong.shape)
    sentence = "L'étiquette la mieux reconnue :" if len(best) == 1 else "En tête :"
    sentence += f" *{'*, *'.join(best)}* ({french(100 * shares.max(), 0)} %)."
    if wrong.any():
        among = "La confusion la plus fréquente"
        if (wrong == wrong.max()).sum() > 1:
            among = "Parmi les confusions les plus fréquentes"
        sentence += (
            f" {among} : *{class_names[real]}* pris pour *{class_names[taken]}*, "
            f"{wrong[real, taken]} fois."
        )
    return sentence


def clip(history: dict, batch_size: int) -> str:
    """Read the curves of CLIP: loss beside ln B, the kept epoch, the temperature."""
    recall, loss = history["val_recall"], history["val_loss"]
    best, lowest = int(np.argmax(recall)), int(np.argmin(loss))
    rises = "remonte" if loss[-1] > loss[lowest] + 0.02 else "ne remonte pas"
    temperature = history["temperature"]
    return (
        f"La perte d'entraînement passe de {french(history['loss'][0])} à "
        f"{french(history['loss'][-1])} (ln {batch_size} = "
        f"{french(np.log(batch_size))}). Celle de validation est la plus basse à "
        f"l'époque {lowest + 1}, puis {rises} ; le rappel est le plus haut à l'époque "
        f"{best + 1}, qui est gardée. La température est de "
        f"{french(temperature[0], 3)} après une époque, de "
        f"{french(temperature[best], 3)} à l'époque gardée."
    )


def similarity(table: pd.DataFrame) -> str:
    """Read a `similarity_table`: more than the labels, or not."""
    means = level_means(table)
    above, label = means["pair"] - means["same label"], means["same label"]
    more = "plus que" if above > 0.05 else "à peine plus que"
    return (
        f"Le cosinus d'une bonne paire dépasse en moyenne de {french(above)} celui des "
        f"autres paires de son étiquette, qui dépasse lui-même de "
        f"{french(label - means['other label'])} celui des paires d'étiquettes "
        f"différentes : le modèle distingue {more} les étiquettes."
    )


def retrieval(report: dict) -> str:
    """Read a report of `evaluate_dataset`: recall@10 beside chance and oracle."""
    parts = []
    for way, name in _WAYS.items():
        found, chance = report[way]["recall@10"], report["chance"][way]["recall@10"]
        part = f"{name} {french(found)}, {french(found / chance, 1)} fois le hasard"
        if "label_oracle" in report:
            oracle = report["label_oracle"][way]["recall@10"]
            place = "au-dessus de" if found > oracle else "au-dessous de"
            part += f", {place} l'oracle ({french(oracle)})"
        parts.append(part)
    return f"Rappel à 10 : {' ; '.join(parts)}."


def beside_oracle(table: pd.DataFrame) -> str:
    """Read a `summary` of several runs: each recall beside that of the label oracle."""
    parts = []
    for way, title in _WAYS.items():
        for metric, name in (("recall@10", "rappel à 10"), ("recall@1", "à 1")):
            row = table.loc[way, metric]
            gap = row["mean"] - row["label_oracle"]
            place = "au-dessus" if gap > 0 else "au-dessous"
            place = "à un écart-type près" if abs(gap) <= row["deviation"] else place
            oracle = french(row["label_oracle"])
            parts.append(f"{name} {french(row['mean'])} (oracle {oracle} : {place})")
        parts[-2:] = [f"{title}, {', '.join(parts[-2:])}"]
    return (
        f"*De zéro, d'un pli à l'autre.* {' ; '.join(parts)}. Ce qui dépasse l'oracle "
        "ne vient pas des étiquettes."
    )


def neighbours(points: pd.DataFrame) -> str:
    """Read a `tsne_table`: whether pictures and captions mix."""
    places = points[["x", "y"]].to_numpy()
    apart = np.linalg.norm(places[:, None] - places, axis=2)
    np.fill_diagonal(apart, np.inf)
    nearest, kinds = apart.argmin(axis=1), points.index.to_numpy()
    labels = points["label"].to_numpy()
    same_kind = np.mean(kinds == kinds[nearest])
    same_label = np.mean(labels == labels[nearest])
    clouds = "deux nuages" if same_kind > 0.8 else "un seul nuage, ou presque"
    return (
        f"Le voisin le plus proche est de la même étiquette dans "
        f"{french(100 * same_label, 0)} % des cas, de la même modalité dans "
        f"{french(100 * same_kind, 0)} % : {clouds}."
    )
