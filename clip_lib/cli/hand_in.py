"""Submission commands: pdf, report, submit."""

from pathlib import Path

import matplotlib

from clip_lib.cli.common import Answer, warn, warn_of_faults
from clip_lib.handin import report as paper
from clip_lib.handin import team
from clip_lib.handin.archive import build_archive
from clip_lib.handin.compile_latex import compile_report
from clip_lib.handin.document_text import read_pdf, same_cells
from clip_lib.handin.notebook import NOTEBOOK
from clip_lib.handin.notebook_pdf import write_pdf
from clip_lib.handin.rules import HandIn, remarks


def pdf(arguments, config) -> Answer:
    """Typeset the executed notebook on A4 pages, to hand it in."""
    ran = config.model_path(NOTEBOOK)
    notebook = arguments.notebook or (ran if ran.is_file() else NOTEBOOK)
    written = write_pdf(notebook, arguments.output)
    if places := team.unfilled(*team.read_team()):
        warn(f"warning: equipe.toml is not filled in: {', '.join(places)}")
    if notebook == ran and not same_cells(ran, NOTEBOOK):
        warn(f"warning: {NOTEBOOK} has changed since {ran} ran")
    read = read_pdf(written)
    pages = read.body + read.appendix
    about = {"notebook": str(notebook), "pdf": str(written), "pages": pages}
    return Answer(f"{notebook}: {pages} pages, {written}", about)


def report(arguments, config) -> Answer:
    """Write the report's numbers, tables and figures, then compile it with LaTeX."""
    matplotlib.use("Agg")
    numbers = paper.write_generated(config, paper.REPORT)
    generated = paper.REPORT / paper.GENERATED
    source = numbers.texts["model/source"]
    about = {"generated": str(generated), "models": config.model_dir, "source": source}
    print(f"{len(numbers.texts)} numbers, tables and figures: {generated}")
    text, faults = "", paper.check_text(paper.REPORT, numbers)
    if not arguments.no_pdf and not faults:
        print("latexmk (the first time may take a minute)", flush=True)
        output = arguments.output or paper.REPORT / "rapport.pdf"
        read, faults, warnings = compile_report(paper.REPORT, output)
        about |= {"pdf": str(output), "body": read.body, "appendix": read.appendix}
        text = f"{output}: body {read.body} pages, appendix {read.appendix}"
        warn_of_faults(warnings, "warning")
    return Answer(text, about | {"faults": faults}, warn_of_faults(faults))


def submit(arguments, config) -> Answer:
    """Check what the course demands, then make the archive to hand in."""
    root = team.TEAM_FILE.parent
    notebook = arguments.notebook or config.model_path(NOTEBOOK)
    hand_in = HandIn(
        *team.read_team(),
        team.depositors(),
        report=arguments.report or root / "report" / "rapport.pdf",
        notebook=notebook,
        notebook_pdf=arguments.pdf or notebook.with_suffix(".pdf"),
        root=root,
    )
    archive, rules = build_archive(hand_in, arguments.output, arguments.force)
    broken = [rule for rule, faults in rules.items() if faults]
    warn_of_faults(remarks(hand_in), "warning")
    lines = [
        ("no   " if faults else "yes  ") + "\n      ".join([rule, *faults])
        for rule, faults in rules.items()
    ]
    are = "is" if len(broken) == 1 else "are"
    count = f"{len(broken)} of {len(rules)} rules {are} broken"
    if archive is None:
        lines += [f"\nNo archive: {count}."]
        former = Path(arguments.output) / f"{hand_in.group}.zip"
        if former.is_file():
            lines += [f"{former} is an earlier one: do not hand it in."]
    else:
        who = " or ".join(hand_in.depositors) or "nobody yet"
        size = f"{archive.stat().st_size / 1e6:.1f} MB"
        though = f", though {count}" if broken else ""
        lines += [f"\n{archive} ({size}), for {who} to put on Moodle{though}."]
        lines += ["No rule knows whether the report is in your own words: it must be."]
    found = [{"rule": rule, "faults": faults} for rule, faults in rules.items()]
    about = {"archive": archive and str(archive), "rules": found}
    return Answer("\n".join(lines), about, 1 if broken else 0)
