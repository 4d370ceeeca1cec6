"""The notebook on paper: nothing cut, nothing left raw, nothing that a screen hides."""

import base64
import io
import json
import re
import subprocess
from pathlib import Path

import keras
import nbformat
import numpy as np
import pandas as pd
import pypdfium2
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image
from pypdf import PdfReader
from team_project import TEAM, enter

from clip_lib.__main__ import main
from clip_lib.errors import ClipError
from clip_lib.handin.document_text import execution_faults, read_notebook
from clip_lib.handin.notebook import NOTEBOOK
from clip_lib.handin.notebook_pdf import write_pdf
from clip_lib.handin.team import read_team

ROOT = Path(__file__).parents[1]
CM = 72 / 2.54
ADDRESS = "https://example.org/x?a=b_c"


def png(size, colour):
    data = io.BytesIO()
    Image.new("RGB", size, colour).save(data, "png", dpi=(100, 100))
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


@pytest.fixture
def folder(tmp_path, monkeypatch):
    return enter(tmp_path, monkeypatch)


def set_pdf(folder, *cells):
    """Return the reader of a PDF made of these cells, and its text on one line."""
    reader = PdfReader(write_pdf(write(folder / "a.ipynb", *cells)))
    text = " ".join(page.extract_text() for page in reader.pages)
    return reader, re.sub(r"\s+", " ", text.replace("\u200b", ""))


def titles(reader):
    toc = pypdfium2.PdfDocument(reader.stream).get_toc()
    return [bookmark.get_title() for bookmark in toc]


def assert_margins_are_white(reader):
    side, end = int(1.9 * CM), int(0.8 * CM)  # The margin is 2 cm wide; for rounding.
    for number, page in enumerate(pypdfium2.PdfDocument(reader.stream), 1):
        grey = np.asarray(page.render().to_pil().convert("L"))
        for edge in (grey[:, :side], grey[:, -side:], grey[:end], grey[-end:]):
            assert edge.min() == 255, f"page {number}"


