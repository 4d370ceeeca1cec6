"""Execute the notebook top to bottom, showing progress cell by cell."""

import os
import sys
import time
from pathlib import Path

import nbclient
import nbformat

NOTEBOOK = "1_ProjetClip.ipynb"


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
        output: Where to save; by default in place. Written when every cell has run.

    Returns:
        The path written.

    Raises:
        ValueError: If there is no such notebook, or a cell fails (place and error
            named). What had run is kept beside the output, as ``.partial.ipynb``.
    """
    source, output = Path(source), Path(output or source)
    if not source.is_file():
        raise ValueError(f"{source}: no such notebook.")
    notebook = nbformat.read(source, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    numbers = {
        index: number
        for number, index in enumerate(
            (i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code"), 1
        )
    }
    heading, started = "", time.monotonic()

    def before(cell, cell_index):
        nonlocal heading, started
        started = time.monotonic()
        above = notebook.cells[:cell_index]
        titles = [
            line.lstrip("# ")
            for other in above
            if other.cell_type == "markdown"
            for line in other.source.splitlines()
            if line.startswith("#")
        ]
        heading = titles[-1] if titles else ""
        print(f"\n[cell {numbers[cell_index]}/{len(numbers)}] {heading}", flush=True)

    def after(cell, cell_index, execute_reply):
        print(f"    {time.monotonic() - started:.1f} s", flush=True)

    client = _LiveClient(
        notebook,
        timeout=None,
        coalesce_streams=True,
        resources={"metadata": {"path": str(source.parent.resolve())}},
        on_cell_start=None,
        on_cell_execute=before,
        on_cell_executed=after,
    )
    partial = output.with_suffix(".partial.ipynb")
    partial.parent.mkdir(parents=True, exist_ok=True)
    try:
        client.execute()
    except nbclient.exceptions.CellExecutionError as error:
        raise ValueError(
            f"{source}: a cell under {heading!r} failed, {error.ename}: {error.evalue}"
            f"\nWhat had run is in {partial}."
        ) from error
    finally:
        nbformat.write(notebook, partial)
    os.replace(partial, output)
    return output
