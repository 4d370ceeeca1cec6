"""The notebook on paper: nothing cut, nothing left raw, nothing that a screen hides."""

import base64
import html
import importlib.util
import io
import itertools
import json
import re
from pathlib import Path

import keras
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pandas as pd
import pypdfium2
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image
from pypdf import PdfReader
from test_notebook import as_committed

from clip_lib import team as team_module
from clip_lib.__main__ import main
from clip_lib.handin.clean_outputs import printable
from clip_lib.handin.notebook import NOTEBOOK
from clip_lib.handin.notebook_pdf import count_pages, write_pdf
from clip_lib.handin.team import read_team

ROOT = Path(__file__).parents[1]
TEAM = """
groupe = 7
[[membres]]
nom = "D'Arc-Lévêque"
prenom = "Zoé"
carte = 22001234
[[membres]]
nom = "Nguyễn"
prenom = "Anh"
carte = 22005678
"""
CM = 72 / 2.54


def png(size, colour, dpi=100):
    data = io.BytesIO()
    Image.new("RGB", size, colour).save(data, "png", dpi=(dpi, dpi))
    return base64.b64encode(data.getvalue()).decode()


def shown(**forms):
    """An output of several forms: text_html, image_png..."""
    return new_output("display_data", {k.replace("_", "/"): forms[k] for k in forms})


def printed(text, name="stdout"):
    return new_output("stream", name=name, text=text)


def write(path, *cells):
    """Save cells, given as cells, as Markdown or as (source, outputs), as executed."""
    made = []
    for cell in cells:
        if isinstance(cell, str):
            cell = new_markdown_cell(cell)
        elif isinstance(cell, tuple):
            cell = new_code_cell(cell[0], outputs=list(cell[1:]), execution_count=1)
        made.append(cell)
    nbformat.write(new_notebook(cells=made), path)
    return path


def summary():
    """What Keras prints of a model, 150 characters wide."""
    lines = []
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, name="tête")])
    model.summary(line_length=150, print_fn=lines.append)
    return "\n".join(lines)


@pytest.fixture
def team(tmp_path):
    path = tmp_path / "equipe.toml"
    path.write_text(TEAM, encoding="utf-8")
    return path


def set_pdf(folder, *cells, **options):
    """Return the reader of a PDF made of these cells, and its text on one line."""
    options.setdefault("team", folder / "equipe.toml")
    pdf = write_pdf(write(folder / "a.ipynb", *cells), **options)
    assert not list(folder.glob(".a.*"))
    reader = PdfReader(pdf)
    text = " ".join(page.extract_text() for page in reader.pages)
    return reader, re.sub(r"\s+", " ", text.replace("\u200b", ""))


def titles(outline):
    flat = []
    for entry in outline:
        flat += titles(entry) if isinstance(entry, list) else [entry.title]
    return flat


def pages(reader):
    """Yield each page as an array of grey levels, 72 points an inch."""
    for page in pypdfium2.PdfDocument(reader.stream):
        yield np.asarray(page.render().to_pil().convert("L"))


def assert_margins_are_white(reader):
    side = int(1.9 * CM)  # The margin is 2 cm wide; a tenth for rounding.
    for number, page in enumerate(pages(reader), 1):
        assert page[:, :side].min() == page[:, -side:].min() == 255, f"page {number}"
        assert page[: int(0.8 * CM)].min() == page[-int(0.8 * CM) :].min() == 255


