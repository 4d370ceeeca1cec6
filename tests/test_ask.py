"""The commands that ask: classify, score, rerank, index; and search in a folder."""

import io
import json
import re
import shutil
import sys

import numpy as np
import pandas as pd
import pytest

from clip_lib.__main__ import main
from clip_lib.data.images import open_picture
from clip_lib.retrieval.index import Index
from clip_lib.retrieval.search import IMAGE_INDEX_FILE, MODEL_FILE, Search
from clip_lib.retrieval.zero_shot import label_index


@pytest.fixture
def models(run_config, tmp_path):
    """A folder of models of one's own: `index` writes there."""
    return shutil.copytree(run_config.model_dir, tmp_path / "models")


@pytest.fixture
def ask(models, monkeypatch, capsys):
    """Run a command; return its status, standard output and standard error."""
    for name in ("CLIP_DATA_DIR", "CLIP_MODEL_DIR", "CLIP_PRESET"):
        monkeypatch.setenv(name, "")

    def call(*words):
        status = main([*map(str, words), "--model", str(models / MODEL_FILE)])
        return status, *capsys.readouterr()

    return call


@pytest.fixture(scope="module")
def engine(run_config):
    return Search.load(run_config.model_path(MODEL_FILE))


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


def test_classify_gives_each_picture_its_labels_best_first(ask, engine, pictures):
    status, printed, said = ask("classify", *pictures, "--json")
    assert (status, said) == (0, "")
    found = json.loads(printed)
    assert [answer["path"] for answer in found] == [str(path) for path in pictures]
    labels = label_index(engine.clip, ["ball", "bike", "dog", "water"])
    for answer, path in zip(found, pictures, strict=True):
        expected = labels.search(
            engine.clip.embed_image(path), 4, engine.clip.temperature
        )
        table = pd.DataFrame(answer["labels"])
        assert list(table) == ["rank", "score", "margin", "probability", "label"]
        assert table["label"].tolist() == expected["labels"].tolist()
        assert np.allclose(table["probability"], expected["probability"], atol=1e-4)
        assert table["probability"].sum() == pytest.approx(1, abs=1e-6)


def test_classify_averages_the_templates_it_is_given(ask, engine, pictures):
    templates = ["a {}", "of {} on the grass"]
    options = [word for one in templates for word in ("--template", one)]
    labels = ("--labels", " dog,water , ,dog, on the  grass")
    _, printed, said = ask("classify", pictures[0], *labels, *options, "--json")
    assert said == ""
    found = {row["label"]: row["score"] for row in json.loads(printed)[0]["labels"]}
    index = label_index(engine.clip, ["dog", "water", "on the grass"], templates)
    scores = index.embeds @ engine.clip.embed_image(pictures[0])
    assert list(found.values()) == sorted(found.values(), reverse=True)
    expected = dict(zip(index.items["labels"], scores, strict=True))
    assert found == pytest.approx(expected, abs=1e-5)


def test_classify_prints_a_table_a_picture(ask, pictures):
    _, printed, _ = ask("classify", *pictures[:2], "--labels", "dog,water,grass")
    lines = printed.splitlines()
    assert [lines[0], lines[5]] == [str(path) for path in pictures[:2]]
    assert lines[1].split() == ["rank", "score", "margin", "probability", "label"]
    assert re.fullmatch(r" +1 +-?0\.\d{3} +0\.\d{3} +\d+\.\d% \w+", lines[2])


def test_classify_names_a_bad_picture_and_answers_the_others(ask, pictures, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"not a picture")
    bad = [tmp_path / "bad.jpg", tmp_path / "none.jpg"]
    command = ["classify", bad[0], pictures[0], bad[1], pictures[1], "--json"]
    status, printed, said = ask(*command)
    assert status == 1
    found = [answer["path"] for answer in json.loads(printed)]
    assert found == [str(path) for path in pictures[:2]]
    lines = said.splitlines()
    assert lines[0].startswith(f"error: {bad[0]}: not a readable picture")
    assert lines[1] == f"error: {bad[1]}: no such picture."
    status, printed, said = ask("classify", *bad)
    assert (status, printed, said.count("error: ")) == (1, "", 2)


def test_classify_warns_of_what_the_model_never_saw(ask, pictures):
    labels = ("--labels", "dog,zeppelin,qwertz water")
    options = (*labels, "--template", "a photo of a {} .")
    status, printed, said = ask("classify", pictures[0], *options)
    assert status == 0 and "zeppelin" in printed
    assert said.splitlines() == [
        "label the model knows no word of, its score means nothing: zeppelin",
        "words the model never saw: qwertz, photo",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--labels", "dog"], "labels 'dog': expected at least two"),
        (["--labels", " , "], "labels ' , ': expected at least two"),
        (["--labels", "zeppelin,qwertz"], "knows no word of any of them"),
        (["--template", "a dog"], "expected sentences such as"),
    ],
)
def test_classify_refuses_labels_that_tell_nothing_apart(
    ask, pictures, options, message
):
    status, printed, said = ask("classify", pictures[0], *options)
    assert (status, printed) == (1, "")
    assert said.startswith("error: ") and message in said
    assert len(said.splitlines()) == 1


def test_classify_needs_labels_if_the_index_has_none(ask, models, pictures):
    path = models / IMAGE_INDEX_FILE
    index = Index.load(path)
    np.savez(path, embeds=index.embeds, paths=index.items["paths"].to_numpy(str))
    status, _, said = ask("classify", pictures[0])
    assert status == 1 and "name some with --labels" in said
    path.unlink()
    assert ask("classify", pictures[0], "--labels", "dog,water")[0] == 0


