"""What the course demands of the files handed in, a rule at a time."""

import re

from clip_lib.handin.clean_outputs import run_mark, same_cells
from clip_lib.handin.compile_latex import MOST
from clip_lib.handin.document_text import (
    Paper,
    absent,
    notebook_text,
    read_notebook,
    read_pdf,
)
from clip_lib.handin.notebook import NOTEBOOK, library_files, library_mark
from clip_lib.handin.rules import HandIn, Rule

_CARD = "Numéro d'étudiant"
REPORT, RUN, PAPER = "report", "notebook", "notebook's PDF"
MEND = {
    REPORT: "run `python -m clip_lib report`, or compile it again",
    RUN: "run `python -m clip_lib run`",
    PAPER: "run `python -m clip_lib pdf`",
}


def check_files(hand_in: HandIn) -> list[Rule]:
    """Check the identity and the three files.

    Returns:
        A rule each, kept or not: what cannot be checked, for want of a file, is left to
        the rule that names the file.
    """
    read, unread = {}, []
    for name, path, reader in (
        (REPORT, hand_in.report, read_pdf),
        (RUN, hand_in.notebook, read_notebook),
        (PAPER, hand_in.notebook_pdf, read_pdf),
    ):
        try:
            read[name] = reader(path)
        except ValueError as error:
            unread.append(f"{error} {MEND[name].capitalize()}.")
    report, notebook, paper = map(read.get, (REPORT, RUN, PAPER))
    texts = {
        name: found.text if isinstance(found, Paper) else notebook_text(found)
        for name, found in read.items()
    }
    rules = [
        ("the team is filled in", _identity(hand_in)),
        ("report, notebook and its PDF are there", unread),
    ]
    if texts:
        every = "each file names every member: surname, first name, student number"
        rules += [
            (every, _members(texts, hand_in)),
            ("no file names another group", _groups(texts, hand_in)),
        ]
    if report:
        most = f"{MOST['body']} pages, and {MOST['appendix']} of appendices"
        rules.append((f"the report has at most {most}", _pages(report)))
    if notebook:
        rules += [
            ("the notebook ran from top to bottom", _ran(notebook)),
            ("it is today's notebook, and today's library", _today(notebook, hand_in)),
        ]
    if notebook and paper:
        fault = f"{hand_in.notebook_pdf} is of another run: {MEND[PAPER]}."
        same = run_mark(hand_in.notebook) in paper.keywords
        rules.append(("the PDF shows this very run", [] if same else [fault]))
    return [Rule(name, tuple(faults)) for name, faults in rules]


def _filled(name: str, value: str) -> bool:
    """Whether a value may be a name, or a number where one is expected."""
    said = r"\d" if name == _CARD else r"[^\W\d_]"
    return bool(re.search(said, value)) and not re.search("[<>]", value)


def _identity(hand_in: HandIn) -> list[str]:
    mend, faults = "write it into equipe.toml", []
    if not hand_in.has_number:
        faults.append(
            f"group {hand_in.group!r}: expected a number such as 7, without a 0 before "
            f"it; {mend}."
        )
    for number, member in hand_in.members.iterrows():
        faults += [
            f"member {number}, {name}: {value!r}; {mend}."
            for name, value in member.items()
            if not _filled(name, value)
        ]
    cards = hand_in.members[_CARD]
    faults += [
        f"student number {card} is of two members: mend equipe.toml."
        for card in cards[cards.duplicated()].unique()
        if _filled(_CARD, card)
    ]
    if len(hand_in.depositors) != 1:
        who = ", ".join(hand_in.depositors) or "nobody"
        faults.append(
            f"who puts it on Moodle? {who}: one member alone has `depose = true` in "
            "equipe.toml."
        )
    return faults


def _members(texts: dict[str, str], hand_in: HandIn) -> list[str]:
    faults = []
    for name, text in texts.items():
        for _, member in hand_in.members.iterrows():
            values = [value for title, value in member.items() if _filled(title, value)]
            if lost := absent(text, values):
                faults.append(f"the {name} lacks {', '.join(lost)}: {MEND[name]}.")
    return faults


def _groups(texts: dict[str, str], hand_in: HandIn) -> list[str]:
    faults = []
    for name, text in texts.items():
        found = re.findall(r"\bgroupe\s*(?:n\s*[°º]\s*)?(\d+)", text, re.IGNORECASE)
        if hand_in.has_number and found and hand_in.group not in found:
            faults.append(f"the {name} is of group {found[0]}: {MEND[name]}.")
    return faults


def _pages(report: Paper) -> list[str]:
    faults = [
        f"{kind} of {pages} pages: shorten it by {pages - MOST[kind]}."
        for kind, pages in (("body", report.body), ("appendix", report.appendix))
        if pages > MOST[kind]
    ]
    if faults and not report.appendix:
        faults[0] = faults[0].rstrip(".") + (
            ", or begin the appendices with \\annexes, as report/rapport.tex does: no "
            "bookmark of this PDF is called Annexe."
        )
    return faults


def _ran(notebook) -> list[str]:
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    cells = [cell for cell in cells if cell.source.strip()]
    mend = f"{MEND[RUN]}, or Restart and Run All"
    faults = [
        f"cell {place} failed ({output.get('ename')}): {mend}."
        for place, cell in enumerate(cells, 1)
        for output in cell.outputs
        if output.output_type == "error"
    ]
    for place, cell in enumerate(cells, 1):
        count = cell.execution_count
        if count != place:
            when = "has not run" if count is None else f"ran as number {count}"
            return [*faults, f"cell {place} of {len(cells)} {when}: {mend}."]
    return faults if cells else [f"it has no code: {mend}."]


def _today(notebook, hand_in: HandIn) -> list[str]:
    faults, source = [], hand_in.root / NOTEBOOK
    if source.is_file() and not same_cells(hand_in.notebook, source):
        faults.append(f"{source.name} has changed since: {MEND[RUN]}.")
    mark = notebook.metadata.get("clip_lib")
    # Run in Jupyter, it has no mark: then the files' times must tell.
    newest = max(path.stat().st_mtime for path in library_files())
    old = hand_in.notebook.stat().st_mtime < newest
    if mark != library_mark() if mark else old:
        faults.append(f"clip_lib has changed since: {MEND[RUN]}.")
    return faults


def remarks(hand_in: HandIn) -> list[str]:
    """Return what breaks no rule, but should be known before it is handed in."""
    try:
        text = notebook_text(read_notebook(hand_in.notebook))
    except ValueError:
        return []
    drawn = "the notebook ran on drawn scenes: its figures say nothing of photographs."
    return [drawn] if "SCÈNES DESSINÉES" in text else []
