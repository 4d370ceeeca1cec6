"""Check what the course demands of a hand-in.

A rule is a function that yields its faults, a sentence each with its remedy; `RULES`
lists them all, in the order in which they are shown.
"""

import dataclasses
import os
import re
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from clip_lib.config import PRESETS
from clip_lib.errors import ClipError
from clip_lib.handin import document_text as reading
from clip_lib.handin import own_words, stamp
from clip_lib.handin.notebook import NOTEBOOK, library_files, library_mark
from clip_lib.handin.page_layout import layout_faults
from clip_lib.handin.team import has_number, is_filled, team_faults

MEGABYTES = 50
"""Largest archive: many Moodle servers accept no more."""
TEMPLATE = Path("report", "template", "preambule.tex")
"""Where report/rapport.tex looks for the course's template."""
_GROUP = r"\b(?:groupe|[ée]quipe)[ \t\xa0:]{,3}"
_GROUP += r"(?:n(?:um[ée]ro|[o°º.])?[ \t\xa0:]{,3})?(\d+)\b"
_LEFT = r"\bTODO\b|\bFIXME\b|(?i:\b[àa] (?:r[ée][ée]crire|compl[ée]ter)\b)|\bVOTRE-\w+"
_LEFT += r"|[Ll]orem ipsum"
_LEFT_OF_LATEX = _LEFT + r"|\?\?|\[\?\]"


@dataclasses.dataclass
class HandIn:
    """What a team hands in; its files are read at once.

    Attributes:
        group: Number of the group.
        members: Table of `read_team`.
        report: PDF of the report.
        notebook: The executed notebook.
        notebook_pdf: The same as PDF.
        root: The project's folder: the notebook that was executed, the report's text.
        models: Folder of the run's models.
        archive: The zip of all this, None before it is made.
        left_out: Names of the library's files that are not in it: git knows none.
        contents: Name of each file that can be read -> its content.
        unreadable: Name of each other file -> why not.
        texts: Name of each file that can be read -> its text.
    """

    group: str
    members: pd.DataFrame
    report: Path
    notebook: Path
    notebook_pdf: Path
    root: Path
    models: Path
    archive: Path | None = None
    left_out: list[str] = dataclasses.field(default_factory=list)

    def __post_init__(self):
        self.contents, self.unreadable, self.texts = {}, {}, {}
        for name, path, read in (
            ("report", self.report, reading.read_pdf),
            ("notebook", self.notebook, reading.read_notebook),
            ("notebook's PDF", self.notebook_pdf, reading.read_pdf),
        ):
            try:
                found = read(path)
                if read is reading.read_notebook:
                    text = reading.notebook_text(found.cells)
                elif not reading.letters(text := found.text):
                    raise ClipError(f"{path}: no text in this PDF, only a picture.")
            except ClipError as error:
                self.unreadable[name] = error
            else:
                self.contents[name] = found
                self.texts[name] = text

    @property
    def names(self) -> dict[str, Path]:
        """The files under the names that the course demands."""
        return {
            f"{self.group}.pdf": self.report,
            f"{self.group}_ProjetClip.ipynb": self.notebook,
            f"{self.group}_ProjetClip.pdf": self.notebook_pdf,
        }


class Rule(NamedTuple):
    """A rule.

    Attributes:
        name: By which it can be waived.
        title: What it demands.
        needs: The file without which it is left out: that it is missing breaks a rule
            of its own. Empty for none.
        faults: Yields the faults of a `HandIn`.
    """

    name: str
    title: str
    needs: str
    faults: Callable[[HandIn], Iterable[str]]


RULES: list[Rule] = []


def _rule(name: str, title: str, needs: str = ""):
    def add(faults):
        RULES.append(Rule(name, title, needs, faults))
        return faults

    return add


def check(hand_in: HandIn, names=None) -> dict[str, list[str]]:
    """Return the name of each rule whose files are there, and its faults.

    Args:
        hand_in: The files.
        names: The rules to check, by default all.
    """
    there = {"", *hand_in.contents}
    there |= {"any file"} if hand_in.contents else set()
    there |= {"archive"} if hand_in.archive else set()
    return {
        rule.name: list(rule.faults(hand_in))
        for rule in RULES
        if rule.needs in there and (names is None or rule.name in names)
    }


def check_early(hand_in: HandIn) -> dict[str, list[str]]:
    """Return what is known before the PDFs are made, or even before the notebook runs.

    Args:
        hand_in: Its report and the notebook's PDF need not be there.
    """
    none = hand_in.root / "none.pdf"
    hand_in = dataclasses.replace(hand_in, report=none, notebook_pdf=none)
    names = {rule.name for rule in RULES} - {"files", "same-run"}
    if not hand_in.notebook.is_file():
        hand_in = dataclasses.replace(hand_in, notebook=hand_in.root / NOTEBOOK)
        names = {"team", "template", "leftovers"}
    return check(hand_in, names)


