"""Execute the notebook from top to bottom, showing progress cell by cell."""

import hashlib
import json
import os
import re
import sys
from pathlib import Path

import nbclient
import nbformat
from jupyter_client.kernelspec import NoSuchKernel

from clip_lib.data.captions_table import own_files
from clip_lib.errors import ClipError
from clip_lib.handin.document_text import read_notebook

NOTEBOOK = "1_ProjetClip.ipynb"
RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
"""As in evaluation/results.py, which would load TensorFlow here."""


def library_files() -> list[Path]:
    """Return the files that the notebook's outputs depend on: code and measurements."""
    library = Path(__file__).parents[1]
    code = [*own_files(library, "**/*.py"), *own_files(library, "**/*.toml")]
    measured = [
        RESULTS / f"pipeline_{name}.json" for name in ("folds", "tuned", "untouched")
    ]
    return [*code, *measured]


def library_mark() -> str:
    """Return a fingerprint of the library as it is; a run of the notebook stores it."""
    texts = {
        # Windows may have changed the line ends, which this reads as one.
        f"{path.parent.name}/{path.name}": path.read_text(encoding="utf-8")
        for path in library_files()
    }
    return hashlib.sha256(json.dumps(texts, sort_keys=True).encode()).hexdigest()[:16]


class _LiveClient(nbclient.NotebookClient):
    """A client that repeats on the terminal what the cells print as they run."""

    def process_message(self, msg, cell, cell_index):
        if msg["msg_type"] == "stream":
            sys.stdout.write(msg["content"]["text"])
            sys.stdout.flush()
        return super().process_message(msg, cell, cell_index)


def execute_notebook(source=NOTEBOOK, output=None) -> Path:
    """Execute a notebook and save it with its outputs.

    Args:
        source: The notebook; it runs in its own folder.
        output: Where to save, without the exercises; by default in place, with them.
            Written once every cell has run.

    Returns:
        The path written.

    Raises:
        ClipError: If there is no such notebook, or a cell fails (place and error
            named). What had run is kept beside the output, as ``.partial.ipynb``.
    """
    source, output = Path(source), Path(output or source)
    notebook = read_notebook(source, exercises=output.resolve() == source.resolve())
    places = _clear(notebook)
    notebook.metadata["clip_lib"] = library_mark()
    place = "cell 1"

    def before(cell, cell_index):
        nonlocal place
        place = places[cell_index]
        print(f"\n[{place}]", flush=True)

    client = _LiveClient(
        notebook,
        timeout=None,
        kernel_name="python3",  # This very environment, whatever an editor noted.
        coalesce_streams=True,
        resources={"metadata": {"path": str(source.parent.resolve())}},
        on_cell_execute=before,
        # It would warn of the socket on which it talks to this very process.
        extra_arguments=["--log-level=ERROR"],
    )
    partial = output.with_suffix(".partial.ipynb")
    partial.parent.mkdir(parents=True, exist_ok=True)
    try:
        client.execute()
    except nbclient.exceptions.CellExecutionError as error:
        raise ClipError(
            f"{source}, {place}: {error.ename}: {error.evalue}\n"
            f"What had run is in {partial}."
        ) from error
    except (nbclient.exceptions.DeadKernelError, NoSuchKernel) as error:
        raise ClipError(
            f"{source}: its Python process could not start or was ended by the system, "
            f"for want of memory perhaps ({error})."
        ) from error
    finally:
        nbformat.write(notebook, partial)
    os.replace(partial, output)
    return output


def _clear(notebook) -> dict[int, str]:
    """Empty the code cells; return index of each -> its number and heading."""
    places, heading = {}, ""
    count = sum(cell.cell_type == "code" for cell in notebook.cells)
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            places[index] = f"cell {len(places) + 1}/{count} ({heading})"
        elif titles := re.findall(r"(?m)^#+ *(.*)", cell.source):
            heading = titles[-1]
    return places
