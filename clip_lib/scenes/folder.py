"""Write the drawn scenes as a data folder, in the layout of the photo archive."""

import csv
import json
import os
import tempfile
from pathlib import Path

from tqdm import tqdm

from clip_lib.errors import ClipError
from clip_lib.scenes.describe import describe_scene
from clip_lib.scenes.drawing import SIDE, draw_scene

VERSION = 1  # Raise it when pictures change: older folders are then not reused.
LABELS = ("dog", "water", "ball", "bike")
MARKER = "drawn_scenes.json"


def draw_scenes(folder: str | Path, per_label: int = 150, seed: int = 42) -> Path:
    """Draw the demonstration data set in the layout of the photo archive.

    Writes ``captions.csv`` (image_path, label, caption), one text file per caption in
    ``captions/`` and the pictures in ``images/<label>/``. A folder already drawn with
    the same arguments is left as it is; a folder appears complete or not at all.

    Args:
        folder: Where the data set goes; missing, empty or an earlier drawing.
        per_label: Scenes of each of the four labels; fewer are a prefix of more.
        seed: Seed of the whole data set.

    Raises:
        ClipError: If the folder holds anything but this same drawing.
    """
    folder = Path(folder)
    recipe = {"version": VERSION, "seed": seed, "per_label": per_label}
    recipe["image_size"] = [SIDE, SIDE]
    if folder.exists() and any(folder.iterdir()):
        marker = folder / MARKER
        if marker.is_file() and json.loads(marker.read_text("utf-8")) == recipe:
            return folder
        raise ClipError(
            f"{folder} is not empty and does not hold these drawn scenes ({recipe}); "
            "name another folder or remove it yourself."
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".scenes-", dir=folder.parent) as draft:
        draft = Path(draft, "scenes")
        _write_scenes(draft, recipe)
        if folder.exists():
            folder.rmdir()  # It is empty, and Windows does not replace folders.
        os.replace(draft, folder)
    return folder


def _write_scenes(folder, recipe):
    numbers = [(label, n + 1) for label in LABELS for n in range(recipe["per_label"])]
    for part in ("captions", *(f"images/{label}" for label in LABELS)):
        (folder / part).mkdir(parents=True)
    with open(folder / "captions.csv", "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image_path", "label", "caption"])
        for label, number in tqdm(numbers, "Drawing scenes", delay=1):
            scene = describe_scene(label, number, recipe["seed"])
            name = f"{label}_{number:03d}"
            path = f"images/{label}/{name}.jpg"
            table.writerow([path, label, scene.caption])
            (folder / "captions" / f"{name}.txt").write_text(scene.caption, "utf-8")
            draw_scene(scene).save(folder / path, quality=90)
    (folder / MARKER).write_text(json.dumps(recipe), "utf-8")
