"""The command line: answers, exit statuses, one sentence for what is wrong."""

import json
import subprocess
import sys

import pytest

from clip_lib.__main__ import main
from clip_lib.images import open_picture
from clip_lib.retrieval import MODEL_FILE


@pytest.fixture
def options(run_config, monkeypatch):
    """Options that lead to the saved model; main() sets variables, undone here."""
    for name in ("CLIP_DATA_DIR", "CLIP_MODEL_DIR", "CLIP_QUICK"):
        monkeypatch.setenv(name, "")
    return ["--models", run_config.model_dir]


def test_search_prints_five_ranked_pictures(options, capsys):
    assert main(["search", "on the grass", *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6
    assert lines[1].split()[0] == "1" and ".jpg" in lines[1]


def test_search_in_json(options, capsys):
    assert main(["search", "the grass", "-k", "3", "--json", *options]) == 0
    answers = json.loads(capsys.readouterr().out)
    assert [answer["rank"] for answer in answers] == [1, 2, 3]
    assert answers[0]["score"] >= answers[1]["score"]
    assert {answer["splits"] for answer in answers} == {"test"}


def test_search_by_picture(options, capsys, tiny_folder):
    picture = str(tiny_folder / "images/dog/dog_001.jpg")
    assert main(["search", picture, "--json", "--gallery", "all", *options]) == 0
    assert "captions" in json.loads(capsys.readouterr().out)[0]


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


def test_evaluate_in_json(options, capsys, tiny_folder):
    command = ["evaluate", "--data", str(tiny_folder), "--split", "all", "--json"]
    assert main([*command, *options]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["pairs"] == 48
    for direction in ("image_to_text", "text_to_image"):
        assert 0 <= report[direction]["recall@5"] <= 1
        assert report[direction]["chance"]["recall@5"] == pytest.approx(5 / 48)


def test_evaluate_prints_a_table_with_chance(options, capsys, tiny_folder):
    assert main(["evaluate", "--data", str(tiny_folder), *options]) == 0
    printed = capsys.readouterr().out
    assert "recall@10" in printed and "chance" in printed and "label_oracle" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["search", ""], "Empty query"),
        (["search", "qwertz"], "not one word"),
        (["search", "none.jpg"], "none.jpg: no such picture"),
        (["search", "the grass", "-k", "0"], "k = 0"),
        (["search", "the grass", "--gallery", "moon"], "gallery 'moon'"),
        (["evaluate", "--data", "nowhere"], "nowhere: no such data folder"),
        (["evaluate", "--split", "half"], "split 'half'"),
        (["evaluate", "--model", "none.keras"], "none.keras: no such model"),
        (["run", "--data", "nowhere"], "nowhere: no such data folder"),
    ],
)
def test_bad_input_is_one_sentence_and_a_status(
    options, capsys, tiny_folder, arguments, message
):
    if arguments[0] == "evaluate" and "--data" not in arguments:
        arguments = [*arguments, "--data", str(tiny_folder)]
    assert main([*arguments, *options]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert message in captured.err
    assert len(captured.err.splitlines()) == 1


def test_a_missing_model_says_how_to_make_one(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("CLIP_MODEL_DIR", "")
    assert main(["search", "a dog", "--models", str(tmp_path)]) == 1
    assert f"{MODEL_FILE}: no such model; `make run`" in capsys.readouterr().err


def test_the_module_runs_as_a_command(run_config):
    command = [sys.executable, "-m", "clip_lib", "search", "qwertz"]
    process = subprocess.run(
        [*command, "--models", run_config.model_dir], capture_output=True, text=True
    )
    assert process.returncode == 1
    assert "Traceback" not in process.stderr
    assert process.stdout == ""
