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
    from clip_lib.handin.clean_outputs import same_cells
    from clip_lib.handin.notebook import NOTEBOOK
    from clip_lib.handin.notebook_pdf import count_pages, write_pdf
    from clip_lib.handin.team import unfilled

    ran = config.model_path(NOTEBOOK)
    notebook = arguments.notebook or (ran if ran.is_file() else NOTEBOOK)
    written = write_pdf(
        notebook,
        arguments.output,
        contents=arguments.contents,
        anyway=arguments.anyway,
    )
    if names := unfilled():
        still = f"{names[0]} and {len(names) - 1} more"
        print(f"warning: equipe.toml is not filled in: {still}", file=sys.stderr)
    if notebook == ran and not same_cells(ran, NOTEBOOK):
        print(f"warning: {NOTEBOOK} has changed since {ran} ran", file=sys.stderr)
    pages = count_pages(written)
    if arguments.json:
        print_json({"notebook": str(notebook), "pdf": str(written), "pages": pages})
    else:
        print(f"{notebook}: {pages} pages, {written}")


def report(arguments, config) -> int:
    """Write the report's numbers, tables and figures, then compile it with LaTeX."""
    import matplotlib

    matplotlib.use("Agg")
    from clip_lib.cli.output import list_faults, print_json
    from clip_lib.handin.compile_latex import typeset
    from clip_lib.handin.report import GENERATED, REPORT, write_generated
    from clip_lib.handin.report_claims import check_text

    # With --json, standard output holds the answer alone.
    out = sys.stderr if arguments.json else sys.stdout
    say = functools.partial(print, file=out, flush=True)
    numbers = write_generated(config, REPORT, say=say)
    generated = REPORT / GENERATED
    about = {"generated": str(generated), "models": config.model_dir}
    about["source"] = numbers.texts["model/source"]
    say(f"{len(numbers.texts)} numbers, tables and figures: {generated}")
    faults = check_text(REPORT, numbers)
    if not arguments.no_pdf and not faults:
        say("latexmk (the first time may take a minute)")
        made = typeset(REPORT, arguments.output or REPORT / "rapport.pdf")
        about |= {"pdf": str(made.path), "body": made.body, "appendix": made.appendix}
        say(f"{made.path}: body {made.body} pages, appendix {made.appendix}")
        list_faults(made.warnings, "warning")
        faults = made.faults
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
    from clip_lib.handin.file_rules import remarks
    from clip_lib.handin.notebook import NOTEBOOK
    from clip_lib.handin.rules import HandIn
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
    broken = [rule for rule in rules if rule.faults]
    list_faults(remarks(hand_in), "warning")
    if arguments.json:
        found = [{"rule": rule.name, "faults": rule.faults} for rule in rules]
        print_json({"archive": archive and str(archive), "rules": found})
        return 1 if broken else 0
    for rule in rules:
        print(_coloured("no   " if rule.faults else "yes  ", rule))
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


def _coloured(word: str, rule) -> str:
    """Put a green or a red word before a rule, on a terminal."""
    if sys.stdout.isatty() and "NO_COLOR" not in os.environ:
        word = f"\033[{31 if rule.faults else 32}m{word}\033[0m"
    return f"{word}{rule}"


def add_commands(choices) -> None:
    """Add these commands to a parser's subparsers."""
    command = add(
        choices,
        "pdf",
        pdf,
        "                              of the notebook that run left",
        "1_ProjetClip.ipynb -o pdf --contents",
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
    command.add_argument(
        "--contents", action="store_true", help="with a table of contents"
    )
    command.add_argument(
        "--anyway", action="store_true", help="even if a cell has not run or failed"
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
