"""The command line: answers, exit statuses, one sentence for what is wrong."""

import functools
import io
import json
import os
import re
import shutil
import subprocess
import sys
import types
from pathlib import Path, PurePosixPath

import keras
import numpy as np
import pandas as pd
import pytest
from conftest import make_folder
from PIL import Image

from clip_lib.__main__ import main
from clip_lib.cli import ask as ask_commands
from clip_lib.cli import train
from clip_lib.cli.common import Answer
from clip_lib.cli.parser import parse
from clip_lib.cli.show import blocks, write_page
from clip_lib.config import VOCABULARY_FILE, Config
from clip_lib.data import source
from clip_lib.data.images import load_image, open_picture
from clip_lib.errors import ClipError
from clip_lib.evaluation.cleaning import read_list, write_list
from clip_lib.figures.image_grids import image_answers
from clip_lib.retrieval import folder_index
from clip_lib.retrieval.index import Index
from clip_lib.retrieval.photo_folder import open_folder
from clip_lib.retrieval.search import (
    IMAGE_INDEX_FILE,
    MODEL_FILE,
    TEXT_INDEX_FILE,
    Clip,
    Search,
)
from clip_lib.retrieval.zero_shot import label_index

COMMANDS = (
    *("run", "train", "check", "evaluate", "clean", "search", "score", "app"),
    *("classify", "rerank", "index", "enrich", "pdf", "report", "submit"),
)


@pytest.fixture(scope="module")
def models(run_config, tmp_path_factory):
    """A folder of models, each loaded once."""
    folder = tmp_path_factory.mktemp("own") / "models"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Clip, "load", functools.cache(Clip.load))
        yield shutil.copytree(run_config.model_dir, folder)


@pytest.fixture(scope="module")
def engine(models):
    return Search.load(str(models / MODEL_FILE))


@pytest.fixture(autouse=True)
def environment(monkeypatch, cache):
    """main() sets variables, undone here; to an untrained model all is nonsense."""
    monkeypatch.setattr(ask_commands, "fits", lambda *_, **__: True)
    for name in ("CLIP_DATA_DIR", "CLIP_MODEL_DIR", "CLIP_PRESET"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))


@pytest.fixture
def ask(models, capsys):
    """Query the model; return exit status, standard output and standard error."""

    def call(*words):
        status = main([*map(str, words), "--model", call.model])
        return status, *capsys.readouterr()

    call.model = str(models / MODEL_FILE)
    return call


@pytest.fixture
def pictures(tiny_folder, tmp_path):
    """Three pictures under names that a shell would break."""
    paths = []
    for label, name in (
        ("dog", "un chien.jpg"),
        ("ball", "été.jpg"),
        ("bike", "#.JPG"),
    ):
        paths.append(tmp_path / "own photos" / name)
        paths[-1].parent.mkdir(exist_ok=True)
        shutil.copy(tiny_folder / f"images/{label}/{label}_001.jpg", paths[-1])
    return paths


# Starting, failing, ending.


def test_nothing_heavy_is_loaded_before_a_command_runs():
    script = """
import sys
from clip_lib.__main__ import main
for words in (["--help"], ["search", "--help"], ["serch", "a dog"], ["score"]):
    try:
        main(words)
    except SystemExit:
        pass
heavy = {"tensorflow", "keras", "keras_nlp", "pandas", "matplotlib", "numpy", "sklearn"}
print("loaded:", sorted(heavy & set(sys.modules)))
"""
    process = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert process.stdout.endswith("loaded: []\n")
    assert "invalid choice: 'serch'" in process.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_an_example_that_it_understands(capsys, command):
    with pytest.raises(SystemExit) as left:
        main([command, "--help"])
    assert left.value.code == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "--json" in printed and "--debug" in printed
    example = printed.partition(f"example: python -m clip_lib {command} ")[2]
    words = re.findall(r'"[^"]*"|[^\s"]+', example.partition("<")[0])
    assert words and parse([command, *words]).command == command


def test_an_option_that_is_none_is_refused(capsys):
    for command in (["rerank", "a dog", "a.jpg", "--jso"], ["search", "a", "b"]):
        with pytest.raises(SystemExit) as left:
            main([*command, "--moon"])
        assert left.value.code == 2
        assert "unrecognized arguments" in capsys.readouterr().err


def fail_with(monkeypatch, error):
    def fail(arguments, config):
        raise error

    monkeypatch.setattr(ask_commands, "search", fail)


@pytest.mark.parametrize("bug", [ValueError, KeyError, ModuleNotFoundError])
def test_a_bug_is_never_taken_for_a_mistake_of_the_user(monkeypatch, bug, capsys):
    fail_with(monkeypatch, bug("shapes (3, 4) and (5,) not aligned"))
    with pytest.raises(bug):
        main(["search", "a dog"])
    assert "error:" not in capsys.readouterr().err