def test_text_is_french_and_typeset(tmp_path, team):
    reader, text = set_pdf(
        tmp_path,
        "# L'œuvre « française »\n\nÇa coûte 12 % → dès Noël ; αβγ, Привет, ✓.",
        "## Une suite\n\ntexte :\n(1) pas une liste\n- une liste\n- 2\\$\n\n"
        "Une [adresse](https://example.org/x?a=b_c), un [renvoi](#Une-suite), "
        "un [autre](#nulle-part).\n\n|a|b|\n|-|-|\n|gauche|droite|\n\n"
        "```python\nx = r'\\begin{align}'\n```",
        "### Formules\n\n$\\|x\\|_2 \\le \\sqrt{n}$ et\n\n"
        "\\begin{align}\na &= b \\\\\n  &= \\sum_i \\|x_i\\| \\label{eq}\n"
        "\\end{align}\n$$\\begin{gather} c = d \\end{gather}$$\n"
        "\\begin{equation*}\ne = f\n"
        "\\end{equation*}\n\n### Une suite",
        ("1", shown(text_latex=r"$\displaystyle \frac{g}{h}$", text_plain="<Math>")),
    )
    assert "L'œuvre « française »" in text
    assert "Ça coûte 12 % → dès Noël ; αβγ, Привет, ✓." in text
    assert "texte : (1) pas une liste" in text and "gauche droite" in text
    assert "•" in text
    # Raw TeX nowhere but in the code that speaks of it.
    assert text.count("\\") == 1 and "$$" not in text and "<Math>" not in text
    assert "∑" in text and "√" in text and "∥" not in text.replace("‖", "")
    headings = ["L'œuvre « française »", "Une suite", "Formules", "Une suite"]
    assert titles(reader.outline) == headings
    notes = [note.get_object() for page in reader.pages for note in page["/Annots"]]
    targets = [note["/A"]["/URI"] for note in notes if "/A" in note]
    assert targets == ["https://example.org/x?a=b_c"]
    assert sum("/Dest" in note for note in notes) == 1
    assert reader.root_object["/Lang"] == "fr"


def test_progress_and_colours_leave_their_last_line(tmp_path, team):
    bar = [
        printed(f"\r {done:3}%|███   | {done}/100", "stderr") for done in range(0, 101)
    ]
    keras_bar = (
        "\r\x1b[1m1/2\x1b[0m \x1b[32m━━\x1b[0m\x08\x08\x08\r\x1b[1m2/2\x1b[0m fin"
    )
    _, text = set_pdf(
        tmp_path,
        ("fit()", *bar, printed("\n", "stderr"), printed("\x1b[31mrouge\x1b[0m\n")),
        ("fit()", printed("Epoch 1/1\n"), printed(keras_bar)),
        (
            "tqdm()",
            shown(
                **{"application_vnd.jupyter.widget-view+json": {}, "text_plain": "0%|"}
            ),
        ),
    )
    assert text.count("%|") == 1 and "100%|███" in text
    assert "rouge" in text and "[31m" not in text
    assert "Epoch 1/1 2/2 fin" in text
    cell = new_code_cell("1", outputs=[printed("a\x07b\x1b[0m\x08\n")])
    clean = printable(new_notebook(cells=[cell]), "T")
    assert clean.cells[1].outputs[0].text == "ab\n"


def test_nothing_is_wider_than_the_text(tmp_path, team, monkeypatch):
    monkeypatch.setenv("COLUMNS", "150")
    numbers = np.arange(60).reshape(3, 20) * 1000.5
    wide = pd.DataFrame(numbers).add_prefix("une_colonne_")
    nested = (
        wide.iloc[:, :3].set_index("une_colonne_0", append=True).rename_axis(["i", "j"])
    )
    style = pd.DataFrame({"t": ["mot " * 80, "y" * 200], "n": [1, 2]}).style
    long = "z" * 250
    call = "f(" + ",".join(f"parametre_{n}={n}" for n in range(30)) + ")"
    reader, text = set_pdf(
        tmp_path,
        f"# Large\n\n`{'w' * 120}` https://example.org/{'v' * 120}",
        ("wide", shown(text_html=wide.to_html(), text_plain="rien")),
        ("wide12", shown(text_html=wide.iloc[:, :12].to_html())),
        ("nested", shown(text_html=nested.to_html())),
        (
            "style",
            shown(
                text_html=style.set_caption("La légende").to_html(),
                text_plain="<Styler>",
            ),
        ),
        ("summary", printed(summary())),
        (f"{call}\nx = '{long}'", printed(f"{long}\n" + "mot " * 60)),
    )
    assert_margins_are_white(reader)
    # Tables are tables: their HTML is read, not their text form.
    assert "<Styler>" not in text and "rien" not in text and "La légende" in text
    assert "une_colonne_19" in text and "59029.5" in text
    assert text.replace(" ", "").count(long) == 2
    assert "parametre_29=29" in text
    assert "tête" in text and re.search("┏[━┳]{100,}┓", text)  # On one line.


def place(reader, word):
    """Left, right and bottom of a word of the first page, in points."""
    page = pypdfium2.PdfDocument(reader.stream)[0].get_textpage()
    start, count = page.search(word).get_next()
    left, bottom = page.get_charbox(start)[:2]
    return left, page.get_charbox(start + count - 1)[2], bottom


