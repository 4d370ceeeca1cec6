"""Answers without TensorFlow: the same as Keras', whatever lies in the cache."""

import email
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from clip_lib.__main__ import main
from clip_lib.config import PRETRAINED, find_pretrained
from clip_lib.retrieval import runtime
from clip_lib.retrieval.runtime import ConvertedClip, open_clip
from clip_lib.retrieval.search import MODEL_FILE, Clip

ROOT = Path(__file__).parents[1]
CONVERT = runtime.convert
TEXTS = ["a dog on the grass", "GRASS! qwertz", "!", "ball " * 50, "dog's bike"]


def run(script: str, **options) -> subprocess.CompletedProcess:
    """Run a script in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        **options,
    )


@pytest.fixture
def model_file(run_config, tmp_path):
    """A copy of a model, whose encoders are kept already."""
    for name in (MODEL_FILE, "vocab.txt", "config.json"):
        content = Path(run_config.model_path(name)).read_bytes()
        (tmp_path / name).write_bytes(content)
    return tmp_path / MODEL_FILE


@pytest.fixture
def kept(monkeypatch, cache, tmp_path, model_file):
    """Converted encoders in a cache of their own; they are not converted again."""
    monkeypatch.setattr(runtime, "in_cache", lambda name: tmp_path / "cache" / name)
    clip = Clip.load(model_file)
    found = {}
    for path in (cache / "clip_lib").glob("encoders_*.zip"):
        with zipfile.ZipFile(path) as archive:
            if (
                json.loads(archive.read("about.json"))["fingerprint"]
                == clip.fingerprint
            ):
                found = {
                    name: archive.read(f"{name}.tflite")
                    for name in ("image_encoder", "text_encoder")
                }
    monkeypatch.setattr(runtime, "convert", lambda encoder, values: found[encoder.name])
    open_clip(model_file)
    (path,) = (tmp_path / "cache").iterdir()
    return path


@pytest.mark.parametrize("which", ["course", "pretrained"])
def test_answers_are_those_of_keras(which, run_config, tiny_dataset):
    file = run_config.clip_file
    if which == "pretrained":
        file = find_pretrained(PRETRAINED) / MODEL_FILE
    keras = open_clip(file)
    if isinstance(keras, ConvertedClip):  # Else this was its first use.
        keras = Clip.load(file)
    clip = open_clip(file)
    assert isinstance(clip, ConvertedClip)
    paths = tiny_dataset.paths(tiny_dataset.pictures("all"))[:9]
    for ours, theirs in (
        (clip.embed_images(paths), keras.embed_images(paths)),
        (clip.embed_image(paths[3]), keras.embed_images(paths[3:4])[0]),
        (clip.embed_texts(TEXTS), keras.embed_texts(TEXTS)),
        (clip.embed_text("grass"), keras.embed_text("grass")),
    ):
        assert ours.dtype == "float32" and ours.shape == theirs.shape
        assert np.abs(ours - theirs).max() < 1e-4
    assert clip.embed_texts([]).shape == (0, clip.width)
    # An index of one fits the other.
    for name in ("fingerprint", "width", "image_size", "temperature", "config"):
        assert getattr(clip, name) == getattr(keras, name)


def test_queries_load_neither_tensorflow_nor_what_they_do_not_need(
    model_file, cache, tiny_folder, tmp_path
):
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in (1, 2):
        picture = tiny_folder / f"images/dog/dog_00{number}.jpg"
        (photos / picture.name).write_bytes(picture.read_bytes())
    photo, model = str(photos / "dog_001.jpg"), ["--model", str(model_file)]
    commands = [
        ["index", str(photos), *model],
        ["search", "grass", "--gallery", str(photos), *model],
        ["score", photo, "grass", "--gallery", str(photos), *model],
        ["classify", photo, "--labels", "grass, on", *model],
        ["rerank", "grass", photo, *model],
    ]
    script = f"""
import sys
from clip_lib.__main__ import main
for words in {commands!r}:
    assert main(words) == 0