def test_text_is_french_and_typeset(folder):
    reader, text = set_pdf(
        folder,
        "# L'œuvre « française »\n\nÇa coûte 12 % → dès Noël ; αβγ, Привет, ✓.",
        "## Une suite\n\ntexte :\n(1) pas une liste\n- une liste\n- 2\\$\n\n"
        f"Une [adresse]({ADDRESS}), un [renvoi](#Une-suite), "
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
    assert "texte : (1) pas une liste •" in text and "gauche droite" in text
    # Raw TeX nowhere but in the code that speaks of it.
    text = text.partition("Une suite")[2]
    assert text.count("\\") == 1 and "$$" not in text and "<Math>" not in text
    assert "∑" in text and "√" in text and "∥" not in text
    assert titles(reader)[1:] == ["Une suite", "Formules", "Une suite"]
    links = [note.get_object() for note in reader.pages[0]["/Annots"]]
    assert [link["/A"]["/URI"] for link in links if "/A" in link] == [ADDRESS]
    assert sum("/Dest" in link for link in links) == 1
    assert reader.root_object["/Lang"] == "fr"


def test_only_what_paper_can_show_is_left(folder, capfd):
    """Bars leave their last line, HTML is set; nothing is fetched nor run."""
    steps = [f"\r {done:3}%|███   | {done}/100" for done in range(0, 101)]
    bar = [printed(step, "stderr") for step in steps]
    keras_bar = "\r\x1b[1m1/2\x1b[0m \x1b[32m━━\x1b[0m\x08\x08\r\x1b[1m2/2\x1b[0m fin"
    widget = {"application_vnd.jupyter.widget-view+json": {}, "text_plain": "0%|"}
    page = "<p>du <b>HTML</b> &eacute;</p><script>rien()</script>"
    plain = "<IPython.core.display.HTML object>"
    table = "## Affiché\n\n**gras**\n\n|a|b|\n|-|-|\n|1|2|"
    reader, text = set_pdf(
        folder,
        ("fit()", *bar, printed("\n", "stderr"), printed("\x1b[31mrou\x07ge\x1b[0m\n")),
        ("fit()", printed("Epoch 1/1\n"), printed(keras_bar)),
        ("tqdm()", shown(**widget)),
        ("1", shown(text_markdown=table)),
        ("2", shown(text_html=page, text_plain=plain)),
        ("3", shown(text_html="<div>décor</div>", text_plain="Modèle(C=1)")),
        ("4", shown(text_html="<pre>\x1b</pre>", text_plain="\x1b[1mriche\x1b[0m")),
        "<iframe src='https://example.invalid/a'></iframe>\n\n"
        "<img src='https://example.invalid/b.png'> ![](//example.invalid/c.png)",
        "```{=typst}\n#panic()\n```\n\n`#panic()`{=typst} #panic()",
        "",
    )
    assert text.count("#panic()") == 3
    assert capfd.readouterr().err == ""  # Pandoc would say that it could not fetch.
    assert text.count("%|") == 1 and "100%|███" in text
    assert "rouge" in text and "[31m" not in text
    assert "Epoch 1/1 2/2 fin" in text
    assert titles(reader) == ["a", "Affiché"]  # The file's name is the title.
    assert "gras a b 1 2" in text and "*" not in text
    assert "du HTML é" in text and "rien" not in text
    assert "Modèle(C=1)" in text and "décor" not in text
    assert "riche" in text


def test_nothing_is_wider_than_the_text(folder, monkeypatch):
    monkeypatch.setenv("COLUMNS", "150")
    summary, long = [], "z" * 250
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, name="tête")])
    model.summary(line_length=150, print_fn=summary.append)
    style = pd.DataFrame({"t": ["mot " * 80, "y" * 200]}).style.set_caption("Légende")
    first = 10_000_000_000
    large = pd.DataFrame(np.arange(2000).reshape(100, 20) + first)
    call = "f(" + ",".join(f"parametre_{n}={n}" for n in range(30)) + ")"
    reader, text = set_pdf(
        folder,
        f"# Large\n\n`{'w' * 120}` https://example.org/{'v' * 120}",
        ("style", shown(text_html=style.to_html(), text_plain="<Styler>")),
        ("large", shown(text_html=large.to_html(), text_plain="rien")),
        ("summary", printed("\n".join(summary))),
        (f"{call}\nx = '{long}'", printed(f"{long}\n" + "mot " * 60)),
    )
    assert_margins_are_white(reader)
    # Tables are tables: their HTML is read, not their text form.
    assert "<Styler>" not in text and "rien" not in text and "Légende" in text
    assert all(str(first + n) in text for n in range(2000))
    assert text.replace(" ", "").count(long) == 2
    assert "parametre_29=29" in text
    assert "tête" in text and re.search("┏[━┳]{100,}┓", text)  # On one line.


def test_figures_are_whole_and_never_enlarged(folder):
    Image.new("RGB", (40, 20), "green").save(folder / "beside.png")
    attached = new_markdown_cell("![](attachment:image.png)")
    attached.attachments = {"image.png": {"image/png": png((10, 10), "red")}}
    sizes = [(300, 150), (3000, 600), (500, 2000), (200, 100)]
    pictures = [png(size, "navy") for size in sizes]
    reader, text = set_pdf(
        folder,
        "# Figures\n\n![](beside.png)\n\n![là-bas](https://example.invalid/x.png)"
        "\n\n[![badge](https://example.invalid/y.svg)](https://example.invalid)",
        attached,
        ("plot()", *[shown(image_png=one, text_plain="<Figure>") for one in pictures]),
    )
    assert_margins_are_white(reader)
    assert "<Figure>" not in text and "là-bas" in text
    found = {}
    for page in pypdfium2.PdfDocument(reader.stream):
        for image in page.get_objects([pypdfium2.raw.FPDF_PAGEOBJ_IMAGE]):
            left, bottom, right, top = image.get_bounds()
            width, height = image.get_px_size()
            shape = pytest.approx(width / height, rel=0.02)
            assert (right - left) / (top - bottom) == shape and right - left <= width
            found[width, height] = right - left
    assert set(found) == {*sizes, (40, 20), (10, 10)}
    assert found[300, 150] == pytest.approx(0.75 * 300 * 72 / 100, abs=1)