@pytest.mark.parametrize("error", [ClipError("a.csv: empty."), OSError(28, "No space")])
def test_a_mistake_of_the_user_is_one_line_unless_debugged(monkeypatch, error, capsys):
    fail_with(monkeypatch, error)
    assert main(["search", "a dog"]) == 1
    assert capsys.readouterr().err == f"error: {error}\n"
    for words in (["--debug", "search", "a dog"], ["search", "a dog", "--debug"]):
        with pytest.raises(type(error)):
            main(words)


@pytest.mark.skipif(sys.platform == "win32", reason="a pipe of a POSIX shell")
def test_a_reader_may_stop_reading():
    script = """
import sys, types
from clip_lib.__main__ import main
from clip_lib.cli.common import Answer
long = types.SimpleNamespace(search=lambda *_: Answer("a line\\n" * 100_000))
sys.modules["clip_lib.cli.ask"] = long
sys.exit(main(["search", "a dog"]))
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["search", ""], "Empty query"),
        (["search", "qwertz"], "none of its content words"),
        (["search", "none.jpg"], "none.jpg: no such picture"),
        (["search", "the grass", "-k", "0"], "k = 0"),
        (["search", "the grass", "--gallery", "moon"], "gallery 'moon'"),
        (["search", "the grass", "--figure", "a.xyz"], "a.xyz: expected a name ending"),
        (["evaluate", "--data", "nowhere"], "nowhere: no such data folder"),
        (["evaluate", "--split", "test", "--data", "nowhere"], "nowhere: no such"),
        (["clean", "--reviewed", "none.csv"], "none.csv"),
    ],
)
def test_bad_input_is_one_sentence_and_a_status(ask, arguments, message):
    status, printed, said = ask(*arguments)
    assert (status, printed) == (1, "")
    assert said.startswith("error: ") and message in said
    assert len(said.splitlines()) == 1


# Search.


def test_search_prints_ranked_pictures_with_their_captions(ask):
    status, printed, said = ask("search", "zeppelin on the grass")
    assert (status, said) == (0, "words the model never saw: zeppelin\n")
    where, heading, *lines = printed.splitlines()
    assert where.startswith("among ") and "photographs" in where
    shown = ["rank", "score", "margin", "probability", "path", "label", "split"]
    assert heading.split() == [*shown, "caption"]
    assert [line.split()[0] for line in lines] == ["1", "2", "3", "4", "5"]
    for line in lines:
        label, number = PurePosixPath(line.split()[4]).stem.split("_")
        assert f'A "{label}" of {label}word{int(number)}, on the grass .' in line
        assert re.search(r" \d+\.\d% ", line)
    # A text longer than a file's name may be is a text.
    _, printed, said = ask("search", "the grass " * 600)
    assert printed.startswith("among ")
    assert "the model reads at most the first 32 words of a text" in said


def test_search_in_json(ask, tiny_folder):
    answers = json.loads(ask("search", "the grass", "-k", "3", "--json")[1])
    assert [answer["rank"] for answer in answers] == [1, 2, 3]
    assert answers[0]["score"] >= answers[1]["score"]
    assert {answer["split"] for answer in answers} == {"test"}
    start = ["rank", "score", "margin", "probability"]
    assert all(list(a) == [*start, "path", "label", "split"] for a in answers)
    picture = tiny_folder / "images/dog/dog_001.jpg"
    answers = json.loads(ask("search", picture, "--json", "--gallery", "all")[1])
    assert list(answers[0]) == [*start, "caption", "image_path", "label", "split"]


@pytest.mark.parametrize("query", ["the grass", "images/dog/dog_001.jpg"])
def test_search_draws_its_answers(ask, tmp_path, tiny_folder, query):
    figure = tmp_path / "figures/answers.png"
    query = tiny_folder / query if query.endswith("jpg") else query
    assert ask("search", query, "--figure", figure)[0] == 0
    assert open_picture(figure).width > 500
    status, _, said = ask("search", query, "--figure", figure / "in the way.png")
    assert status == 1 and said.startswith("error: ")


def test_a_question_combines_texts_and_pictures(ask, engine, photo):
    expected = engine.images_for(f"{photo} - the grass", 5, pictures=True)
    for command in (
        ["search", photo, "-", "the grass", "--json"],
        ["search", "-k", "5", f"{photo} - the grass", "--json"],
    ):
        found = json.loads(ask(*command)[1])
        assert [answer["path"] for answer in found] == expected["paths"].tolist()
    status, _, said = ask("search", "a ball without a dog -grass")
    assert status == 0
    assert "'without a dog' looks for dog: write \" - dog\" to leave it out" in said
    assert "'-grass' looks for grass" in said
    assert "looks for" not in ask("search", '"a ball without a dog"')[2]


def test_a_picture_finds_pictures_like_it(ask, engine, photo):
    expected = engine.images_like(photo, 3, "all")["paths"].tolist()
    command = ["search", photo, "--similar", "-k", "3", "--gallery", "all"]
    found = json.loads(ask(*command, "--json")[1])
    assert [answer["path"] for answer in found] == expected
    heading, columns, *_ = ask(*command)[1].splitlines()
    assert heading.startswith("among 48 pictures") and columns.endswith("caption")


def test_what_fits_nothing_is_said(ask, monkeypatch):
    nothing = "nothing here fits well"
    for fits in (False, True):
        monkeypatch.setattr(ask_commands, "fits", lambda *_, fits=fits, **__: fits)
        status, printed, said = ask("search", "the grass")
        assert status == 0 and len(printed.splitlines()) == 7
        assert (nothing in said) != fits


def test_answers_go_to_other_programs(ask, engine, tmp_path):
    answers = engine.images_for("the grass", 4)
    paths, scores = answers["paths"].tolist(), answers["score"]
    command = ["search", "the grass", "-k", "4", "--paths-only"]
    assert ask(*command)[1].splitlines() == paths
    assert ask(*command, "-0")[1] == "\0".join(paths) + "\0"
    least = str(scores[1:3].mean())
    assert ask(*command, "--min-score", least)[1].splitlines() == paths[:2]
    assert ask(*command, "--min-score", "1.1") == (0, "", "")
    assert "no answer of that score" in ask(*command[:-1], "--min-score", "1.1")[1]


def test_answers_are_looked_at(ask, engine, tmp_path, monkeypatch):
    """In a terminal, in half blocks; and in one file, of names but no folders."""
    monkeypatch.setenv("COLUMNS", "80")
    page = tmp_path / "page.html"
    command = ["search", '"the grass" + <b>dog</b>', "-k", "4", "--thumbnails"]
    status, printed, _ = ask(*command, "--html", page)
    rows = [line for line in printed.splitlines() if "▀" in line]
    assert status == 0 and [row.count("▀") for row in rows] == [72] * 12 + [24] * 12
    answers = engine.images_for(command[1], 4)
    assert f"1. {answers['score'][0]:.3f}" in printed
    text = page.read_text(encoding="utf-8")
    assert text.count('<img src="data:image/jpeg;base64,') == 4
    assert "&lt;b&gt;dog" in text and "<b>" not in text
    assert Path(answers["paths"][0]).name in text
    assert str(Path(answers["paths"][0]).parent) not in text
    assert not re.search(r"(src|href)=.?(?!.?data:)", text)


def test_questions_are_answered_one_after_another(ask, monkeypatch):
    lines = "the grass\n\nqwertz\nnone.jpg\na dog\n"
    monkeypatch.setattr(sys, "stdin", io.StringIO(lines))
    status, printed, said = ask("search", "-k", "2")
    assert status == 0 and printed.count("among ") == 2
    assert said.count("error: ") == 2 and "none.jpg: no such picture" in said
    monkeypatch.setattr(sys, "stdin", io.StringIO("the grass\n"))
    assert len(json.loads(ask("search", "-k", "2", "--json")[1])) == 2


def test_a_gallery_is_narrowed_and_sorted(ask, pictures):
    """By sub-folder, and by when the pictures were taken, which one does not say."""
    dates = ("2019:07:31 10:00:00", "2021:01:01 10:00:00", None)
    for date, path in zip(dates, pictures, strict=True):
        exif = Image.Exif()
        exif.update({0x0132: date} if date else {})
        place = path.parent / "2019/Rome" / path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.open(path).save(place, exif=exif)
    for options, expected in (
        (["--within", "Rome", "--sort", "date"], [0, 1, 2]),
        (["--within", "2019/Rome/", "--since", "2019-08"], [1]),
        (["--until", "2019-07-31"], [0]),
        (["--since", "2019", "--until", "2020"], [0]),
    ):
        command = ["search", "the grass", "--gallery", pictures[0].parent, *options]
        found = json.loads(ask(*command, "--json")[1])
        names = [pictures[place].name for place in expected]
        assert [Path(answer["path"]).name for answer in found] == names
    command = command[: -len(options)]
    assert (
        "no picture in Paris, since 2019"
        in ask(*command, "--within", "Paris", "--since", "2019")[2]
    )
    assert "'July': expected a date such as" in ask(*command, "--since", "July")[2]


@pytest.mark.skipif(os.name != "posix", reason="file names of POSIX")
def test_a_name_does_not_command_the_terminal(ask, pictures):
    folder = pictures[0].parent
    name = "evil \x1b]0;owned\x07\x1b[2J\nerror: forged\u202egpj.jpg"
    pictures[0].rename(folder / name)
    bad = folder / f"bad {name}"
    bad.write_bytes(b"no picture")
    shown = r"evil \x1b]0;owned\x07\x1b[2J\nerror: forged\u202egpj.jpg"
    for command in (
        ["search", "the grass", "--gallery", folder],
        ["classify", folder / name, bad, "--labels", "dog,grass"],
        ["rerank", "the grass", folder / name, bad],
    ):
        _, printed, said = ask(*command)
        assert shown in printed and f"bad {shown}" in said
        assert not re.search(r"[\x1b\x07\u202e]|^error: forged", printed + said, re.M)
    # A program gets the name itself.
    printed = ask("search", "the grass", "--gallery", folder, "--paths-only", "-0")[1]
    assert f"{folder / name}\0" in printed


def test_one_deleted_picture_leaves_the_others_their_figure(ask, pictures, tmp_path):
    folder, figure = pictures[0].parent, tmp_path / "answers.png"
    search = open_folder(Clip.load(ask.model), folder)
    answers = search.images_for("the grass", 3, "all")
    pictures[0].unlink()
    assert image_answers(answers, "the grass", "").axes
    write_page(answers, "the grass", "", tmp_path / "page.html")
    assert "moved or is gone" in (tmp_path / "page.html").read_text()
    assert blocks(answers["paths"].tolist(), ["a", "b", "c"]).count("▀") == 576
    command = ["search", pictures[1], "+ the grass", "--gallery", folder]
    assert ask(*command, "--figure", figure, "--html", tmp_path / "page.html")[0] == 0
    assert str(folder) not in (tmp_path / "page.html").read_text()


# Check, evaluate, clean.


def test_check_tells_by_its_status(capsys, tmp_path):
    folder = make_folder(tmp_path / "data")
    assert main(["check", str(folder)]) == 0
    assert "findings: none" in capsys.readouterr().out
    (folder / "images/dog/dog_001.jpg").write_bytes(b"not a picture")
    assert main(["check", str(folder), "--json"]) == 1
    finding = json.loads(capsys.readouterr().out)["findings"][0]
    assert finding["where"] == "images/dog/dog_001.jpg"
    assert main(["check", str(tmp_path / "nowhere")]) == 2


def test_evaluate_in_json(ask, tiny_folder, tmp_path):
    report = json.loads(ask("evaluate", "--data", tiny_folder, "--json")[1])
    assert (report["pairs"], report["split"]) == (48, "all")
    assert report["text_to_image"]["chance"]["recall@5"] == pytest.approx(5 / 48)
    assert report["zero_shot"]["chance"] == 1 / 4
    few = make_folder(tmp_path / "too few to split", per_label=2)
    assert json.loads(ask("evaluate", "--data", few, "--json")[1])["pairs"] == 8


def test_evaluate_splits_as_the_model_was_trained(
    ask, models, run_config, tiny_dataset, tiny_folder
):
    """The model's seed is 1, the environment's 42: their test pictures differ."""
    assert run_config.seed == 1
    remembered = json.loads(ask("evaluate", "--json")[1])  # By its indexes.
    assert remembered["pairs"] == len(tiny_dataset.test)
    on_test = ["evaluate", "--data", tiny_folder, "--split", "test"]
    (models / "config.json").unlink(missing_ok=True)
    Clip.load.cache_clear()
    status, printed, said = ask(*on_test)
    assert (status, said.count("\n")) == (0, 1) and "no config.json" in said
    for words in ("recall@10", "median_rank", "95 % low", "chance", "label_oracle"):
        assert words in printed
    assert re.search(r"zero-shot accuracy \d\.\d{3} \(chance 0\.250\)", printed)
    assert json.loads(ask(*on_test, "--json")[1]) != remembered
    run_config.save(models / "config.json")
    # One of an earlier version has settings that are gone.
    settings = json.loads((models / "config.json").read_text("utf-8"))
    (models / "config.json").write_text(json.dumps(settings | {"strategy": ""}))
    Clip.load.cache_clear()
    assert json.loads(ask(*on_test, "--json")[1]) == remembered


def test_clean_lists_draws_and_writes_without_deleting(ask, tmp_path, tiny_folder):
    before = (tiny_folder / "captions.csv").read_bytes()
    found, sheet = tmp_path / "found.csv", tmp_path / "sheet.png"
    command = ["clean", "--data", tiny_folder, "--output", found]
    listed = json.loads(ask(*command, "--sheet", sheet, "--limit", 3, "--json")[1])
    rows = pd.read_csv(found)
    assert [row["kind"] for row in listed] == rows["kind"].tolist()
    assert rows["kind"].value_counts().max() <= 3
    assert open_picture(sheet).width > 500
    # A reviewed list of one line costs one row.
    rows[rows["kind"] == "off-topic pair"].head(1).to_csv(found, index=False)
    clean = tmp_path / "clean.csv"
    command = ["clean", "--data", tiny_folder, "--reviewed", found]
    assert ask(*command, "--write-clean", clean)[0] == 0
    assert len(pd.read_csv(clean)) == 47
    assert (tiny_folder / "captions.csv").read_bytes() == before
    clean.unlink()
    for content in (b"", b"kind\n\xff\n"):
        found.write_bytes(content)
        status, _, said = ask(*command, "--write-clean", clean)
        assert status == 1 and "found.csv: not a CSV" in said and not clean.exists()


def test_clean_groups_the_near_duplicates_of_any_folder(ask, photo, tmp_path):
    """No labels are needed; the best copy is marked; the folder named is the one."""
    folder, found = tmp_path / "photos", tmp_path / "found.csv"
    folder.mkdir()
    original = Image.open(photo).resize((400, 400), Image.Resampling.BICUBIC)
    other = Image.open(photo.replace("dog", "water")).resize((300, 300))
    for name, picture, quality in (
        ("a small.jpg", original.resize((200, 200)), 90),
        ("b best.jpg", original, 95),
        ("c.jpg", original, 40),
        ("d other.jpg", other, 90),
    ):
        picture.save(folder / name, quality=quality)
    for way in ([folder], ["--data", folder], ["--gallery", folder]):
        status, printed, _ = ask("clean", *way, "--output", found)
        assert status == 0
        assert f"1 groups of near-duplicates among 4 pictures: {found}" in printed
    rows = pd.read_csv(found)
    names = [Path(path).name for path in rows["path"]]
    assert names == ["b best.jpg", "c.jpg", "a small.jpg"]
    assert rows["keep"].tolist() == [True, False, False]
    assert rows["width"].tolist() == [400, 400, 200] and set(rows["group"]) == {1}
    assert json.loads(ask("clean", folder, "--output", found, "--json")[1])[0]["keep"]
    assert "without captions" in ask("clean", folder, "--sheet", "a.png")[2]
    for path in folder.glob("[ac]*"):
        path.unlink()
    printed = ask("clean", folder, "--output", found)[1]
    assert printed.startswith("0 groups of near-duplicates among 2 pictures")


def test_a_list_of_suspicions_holds_no_formula(tmp_path):
    texts = ["=cmd|'/c calc'!A0", "@SUM(1)", "+1", "-2 dogs", "'quoted", "'=x", "a dog"]
    table = pd.DataFrame({"other": texts, "score": -0.5, "image_path": "a.jpg"})
    write_list(table, tmp_path / "a.csv")
    raw = pd.read_csv(tmp_path / "a.csv")
    assert not raw["other"].str.startswith(("=", "@", "+", "-")).any()
    assert raw["score"].tolist() == [-0.5] * 7
    assert read_list(tmp_path / "a.csv").equals(table)


# Classify.


def test_classify_gives_each_picture_its_labels_best_first(ask, engine, pictures):
    """Labels of the training or others; the templates given are averaged."""
    templates = ["a {}", "of {} on the grass"]
    options = [word for one in templates for word in ("--template", one)]
    for words, labels, unknown in (
        ([], ["ball", "bike", "dog", "water"], []),
        (["--labels", " dog,red  sea , ,dog,grass"], ["dog", "grass"], ["red sea"]),
    ):
        command = ("classify", *pictures, *words, *options, "--json")
        index = label_index(engine.clip, labels, templates)
        for found, path in zip(json.loads(ask(*command)[1]), pictures, strict=True):
            assert found["path"] == str(path)
            rows = found["labels"]
            # What the model knows no word of comes last, without score.
            assert [row["label"] for row in rows[len(labels) :]] == unknown
            assert all(row["score"] is None for row in rows[len(labels) :])
            assert [row["rank"] for row in rows] == [*range(1, len(rows) + 1)]
            found["labels"] = rows = rows[: len(labels)]
            scores = [row["score"] for row in rows]
            assert scores == sorted(scores, reverse=True)
            cosines = index.embeds @ engine.clip.embed_image(path)
            expected = dict(zip(labels, cosines, strict=True))
            scores = {row["label"]: row["score"] for row in found["labels"]}
            assert scores == pytest.approx(expected, abs=1e-5)


def test_classify_names_a_bad_picture_and_answers_the_others(ask, pictures, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"not a picture")
    bad = [tmp_path / "bad.jpg", tmp_path / "none.jpg"]
    labels = ("--labels", "dog,zeppelin,qwertz water", "--template", "a photo of a {}")
    files = (bad[0], pictures[0], bad[1], pictures[1])
    status, printed, said = ask("classify", *files, *labels)
    assert status == 1
    lines = printed.splitlines()
    assert [lines[0], lines[5]] == [str(path) for path in pictures[:2]]
    assert lines[4].split() == ["3", "zeppelin"]
    assert lines[1].split() == ["rank", "score", "margin", "probability", "label"]
    assert re.fullmatch(r" +1 +-?0\.\d{3} +0\.\d{3} +\d+\.\d% [\w ]+", lines[2])
    unknown, *faults = said.splitlines()
    assert unknown == "words the model never saw: zeppelin, qwertz, photo"
    assert faults[0].startswith(f"error: {bad[0]}: not a readable picture")
    assert faults[1] == f"error: {bad[1]}: no such picture."
    assert len(faults) == 2


def test_classify_refuses_labels_that_tell_nothing_apart(ask, pictures):
    for *options, message in (
        ("--labels", "dog", "labels 'dog': expected at least two"),
        ("--labels", " , ", "labels ' , ': expected at least two"),
        ("--labels", "zeppelin,qwertz", "knows no word of any of them"),
        ("--labels", "zeppelin,dog", "knows of dog alone; expected two"),
        ("--template", "a dog", "expected sentences such as"),
    ):
        status, printed, said = ask("classify", pictures[0], *options)
        assert (status, printed, said.count("\n")) == (1, "", 1)
        assert said.startswith("error: ") and message in said


def test_classify_needs_labels_if_the_index_has_none(ask, models, pictures):
    path, aside = models / IMAGE_INDEX_FILE, models / "aside.npz"
    path.rename(aside)
    index = Index.load(aside)
    np.savez(path, embeds=index.embeds, paths=index.items["paths"].to_numpy(str))
    status, _, said = ask("classify", pictures[0])
    aside.replace(path)
    assert status == 1 and "name some with --labels" in said


# Score.


def test_score_says_where_a_pair_stands(ask, engine, tiny_folder):
    picture = tiny_folder / "images/dog/dog_001.jpg"
    command = ["score", picture, "a dog on the grass", "--gallery", "all"]
    report = json.loads(ask(*command, "--json")[1])
    image = engine.clip.embed_image(picture)
    text = engine.clip.embed_text("a dog on the grass")
    assert report["score"] == pytest.approx(float(image @ text), abs=1e-6)
    for noun, embeds, query in (
        ("pictures", engine.images.embeds, text),
        ("captions", engine.texts.embeds, image),
    ):
        better = (embeds @ query > report["score"] + 1e-5).sum()
        standing = report[f"among_{noun}"]
        assert (standing["rank"], standing["of"]) == (1 + better, 48)
    status, printed, said = ask(*command)
    cosine, first, second = printed.splitlines()
    assert (status, said) == (0, "") and cosine == f"cosine {report['score']:.3f}"
    rank = report["among_pictures"]["rank"]
    assert first.startswith(f"this picture, for the text: rank {rank}, better than ")
    assert second.endswith(" % of the 48 captions (all, photographs)")


# Rerank.


def best_first(engine, text, paths):
    scores = engine.clip.embed_images(paths) @ engine.clip.embed_text(text)
    return [str(paths[place]) for place in np.argsort(-scores)]


def test_rerank_sorts_files_best_first(ask, engine, pictures):
    expected = best_first(engine, "a dog", [str(path) for path in pictures])
    status, printed, said = ask("rerank", "a dog", *pictures)
    assert (status, said) == (0, "")
    rows = [line.split("\t") for line in printed.splitlines()]
    assert [path for _, path in rows] == expected
    scores = [float(score) for score, _ in rows]
    assert scores == sorted(scores, reverse=True)
    # Options may stand before the files.
    printed = ask("rerank", "a dog", "--paths-only", "-k", "2", *pictures)[1]
    assert printed.splitlines() == expected[:2]
    found = json.loads(ask("rerank", "a dog", *pictures, "--json")[1])
    assert [answer["path"] for answer in found] == expected
    assert [answer["rank"] for answer in found] == [1, 2, 3]


def test_rerank_reads_a_list(ask, engine, pictures, monkeypatch):
    paths = [str(path) for path in pictures]
    lines = ["\ufeff" + paths[0], "", "  ", *paths[1:], ""]
    monkeypatch.setattr(sys, "stdin", io.StringIO("\r\n".join(lines), newline=""))
    status, printed, said = ask("rerank", "a dog", "--paths-only")
    assert (status, said) == (0, "")
    assert printed.splitlines() == best_first(engine, "a dog", paths)


def test_rerank_lists_what_it_cannot_read(ask, pictures, tmp_path, monkeypatch):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"GIF89a")
    command = ("rerank", "a zeppelin dog", bad, pictures[0], "--paths-only")
    status, printed, said = ask(*command)
    assert (status, printed) == (1, f"{pictures[0]}\n")
    first, second = said.splitlines()
    assert first == "words the model never saw: zeppelin"
    assert second.startswith(f"error: {bad}: not a readable picture")
    status, printed, _ = ask("rerank", "a dog", bad, "--json")
    assert (status, json.loads(printed)) == (1, [])
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n \n"))
    assert "no picture to rank: expected files" in ask("rerank", "a dog")[2]
    bytes_in = io.TextIOWrapper(io.BytesIO(b"caf\xe9.jpg\n"), encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", bytes_in)
    status, _, said = ask("rerank", "a dog")
    assert status == 1 and said.startswith("error: standard input: not text in UTF-8")


# Index.


def test_index_then_search_in_a_folder(ask, pictures, tmp_path):
    folder = pictures[0].parent
    (folder / "bad.jpg").write_bytes(b"not a picture")
    status, printed, said = ask("index", folder)
    assert status == 0
    line, hint = printed.splitlines()
    assert line.startswith("3 read, 0 kept, 1 unreadable: ")
    assert f"--gallery '{folder}' --model " in hint
    assert said.startswith(f"left out: {folder / 'bad.jpg'}: not a readable picture")
    report = json.loads(ask("index", folder, "--json")[1])
    assert report["kept"] == 3 and len(report["unreadable"]) == 1
    assert "no such folder of photos" in ask("index", tmp_path / "nowhere")[2]

    figure = tmp_path / "answers.png"
    search = ["search", "the grass", "--gallery", folder]
    printed = ask(*search, "--figure", figure)[1]
    heading, columns, *lines = printed.splitlines()
    assert heading.startswith(f"among 3 pictures ({folder}), by ")
    assert heading.endswith(MODEL_FILE)
    assert columns.split()[-1] == "path" and len(lines) == 3
    assert open_picture(figure).width > 500
    for answer in json.loads(ask(*search, "--json")[1]):
        assert list(answer) == ["rank", "score", "margin", "probability", "path"]
        assert answer["path"] in [str(path) for path in pictures]
    # Where nothing has a caption, a picture finds those like it.
    alike = json.loads(ask("search", pictures[0], *search[2:], "--json")[1])
    assert {answer["path"] for answer in alike} == {str(path) for path in pictures[1:]}
    printed = ask("score", pictures[0], "the grass", *search[2:])[1]
    assert f"of the 3 pictures ({folder})" in printed and "captions" not in printed


# Nothing trained.

NOTE = "nothing trained yet (models/myclip_with_smallbert.keras): the pretrained "
NOTE += "weights answer (models/pretrained)"


@pytest.fixture
def fresh(models, tmp_path, monkeypatch):
    """A clone with pretrained weights, without data and network; returns that folder.

    Its ``asked`` lists the downloads that were tried, its ``read`` the pictures read.
    """
    monkeypatch.chdir(tmp_path)
    clone = types.SimpleNamespace(folder=Path("models/pretrained"), asked=[], read=[])
    clone.folder.mkdir(parents=True)
    names = sorted([MODEL_FILE, VOCABULARY_FILE])
    for name in names:
        shutil.copy(models / name, clone.folder)

    def download(folder):
        clone.asked.append(folder)
        raise ClipError("no network")

    def read(path, size):
        clone.read.append(path)
        return load_image(path, size)

    few = functools.partial(source.draw_scenes, per_label=2)
    monkeypatch.setattr(source, "download_archive", download)
    monkeypatch.setattr(source, "draw_scenes", few)
    monkeypatch.setattr(folder_index, "load_image", read)
    yield clone
    assert sorted(os.listdir(clone.folder)) == names


def test_with_nothing_trained_the_pretrained_weights_answer(fresh, capsys):
    """About the drawn scenes, which are drawn, and read, once."""
    assert main(["search", "a dog on the grass"]) == 0
    printed, said = capsys.readouterr()
    assert said.startswith(f"{NOTE}\n") and "DRAWN SCENES" in said
    heading, columns, *lines = printed.splitlines()
    assert heading == "among 8 pictures (drawn scenes), by the pretrained weights"
    assert len(lines) == 5
    assert columns.split()[-3:] == ["path", "label", "caption"]
    assert len(fresh.asked) == 1 and len(fresh.read) == 8
    assert main(["search", "a dog on the grass"]) == 0
    assert capsys.readouterr() == (printed, f"{NOTE}\n")
    assert len(fresh.asked) == 1 and len(fresh.read) == 8


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("search PICTURE", "among 8 captions (drawn scenes)"),
        ("search grass --gallery FOLDER", "among 3 pictures (FOLDER)"),
        ("score PICTURE grass", " of the 8 pictures (drawn scenes)"),
        ("rerank grass PICTURE", "PICTURE"),
        ("classify PICTURE --template {}", " water"),
        ("index FOLDER", "3 read, 0 kept"),
        ("evaluate", "8 pairs, split all, drawn scenes"),
        ("clean --limit 1", "suspicions: suspicions.csv"),
    ],
)
def test_every_command_does_with_the_pretrained_weights(
    fresh, capsys, pictures, command, expected
):
    names = {"PICTURE": str(pictures[0]), "FOLDER": str(pictures[0].parent)}
    words = [names.get(word, word) for word in command.split()]
    for name, value in names.items():
        expected = expected.replace(name, value)
    assert main(words) == 0
    printed, said = capsys.readouterr()
    assert said.startswith(f"{NOTE}\n") and expected in printed
    assert main([*words, "--model", "pretrained"]) == 0
    again, said = capsys.readouterr()
    assert "nothing trained" not in said
    assert again == printed or command.startswith("index")


def test_the_model_of_the_run_comes_first(fresh, models, tiny_folder, capsys):
    """Or the one that is named; the data that is configured is searched."""
    command = ["search", "the grass", "--json"]
    for name in (MODEL_FILE, VOCABULARY_FILE, IMAGE_INDEX_FILE, TEXT_INDEX_FILE):
        shutil.copy(models / name, "models")
    assert main(command) == 0
    printed, said = capsys.readouterr()
    assert said == "" and "test" in {answer["split"] for answer in json.loads(printed)}
    os.environ["CLIP_DATA_DIR"] = str(tiny_folder)
    assert main([*command, "--model", "pretrained", "-k", "99"]) == 0
    printed, said = capsys.readouterr()
    assert len(json.loads(printed)) == 48 and "split" not in json.loads(printed)[0]
    assert main([*command, "--model", "pretrained", "--gallery", "test"]) == 1
    assert "gallery 'test' is empty: expected one of all" in capsys.readouterr().err


def test_weights_that_are_missing_or_damaged_are_named(fresh, capsys):
    path = fresh.folder / MODEL_FILE
    content = path.read_bytes()
    Clip.load.cache_clear()
    for damaged, message in (
        (content[: len(content) // 2], "not a CLIP saved by this project"),
        (None, "the pretrained weights are missing"),
    ):
        path.unlink() if damaged is None else path.write_bytes(damaged)
        for options in ([], ["--model", "pretrained"]):
            assert main(["search", "the grass", *options]) == 1
            error = capsys.readouterr().err.splitlines()[-1]
            assert error.startswith(f"error: {path}: {message}"), error
    path.write_bytes(content)


def test_a_model_that_asks_for_code_to_run_is_refused(tmp_path, capsys):
    ran, path = tmp_path / "ran", tmp_path / "evil.keras"
    place, image = str(ran), keras.Input((8, 8, 3))
    evil = keras.layers.Lambda(
        lambda image: (__import__("os").makedirs(place, exist_ok=True), image)[1]
    )
    keras.Model(image, evil(image)).save(path)
    ran.rmdir()
    assert main(["search", "a dog", "--model", str(path)]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: {path}: not a CLIP") and "Lambda" in said
    assert said.count("\n") == 1 and not ran.exists()


# Run.


def test_run_refuses_bad_data_before_it_starts(capsys, tmp_path):
    folder, models = make_folder(tmp_path / "data"), tmp_path / "models"
    path = folder / "captions.csv"
    path.write_text(path.read_text().replace("ball_001.jpg,ball", "ball_001.jpg,cat"))
    for data, message in (
        (folder, "label 'cat': 1 pictures"),
        (tmp_path / "nowhere", "nowhere: no such data folder"),
    ):
        command = ["run", "--data", str(data), "--models", str(models), "--quick"]
        assert main(command) == 1
        said = capsys.readouterr().err
        assert said.count("error: ") == 1 and message in said
        assert not models.exists()


@pytest.mark.parametrize(
    ("variable", "option", "expected"),
    [("", [], "models/quick"), ("mine", [], "mine"), ("mine", ["his"], "his")],
)
def test_a_trial_overwrites_only_what_it_is_told_to(
    monkeypatch, variable, option, expected
):
    monkeypatch.setenv("CLIP_MODEL_DIR", variable)
    seen = []
    run = lambda arguments, config: seen.append(config) or Answer()  # noqa: E731
    monkeypatch.setattr(train, "run", run)
    assert main(["run", "--quick", *(["--models", *option] if option else [])]) == 0
    assert seen[0].model_dir == expected
    # Nor does an exported preset shrink one that is named.
    monkeypatch.setenv("CLIP_PRESET", "quick")
    monkeypatch.setattr(train, "train", run)
    assert main(["train", "--preset", "fine-tuning"]) == 0
    assert seen[1].embed_dim == Config.fine_tuning().embed_dim