def test_numbers_stand_to_the_right_and_words_to_the_left(tmp_path, team):
    table = pd.DataFrame({"n": [88, 1234567], "t": ["mot", "plus long"]})
    reader, _ = set_pdf(tmp_path, "# T", ("t", shown(text_html=table.to_html())))
    assert place(reader, "88")[1] == pytest.approx(place(reader, "1234567")[1], abs=1)
    assert place(reader, "mot")[0] == pytest.approx(place(reader, "plus")[0], abs=1)


def test_a_wide_table_does_not_overlap(tmp_path, team):
    """Each number of a row of twelve columns begins where the last one has ended."""
    wide = pd.DataFrame([[123456.5 + n for n in range(12)]]).add_prefix("colonne_")
    reader, _ = set_pdf(tmp_path, "# T", ("wide", shown(text_html=wide.to_html())))
    boxes = [place(reader, f"{123456.5 + n}") for n in range(12)]
    assert len({round(bottom) for *_, bottom in boxes}) == 1
    for (_, right, _), (left, *_) in itertools.pairwise(boxes):
        assert right < left


def test_a_long_and_wide_table_stays_upright(tmp_path, team):
    first = 10_000_000_000
    table = pd.DataFrame(np.arange(2000).reshape(100, 20) + first)
    reader, text = set_pdf(tmp_path, "# T", ("t", shown(text_html=table.to_html())))
    assert_margins_are_white(reader)
    assert all(str(first + n) in text for n in range(2000))
    # Upright: on its side it would be smaller still.
    assert place(reader, f"{first}")[2] == place(reader, f"{first + 1}")[2]


def test_figures_are_whole_and_never_enlarged(tmp_path, team):
    Image.new("RGB", (40, 20), "green").save(tmp_path / "beside.png")
    buffer = io.StringIO()
    figure = plt.figure(figsize=(20, 2))
    figure.savefig(buffer, format="svg")
    plt.close(figure)
    attached = new_markdown_cell("![](attachment:image.png)")
    attached.attachments = {"image.png": {"image/png": png((10, 10), "red")}}
    sizes = [(300, 150), (3000, 600), (500, 2000), (200, 100)]
    outputs = [
        shown(image_png=png(size, "navy"), text_plain="<Figure>") for size in sizes
    ]
    reader, text = set_pdf(
        tmp_path,
        "# Figures\n\n![](beside.png)\n\n![là-bas](https://example.invalid/x.png)"
        "\n\n[![badge](https://example.invalid/y.svg)](https://example.invalid)",
        attached,
        *[("plot()", output) for output in outputs],
        ("plot()", shown(**{"image_svg+xml": buffer.getvalue()})),
    )
    assert_margins_are_white(reader)
    assert "<Figure>" not in text and "là-bas" in text
    found = {}
    for page in pypdfium2.PdfDocument(reader.stream):
        for image in page.get_objects([pypdfium2.raw.FPDF_PAGEOBJ_IMAGE]):
            left, bottom, right, top = image.get_bounds()
            assert left >= 2 * CM - 1 and right <= 19 * CM + 1
            assert bottom >= 2 * CM - 1 and top <= 27.5 * CM + 1
            size = image.get_px_size()
            assert (right - left) / (top - bottom) == pytest.approx(
                size[0] / size[1], rel=0.02
            )
            assert right - left <= size[0] * 72 / 72
            found[size] = right - left
    assert set(found) == {*sizes, (40, 20), (10, 10)}
    assert found[300, 150] == pytest.approx(0.75 * 300 * 72 / 100, abs=1)


def test_markdown_and_html_that_outputs_show_are_set(tmp_path, team):
    reader, text = set_pdf(
        tmp_path,
        ("1", shown(text_markdown="## Affiché\n\n**gras**\n\n|a|b|\n|-|-|\n|1|2|")),
        (
            "2",
            shown(
                text_html="<p>du <b>HTML</b> &eacute;</p><script>rien()</script>",
                text_plain="<IPython.core.display.HTML object>",
            ),
        ),
        ("3", shown(text_html="<div>décor</div>", text_plain="Modèle(C=1)")),
        ("4", shown(text_html="<pre>\x1b</pre>", text_plain="\x1b[1mriche\x1b[0m")),
    )
    assert titles(reader.outline) == ["a", "Affiché"]  # The file's name is the title.
    assert "gras a b 1 2" in text and "*" not in text
    assert "du HTML é" in text and "rien" not in text
    assert "Modèle(C=1)" in text and "décor" not in text
    assert "riche" in text