def command(name: str) -> str:
    """Return, between backquotes, how whoever reads this runs one of our commands."""
    ours = Path(__file__).parents[2] / ".venv"
    if os.name != "nt" and shutil.which("make") and Path(sys.prefix) == ours:
        return f"`make {name}`"
    python = f'"{sys.executable}"' if " " in sys.executable else sys.executable
    return f"`{python} -m clip_lib {name}`"


def _remedy(name: str) -> str:
    return {
        "report": f"{command('report')}, or compile it again",
        "notebook": f"{command('run')}, or Restart and Run All",
        "notebook's PDF": command("pdf"),
    }[name]


@_rule("team", "the team is filled in")
def _team(hand_in):
    return team_faults()


@_rule("files", "report, notebook and its PDF are there, and can be read")
def _there(hand_in):
    for name, error in hand_in.unreadable.items():
        yield f"{str(error).rstrip('.')}: {_remedy(name)}."


@_rule(
    "names",
    "each file names every member, each beside their own number, and nobody else",
    "any file",
)
def _members(hand_in):
    rows = [tuple(row) for row in hand_in.members.to_numpy()]
    cards = [row[2] for row in rows]
    sure = len(set(cards)) == len(cards) and all(
        is_filled(*item)
        for _, one in hand_in.members.iterrows()
        for item in one.items()
    )
    for name, text in hand_in.texts.items():
        faults = []
        for _, member in hand_in.members.iterrows():
            values = [item[1] for item in member.items() if is_filled(*item)]
            if lost := reading.absent(text, values):
                faults.append(f"lacks {', '.join(lost)}")
        if sure and not faults:  # Else the same would be said twice.
            faults = reading.strangers(text, rows)
        for fault in faults:
            yield f"the {name} {fault}: {_remedy(name)}."


@_rule("group", "no file names another group", "any file")
def _group(hand_in):
    for name, text in hand_in.texts.items():
        others = set(re.findall(_GROUP, text, re.IGNORECASE)) - {hand_in.group}
        if has_number(hand_in.group) and others:
            yield f"the {name} is of group {min(others)}: {_remedy(name)}."


@_rule("photographs", "the notebook ran on photographs", "notebook")
def _photographs(hand_in):
    shown = reading.outputs_text(hand_in.contents["notebook"].cells)
    if "scènes dessinées" in shown.casefold():
        yield (
            "the notebook ran on the drawn scenes: put the course's archive into "
            f"data/flickr, then {command('run')}."
        )


@_rule("settings", "it ran with a full training", "notebook")
def _settings(hand_in):
    shown = reading.outputs_text(hand_in.contents["notebook"].cells)
    printed = dict(re.findall(r"^(\w+) *= (.+?) *$", shown, re.MULTILINE))
    full = [make() for name, make in PRESETS.items() if name != "quick"]
    for name in ("image_epochs", "text_epochs", "clip_epochs"):
        usual = min(getattr(config, name) for config in full)
        if printed.get(name, "").isdigit() and int(printed[name]) < usual / 2:
            about = f"{name} = {printed[name]}, a trial, as with the quick preset"
            yield f"the notebook ran with {about}: {command('run')}."


@_rule("own-words", "no section is as it was shipped", "report")
def _own_words(hand_in):
    text = hand_in.texts["report"]
    if max(own_words.shipped_shares(text).values(), default=0) > own_words.MOST:
        shares = own_words.shares_line(text)
        yield (
            f"rewrite the shipped prose until at most {own_words.MOST:.0%} of it is "
            f"left in any section: {shares}."
        )


@_rule("leftovers", "no placeholder is left", "any file")
def _leftovers(hand_in):
    for name, text in hand_in.texts.items():
        pattern = _LEFT_OF_LATEX if name == "report" else _LEFT
        if found := list(dict.fromkeys(re.findall(pattern, text))):
            yield f"the {name} still says {', '.join(found)}: complete it or cut it."


@_rule(
    "stamp", "the report was made from the current text, numbers and model", "report"
)
def _stamp(hand_in):
    marks = stamp.read_stamp(hand_in.contents["report"].keywords)
    if not marks:
        yield (
            "the report carries no stamp; one made from report/ does: "
            f"{_remedy('report')}."
        )
        return
    now = stamp.current(hand_in.root / "report", hand_in.models, hand_in.notebook)
    for part, what in stamp.PARTS.items():
        if part != "run" and part in now and marks.get(part) != now[part]:
            yield f"{what} has changed since the report: {_remedy('report')}."
    if int(marks.get("faults", 0)):
        yield (
            f"text and numbers disagree in {marks['faults']} places of the report, "
            f"which {command('report')} names."
        )


