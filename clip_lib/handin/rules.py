"""Check what the course demands of a hand-in.

A rule is a name and a function that yields its faults, a sentence each with its remedy;
`RULES`, at the end, lists them all.
"""

import dataclasses
import re
import zipfile
from pathlib import Path

import pandas as pd

from clip_lib.errors import ClipError
from clip_lib.handin import document_text as reading
from clip_lib.handin.notebook import NOTEBOOK, library_files, library_mark
from clip_lib.handin.team import CARD, has_number, is_filled, unfilled

MEGABYTES = 50
"""Largest archive: many Moodle servers accept no more."""
_REMEDY = {
    "report": "run `python -m clip_lib report`, or compile it again",
    "notebook": "run `python -m clip_lib run`",
    "notebook's PDF": "run `python -m clip_lib pdf`",
}


@dataclasses.dataclass
class HandIn:
    """What a team hands in; its files are read at once.

    Attributes:
        group: Number of the group.
        members: Table of `read_team`.
        depositors: Who puts it on Moodle, see `team.depositors`.
        report: PDF of the report.
        notebook: The executed notebook.
        notebook_pdf: The same as PDF.
        root: The project's folder: the notebook that was executed, and the library.
        archive: The zip of all this, None before it is made.
        contents: Name of each file that can be read -> its content.
        unreadable: Name of each other file -> why not.
        texts: Name of each file that can be read -> its text.
    """

    group: str
    members: pd.DataFrame
    depositors: list[str]
    report: Path
    notebook: Path
    notebook_pdf: Path
    root: Path
    archive: Path | None = None

    def __post_init__(self):
        self.contents, self.unreadable = {}, {}
        for name, path, read in (
            ("report", self.report, reading.read_pdf),
            ("notebook", self.notebook, reading.read_notebook),
            ("notebook's PDF", self.notebook_pdf, reading.read_pdf),
        ):
            try:
                self.contents[name] = read(path)
            except ClipError as error:
                self.unreadable[name] = error
        self.texts = {
            name: found.text
            if isinstance(found, reading.Paper)
            else reading.notebook_text(found.cells)
            for name, found in self.contents.items()
        }

    @property
    def names(self) -> dict[str, Path]:
        """The files under the names that the course demands."""
        return {
            f"{self.group}.pdf": self.report,
            f"{self.group}_ProjetClip.ipynb": self.notebook,
            f"{self.group}_ProjetClip.pdf": self.notebook_pdf,
        }


def check(hand_in: HandIn) -> dict[str, list[str]]:
    """Return each rule whose files are there, and its faults; none if it is kept."""
    there = {*hand_in.contents, *(["any file"] if hand_in.contents else [])}
    there |= {"archive"} if hand_in.archive else set()
    return {
        name: list(faults(hand_in))
        for name, faults, *needs in RULES
        if there.issuperset(needs)
    }


def remarks(hand_in: HandIn) -> list[str]:
    """Return what breaks no rule, but should be known before handing in."""
    drawn = "the notebook ran on drawn scenes: its metrics do not hold for photographs."
    return [drawn] if "SCÈNES DESSINÉES" in hand_in.texts.get("notebook", "") else []


def _team(hand_in):
    for place in unfilled(hand_in.group, hand_in.members):
        yield f"{place}; write it into equipe.toml."
    cards = hand_in.members[CARD]
    for card in cards[cards.duplicated()].unique():
        if is_filled(CARD, card):
            yield f"two members have student number {card}: correct equipe.toml."
    if len(hand_in.depositors) != 1:
        who = ", ".join(hand_in.depositors) or "nobody"
        yield (
            f"who puts it on Moodle? {who}: exactly one member must have "
            "`depose = true` in equipe.toml."
        )


def _there(hand_in):
    for name, error in hand_in.unreadable.items():
        yield f"{error} {_REMEDY[name].capitalize()}."


def _members(hand_in):
    for name, text in hand_in.texts.items():
        for _, member in hand_in.members.iterrows():
            values = [item[1] for item in member.items() if is_filled(*item)]
            if lost := reading.absent(text, values):
                yield f"the {name} lacks {', '.join(lost)}: {_REMEDY[name]}."


def _group(hand_in):
    for name, text in hand_in.texts.items():
        found = re.findall(r"\bgroupe\s*(?:n\s*[°º]\s*)?(\d+)", text, re.IGNORECASE)
        if has_number(hand_in.group) and found and hand_in.group not in found:
            yield f"the {name} is of group {found[0]}: {_REMEDY[name]}."


def _pages(hand_in):
    return hand_in.contents["report"].too_long()


def _ran(hand_in):
    for fault in reading.execution_faults(hand_in.contents["notebook"]):
        yield f"{fault}: {_REMEDY['notebook']}, or Restart and Run All."


def _today(hand_in):
    source = hand_in.root / NOTEBOOK
    if source.is_file() and not reading.same_cells(hand_in.notebook, source):
        yield f"{source.name} has changed since: {_REMEDY['notebook']}."
    mark = hand_in.contents["notebook"].metadata.get("clip_lib")
    # A run in Jupyter leaves no mark: then the files' times must tell.
    newest = max(path.stat().st_mtime for path in library_files())
    older = hand_in.notebook.stat().st_mtime < newest
    if mark != library_mark() if mark else older:
        yield f"clip_lib has changed since: {_REMEDY['notebook']}."


def _same_run(hand_in):
    notebook, paper = map(hand_in.contents.get, ("notebook", "notebook's PDF"))
    if reading.run_mark(notebook) not in paper.keywords:
        remedy = _REMEDY["notebook's PDF"]
        yield f"{hand_in.notebook_pdf} is of another run: {remedy}."


def _portable(hand_in):
    with zipfile.ZipFile(hand_in.archive) as archive:
        for name in archive.namelist():
            if not re.fullmatch(r"[\w./ -]+", name, re.ASCII):
                yield f"{name}: some systems change this name; use plain letters."


def _size(hand_in):
    size = hand_in.archive.stat().st_size / 1e6
    if size > MEGABYTES:
        yield f"{size:.1f} MB: lighten the figures of the report or of the notebook."


RULES = (
    ("the team is filled in", _team),
    ("report, notebook and its PDF are there", _there),
    (
        "each file names every member: surname, first name, student number",
        _members,
        "any file",
    ),
    ("no file names another group", _group, "any file"),
    (
        f"the report has at most {reading.MOST_PAGES['body']} pages, and "
        f"{reading.MOST_PAGES['appendix']} of appendices",
        _pages,
        "report",
    ),
    ("the notebook ran from top to bottom", _ran, "notebook"),
    ("it is today's notebook, and today's library", _today, "notebook"),
    ("the PDF shows this very run", _same_run, "notebook", "notebook's PDF"),
    ("each name is in plain letters", _portable, "archive"),
    (f"at most {MEGABYTES} MB", _size, "archive"),
)
"""Name, function, and the files without which the rule is left out: that these are
missing breaks a rule of its own."""