def test_the_team_is_named_once_on_each_page_and_in_the_properties(folder):
    lines = "\n".join(str(n) for n in range(150))
    numbers = ("print()", printed(lines))
    reader, text = set_pdf(folder, "# Le titre `clip`\n\n*Début.*", numbers)
    for word in ("22001234", "Anh", "22009999", "22005555"):
        assert text.count(word) == 1, word
    assert text.index("Le titre") < text.index("22001234") < text.index("Début")
    assert reader.metadata.title == "Le titre clip"
    assert "Anh Nguyễn (22009999), " in reader.metadata.author
    assert "groupe 7" in reader.metadata.keywords
    for number, page in enumerate(reader.pages, 1):
        assert f"{number} / 3" in page.extract_text()
        named = "Groupe 7, O'Connor-Lévêque, d'Été" in page.extract_text()
        assert named == (number > 1)
    group, members = read_team()
    output = shown(text_html=members.to_html(), text_plain=members.to_string())
    _, text = set_pdf(folder, "# T", ("membres", printed(group), output))
    assert text.count("22001234") == 1  # The notebook shows them itself.


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (new_code_cell("1 + 1"), "cell 1 of 1 has not run; run all cells"),
        (("1/0", new_output("error", ename="Zero")), r"cell 1 failed \(Zero\); ru"),
        ("$$a \\tag{1}$$", r"the formula a \\tag\{1\} cannot be set"),
        ("![](absent.png)", "no picture absent.png"),
        ("![](a.ipynb)", "Typst"),
    ],
)
def test_what_cannot_be_set_is_refused_in_one_sentence(folder, cell, message):
    (folder / "a.pdf").write_text("the last one")
    with pytest.raises(ClipError, match=message) as error:
        set_pdf(folder, "# T", cell)
    assert re.match(rf"{folder / 'a.ipynb'}: .*\Z", str(error.value))
    assert (folder / "a.pdf").read_text() == "the last one"


def test_the_command_takes_what_run_left(folder, monkeypatch, capsys):
    write(folder / NOTEBOOK, "# T", ("1", printed("1")))
    assert main(["pdf", "--json"]) == 0
    said, pdf = capsys.readouterr(), NOTEBOOK.replace(".ipynb", ".pdf")
    assert json.loads(said.out) == {"notebook": NOTEBOOK, "pdf": pdf, "pages": 1}
    assert said.err == ""
    (folder / "mine").mkdir()
    write(folder / "mine" / NOTEBOOK, "# T", ("2", printed("1")))
    enter(folder, monkeypatch, TEAM.replace("Anh", "<Prénom 3>"))
    assert main(["pdf", "--models", "mine"]) == 0
    said = capsys.readouterr()
    assert "1 pages" in said.out and str(Path("mine", pdf)) in said.out
    assert "has changed since" in said.err
    assert "equipe.toml, ligne 13 : prenom « <Prénom 3> » du membre 3" in said.err
    assert main(["pdf", NOTEBOOK, "-o", "deep/er/out.pdf"]) == 0
    assert (folder / "deep/er/out.pdf").is_file()


def test_the_committed_notebook_ran_whole_on_drawn_scenes_and_is_set(tmp_path, capfd):
    command = ["git", "diff", "--quiet", "HEAD", "--", NOTEBOOK]
    if subprocess.run(command, cwd=ROOT, capture_output=True).returncode == 1:
        pytest.skip("the notebook was run here since: only the committed one counts")
    notebook = read_notebook(ROOT / NOTEBOOK)
    assert execution_faults(notebook) == []
    outputs = [one for cell in notebook.cells for one in cell.get("outputs", [])]
    # Bars and notices go there; what Python or TensorFlow complains of may not.
    errors = [one["text"] for one in outputs if one.get("name") == "stderr"]
    assert not re.findall("(?i)warning|error", "".join(errors))
    text = (ROOT / NOTEBOOK).read_text(encoding="utf-8")
    assert "SCÈNES DESSINÉES" in text and "PHOTOS" not in text and len(text) < 3e6
    reader = PdfReader(write_pdf(ROOT / NOTEBOOK, tmp_path / "a.pdf"))
    assert capfd.readouterr().err == ""
    assert 15 <= len(reader.pages) <= 34
    markdown = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    assert titles(reader) == re.findall(r"^#+ (.*)$", markdown, re.MULTILINE)
    figures = sum("image/jpeg" in str(one) for one in outputs)
    assert sum(len(page.images) for page in reader.pages) >= figures >= 9
    assert_margins_are_white(reader)
