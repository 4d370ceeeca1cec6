"""Submission commands: pdf, report, submit. What takes long is imported once needed."""

import os
from pathlib import Path

from clip_lib.cli.common import Answer, warn, warn_of_faults
from clip_lib.errors import ClipError
from clip_lib.handin import own_words, rules, stamp, team
from clip_lib.handin.archive import build_archive, open_archive
from clip_lib.handin.compile_latex import compile_report, require_latex
from clip_lib.handin.document_text import MOST_PAGES, read_pdf, same_cells
from clip_lib.handin.notebook import NOTEBOOK

CHECKLIST = """
Ce qu'aucun programme ne peut vérifier, à revoir ensemble avant de déposer :
  - le groupe {group} est inscrit dans le fichier du cours, avec les mêmes membres ;
  - le rapport suit le modèle LaTeX du cours, et chaque phrase est de vous :
    le cours interdit d'en faire rédiger par une IA ;
  - la vidéo, si le cours en demande une, est déposée à part ;
  - chacun sait expliquer chaque partie, à l'oral ;
  - {who} dépose {name} sur Moodle, une seule fois, avant la date limite."""


def pdf(arguments, config) -> Answer:
    """Typeset the executed notebook on A4 pages, to hand it in."""
    warn_of_faults(team.team_faults(), "warning")
    from clip_lib.handin.notebook_pdf import write_pdf

    ran = config.model_path(NOTEBOOK)
    notebook = arguments.notebook or (ran if ran.is_file() else NOTEBOOK)
    written = write_pdf(notebook, arguments.output)
    if notebook == ran and not same_cells(ran, NOTEBOOK):
        warn(f"warning: {NOTEBOOK} has changed since {ran} was made: run it again")
    read = read_pdf(written)
    pages = read.body + read.appendix
    about = {"notebook": str(notebook), "pdf": str(written), "pages": pages}
    return Answer(f"{notebook}: {pages} pages, {written}", about)


def report(arguments, config) -> Answer:
    """Write the report's numbers, tables and figures, then compile it with LaTeX."""
    root = team.TEAM_FILE.parent
    warn_of_faults(team.team_faults() + rules.template_faults(root), "warning")
    if not arguments.no_pdf:
        require_latex()
    import matplotlib

    from clip_lib.handin import report as paper

    matplotlib.use("Agg")
    numbers = paper.write_generated(config, paper.REPORT)
    generated = paper.REPORT / paper.GENERATED
    source = numbers.texts["model/source"]
    about = {"generated": str(generated), "models": config.model_dir, "source": source}
    print(f"{len(numbers.texts)} numbers, tables and figures: {generated}")
    text, faults = "", paper.check_text(paper.REPORT, numbers)
    notebook = arguments.notebook or config.model_path(NOTEBOOK)
    made_of = stamp.current(paper.REPORT, config.model_dir, notebook)
    stamp.write_stamp(paper.REPORT, made_of, len(faults))
    if not arguments.no_pdf and not faults:
        print("latexmk (the first time may take a minute)", flush=True)
        # A faulty report is to be looked at, but is not where submit looks.
        draft, output = (paper.REPORT / f"{name}.pdf" for name in ("draft", "rapport"))
        read, faults, warnings = compile_report(paper.REPORT, draft)
        if faults:
            output.unlink(missing_ok=True)
        else:
            os.replace(draft, output)
        output = draft if faults else output
        about |= {"pdf": str(output), "body": read.body, "appendix": read.appendix}
        text = (
            f"{output}: body {read.body} of {MOST_PAGES['body']} pages, appendix "
            f"{read.appendix} of {MOST_PAGES['appendix']}\nstill as shipped: "
            f"{own_words.shares_line(read.text)}"
        )
        warn_of_faults(warnings, "warning")
    return Answer(text, about | {"faults": faults}, warn_of_faults(faults))


def submit(arguments, config) -> Answer:
    """Check what the course demands, then make the archive to hand in."""
    known, waived = {rule.name: rule.title for rule in rules.RULES}, arguments.waive
    if unknown := [name for name in waived if name not in (*known, "all")]:
        raise ClipError(f"--waive {unknown[0]}: expected {', '.join(known)} or all.")
    waived = set(known) if "all" in waived else set(waived)
    root = team.TEAM_FILE.parent
    if not arguments.report and arguments.early:
        require_latex()
    notebook = arguments.notebook or config.model_path(NOTEBOOK)
    hand_in = rules.HandIn(
        *team.read_team(),
        report=arguments.report or root / "report" / "rapport.pdf",
        notebook=notebook,
        notebook_pdf=arguments.pdf or notebook.with_suffix(".pdf"),
        root=root,
        models=Path(config.model_dir),
    )
    if arguments.early:
        return _rules_answer(rules.check_early(hand_in), known, waived, [])
    if arguments.check:
        with open_archive(arguments.check, hand_in) as inside:
            return _rules_answer(rules.check(inside), known, waived, [])
    archive, found, notes = build_archive(hand_in, arguments.output, waived)
    lines = [f"\n{note}" for note in notes]
    if archive is None:
        lines += ["\nNo archive."]
        former = Path(arguments.output) / f"{hand_in.group}.zip"
        if former.is_file():
            lines += [f"{former} is an earlier one: do not hand it in."]
    else:
        who = " ou ".join(team.depositors()) or "quelqu'un"
        lines += [f"\n{archive} ({archive.stat().st_size / 1e6:.1f} MB)"]
        lines += [CHECKLIST.format(group=hand_in.group, who=who, name=archive.name)]
    answer = _rules_answer(found, known, waived, lines)
    where = archive and str(archive)
    return answer._replace(value={"archive": where} | answer.value)


def _rules_answer(found, titles, waived, lines) -> Answer:
    """Show each rule as kept, broken or waived; the status is 1 if any is broken."""
    broken = [name for name, faults in found.items() if faults and name not in waived]
    shown = []
    for name, faults in found.items():
        state = "no" if name in broken else "waived" if faults else "yes"
        shown += [
            f"{state:8}{name:13}{titles[name]}",
            *(f"        {f}" for f in faults),
        ]
    are = "rule is" if len(broken) == 1 else "rules are"
    shown += [f"\n{len(broken)} {are} broken, of {len(found)}."] if broken else []
    about = {
        "rules": [
            {"rule": name, "faults": faults, "waived": name in waived}
            for name, faults in found.items()
        ]
    }
    return Answer("\n".join(shown + lines), about, 1 if broken else 0)