@_rule(
    "pages",
    f"it has at most {reading.MOST_PAGES['body']} pages, and "
    f"{reading.MOST_PAGES['appendix']} of appendices",
    "report",
)
def _pages(hand_in):
    return hand_in.contents["report"].too_long()


@_rule("layout", "it is on A4, with margins, of 10 points", "report")
def _layout(hand_in):
    return layout_faults(hand_in.report)


@_rule("template", "the course's template is in its place")
def _template(hand_in):
    return template_faults(hand_in.root)


def template_faults(root) -> list[str]:
    """Return what is missing of the course's template, in a project's folder."""
    missing = f"{TEMPLATE.as_posix()}: no such file; see report/template/README.md."
    return [] if Path(root, TEMPLATE).is_file() else [missing]


@_rule(
    "outputs",
    "the notebook ran from top to bottom, and shows what it found",
    "notebook",
)
def _ran(hand_in):
    for fault in reading.execution_faults(hand_in.contents["notebook"]):
        yield f"{fault}: {_remedy('notebook')}."


@_rule("today", "notebook and library have not changed since the run", "notebook")
def _today(hand_in):
    source = hand_in.root / NOTEBOOK
    if source.is_file() and not reading.same_cells(hand_in.notebook, source):
        yield f"{source.name} has changed since the run: {_remedy('notebook')}."
    mark = hand_in.contents["notebook"].metadata.get("clip_lib")
    # A run in Jupyter leaves no mark: then the files' times must tell.
    newest = max(path.stat().st_mtime for path in library_files())
    older = hand_in.notebook.stat().st_mtime < newest
    if mark != library_mark() if mark else older:
        # A run in Jupyter keeps the mark of an earlier run.
        yield f"clip_lib has changed since the run: {command('run')}."


@_rule("same-run", "report and PDF come from this run of the notebook", "notebook")
def _same_run(hand_in):
    run = reading.run_mark(hand_in.contents["notebook"])
    paper = hand_in.contents.get("notebook's PDF")
    if paper and run not in paper.keywords:
        remedy = _remedy("notebook's PDF")
        yield f"{hand_in.notebook_pdf.name} is of another run: {remedy}."
    report = hand_in.contents.get("report")
    marks = stamp.read_stamp(report.keywords) if report else {}
    if marks and marks.get("run") != run.split()[1]:
        # By default the report is made from what `run` left.
        which = f"{_remedy('report')}, with the same --notebook if you name one"
        yield f"{hand_in.report.name} is of another run: {which}."


@_rule("archive", "the archive holds what belongs, no more", "archive")
def _archive(hand_in):
    group = hand_in.group
    if hand_in.archive.name != f"{group}.zip":
        yield f"{hand_in.archive.name}: the archive of group {group} is {group}.zip."
    for name in hand_in.left_out:
        yield f"{name}: not packed, because git does not track it; add or remove it."
    with zipfile.ZipFile(hand_in.archive) as archive:
        files = archive.infolist()
    names, folder = [file.filename for file in files], f"{group}_code"
    for file in files:
        name, parts = file.filename, Path(file.filename).parts
        if not re.fullmatch(r"[\w./ -]+", name, re.ASCII):
            yield f"{name}: some systems change this name; use plain letters."
        elif name.startswith(".") or "/." in name or parts[0] not in {name, folder}:
            yield f"{name}: does not belong in the archive."
        elif file.flag_bits & 1 or file.compress_type not in (0, zipfile.ZIP_DEFLATED):
            yield f"{name}: not every system unpacks this; use no password, plain zip."
    top = {name for name in names if "/" not in name}
    notebooks = {name for name in top if re.fullmatch(rf"{group}_.+\.ipynb", name)}
    wanted = {f"{group}.pdf", *notebooks}
    wanted |= {re.sub("ipynb$", "pdf", name) for name in notebooks}
    for name in sorted(wanted - top) + ([] if notebooks else [f"{group}_….ipynb"]):
        yield f"{name} is not in the archive."
    for name in sorted(top - wanted):
        if not name.startswith("."):
            yield f"{name}: does not belong in the archive."


@_rule("size", f"at most {MEGABYTES} MB", "archive")
def _size(hand_in):
    size = hand_in.archive.stat().st_size / 1e6
    if size > MEGABYTES:
        yield f"{size:.1f} MB: lighten the figures of the report or of the notebook."
