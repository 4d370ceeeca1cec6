"""What the course demands of the files handed in, a rule at a time."""

import dataclasses
import re
from pathlib import Path

import nbformat
import pandas as pd
from pypdf import PdfReader

from clip_lib.handin.printable import run_mark, same_cells
from clip_lib.handin.reading import read_text, squeeze
from clip_lib.handin.typeset import MOST
from clip_lib.notebook import NOTEBOOK, library_files, library_mark

_TRAIN = "run `make run`"


@dataclasses.dataclass(frozen=True)
class Rule:
    """One demand, and what is wrong with it.

    Attributes:
        name: What is demanded.
        faults: What is wrong and how to mend it, a sentence each; none if it is kept.
    """

    name: str
    faults: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n      ".join([self.name, *self.faults])


@dataclasses.dataclass(frozen=True)
class HandIn:
    """What a team hands in.

    Attributes:
        group: Number of the group.
        members: Table of `read_team`.
        depositors: Who puts it on Moodle, see `team.depositors`.
        report: PDF of the report.
        notebook: The executed notebook.
        notebook_pdf: The same as PDF.
        source: The notebook that was executed.
    """

    group: str
    members: pd.DataFrame
    depositors: list[str]
    report: Path
    notebook: Path
    notebook_pdf: Path
    source: Path = Path(NOTEBOOK)

    @property
    def names(self) -> dict[str, Path]:
        """The files under the names that the course demands."""
        return {
            f"{self.group}.pdf": self.report,
            f"{self.group}_ProjetClip.ipynb": self.notebook,
            f"{self.group}_ProjetClip.pdf": self.notebook_pdf,
        }


def check_files(hand_in: HandIn) -> list[Rule]:
    """Check the identity and the three files.

    Returns:
        A rule each, kept or not: what cannot be checked, for want of a file, is left to
        the rule that names the file.
    """
    texts, missing = {}, []
    for name, path, mend in (
        ("report", hand_in.report, "run `python -m clip_lib report`"),
        ("notebook", hand_in.notebook, _TRAIN),
        ("notebook's PDF", hand_in.notebook_pdf, "run `python -m clip_lib pdf`"),
    ):
        try:
            texts[name] = path, read_text(path)
        except ValueError as error:
            missing.append(f"{error} {mend.capitalize()}.")
    rules = [
        Rule("the team is filled in", tuple(_identity(hand_in))),
        Rule("report, notebook and its PDF are there", tuple(missing)),
        Rule(
            "each file names every member: surname, first name, student number",
            tuple(
                fault
                for name, (path, text) in texts.items()
                for fault in _members(name, path, text, hand_in.members)
            ),
        ),
    ]
    if "report" in texts:
        body, appendix = MOST["body"], MOST["appendix"]
        rule = f"the report has at most {body} pages, and {appendix} of appendices"
        rules.append(Rule(rule, tuple(_pages(hand_in.report))))
    if "notebook" in texts:
        rules += [
            Rule("the notebook ran from top to bottom", tuple(_ran(hand_in.notebook))),
            Rule(
                "it is the notebook, and the library, of today",
                tuple(_today(hand_in.notebook, hand_in.source)),
            ),
        ]
    if "notebook" in texts and "notebook's PDF" in texts:
        faults = _same_run(hand_in.notebook, hand_in.notebook_pdf)
        rules.append(Rule("the PDF shows this very run", tuple(faults)))
    return rules


def _identity(hand_in: HandIn) -> list[str]:
    mend = "write it into equipe.toml."
    faults = []
    if not re.fullmatch(r"[0-9]+", hand_in.group):
        faults.append(f"group {hand_in.group!r}: expected its number; {mend}")
    for number, member in hand_in.members.iterrows():
        for name, value in member.items():
            if not value.strip() or re.search("[<>]", value):
                faults.append(f"member {number}, {name}: {value!r}; {mend}")
    cards = hand_in.members["Numéro d'étudiant"]
    for card in cards[cards.duplicated()].unique():
        faults.append(f"student number {card}: of two members; {mend}")
    if len(hand_in.depositors) != 1:
        faults.append(
            f"{len(hand_in.depositors)} members hand it in: expected `depose = true` "
            "for one of them in equipe.toml."
        )
    return faults


def _members(name: str, path: Path, text: str, members: pd.DataFrame) -> list[str]:
    seen, faults = squeeze(text), []
    for _, member in members.iterrows():
        lost = [value for value in member if squeeze(value) not in seen]
        if lost:
            faults.append(
                f"the {name} ({path}) lacks {', '.join(lost)}: make it again with "
                "today's equipe.toml."
            )
    return faults


def _pages(report: Path) -> list[str]:
    """Count pages; appendices begin where a bookmark called Annexe points to."""
    reader = PdfReader(report)
    every = len(reader.pages)
    starts = [
        reader.get_destination_page_number(mark)
        for mark in _marks(reader.outline)
        if mark.title.casefold().startswith("annexe")
    ]
    body = min(starts, default=every)
    return [
        f"{pages} pages of {kind}: shorten it by {pages - MOST[kind]}."
        for kind, pages in (("body", body), ("appendix", every - body))
        if pages > MOST[kind]
    ]


def _marks(outline):
    for mark in outline:
        if isinstance(mark, list):
            yield from _marks(mark)
        else:
            yield mark


def _ran(notebook: Path) -> list[str]:
    cells = nbformat.read(notebook, as_version=4).cells
    cells = [cell for cell in cells if cell.cell_type == "code" and cell.source.strip()]
    failed = [
        f"cell {place} failed ({output.ename}): {_TRAIN}."
        for place, cell in enumerate(cells, 1)
        for output in cell.outputs
        if output.output_type == "error"
    ]
    counts = [cell.execution_count for cell in cells]
    if counts != list(range(1, len(cells) + 1)):
        place = next(n for n, count in enumerate(counts, 1) if count != n)
        failed.append(
            f"cell {place} of {len(cells)} did not run in its turn (its number is "
            f"{counts[place - 1]}): {_TRAIN}, or Restart and Run All."
        )
    return failed


def _today(notebook: Path, source: Path) -> list[str]:
    faults = []
    if source.is_file() and not same_cells(notebook, source):
        faults.append(f"{source} was changed after {notebook} ran: {_TRAIN}.")
    mark = nbformat.read(notebook, as_version=4).metadata.get("clip_lib")
    # Run in Jupyter, it has no mark: then the files' times must tell.
    newest = max(path.stat().st_mtime for path in library_files())
    old = mark != library_mark() if mark else notebook.stat().st_mtime < newest
    if old:
        faults.append(f"clip_lib was changed after {notebook} ran: {_TRAIN}.")
    return faults


def _same_run(notebook: Path, pdf: Path) -> list[str]:
    keywords = (PdfReader(pdf).metadata or {}).get("/Keywords") or ""
    if run_mark(notebook) in keywords:
        return []
    return [f"{pdf} is of another run: run `python -m clip_lib pdf`."]