def test_nothing_is_fetched_nor_run(tmp_path, team, capfd):
    """Pandoc would say that it could not fetch what these show."""
    _, text = set_pdf(
        tmp_path,
        "# T\n\n<iframe src='https://example.invalid/a'></iframe>\n\n"
        "<img src='https://example.invalid/b.png'> ![](//example.invalid/c.png)",
        "```{=typst}\n#panic()\n```\n\n`#panic()`{=typst} #panic()",
        "",
    )
    assert text.count("#panic()") == 3
    assert capfd.readouterr().err == ""


def test_what_is_folded_on_the_screen_is_on_paper(tmp_path, team):
    cell = new_code_cell("plié = 1", outputs=[printed("sorti")], execution_count=1)
    cell.metadata = {"jupyter": {"source_hidden": True, "outputs_hidden": True}}
    cell.metadata.collapsed = True
    _, text = set_pdf(tmp_path, "# T", cell)
    assert "plié = 1" in text and "sorti" in text


def test_the_team_is_named_once_and_in_the_properties(tmp_path, team):
    reader, text = set_pdf(tmp_path, "# Le titre `clip`\n\n*Début.*")
    for word in ("Groupe 7", "D'Arc-Lévêque", "Zoé", "22001234", "Nguyễn", "22005678"):
        assert text.count(word) == 1, word
    assert text.index("Le titre") < text.index("22001234") < text.index("Début")
    assert reader.metadata.title == "Le titre clip"
    authors = "Zoé D'Arc-Lévêque (22001234), Anh Nguyễn (22005678)"
    assert reader.metadata.author == authors
    assert "groupe 7" in reader.metadata.keywords
    group, members = read_team(team)
    output = shown(text_html=members.to_html(), text_plain=members.to_string())
    _, text = set_pdf(tmp_path, "# T", ("membres", printed(group), output))
    assert text.count("22001234") == 1


def test_pages_are_numbered_and_carry_the_team(tmp_path, team):
    lines = "\n".join(str(n) for n in range(150))
    reader, _ = set_pdf(tmp_path, "# Le titre", ("print()", printed(lines)))
    texts = [page.extract_text() for page in reader.pages]
    assert len(texts) == count_pages(tmp_path / "a.pdf") == 3
    for number, text in enumerate(texts, 1):
        assert f"{number} / 3" in text
        assert ("Groupe 7, D'Arc-Lévêque, Nguyễn" in text) == (number > 1)
    assert re.findall(r"^\d+$", "\n".join(texts), re.MULTILINE) == lines.split()


def test_contents_if_asked_for(tmp_path, team):
    cells = "# Le titre", "## Un", "### Deux"
    _, text = set_pdf(tmp_path, *cells)
    assert "Table des matières" not in text
    reader, text = set_pdf(tmp_path, *cells, contents=True)
    assert "Table des matières" in text and text.count("Deux") == 2
    assert titles(reader.outline) == ["Le titre", "Un", "Deux"]


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (new_code_cell("1 + 1"), "cell 1 of 1 has not run; run them all"),
        (
            ("1/0", new_output("error", ename="Zero", evalue="by 0")),
            "cell 1 failed: Zero: by 0",
        ),
        ("$$a \\tag{1}$$", r"the formula a \\tag\{1\} cannot be set \(unexpected"),
        ("![](absent.png)", "no picture absent.png"),
        ("![](a.ipynb)", "Typst"),
    ],
)
def test_what_cannot_be_set_is_refused_in_one_sentence(tmp_path, team, cell, message):
    (tmp_path / "a.pdf").write_text("the last one")
    with pytest.raises(ValueError, match=message) as error:
        set_pdf(tmp_path, "# T", cell)
    assert str(error.value).startswith(str(tmp_path / "a.ipynb"))
    assert "\n" not in str(error.value)
    assert (tmp_path / "a.pdf").read_text() == "the last one"
    assert {path.name for path in tmp_path.iterdir()} == {
        "a.ipynb",
        "a.pdf",
        "equipe.toml",
    }


