"""Compile the report with LaTeX, and say what is wrong with it in sentences."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from clip_lib.atomic import replacing
from clip_lib.errors import ClipError
from clip_lib.handin.document_text import Paper, read_pdf

MAIN = "rapport.tex"
INSTALL = (
    "Debian and Ubuntu: apt install latexmk texlive-latex-recommended texlive-luatex "
    "texlive-lang-french lmodern; macOS: MacTeX; Windows: TeX Live (tug.org/texlive)"
)


def require_latex() -> None:
    """Raise a ClipError if LaTeX is not installed: what to do."""
    missing = [name for name in ("latexmk", "lualatex") if not shutil.which(name)]
    if missing:
        raise ClipError(
            f"{' and '.join(missing)} not found: install LaTeX ({INSTALL}), or run "
            f'`"{sys.executable}" -m clip_lib report --no-pdf` and upload the folder '
            "report to an online LaTeX, where LuaLaTeX must be chosen; then `submit` "
            "takes its PDF with --report FILE, or `make zip` with REPORT=FILE."
        )


def compile_report(folder, output) -> tuple[Paper, list[str], list[str]]:
    """Compile ``folder/rapport.tex`` in a temporary folder.

    LuaLaTeX, the one engine that prints every Latin name with a small installation.

    Args:
        folder: Folder of the text, with its generated files.
        output: The PDF to write; written even if it has too many pages.

    Returns:
        The PDF as a reader sees it, its faults and what does not look well.

    Raises:
        ClipError: If LaTeX is missing, or finds an error: file, line and reason.
    """
    require_latex()
    with tempfile.TemporaryDirectory() as build:
        command = ["latexmk", "-norc", "-lualatex", "-halt-on-error"]
        command += ["-interaction=nonstopmode", "-file-line-error", f"-outdir={build}"]
        # Long lines: TeX breaks those of its log after 79 characters, in words too.
        settings = {"max_print_line": "10000"}
        settings["TEXINPUTS"] = os.pathsep.join((".", "template//", ""))
        process = subprocess.run(
            [*command, MAIN],
            cwd=folder,
            env=os.environ | settings,
            capture_output=True,
            text=True,
            errors="replace",
        )
        pdf = Path(build, MAIN).with_suffix(".pdf")
        log = pdf.with_suffix(".log")
        said = log.read_text("utf-8", "replace") if log.is_file() else process.stdout
        if process.returncode or not pdf.is_file():
            raise ClipError(_first_error(said, folder))
        with replacing(output) as temporary:
            shutil.copyfile(pdf, temporary)
    paper = read_pdf(output)
    overfull = re.findall(r"^(Overfull \\hbox .*)", said, re.MULTILINE)
    return paper, paper.too_long() + _faults(said), overfull


def _first_error(log: str, folder) -> str:
    """Condense a log into one sentence: file, line, reason."""
    match = re.search(r"^(\S+?\.\w+):(\d+): (.*)", log, re.MULTILINE)
    if not match:
        last = [line for line in log.splitlines() if line.strip()][-1:]
        return f"{Path(folder) / MAIN}: LaTeX failed ({' '.join(last)})."
    file, line, reason = match.groups()
    place = re.search(rf"^l\.{line} (.*)", log[match.end() :], re.MULTILINE)
    near = f" near {place[1].strip()[-60:]!r}" if place else ""
    remedy = f"; install all of LaTeX ({INSTALL})" if "' not found" in reason else ""
    return f"{Path(folder) / file}:{line}: {reason.rstrip('.')}{near}{remedy}."


def _faults(log: str) -> list[str]:
    """Return what LaTeX only warns of: characters left out, references to nothing."""
    lost = re.findall(r"Missing character: There is no (\S+ \(U\+\w+\))", log)
    faults = [
        f"the report's font lacks {sign}: the PDF is without it." for sign in lost
    ]
    labels = re.findall(r"(Reference|Citation) [`'](\S+?)' on page \d+ undef", log)
    faults += [f"{kind.lower()} {name!r} leads nowhere." for kind, name in labels]
    return list(dict.fromkeys(faults))
