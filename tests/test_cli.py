"""The command line: answers, exit statuses, one sentence for what is wrong."""

import functools
import json
import re
import shutil
import subprocess
import sys
from pathlib import PurePosixPath

import pandas as pd
import pytest
from conftest import make_folder

from clip_lib.__main__ import main
from clip_lib.cli import ask, train
from clip_lib.cli.common import Answer
from clip_lib.cli.parser import parse
from clip_lib.data.captions_table import read_records
from clip_lib.data.images import open_picture
from clip_lib.errors import ClipError
from clip_lib.retrieval.search import MODEL_FILE, Clip

COMMANDS = (
    *("run", "train", "check", "evaluate", "clean", "search", "score", "app"),
    *("classify", "rerank", "index", "enrich", "pdf", "report", "submit"),
)


@pytest.fixture(scope="module", autouse=True)
def loaded_once():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Clip, "load", functools.cache(Clip.load))
        yield


@pytest.fixture
def options(run_config, monkeypatch):
    """Options that lead to the saved model; main() sets variables, undone here."""
    for name in ("CLIP_DATA_DIR", "CLIP_MODEL_DIR", "CLIP_PRESET"):
        monkeypatch.setenv(name, "")
    return ["--model", str(run_config.model_path(MODEL_FILE))]


# Starting, failing, ending.


