"""Compile the report with LaTeX, and count its pages."""

import dataclasses
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from clip_lib.atomic import replacing
from clip_lib.errors import ClipError

MAIN = "rapport.tex"
MOST = {"body": 8, "appendix": 2}
"""Pages that the course allows."""
INSTALL = (
    "Debian and Ubuntu: apt install latexmk texlive-latex-recommended texlive-luatex "
    "texlive-lang-french lmodern; macOS: MacTeX; Windows: TeX Live (tug.org/texlive)"
)


@dataclasses.dataclass(frozen=True)
class Typeset:
    """A compiled report.

    Attributes:
        path: The PDF.
        body, appendix: Their pages.
        faults: What must be put right, a sentence each.
        warnings: What does not look well.
    """

    path: Path
    body: int
    appendix: int
    faults: list[str]
    warnings: list[str]


def typeset(folder, output) -> Typeset:
    """Compile ``folder/rapport.tex`` in a temporary folder.

    LuaLaTeX, the one engine that prints every Latin name with a small installation.

    Args:
        folder: Where the text lies, with its generated files.
        output: The PDF to write; written even if it has too many pages.

    Raises:
        ClipError: If LaTeX is missing, or finds an error: file, line and reason.
    """
    missing = [name for name in ("latexmk", "lualatex") if not shutil.which(name)]
    if missing:
        raise ClipError(
            f"{' and '.join(missing)} not found: install LaTeX ({INSTALL}), or upload "
            f"{folder} to an online LaTeX, where LuaLaTeX must be chosen; `submit "
            "--report FILE` takes the PDF that it makes."
        )
    with tempfile.TemporaryDirectory() as build:
        command = ["latexmk", "-norc", "-lualatex", "-halt-on-error"]
        command += ["-interaction=nonstopmode", "-file-line-error", f"-outdir={build}"]
        # Long lines: TeX breaks those of its log after 79 characters, in words too.
        settings = {"max_print_line": "10000", "TEXINPUTS": ".:template//:"}
        if os.name == "nt":
            settings["TEXINPUTS"] = ".;template//;"
        process = subprocess.run(
            [*command, MAIN],
            cwd=folder,
            env=os.environ | settings,
            capture_output=True,
            text=True,
            errors="replace",
        )
        log, aux, pdf = (
            Path(build, MAIN).with_suffix(suffix) for suffix in (".log", ".aux", ".pdf")
        )
        said = log.read_text("utf-8", "replace") if log.is_file() else process.stdout
        if process.returncode or not pdf.is_file():
            raise ClipError(_first_error(said, folder))
        with replacing(output) as temporary:
            shutil.copyfile(pdf, temporary)
        body, appendix = _pages(said, aux.read_text("utf-8", "replace"))
    return Typeset(
        Path(output),
        body,
        appendix,
        _too_long(body, appendix) + _faults(said),
        re.findall(r"^(Overfull \\hbox .*)", said, re.MULTILINE),
    )


def _first_error(log: str, folder) -> str:
    """Condense a log into one sentence: file, line, reason."""
    missing = re.search(r"File [`'](\S+\.(?:sty|cls|def|ldf|fd))' not found", log)
    if missing:
        return f"LaTeX lacks {missing[1]}: install all of it ({INSTALL})."
    match = re.search(r"^(\S+?\.\w+):(\d+): (.*)", log, re.MULTILINE)
    if not match:
        last = [line for line in log.splitlines() if line.strip()][-1:]
        return f"{Path(folder) / MAIN}: LaTeX failed ({' '.join(last)})."
    file, line, reason = match.groups()
    place = re.search(rf"^l\.{line} (.*)", log[match.end() :], re.MULTILINE)
    near = f" near {place[1].strip()[-60:]!r}" if place else ""
    return f"{Path(folder) / file}:{line}: {reason.rstrip('.')}{near}."


def _pages(log: str, aux: str) -> tuple[int, int]:
    """Read how many pages there are, and how many of them stand before appendices."""
    every = int(re.search(r"Output written on .*\((\d+) pages?", log)[1])
    mark = re.search(r"\\pagesducorps\s*\{(\d+)\}", aux)
    body = int(mark[1]) if mark else every
    return body, every - body


def _too_long(body: int, appendix: int) -> list[str]:
    return [
        f"{name} of {pages} pages: the course allows {MOST[name]}."
        for name, pages in (("body", body), ("appendix", appendix))
        if pages > MOST[name]
    ]


def _faults(log: str) -> list[str]:
    lost = re.findall(r"Missing character: There is no (\S+ \(U\+\w+\))", log)
    found = [
        f"the report's font lacks {character}: it is missing from the PDF."
        for character in dict.fromkeys(lost)
    ]
    labels = re.findall(r"(Reference|Citation) [`'](\S+?)' on page \d+ undef", log)
    return found + [
        f"{kind.lower()} {name!r} leads nowhere."
        for kind, name in dict.fromkeys(labels)
    ]