def test_score_says_where_a_pair_stands(ask, engine, tiny_folder):
    picture = tiny_folder / "images/dog/dog_001.jpg"
    text = "a dog on the grass"
    command = ["score", picture, text, "--gallery", "all"]
    status, printed, said = ask(*command, "--json")
    assert (status, said) == (0, "")
    report = json.loads(printed)
    image, words = engine.clip.embed_image(picture), engine.clip.embed_text(text)
    assert report["score"] == pytest.approx(float(image @ words), abs=1e-6)
    for noun, embeds, query in (
        ("pictures", engine.images.embeds, words),
        ("captions", engine.texts.embeds, image),
    ):
        scores = embeds @ query
        standing = report[f"among_{noun}"]
        assert standing["of"] == 48
        assert standing["rank"] == 1 + (scores > report["score"] + 1e-5).sum()
        below = (scores < report["score"] - 1e-5).mean()
        assert standing["better_than"] == pytest.approx(below)
    _, printed, _ = ask(*command)
    cosine, first, second = printed.splitlines()
    assert cosine == f"cosine {report['score']:.3f}"
    share = int(100 * report["among_pictures"]["better_than"] + 1e-6)
    assert first == (
        f"this picture, for the text: rank {report['among_pictures']['rank']}, better "
        f"than {share} % of the 48 pictures (all, photographs)"
    )
    assert second.endswith("of the 48 captions (all, photographs)")


def test_score_refuses_what_it_cannot_read(ask, pictures, tmp_path):
    for words, message in (
        ((tmp_path / "none.jpg", "the grass"), "none.jpg: no such picture"),
        ((pictures[0], "qwertz"), "not one word"),
        ((pictures[0], "the grass", "--gallery", "moon"), "gallery 'moon': expected"),
    ):
        status, printed, said = ask("score", *words)
        assert (status, printed) == (1, "")
        assert said.startswith("error: ") and message in said


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
    _, printed, _ = ask("rerank", "a dog", "--paths-only", "-k", "2", *pictures)
    assert printed.splitlines() == expected[:2]
    found = json.loads(ask("rerank", "a dog", *pictures, "--json")[1])
    assert [answer["path"] for answer in found] == expected
    assert [answer["rank"] for answer in found] == [1, 2, 3]
    assert sum(answer["probability"] for answer in found) == pytest.approx(1)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_rerank_reads_a_list(ask, engine, pictures, monkeypatch, end):
    paths = [str(path) for path in pictures]
    lines = ["\ufeff" + paths[0], "", "  ", *paths[1:], ""]
    monkeypatch.setattr(sys, "stdin", io.StringIO(end.join(lines), newline=""))
    status, printed, said = ask("rerank", "a dog", "--paths-only")
    assert (status, said) == (0, "")
    assert printed.splitlines() == best_first(engine, "a dog", paths)


def test_rerank_lists_what_it_cannot_read(ask, pictures, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"GIF89a")
    files = [tmp_path / "bad.png", pictures[0]]
    status, printed, said = ask("rerank", "a zeppelin dog", *files, "--paths-only")
    assert (status, printed) == (1, f"{pictures[0]}\n")
    first, second = said.splitlines()
    assert first == "words the model never saw: zeppelin"
    assert second.startswith(f"error: {tmp_path / 'bad.png'}: not a readable picture")
    status, printed, _ = ask("rerank", "a dog", files[0], "--json")
    assert (status, json.loads(printed)) == (1, [])


def test_rerank_without_a_file_says_what_it_expects(ask, pictures, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n \n"))
    assert "no picture to rank: expected files" in ask("rerank", "a dog")[2]
    bytes_in = io.TextIOWrapper(io.BytesIO(b"caf\xe9.jpg\n"), encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", bytes_in)
    status, _, said = ask("rerank", "a dog")
    assert status == 1 and said.startswith("error: standard input: not text in UTF-8")
    assert "k = 0" in ask("rerank", "a dog", "-k", "0", *pictures)[2]


def test_index_then_search_in_a_folder(ask, models, pictures, tmp_path):
    folder = pictures[0].parent
    (folder / "bad.jpg").write_bytes(b"not a picture")
    assert "not indexed" in ask("search", "the grass", "--gallery", folder)[2]
    status, printed, said = ask("index", folder)
    assert status == 0
    line, hint = printed.splitlines()
    assert line.startswith("3 new, 0 changed, 0 gone, 0 kept, 1 unreadable: ")
    assert f"--gallery '{folder}' --model " in hint
    assert said.startswith(f"left out: {folder / 'bad.jpg'}: not a readable picture")

    report = json.loads(ask("index", folder, "--json")[1])
    assert report["kept"] == 3 and len(report["unreadable"]) == 1
    assert not report["index"].startswith(str(models))

    figure = tmp_path / "answers.png"
    search = ["search", "the grass", "--gallery", folder]
    _, printed, said = ask(*search, "--figure", figure)
    heading, columns, *lines = printed.splitlines()
    assert heading == f"among 3 pictures ({folder})"
    assert columns.split()[-1] == "path" and len(lines) == 3
    assert open_picture(figure).width > 500
    for answer in json.loads(ask(*search, "--json")[1]):
        assert list(answer) == ["rank", "score", "margin", "probability", "path"]
        assert answer["path"] in [str(path) for path in pictures]
    assert "without captions" in ask("search", pictures[0], *search[2:])[2]
    _, printed, _ = ask("score", pictures[0], "the grass", *search[2:])
    assert f"of the 3 pictures ({folder})" in printed and "captions" not in printed


def test_index_refuses_a_folder_that_is_not_there(ask, tmp_path):
    status, _, said = ask("index", tmp_path / "nowhere")
    assert status == 1 and "nowhere: no such folder of photos" in said
