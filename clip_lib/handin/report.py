"""Write what the report shows into report/generated, and check its text against it.

Two macros tie the text to the numbers. ``\\resultat{key}`` prints one: the key must
exist. ``\\constat{a > b}`` or ``\\constat{a > 2*b}`` prints nothing: it notes, beside a
sentence, what the sentence relies on; a and b are keys, or b is a number.
"""

import dataclasses
import difflib
import re
import shutil
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

import clip_lib.towers  # noqa: F401  For their tokenizers.
from clip_lib.config import Config
from clip_lib.data.captions_table import own_files
from clip_lib.errors import ClipError
from clip_lib.handin import report_figures
from clip_lib.handin.report_numbers import Numbers, benchmark_numbers, escape
from clip_lib.handin.rules import command
from clip_lib.handin.stamp import GENERATED
from clip_lib.handin.team import read_team
from clip_lib.retrieval.search import Search

REPORT = Path(__file__).parents[2] / "report"
_SWALLOWED = r"^(\\%|[^%])*?(\d[ ~]*%|\\resultat\{[^}]*\}[ ~]*%.*\w)"
_MACRO = r"\\%s\{([^{}#]*)\}"  # Those in macros with arguments are for LaTeX to check.


def write_generated(config: Config, folder) -> Numbers:
    """Write numbers, team and figures into ``folder/generated``, emptied before.

    Args:
        config: Gives ``model_dir``; the settings of the model are read from there.
        folder: Folder of the report's text, `REPORT` but in tests.

    Returns:
        The numbers, for `check_text`.

    Raises:
        ClipError: If the team, a result or a model is missing; the message names it.
    """
    team = team_latex(*read_team())
    numbers = benchmark_numbers()
    print(f"models of {config.model_dir}")
    if not config.config_file.is_file():
        raise ClipError(
            f"{config.config_file}: no such file; {command('run')} trains a model."
        )
    settings = Config.load(config.config_file)
    settings = dataclasses.replace(settings, model_dir=config.model_dir)
    search = Search.load(settings.clip_file)
    numbers.add("config", dataclasses.asdict(settings))
    numbers.add("model", report_figures.measure(search))
    target = Path(folder) / GENERATED
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    (target / "numbers.tex").write_text(numbers.to_latex(), encoding="utf-8")
    (target / "team.tex").write_text(team, encoding="utf-8")
    with plt.rc_context(report_figures.STYLE):
        for name, figure, *size in report_figures.figures(search):
            print(f"figure {name}")
            report_figures.save_figure(figure, target / f"{name}.pdf", *size)
    return numbers


def team_latex(group: str, members: pd.DataFrame) -> str:
    """Define ``\\groupe``, ``\\membres`` (rows of a table) and ``\\auteurs``."""
    rows = [[escape(cell) for cell in row] for row in members.to_numpy()]
    macros = {
        "groupe": escape(group),
        "membres": " \\\\\n".join(" & ".join(row) for row in rows),
        "auteurs": ", ".join(f"{first} {last} ({card})" for last, first, card in rows),
    }
    return "".join(f"\\newcommand{{\\{m}}}{{{text}}}\n" for m, text in macros.items())


def check_text(folder, numbers: Numbers) -> list[str]:
    """Find where the text of the report and the numbers disagree.

    Args:
        folder: Folder of the text; its generated files are not read.
        numbers: What `write_generated` returned.

    Returns:
        A sentence a fault, beginning with file and line.
    """
    faults = []
    for path in own_files(folder, "**/*.tex"):
        # What the course's template holds is not the team's.
        if {GENERATED, "template"}.intersection(path.relative_to(folder).parts):
            continue
        try:
            lines = path.read_text("utf-8").splitlines()
        except UnicodeDecodeError as error:
            raise ClipError(f"{path}: not text in UTF-8 ({error}).") from error
        for place, line in enumerate(lines, 1):
            swallowed = re.search(_SWALLOWED, line)
            line = re.sub(r"(?<!\\)%.*", "", line)
            found = ["an unescaped % hides what follows: \\%." if swallowed else ""]
            found += [
                _missing(key, numbers) for key in re.findall(_MACRO % "resultat", line)
            ]
            found += [
                _false(claim, numbers) for claim in re.findall(_MACRO % "constat", line)
            ]
            faults += [f"{path}:{place}: {fault}" for fault in found if fault]
    return faults


def _missing(key: str, numbers: Numbers) -> str:
    if key in numbers.texts:
        return ""
    near = difflib.get_close_matches(key, numbers.texts, 1)
    hint = f"; the nearest is {near[0]!r}" if near else ""
    return f"no number is called {key!r}{hint}."


def _false(claim: str, numbers: Numbers) -> str:
    match = re.fullmatch(r"(\S+) ([<>]) (?:([\d.]+)\*)?(\S+)", claim.strip())
    if not match:
        return f"{claim!r}: expected a claim such as a > b or a > 2*b."
    left, sign, factor, right = match.groups()
    values = []
    for name in (left, right):
        try:
            value = numbers.values.get(name)
            values.append(float(name) if value is None else value)
        except ValueError:
            return _missing(name, numbers) or f"{name!r} is no number to compare."
    values[1] *= float(factor or 1)
    if values[0] > values[1] if sign == ">" else values[0] < values[1]:
        return ""
    shown = " and ".join(f"{value:.4g}" for value in values)
    return f"the text relies on {claim}, but these are {shown}."
