"""Commands for one's own pictures: classify, score, rerank, index."""

import functools
import io
import json
import re
import shutil
import sys

import numpy as np
import pytest

from clip_lib.__main__ import main
from clip_lib.data.images import open_picture
from clip_lib.retrieval.index import Index
from clip_lib.retrieval.search import IMAGE_INDEX_FILE, MODEL_FILE, Clip, Search
from clip_lib.retrieval.zero_shot import label_index


@pytest.fixture(scope="module")
def models(run_config, tmp_path_factory):
    """A folder of models of one's own: `index` writes there."""
    folder = tmp_path_factory.mktemp("own") / "models"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Clip, "load", functools.cache(Clip.load))
        yield shutil.copytree(run_config.model_dir, folder)


@pytest.fixture(scope="module")
def engine(models):
    return Search.load(str(models / MODEL_FILE))


@pytest.fixture
def ask(models, monkeypatch, capsys):
    """Run a command; return its status, standard output and standard error."""
    for name in ("CLIP_DATA_DIR", "CLIP_MODEL_DIR", "CLIP_PRESET"):
        monkeypatch.setenv(name, "")

    def call(*words):
        status = main([*map(str, words), "--model", str(models / MODEL_FILE)])
        return status, *capsys.readouterr()

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


# Classify.


def test_classify_gives_each_picture_its_labels_best_first(ask, engine, pictures):
    """Labels of the training or others; the templates given are averaged."""
    templates = ["a {}", "of {} on the grass"]
    options = [word for one in templates for word in ("--template", one)]
    for words, labels in (
        ([], ["ball", "bike", "dog", "water"]),
        (["--labels", " dog,red  sea , ,dog,grass"], ["dog", "red sea", "grass"]),
    ):
        command = ("classify", *pictures, *words, *options, "--json")
        index = label_index(engine.clip, labels, templates)
        for found, path in zip(json.loads(ask(*command)[1]), pictures, strict=True):
            assert found["path"] == str(path)
            scores = [row["score"] for row in found["labels"]]
            assert scores == sorted(scores, reverse=True)
            cosines = index.embeds @ engine.clip.embed_image(path)
            expected = dict(zip(labels, cosines, strict=True))
            scores = {row["label"]: row["score"] for row in found["labels"]}
            assert scores == pytest.approx(expected, abs=1e-5)
            probability = [row["probability"] for row in found["labels"]]
            assert sum(probability) == pytest.approx(1, abs=1e-6)


def test_classify_names_a_bad_picture_and_answers_the_others(ask, pictures, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"not a picture")
    bad = [tmp_path / "bad.jpg", tmp_path / "none.jpg"]
    labels = ("--labels", "dog,zeppelin,qwertz water", "--template", "a photo of a {}")
    files = (bad[0], pictures[0], bad[1], pictures[1])
    status, printed, said = ask("classify", *files, *labels)
    assert status == 1
    lines = printed.splitlines()
    assert [lines[0], lines[5]] == [str(path) for path in pictures[:2]]
    assert lines[1].split() == ["rank", "score", "margin", "probability", "label"]
    assert re.fullmatch(r" +1 +-?0\.\d{3} +0\.\d{3} +\d+\.\d% [\w ]+", lines[2])
    unknown, *faults = said.splitlines()
    assert unknown == "words the model never saw: zeppelin, qwertz, photo"
    assert faults[0].startswith(f"error: {bad[0]}: not a readable picture")
    assert faults[1] == f"error: {bad[1]}: no such picture."
    assert len(faults) == 2


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
    cosine, first, second = ask(*command)[1].splitlines()
    assert cosine == f"cosine {report['score']:.3f}"
    share = int(100 * report["among_pictures"]["better_than"] + 1e-6)
    assert first == (
        f"this picture, for the text: rank {report['among_pictures']['rank']}, better "
        f"than {share} % of the 48 pictures (all, photographs)"
    )
    assert second.endswith("of the 48 captions (all, photographs)")


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


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_rerank_reads_a_list(ask, engine, pictures, monkeypatch, end):
    paths = [str(path) for path in pictures]
    lines = ["\ufeff" + paths[0], "", "  ", *paths[1:], ""]
    monkeypatch.setattr(sys, "stdin", io.StringIO(end.join(lines), newline=""))
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
    assert "not indexed" in ask("search", "the grass", "--gallery", folder)[2]
    status, printed, said = ask("index", folder)
    assert status == 0
    line, hint = printed.splitlines()
    assert line.startswith("3 new, 0 changed, 0 gone, 0 kept, 1 unreadable: ")
    assert f"--gallery '{folder}' --model " in hint
    assert said.startswith(f"left out: {folder / 'bad.jpg'}: not a readable picture")
    report = json.loads(ask("index", folder, "--json")[1])
    assert report["kept"] == 3 and len(report["unreadable"]) == 1

    figure = tmp_path / "answers.png"
    search = ["search", "the grass", "--gallery", folder]
    printed = ask(*search, "--figure", figure)[1]
    heading, columns, *lines = printed.splitlines()
    assert heading == f"among 3 pictures ({folder})"
    assert columns.split()[-1] == "path" and len(lines) == 3
    assert open_picture(figure).width > 500
    for answer in json.loads(ask(*search, "--json")[1]):
        assert list(answer) == ["rank", "score", "margin", "probability", "path"]
        assert answer["path"] in [str(path) for path in pictures]
    assert "without captions" in ask("search", pictures[0], *search[2:])[2]
    printed = ask("score", pictures[0], "the grass", *search[2:])[1]
    assert f"of the 3 pictures ({folder})" in printed and "captions" not in printed


def test_index_writes_where_it_is_told(ask, pictures, tmp_path):
    output = tmp_path / "a new folder/photos.npz"
    status, printed, _ = ask("index", pictures[0].parent, "--output", output)
    assert status == 0 and f"--gallery '{output}'" in printed
    found = json.loads(ask("search", "the grass", "--gallery", output, "--json")[1])
    assert len(found) == 3
    status, _, said = ask("index", tmp_path / "nowhere")
    assert status == 1 and "nowhere: no such folder of photos" in said
