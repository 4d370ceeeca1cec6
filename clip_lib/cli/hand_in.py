"""The commands that make what is handed in: pdf, report, submit.

Imports stand inside: they take long.
"""

import functools
import os
import sys
from pathlib import Path

from clip_lib.cli.common import add


def pdf(arguments, config) -> None:
    """Set the executed notebook on A4 pages, to hand it in."""
    from clip_lib.cli.output import print_json
    from clip_lib.handin.document_text import read_pdf, same_cells
    from clip_lib.handin.notebook import NOTEBOOK
    from clip_lib.handin.notebook_pdf import write_pdf
    from clip_lib.handin.team import read_team, unfilled

    ran = config.model_path(NOTEBOOK)
    notebook = arguments.notebook or (ran if ran.is_file() else NOTEBOOK)
    written = write_pdf(notebook, arguments.output)
    if places := unfilled(*read_team()):
        still = f"{places[0]} and {len(places) - 1} more"
        print(f"warning: equipe.toml is not filled in: {still}", file=sys.stderr)
    if notebook == ran and not same_cells(ran, NOTEBOOK):
        print(f"warning: {NOTEBOOK} has changed since {ran} ran", file=sys.stderr)
    paper = read_pdf(written)
    pages = paper.body + paper.appendix
    if arguments.json:
        print_json({"notebook": str(notebook), "pdf": str(written), "pages": pages})
    else:
        print(f"{notebook}: {pages} pages, {written}")


def report(arguments, config) -> int:
    """Write the report's numbers, tables and figures, then compile it with LaTeX."""
    import matplotlib

    matplotlib.use("Agg")
    from clip_lib.cli.output import list_faults, print_json
    from clip_lib.handin.compile_latex import compile_report
    from clip_lib.handin.report import (
        GENERATED,
        REPORT,
        check_text,
        write_generated,
    )

    # With --json, standard output holds the answer alone.
    out = sys.stderr if arguments.json else sys.stdout
    say = functools.partial(print, file=out, flush=True)
    numbers = write_generated(config, REPORT, say=say)
    generated = REPORT / GENERATED
    about = {"generated": str(generated), "models": config.model_dir}
    about["source"] = numbers.texts["model/source"]
    say(f"{len(numbers.texts)} numbers, and figures: {generated}")
    faults = check_text(REPORT, numbers)
    if not arguments.no_pdf and not faults:
        say("latexmk (the first time may take a minute)")
        output = arguments.output or REPORT / "rapport.pdf"
        paper, faults, warnings = compile_report(REPORT, output)
        about |= {"pdf": str(output), "body": paper.body, "appendix": paper.appendix}
        say(f"{output}: body {paper.body} pages, appendix {paper.appendix}")
        list_faults(warnings, "warning")
    if arguments.json:
        print_json(about | {"faults": faults})
    return list_faults(faults)


def submit(arguments, config) -> int:
    """Check what the course demands, then make the archive to hand in.

    Exit status 0: every rule is kept, <group>.zip is written. 1: not so; it says, rule
    by rule, what to mend.
    """
    from clip_lib.cli.output import list_faults, print_json
    from clip_lib.handin.archive import build_archive
    from clip_lib.handin.notebook import NOTEBOOK
    from clip_lib.handin.rules import HandIn, remarks
    from clip_lib.handin.team import TEAM_FILE, depositors, read_team

    root = TEAM_FILE.parent
    notebook = _file(arguments.notebook) or config.model_path(NOTEBOOK)
    hand_in = HandIn(
        *read_team(),
        depositors(),
        report=_file(arguments.report) or root / "report" / "rapport.pdf",
        notebook=notebook,
        notebook_pdf=_file(arguments.pdf) or notebook.with_suffix(".pdf"),
        root=root,
    )
    archive, rules = build_archive(hand_in, arguments.output, arguments.force)
    broken = [rule for rule, faults in rules.items() if faults]
    list_faults(remarks(hand_in), "warning")
    if arguments.json:
        found = [{"rule": rule, "faults": faults} for rule, faults in rules.items()]
        print_json({"archive": archive and str(archive), "rules": found})
        return 1 if broken else 0
    for rule, faults in rules.items():
        print(_verdict(not faults) + "\n      ".join([rule, *faults]))
    are = "is" if len(broken) == 1 else "are"
    count = f"{len(broken)} of {len(rules)} rules {are} broken"
    if archive is None:
        print(f"\nNo archive: {count}.")
        former = Path(arguments.output) / f"{hand_in.group}.zip"
        if former.is_file():
            print(f"{former} is an earlier one: do not hand it in.")
    else:
        who = " or ".join(hand_in.depositors) or "nobody yet"
        size = f"{archive.stat().st_size / 1e6:.1f} MB"
        though = f", though {count}" if broken else ""
        print(f"\n{archive} ({size}), for {who} to put on Moodle{though}.")
        print("No rule knows whether the report is in your own words: it must be.")
    return 1 if broken else 0


def _file(name: str | None) -> Path | None:
    """Return a path that was given; not every shell knows ~ after REPORT=."""
    return Path(name).expanduser() if name else None


def _verdict(kept: bool) -> str:
    """Return the word before a rule, green or red on a terminal."""
    word = "yes  " if kept else "no   "
    if sys.stdout.isatty() and "NO_COLOR" not in os.environ:
        word = f"\033[{32 if kept else 31}m{word}\033[0m"
    return word


def add_commands(choices) -> None:
    """Add these commands to a parser's subparsers."""
    command = add(
        choices,
        "pdf",
        pdf,
        "                              of the notebook that run left",
        "1_ProjetClip.ipynb -o 7_ProjetClip.pdf",
        model=False,
    )
    command.add_argument(
        "notebook",
        nargs="?",
        metavar="NOTEBOOK",
        help="an executed notebook (what run left, else 1_ProjetClip.ipynb)",
    )
    command.add_argument(
        "-o", "--output", metavar="FILE", help="the PDF (beside the notebook)"
    )
    command = add(
        choices,
        "report",
        report,
        "                report/generated/, then report/rapport.pdf",
        "-o 7.pdf        for group 7",
        "--no-pdf        report/generated/ alone, for an online LaTeX",
        model=False,
    )
    command.add_argument("--models", metavar="FOLDER", help="what to show (models/)")
    command.add_argument("-o", "--output", metavar="FILE", help="report/rapport.pdf")
    command.add_argument("--no-pdf", action="store_true", help="do not compile")
    command = add(
        choices,
        "submit",
        submit,
        "                              checks, then writes <group>.zip",
        "--report ~/Downloads/main.pdf of an online LaTeX",
        model=False,
    )
    command.add_argument("--models", metavar="FOLDER", help="of the run (models/)")
    for name, words in (
        ("--report", "report/rapport.pdf"),
        ("--notebook", "the executed notebook (what run left)"),
        ("--pdf", "the same as PDF (beside it)"),
    ):
        command.add_argument(name, metavar="FILE", help=words)
    command.add_argument(
        "--output", metavar="FOLDER", default=".", help="where the archive shall lie"
    )
    command.add_argument(
        "--force", action="store_true", help="although a rule is broken"
    )
