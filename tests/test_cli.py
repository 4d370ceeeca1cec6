"""The command line: answers, exit statuses, one sentence for what is wrong."""

import json
import re
import subprocess
import sys
from pathlib import PurePosixPath

import pandas as pd
import pytest
from conftest import make_folder

from clip_lib.__main__ import main
from clip_lib.cli import commands
from clip_lib.data.captions_table import read_records
from clip_lib.data.images import open_picture
from clip_lib.retrieval.search import MODEL_FILE


@pytest.fixture
def options(run_config, monkeypatch):
    """Options that lead to the saved model; main() sets variables, undone here."""
    for name in ("CLIP_DATA_DIR", "CLIP_MODEL_DIR", "CLIP_PRESET"):
        monkeypatch.setenv(name, "")
    return ["--model", str(run_config.model_path(MODEL_FILE))]


def test_search_prints_five_ranked_pictures(options, capsys):
    assert main(["search", "on the grass", *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("among ") and "photographs" in lines[0]
    assert len(lines) == 7
    assert lines[2].split()[0] == "1" and ".jpg" in lines[2]


def test_search_in_json(options, capsys):
    assert main(["search", "the grass", "-k", "3", "--json", *options]) == 0
    answers = json.loads(capsys.readouterr().out)
    assert [answer["rank"] for answer in answers] == [1, 2, 3]
    assert answers[0]["score"] >= answers[1]["score"]
    assert {answer["split"] for answer in answers} == {"test"}
    keys = ["rank", "score", "margin", "probability", "path", "label", "split"]
    assert all(list(answer) == keys for answer in answers)
    margin = answers[0]["score"] - answers[1]["score"]
    assert answers[0]["margin"] == pytest.approx(margin, abs=1e-6)


def test_search_by_picture(options, capsys, tiny_folder):
    picture = str(tiny_folder / "images/dog/dog_001.jpg")
    assert main(["search", picture, "--json", "--gallery", "all", *options]) == 0
    answer = json.loads(capsys.readouterr().out)[0]
    keys = ["rank", "score", "margin", "probability", "caption", "image_path"]
    assert list(answer) == [*keys, "label", "split"]


def test_the_last_of_the_gallery_has_no_margin(options, capsys):
    command = ["search", "the grass", "-k", "99", "--gallery", "all", *options]
    assert main([*command, "--json"]) == 0
    answers = json.loads(capsys.readouterr().out)
    assert len(answers) == 48
    assert [answer["margin"] for answer in answers].count(None) == 1
    assert answers[-1]["margin"] is None
    assert sum(a["probability"] for a in answers) == pytest.approx(1, abs=1e-6)
    assert main(command) == 0
    assert "nan" not in capsys.readouterr().out.lower()


def test_search_shows_the_caption_of_a_picture(options, capsys):
    assert main(["search", "the grass", *options]) == 0
    _, heading, *lines = capsys.readouterr().out.splitlines()
    shown = ["rank", "score", "margin", "probability", "path", "label", "split"]
    assert heading.split() == [*shown, "caption"]
    for line in lines:
        name = PurePosixPath(line.split()[4]).stem
        label, number = name.split("_")
        assert f'A "{label}" of {label}word{int(number)}, on the grass .' in line
        assert re.search(r" \d+\.\d% ", line)


def test_a_text_longer_than_a_file_name_is_a_text(options, capsys):
    assert main(["search", "the grass " * 600, *options]) == 0
    assert capsys.readouterr().out.startswith("among ")


@pytest.mark.parametrize(
    "command",
    [
        *("run", "check", "search", "score", "classify"),
        *("rerank", "index", "evaluate", "clean"),
    ],
)
def test_every_command_shows_examples_and_speaks_json(capsys, command):
    with pytest.raises(SystemExit) as left:
        main([command, "--help"])
    assert left.value.code == 0
    printed = capsys.readouterr().out
    assert f"examples:\n  python -m clip_lib {command} " in printed
    assert "--json" in printed


def test_an_option_that_is_none_is_refused(capsys):
    for command in (["rerank", "a dog", "a.jpg", "--jso"], ["search", "a", "b"]):
        with pytest.raises(SystemExit) as left:
            main([*command, "--moon"])
        assert left.value.code == 2
        assert "unrecognized arguments" in capsys.readouterr().err


@pytest.mark.parametrize("query", ["the grass", "images/dog/dog_001.jpg"])
def test_search_draws_its_answers(options, tmp_path, tiny_folder, query):
    figure = tmp_path / "figures/answers.png"
    if query.endswith("jpg"):
        query = str(tiny_folder / query)
    assert main(["search", query, "--figure", str(figure), *options]) == 0
    assert open_picture(figure).width > 500


def test_unknown_words_are_said(options, capsys):
    assert main(["search", "zeppelin on the grass", *options]) == 0
    assert "never saw: zeppelin" in capsys.readouterr().err


def test_check_tells_by_its_status(options, capsys, tmp_path):
    folder = make_folder(tmp_path / "data")
    for row in read_records(folder).itertuples():
        name = PurePosixPath(row.image_path).stem
        (folder / "captions").mkdir(exist_ok=True)
        (folder / f"captions/{name}.txt").write_text(row.caption, encoding="utf-8")
    assert main(["check", str(folder)]) == 0
    assert "findings: none" in capsys.readouterr().out
    (folder / "images/dog/dog_001.jpg").write_bytes(b"not a picture")
    assert main(["check", str(folder), "--json"]) == 1
    finding = json.loads(capsys.readouterr().out)["findings"][0]
    assert finding["where"] == "images/dog/dog_001.jpg"
    assert main(["check", str(tmp_path / "nowhere")]) == 2


def test_evaluate_in_json(options, capsys, tiny_folder):
    command = ["evaluate", "--data", str(tiny_folder), "--split", "all", "--json"]
    assert main([*command, *options]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["pairs"] == 48
    for direction in ("image_to_text", "text_to_image"):
        assert 0 <= report[direction]["recall@5"] <= 1
        assert report[direction]["chance"]["recall@5"] == pytest.approx(5 / 48)
        assert report["chance"][direction] == report[direction]["chance"]
        low, high = report[direction]["interval"]["label_map"]
        assert low <= report[direction]["label_map"] <= high
    assert report["zero_shot"]["chance"] == 1 / 4


def test_evaluate_remembers_the_split_of_the_training(options, capsys, tiny_dataset):
    """Without --data: the indexes say which pictures are the test pictures."""
    assert main(["evaluate", "--json", *options]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["pairs"] == len(tiny_dataset.test)
    assert (report["split"], report["source"]) == ("test", "photographs")
    assert 0 <= report["zero_shot"]["accuracy"] <= 1


def test_evaluate_takes_a_folder_too_small_to_split(options, capsys, tmp_path):
    folder = make_folder(tmp_path / "few", per_label=2)
    assert main(["evaluate", "--data", str(folder), "--json", *options]) == 0
    assert json.loads(capsys.readouterr().out)["pairs"] == 8


def test_evaluate_takes_labels_that_the_model_never_read(options, capsys, tmp_path):
    folder = make_folder(tmp_path / "new", per_label=2)
    table = folder / "captions.csv"
    renamed = table.read_text(encoding="utf-8").replace(",dog,", ",zeppelin,")
    table.write_text(renamed, encoding="utf-8")
    assert main(["evaluate", "--data", str(folder), *options]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("8 pairs") and "zero-shot" not in printed


def test_evaluate_prints_a_table_with_chance(options, capsys):
    assert main(["evaluate", *options]) == 0
    printed = capsys.readouterr().out
    for word in ("recall@10", "label_map", "95 % low", "chance", "label_oracle"):
        assert word in printed
    assert re.search(r"zero-shot accuracy \d\.\d{3} \(chance 0\.250\)", printed)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["search", ""], "Empty query"),
        (["search", "qwertz"], "not one word"),
        (["search", "none.jpg"], "none.jpg: no such picture"),
        (["search", "the grass", "-k", "0"], "k = 0"),
        (["search", "the grass", "--gallery", "moon"], "gallery 'moon'"),
        (["evaluate", "--data", "nowhere"], "nowhere: no such data folder"),
        (["evaluate", "--split", "half"], "gallery 'half' is empty"),
    ],
)
def test_bad_input_is_one_sentence_and_a_status(options, capsys, arguments, message):
    assert main([*arguments, *options]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert message in captured.err
    assert len(captured.err.splitlines()) == 1


def test_a_missing_model_says_how_to_make_one(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("CLIP_MODEL_DIR", "")
    model = str(tmp_path / MODEL_FILE)
    assert main(["search", "a dog", "--model", model]) == 1
    assert f"{MODEL_FILE}: no such model; `make run`" in capsys.readouterr().err


def test_the_module_runs_as_a_command(run_config):
    command = [sys.executable, "-m", "clip_lib", "search", "qwertz"]
    process = subprocess.run(
        [*command, "--model", str(run_config.model_path(MODEL_FILE))],
        capture_output=True,
        text=True,
    )
    assert process.returncode == 1
    assert "Traceback" not in process.stderr
    assert process.stdout == ""


@pytest.mark.skipif(sys.platform == "win32", reason="a pipe of a POSIX shell")
def test_a_reader_may_stop_reading(run_config):
    command = [sys.executable, "-m", "clip_lib", "search", "the grass", "--model"]
    process = subprocess.Popen(
        [*command, str(run_config.model_path(MODEL_FILE))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == 0


def spoil_csv(folder):
    (folder / "captions.csv").write_text("path,text\na.jpg,A dog .\n")


def spoil_pictures(folder):
    (folder / "images/dog/dog_001.jpg").write_bytes(b"not a picture")
    (folder / "images/dog/dog_002.jpg").unlink()


def spoil_label(folder):
    path = folder / "captions.csv"
    path.write_text(path.read_text().replace("ball_001.jpg,ball", "ball_001.jpg,cat"))


def spoil_comma(folder):
    with open(folder / "captions.csv", "a") as file:
        file.write("images/dog/dog_001.jpg,dog,A dog, running .\n")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_csv, "captions.csv: not one column image_path, caption"),
        (spoil_pictures, "2 unusable pictures"),
        (spoil_label, "label 'cat': 1 pictures"),
        (spoil_comma, "captions.csv, line 50: 4 fields, expected 3"),
    ],
)
def test_run_refuses_bad_data_before_it_starts(
    options, capsys, tmp_path, spoil, message
):
    folder = make_folder(tmp_path / "data")
    spoil(folder)
    models = tmp_path / "models"
    command = ["run", "--data", str(folder), "--models", str(models), "--quick"]
    assert main(command) == 1
    captured = capsys.readouterr()
    assert captured.err.count("error: ") == 1
    assert message in captured.err
    assert not models.exists()


def test_run_refuses_a_folder_that_is_not_there(options, capsys, tmp_path):
    assert main(["run", "--data", str(tmp_path / "nowhere")]) == 1
    assert "nowhere: no such data folder" in capsys.readouterr().err


def test_a_figure_that_cannot_be_written_is_an_error(options, capsys, tmp_path):
    (tmp_path / "file").write_text("in the way")
    figure = str(tmp_path / "file/answers.png")
    assert main(["search", "the grass", "--figure", figure, *options]) == 1
    assert capsys.readouterr().err.startswith("error: ")


def test_a_foreign_model_is_refused(options, capsys, tmp_path):
    (tmp_path / "other.keras").write_bytes(b"PK something else")
    model = str(tmp_path / "other.keras")
    assert main(["search", "the grass", "--model", model]) == 1
    assert "other.keras: not a CLIP" in capsys.readouterr().err


def test_clean_lists_draws_and_writes_without_deleting(
    options, capsys, tmp_path, tiny_folder
):
    before = (tiny_folder / "captions.csv").read_bytes()
    found, sheet = tmp_path / "found.csv", tmp_path / "sheet.png"
    command = ["clean", "--data", str(tiny_folder), *options, "--output", str(found)]
    assert main([*command, "--sheet", str(sheet), "--limit", "3"]) == 0
    assert "off-topic pair" in capsys.readouterr().out
    rows = pd.read_csv(found)
    assert {"kind", "image_path", "other", "score", "rank"} <= set(rows.columns)
    assert rows["kind"].value_counts().max() <= 3
    assert open_picture(sheet).width > 500

    assert main([*command, "--limit", "3", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [row["kind"] for row in listed] == rows["kind"].tolist()

    # A reviewed list of one line costs one row.
    rows[rows["kind"] == "off-topic pair"].head(1).to_csv(found, index=False)
    clean = tmp_path / "clean.csv"
    reviewed = ["--reviewed", str(found), "--write-clean", str(clean)]
    assert main([*command, *reviewed]) == 0
    assert len(pd.read_csv(clean)) == 47
    assert (tiny_folder / "captions.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("content", "message"),
    [("image_path\na.jpg\n", "suspicions without kind, other"), (None, "none.csv")],
)
def test_clean_refuses_a_list_that_is_not_one(
    options, capsys, tmp_path, tiny_folder, content, message
):
    path = tmp_path / "none.csv"
    if content:
        path.write_text(content)
    command = ["clean", "--data", str(tiny_folder), "--reviewed", str(path), *options]
    assert main([*command, "--write-clean", str(tmp_path / "clean.csv")]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "clean.csv").exists()


@pytest.mark.parametrize(
    ("variable", "option", "expected"),
    [("", [], "models/quick"), ("mine", [], "mine"), ("mine", ["his"], "his")],
)
def test_a_trial_overwrites_only_what_it_is_told_to(
    monkeypatch, variable, option, expected
):
    for name in ("CLIP_DATA_DIR", "CLIP_PRESET"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("CLIP_MODEL_DIR", variable)
    seen = []
    monkeypatch.setattr(commands, "run", lambda arguments, config: seen.append(config))
    assert main(["run", "--quick", *(["--models", *option] if option else [])]) == 0
    assert seen[0].model_dir == expected
