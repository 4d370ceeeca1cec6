"""Write everything that the report shows into report/generated: nothing is typed."""

import re
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, ScalarFormatter

from clip_lib.atomic import replacing
from clip_lib.config import Config
from clip_lib.evaluation.results import read_result, read_runs
from clip_lib.figures.image_grids import RIGHT
from clip_lib.handin.latex import escape
from clip_lib.handin.report_charts import ablation_points, loss_curves, recall_bars
from clip_lib.handin.report_examples import SavedRun
from clip_lib.handin.report_numbers import Numbers, add_model, benchmark_numbers
from clip_lib.handin.report_tables import COLUMNS, TABLES
from clip_lib.handin.team import read_team

REPORT = Path(__file__).parents[2] / "report"
GENERATED = "generated"
_FRENCH = str.maketrans(".-", ",\u2212")
_STYLE = {
    "font.family": ["STIXGeneral", "DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 9,
    "legend.fontsize": 8,
    "mathtext.fontset": "stix",
    "pdf.fonttype": 42,  # Letters stay letters: they can be searched for.
}


def write_generated(
    config: Config, folder, team_file=None, say=lambda text: None
) -> Numbers:
    """Write numbers, team, tables and figures into ``folder/generated``.

    Every file is written whole or not at all; what a former run left over is removed.

    Args:
        config: Says where the trained models are.
        folder: Where the text of the report lies, `REPORT` but for trials.
        team_file: Who hands it in; by default `TEAM_FILE` of `team`.
        say: Called with a line as each part begins.

    Returns:
        The numbers, for `check_text` of `report_claims`.

    Raises:
        ClipError: If the team, a result or a model is missing; the message names it.
    """
    group, members = read_team(team_file)
    numbers = benchmark_numbers()
    say(f"models of {config.model_dir}")
    run = SavedRun.load(config)
    add_model(numbers, *run.measure())
    target = Path(folder) / GENERATED
    texts = {"numbers.tex": numbers.to_latex(), "team.tex": team_latex(group, members)}
    texts |= {f"tables/{name}.tex": make() for name, make in TABLES.items()}
    for name, text in texts.items():
        with replacing(target / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    written = {target / name for name in texts}
    for name, figure, size in _figures(run):
        say(f"figure {name}")
        path = target / "figures" / f"{name}.pdf"
        _save(figure, path, size)
        written.add(path)
    for path in target.rglob("*.*"):
        if path.is_file() and path not in written:
            path.unlink()
    return numbers


def team_latex(group: str, members: pd.DataFrame) -> str:
    """Define ``\\groupe``, ``\\membres`` (rows of a table) and ``\\auteurs``.

    Args:
        group, members: What `read_team` returned.
    """
    rows = [[escape(cell) for cell in row] for row in members.to_numpy()]
    table = " \\\\\n".join(" & ".join(row) for row in rows)
    authors = ", ".join(f"{first} {last} ({card})" for last, first, card in rows)
    return "".join(
        f"\\newcommand{{\\{name}}}{{{text}}}\n"
        for name, text in (
            ("groupe", escape(group)),
            ("membres", table),
            ("auteurs", authors),
        )
    )


def _figures(run: SavedRun):
    """Yield every figure of the report: name, figure, and size as `_save` takes it."""
    with plt.rc_context(_STYLE):
        columns = {title: read_runs(name) for name, title in COLUMNS.items()}
        yield "recalls", recall_bars(columns), None
        yield "ablation", ablation_points(read_result("ablation")["runs"]), None
        speed = read_result("speed")["training"]["handed_out"]
        runs = read_runs("handed_out_folds")
        yield "handed_out", loss_curves(runs, speed["batch_size"]), None
        yield from run.figures()


def _save(figure: Figure, path: Path, size) -> None:
    """Save a figure as PDF at its size in the report, with decimal commas.

    Args:
        figure: Closed afterwards.
        path: Where.
        size: Width and height in inches, and by how much the letters shrink; None
            leaves them as they are.
    """
    if size:
        *inches, shrink = size
        figure.set_size_inches(inches)
        for text in figure.findobj(Text):
            text.set_fontsize(text.get_fontsize() * shrink)
    comma = FuncFormatter(lambda value, _: f"{value:g}".translate(_FRENCH))
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if isinstance(axis.get_major_formatter(), ScalarFormatter):
                axis.set_major_formatter(comma)
    for text in figure.findobj(Text):
        if text.get_color() == RIGHT:
            text.set(color="darkgreen", fontweight="bold")  # Seen in grey too.
        # Scores, which have three decimals; a number in a caption stays as it is.
        text.set_text(re.sub(r"(\d)\.(\d{3})\b", r"\1,\2", text.get_text()))
    with replacing(path) as temporary:
        figure.savefig(temporary, metadata={"CreationDate": None}, dpi=150)
    plt.close(figure)
