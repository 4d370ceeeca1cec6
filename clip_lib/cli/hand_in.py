"""The commands that make what is handed in: pdf, report.

Imports stand inside: they take long.
"""

import functools
import sys

from clip_lib.cli.add import add


def pdf(arguments, config) -> None:
    """Set the executed notebook on A4 pages, to hand it in."""
    from clip_lib.cli.say import print_json
    from clip_lib.handin.notebook_pdf import count_pages, write_pdf
    from clip_lib.handin.printable import same_cells
    from clip_lib.notebook import NOTEBOOK
    from clip_lib.team import unfilled

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
    from clip_lib.cli.say import list_faults, print_json
    from clip_lib.handin.report import GENERATED, REPORT, write_generated
    from clip_lib.handin.report_claims import check_text
    from clip_lib.handin.typeset import typeset

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
