"""Write into the report's PDF what it was made of, to recognise a stale one.

LaTeX prints the stamp among the PDF's keywords: a report compiled elsewhere, from the
same generated files, carries the same one.
"""

import hashlib
import re
from pathlib import Path

from clip_lib.atomic import replacing
from clip_lib.data.captions_table import own_files
from clip_lib.errors import ClipError
from clip_lib.handin.document_text import read_notebook, run_mark
from clip_lib.handin.notebook import RESULTS

GENERATED = "generated"
"""Folder of the report with what is made of the measurements, the stamp included."""
NUMBERS = ("pipeline_[ftu]*", "handed_out_folds", "ablation", "pretraining", "cleaning")
"""The results that the report reads, see report_numbers.py."""
PARTS = {
    "text": "the report's text",
    "numbers": "benchmarks/results",
    "model": "the saved model",
    "run": "the notebook",
}
"""What a report is made of; see `current`."""


def current(folder, models, notebook) -> dict[str, str]:
    """Return the stamp that a report made now would carry.

    Args:
        folder: Folder of the report's text.
        models: Folder of the run's models.
        notebook: The executed notebook.

    Returns:
        A digest for each of `PARTS` whose files are here.
    """
    folder, models = Path(folder), Path(models)
    texts = [
        path
        for path in own_files(folder, "**/*.*")
        if path.suffix in (".tex", ".sty", ".cls", ".bib")
        and GENERATED not in path.relative_to(folder).parts
    ]
    read = [path for name in NUMBERS for path in RESULTS.glob(f"{name}.json")]
    saved = ("config.json", "myclip_with_*.keras", "*_index.npz")
    found = {
        "text": _digest(texts),
        "numbers": _digest(read),
        "model": _digest(path for name in saved for path in models.glob(name)),
    }
    try:
        found["run"] = run_mark(read_notebook(notebook)).split()[1]
    except ClipError:
        found["run"] = ""
    return {part: digest for part, digest in found.items() if digest}


def write_stamp(folder, stamp: dict[str, str], faults: int) -> None:
    """Write what resultats.sty prints, into the generated files.

    Args:
        folder: Folder of the report's text.
        stamp: What `current` returned.
        faults: Number of places where the text and the numbers disagree.
    """
    words = " ".join(f"{part}-{digest}" for part, digest in stamp.items())
    with replacing(Path(folder, GENERATED, "stamp.tex")) as temporary:
        text = f"\\newcommand{{\\empreinte}}{{{words} faults-{faults}}}\n"
        temporary.write_text(text, encoding="utf-8")


def read_stamp(keywords: str) -> dict[str, str]:
    """Return the stamp among a PDF's keywords: its parts and ``faults``, if any."""
    return dict(re.findall(rf"\b({'|'.join(PARTS)}|faults)-(\w+)", keywords))


def _digest(paths) -> str:
    """Return a digest of files, whatever their line ends; empty if there is none."""
    digest, paths = hashlib.sha256(), sorted(paths)
    for path in paths:
        digest.update(path.name.encode() + b"\0")
        digest.update(path.read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()[:16] if paths else ""