def test_a_notebook_that_failed_is_set_if_one_insists(tmp_path, team):
    failed = new_output(
        "error", ename="Zero", evalue="by 0", traceback=["\x1b[31mZero\x1b[0m: by 0"]
    )
    silent = new_output("error", ename="Zero", evalue="by 0")
    cells = new_code_cell("neuf"), ("1/0", failed, silent)
    _, text = set_pdf(tmp_path, "# T", *cells, anyway=True)
    assert "neuf" in text and "Zero: by 0" in text


def test_what_is_no_notebook_is_refused(tmp_path, team):
    with pytest.raises(ValueError, match=r"none\.ipynb: no such notebook"):
        write_pdf(tmp_path / "none.ipynb", team=team)
    for text in ("{}", "no", "\x00"):
        (tmp_path / "a.ipynb").write_text(text)
        with pytest.raises(ValueError, match=r"a\.ipynb: not a notebook"):
            write_pdf(tmp_path / "a.ipynb", team=team)


def test_a_missing_wheel_is_named(tmp_path, team, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: None if name == "typst" else find(name),
    )
    with pytest.raises(ValueError, match=r"typst is missing: pip install -r req"):
        set_pdf(tmp_path, "# T")


@pytest.fixture
def project(tmp_path, team, monkeypatch):
    """A folder as the commands see it, whose models/ holds what `run` left."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(team_module, "TEAM_FILE", team)
    for name in ("CLIP_DATA_DIR", "CLIP_MODEL_DIR", "CLIP_PRESET"):
        monkeypatch.setenv(name, "")
    (tmp_path / "models").mkdir()
    write(tmp_path / NOTEBOOK, "# T", ("1", printed("1")))
    return tmp_path


def test_the_command_takes_what_run_left(project, capsys):
    assert main(["pdf", "--json"]) == 0
    said = capsys.readouterr()
    pdf = NOTEBOOK.replace(".ipynb", ".pdf")
    assert json.loads(said.out) == {"notebook": NOTEBOOK, "pdf": pdf, "pages": 1}
    assert said.err == ""
    write(project / "models" / NOTEBOOK, "# T", ("2", printed("1")))
    assert main(["pdf"]) == 0
    said = capsys.readouterr()
    assert "1 pages" in said.out and str(Path("models", pdf)) in said.out
    assert "has changed since" in said.err
    assert (project / "models" / pdf).is_file()


def test_the_command_reports_what_is_wrong(project, capsys):
    text = (project / "equipe.toml").read_text(encoding="utf-8")
    (project / "equipe.toml").write_text(
        text.replace("Zoé", "<Prénom 1>"), encoding="utf-8"
    )
    assert main(["pdf", NOTEBOOK, "-o", "deep/er/out.pdf"]) == 0
    assert "equipe.toml is not filled in: <Prénom 1>" in capsys.readouterr().err
    assert (project / "deep/er/out.pdf").is_file()
    write(project / NOTEBOOK, new_code_cell("1"))
    assert main(["pdf"]) == 1
    said = capsys.readouterr()
    assert said.err.startswith("error: ") and said.err.count("\n") == 1 and not said.out
    assert main(["pdf", "--anyway"]) == 0


def test_the_committed_notebook(tmp_path, capfd):
    if not as_committed(NOTEBOOK):
        pytest.skip(
            "the notebook was changed here since; only the committed one is checked"
        )
    pdf = write_pdf(ROOT / NOTEBOOK, tmp_path / "a.pdf", team=ROOT / "equipe.toml")
    assert capfd.readouterr().err == ""
    reader = PdfReader(pdf)
    assert 15 <= len(reader.pages) <= 30
    notebook = nbformat.read(ROOT / NOTEBOOK, as_version=4)
    markdown = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    assert titles(reader.outline) == re.findall(
        r"^#+ (.*)$", "\n".join(markdown), re.MULTILINE
    )
    text = "".join(page.extract_text() for page in reader.pages)
    _, members = read_team(ROOT / "equipe.toml")
    for card in members.iloc[:, 2]:
        assert text.count(html.unescape(card)) == 1
    figures = sum("image/jpeg" in str(cell.get("outputs")) for cell in notebook.cells)
    assert sum(len(page.images) for page in reader.pages) >= figures
    assert_margins_are_white(reader)
    for page in list(pages(reader))[:-1]:
        lines = np.flatnonzero(page[: int(27 * CM)].min(axis=1) < 255)
        assert lines[-1] > len(page) / 3, "a near-empty page"