def test_nothing_heavy_is_loaded_before_a_command_runs():
    script = """
import sys
from clip_lib.__main__ import main
for words in (["--help"], ["search", "--help"], ["serch", "a dog"], ["search"]):
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

    monkeypatch.setattr(ask, "search", fail)


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
        (["search", "qwertz"], "not one word"),
        (["search", "none.jpg"], "none.jpg: no such picture"),
        (["search", "the grass", "-k", "0"], "k = 0"),
        (["search", "the grass", "--gallery", "moon"], "gallery 'moon'"),
        (["search", "the grass", "--figure", "a.xyz"], "a.xyz: expected a name ending"),
        (["evaluate", "--data", "nowhere"], "nowhere: no such data folder"),
        (["evaluate", "--split", "half"], "'half'"),
        (["clean", "--reviewed", "none.csv"], "none.csv"),
    ],
)
def test_bad_input_is_one_sentence_and_a_status(options, capsys, arguments, message):
    assert main([*arguments, *options]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert message in captured.err
    assert len(captured.err.splitlines()) == 1


def test_a_model_that_is_none_is_refused(options, tmp_path, capsys):
    model = tmp_path / MODEL_FILE
    assert main(["search", "a dog", "--model", str(model)]) == 1
    assert f"{MODEL_FILE}: no such model; `make run`" in capsys.readouterr().err
    model.write_bytes(b"PK something else")
    assert main(["search", "a dog", "--model", str(model)]) == 1
    assert f"{MODEL_FILE}: not a CLIP" in capsys.readouterr().err


# Search.


def test_search_prints_ranked_pictures_with_their_captions(options, capsys):
    assert main(["search", "zeppelin on the grass", *options]) == 0
    printed, said = capsys.readouterr()
    assert said == "words the model never saw: zeppelin\n"
    where, heading, *lines = printed.splitlines()
    assert where.startswith("among ") and "photographs" in where
    shown = ["rank", "score", "margin", "probability", "path", "label", "split"]
    assert heading.split() == [*shown, "caption"]
    assert [line.split()[0] for line in lines] == ["1", "2", "3", "4", "5"]
    for line in lines:
        label, number = PurePosixPath(line.split()[4]).stem.split("_")
        assert f'A "{label}" of {label}word{int(number)}, on the grass .' in line
        assert re.search(r" \d+\.\d% ", line)


def test_search_in_json(options, capsys, tiny_folder):
    assert main(["search", "the grass", "-k", "3", "--json", *options]) == 0
    answers = json.loads(capsys.readouterr().out)
    assert [answer["rank"] for answer in answers] == [1, 2, 3]
    assert answers[0]["score"] >= answers[1]["score"]
    assert {answer["split"] for answer in answers} == {"test"}
    start = ["rank", "score", "margin", "probability"]
    assert all(list(a) == [*start, "path", "label", "split"] for a in answers)
    margin = answers[0]["score"] - answers[1]["score"]
    assert answers[0]["margin"] == pytest.approx(margin, abs=1e-6)
    picture = str(tiny_folder / "images/dog/dog_001.jpg")
    assert main(["search", picture, "--json", "--gallery", "all", *options]) == 0
    answer = json.loads(capsys.readouterr().out)[0]
    assert list(answer) == [*start, "caption", "image_path", "label", "split"]


def test_a_text_longer_than_a_file_name_is_a_text(options, capsys):
    assert main(["search", "the grass " * 600, *options]) == 0
    assert capsys.readouterr().out.startswith("among ")


@pytest.mark.parametrize("query", ["the grass", "images/dog/dog_001.jpg"])
def test_search_draws_its_answers(options, tmp_path, tiny_folder, query, capsys):
    figure = tmp_path / "figures/answers.png"
    if query.endswith("jpg"):
        query = str(tiny_folder / query)
    command = ["search", query, *options, "--figure"]
    assert main([*command, str(figure)]) == 0
    assert open_picture(figure).width > 500
    assert main([*command, str(figure / "in the way.png")]) == 1
    assert capsys.readouterr().err.startswith("error: ")


# Check, evaluate, clean.


def test_check_tells_by_its_status(options, capsys, tmp_path):
    folder = make_folder(tmp_path / "data")
    assert main(["check", str(folder)]) == 0
    assert "findings: none" in capsys.readouterr().out
    (folder / "images/dog/dog_001.jpg").write_bytes(b"not a picture")
    assert main(["check", str(folder), "--json"]) == 1
    finding = json.loads(capsys.readouterr().out)["findings"][0]
    assert finding["where"] == "images/dog/dog_001.jpg"
    assert main(["check", str(tmp_path / "nowhere")]) == 2


def measured(capsys, *words):
    assert main(["evaluate", "--json", *map(str, words)]) == 0
    return json.loads(capsys.readouterr().out)


def test_evaluate_in_json(options, capsys, tiny_folder, tmp_path):
    report = measured(capsys, "--data", tiny_folder, *options)
    assert (report["pairs"], report["split"]) == (48, "all")
    for direction in ("image_to_text", "text_to_image"):
        assert 0 <= report[direction]["recall@5"] <= 1
        assert report[direction]["chance"]["recall@5"] == pytest.approx(5 / 48)
        assert report["chance"][direction] == report[direction]["chance"]
        low, high = report[direction]["interval"]["label_map"]
        assert low <= report[direction]["label_map"] <= high
    assert report["zero_shot"]["chance"] == 1 / 4
    # A folder too small to split, and a label that the model never read.
    folder = make_folder(tmp_path / "few", per_label=2)
    table = folder / "captions.csv"
    table.write_text(table.read_text("utf-8").replace(",dog,", ",zeppelin,"), "utf-8")
    report = measured(capsys, "--data", folder, *options)
    assert report["pairs"] == 8 and "zero_shot" not in report


def test_evaluate_splits_as_the_model_was_trained(
    options, run_config, tiny_dataset, tiny_folder, tmp_path, capsys
):
    """The model's seed is 1, the environment's 42: their test pictures differ."""
    assert run_config.seed == 1
    models = shutil.copytree(run_config.model_dir, tmp_path / "models")
    model = ["--model", models / MODEL_FILE]
    remembered = measured(capsys, *model)  # by the indexes of its training
    assert remembered["pairs"] == len(tiny_dataset.test)
    on_test = ["--data", tiny_folder, "--split", "test"]
    (models / "config.json").unlink(missing_ok=True)
    assert main(["evaluate", *map(str, [*model, *on_test])]) == 0
    printed, said = capsys.readouterr()
    assert said.count("\n") == 1 and "no config.json" in said
    for words in ("recall@10", "label_map", "95 % low", "chance", "label_oracle"):
        assert words in printed
    assert re.search(r"zero-shot accuracy \d\.\d{3} \(chance 0\.250\)", printed)
    assert measured(capsys, *model, *on_test) != remembered
    run_config.save(models / "config.json")
    Clip.load.cache_clear()
    assert measured(capsys, *model, *on_test) == remembered


def test_clean_lists_draws_and_writes_without_deleting(
    options, capsys, tmp_path, tiny_folder
):
    before = (tiny_folder / "captions.csv").read_bytes()
    found, sheet = tmp_path / "found.csv", tmp_path / "sheet.png"
    command = ["clean", "--data", str(tiny_folder), *options, "--output", str(found)]
    assert main([*command, "--sheet", str(sheet), "--limit", "3", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    rows = pd.read_csv(found)
    assert [row["kind"] for row in listed] == rows["kind"].tolist()
    assert {"kind", "image_path", "other", "score", "rank"} <= set(rows.columns)
    assert rows["kind"].value_counts().max() <= 3
    assert open_picture(sheet).width > 500

    # A reviewed list of one line costs one row.
    rows[rows["kind"] == "off-topic pair"].head(1).to_csv(found, index=False)
    clean = tmp_path / "clean.csv"
    reviewed = ["--reviewed", str(found), "--write-clean", str(clean)]
    assert main([*command, *reviewed]) == 0
    assert len(pd.read_csv(clean)) == 47
    assert (tiny_folder / "captions.csv").read_bytes() == before


def test_clean_refuses_a_list_that_is_none(options, capsys, tmp_path, tiny_folder):
    path, clean = tmp_path / "list.csv", tmp_path / "clean.csv"
    command = ["clean", "--data", str(tiny_folder), "--reviewed", str(path), *options]
    for content, message in (
        (b"image_path\na.jpg\n", "suspicions without kind, other"),
        (b"", "list.csv: not a CSV file"),
        (b"kind\n\xff\n", "list.csv: not a CSV file"),
    ):
        path.write_bytes(content)
        assert main([*command, "--write-clean", str(clean)]) == 1
        assert message in capsys.readouterr().err and not clean.exists()


# Run.


def test_run_refuses_bad_data_before_it_starts(options, capsys, tmp_path):
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
    assert len(read_records(folder)) == 48


@pytest.mark.parametrize(
    ("variable", "option", "expected"),
    [("", [], "models/quick"), ("mine", [], "mine"), ("mine", ["his"], "his")],
)
def test_a_trial_overwrites_only_what_it_is_told_to(
    options, monkeypatch, variable, option, expected
):
    monkeypatch.setenv("CLIP_MODEL_DIR", variable)
    seen = []
    run = lambda arguments, config: seen.append(config) or Answer()  # noqa: E731
    monkeypatch.setattr(train, "run", run)
    assert main(["run", "--quick", *(["--models", *option] if option else [])]) == 0
    assert seen[0].model_dir == expected