heavy = {{"tensorflow", "keras", "sklearn", "scipy", "matplotlib", "requests"}}
print("loaded:", sorted(heavy & set(sys.modules)))
"""
    for _ in range(2):  # What is kept for each model takes more, once.
        process = run(script, env=os.environ | {"XDG_CACHE_HOME": str(cache)})
    assert process.stdout.endswith("loaded: []\n")
    assert process.stderr == ""


def _flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _foreign(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("about.json", "[1]")


def _empty(path):
    path.write_bytes(b"")


def test_damaged_encoders_are_made_anew(kept, model_file, capsys):
    assert isinstance(open_clip(model_file), ConvertedClip)
    for damage in (_flip, _foreign, _empty, Path.unlink):
        damage(kept)
        capsys.readouterr()
        open_clip(model_file)
        assert "preparing this model" in capsys.readouterr().err
        assert isinstance(open_clip(model_file), ConvertedClip)


def test_another_model_of_the_same_name_is_noticed(kept, model_file, tiny_clip):
    before = open_clip(model_file).fingerprint
    for weight in tiny_clip.trainable_weights:
        weight.assign_add(0.01 * np.ones_like(weight))
    tiny_clip.save(model_file)
    assert open_clip(model_file).fingerprint == Clip.load(model_file).fingerprint
    assert open_clip(model_file).fingerprint != before
    # So is another vocabulary: it is refused as ever.
    vocabulary = model_file.with_name("vocab.txt")
    vocabulary.write_text(vocabulary.read_text() + "\nmore")
    status = main(["rerank", "grass", "none.jpg", "--model", str(model_file)])
    assert status == 1


def test_only_the_encoders_of_the_last_models_are_kept(kept, model_file):
    for number in range(12):
        old = kept.with_name(f"encoders_{number:032x}.zip")
        old.write_bytes(b"")
        os.utime(old, (number, number))
    kept.unlink()
    open_clip(model_file)
    left = sorted(path.name for path in kept.parent.iterdir())
    others = [f"encoders_{number:032x}.zip" for number in range(5, 12)]
    assert left == sorted([*others, kept.name])


def test_where_nothing_can_be_kept_keras_answers(
    kept, model_file, monkeypatch, tmp_path, capsys
):
    kept.unlink()
    (tmp_path / "full").write_bytes(b"")
    monkeypatch.setattr(runtime, "TOLERANCE", 0)
    for name, value, why in (
        ("in_cache", lambda name: tmp_path / "full" / name, "full/encoders_"),
        ("convert", CONVERT, "image_encoder: differs from Keras by "),
    ):
        capsys.readouterr()
        with monkeypatch.context() as patch:
            patch.setattr(runtime, name, value)
            clip = open_clip(model_file)
        assert type(clip) is Clip and clip.embed_text("grass").shape == (clip.width,)
        said = capsys.readouterr().err
        assert why in said and "not kept, Keras answers" in said


def test_an_installed_library_brings_its_command_and_its_weights(tmp_path, cache):
    pytest.importorskip("setuptools")
    files = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True
    ).stdout.split("\0")
    source, site = tmp_path / "source", tmp_path / "site"
    for name in filter(None, files):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    build = "from setuptools.build_meta import build_wheel; build_wheel(%r)"
    run(build % str(tmp_path), cwd=source)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    for path in (ROOT / "clip_lib").rglob("*.*"):
        if path.suffix != ".pyc":
            assert (site / path.relative_to(ROOT)).is_file()
    (about,) = site.glob("*.dist-info")
    assert (
        "clip-search = clip_lib.__main__:main"
        in (about / "entry_points.txt").read_text()
    )
    needs = email.message_from_string((about / "METADATA").read_text())
    needs = {re.split("[~=<>]", line)[0] for line in needs.get_all("Requires-Dist")}
    assert {"ai-edge-litert", "numpy"} < needs and "pytest" not in needs
    script = """
import sys
sys.argv[0] = "/somewhere/bin/clip-search"
from clip_lib.cli.common import find_model
from clip_lib.cli.parser import parse
from clip_lib.config import Config
print(find_model("pretrained", Config()))
parse(["search", "--help"])
"""
    process = run(script, env=os.environ | {"PYTHONPATH": str(site)}, cwd=tmp_path)
    found, usage = process.stdout.splitlines()[:2]
    assert found == str(site / "clip_lib/pretrained" / MODEL_FILE)
    assert usage.startswith("usage: clip-search search")
