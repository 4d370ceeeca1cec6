"""Networks of the BERT family in place of SmallBERT, from tiny checkpoints."""

import builtins
import dataclasses
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest

pytest.importorskip("transformers", reason="pip install -r requirements-distilbert.txt")

from tiny_bert import WORDS, hidden_states, write_checkpoint
from transformers import DistilBertTokenizerFast

from clip_lib.config import Config
from clip_lib.data.vocabulary import (
    check_query,
    count_words,
    encode,
    load_vocabulary,
    save_vocabulary,
    sort_words,
)
from clip_lib.errors import ClipError
from clip_lib.evaluation.attribution import word_attribution
from clip_lib.retrieval.search import Clip
from clip_lib.towers.choice import choose_builders
from clip_lib.towers.texts import BERT, build_bert_classifier, load_tokenizer
from clip_lib.training.fit import fit_text_classifier
from clip_lib.training.pipeline import train

TEXTS = ["A dog of waterland, on the grass.", "dogs!", "", "zeppelin", "ball " * 50]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    return {
        kind: write_checkpoint(folder / f"tiny-{kind}", kind)
        for kind in ("distilbert", "bert")
    }


@pytest.fixture(scope="module")
def config(tiny_config, checkpoints):
    return dataclasses.replace(tiny_config, text_encoder=str(checkpoints["distilbert"]))


@pytest.fixture(scope="module")
def pieces(config):
    return load_tokenizer([], config)


# Tokens.


def test_token_ids_are_those_of_the_tokenizer(checkpoints, pieces):
    tokenizer = DistilBertTokenizerFast.from_pretrained(checkpoints["distilbert"])
    token_ids = encode(pieces, TEXTS)
    assert token_ids.shape == (5, 32) and token_ids.dtype == np.int32
    for row, text in zip(token_ids, TEXTS, strict=True):
        expected = tokenizer(text, truncation=True, max_length=32)["input_ids"]
        assert row[: len(expected)].tolist() == expected
        assert not row[len(expected) :].any()
    # Known by hand: two pieces, then punctuation; and what has no pieces.
    words = ["[CLS]", "dog", "##s", "!", "[SEP]"]
    assert [WORDS[token_id] for token_id in token_ids[1, :5]] == words
    words = ["[CLS]", "[UNK]", "[SEP]"]
    assert [WORDS[token_id] for token_id in token_ids[3, :3]] == words
    assert pieces.get_vocabulary() == WORDS


def test_words_of_a_query_are_sorted(pieces):
    known, unknown = sort_words(pieces, "Dogs on waterland, zeppelin ! .")
    assert known == ["Dogs", "on", "waterland,"] and unknown == ["zeppelin"]
    for text in ("zeppelin", "!!!", "犬"):
        with pytest.raises(ClipError, match="not one word is among the 23 that"):
            check_query(pieces, text)
    # Neither the five marks, one unused, [UNK], nor five of punctuation.
    assert count_words(pieces) == len(WORDS) - 11 == 23


@pytest.mark.parametrize("lower", [True, False])
def test_a_saved_tokenizer_encodes_alike(tmp_path, config, lower):
    folder = str(write_checkpoint(tmp_path / "one", lower=lower))
    pieces = load_tokenizer([], dataclasses.replace(config, text_encoder=folder))
    texts = [*TEXTS, "Dog dog DOG"]
    before = encode(pieces, texts)
    save_vocabulary(pieces, tmp_path / "tokenizer.json")
    again = load_vocabulary(tmp_path / "tokenizer.json", 32)
    assert (encode(again, texts) == before).all()
    dogs = [WORDS[token_id] for token_id in before[-1, 1:4]]
    assert dogs == (["dog"] * 3 if lower else ["Dog", "dog", "[UNK]"])


# Vectors.


@pytest.mark.parametrize("kind", ["distilbert", "bert"])
def test_hidden_states_are_those_of_the_formula(
    config, checkpoints, kind, tiny_dataset
):
    """At two lengths: padding changes nothing."""
    for length in (32, 9):  # The first text has 9 tokens.
        config = dataclasses.replace(
            config, sequence_length=length, text_encoder=str(checkpoints[kind])
        )
        pieces = load_tokenizer([], config)
        model = build_bert_classifier(tiny_dataset, pieces, config)
        features = keras.Model(model.input, model.get_layer("features").output)
        token_ids = encode(pieces, TEXTS)
        counts = (token_ids != 0).sum(axis=1)
        assert (counts.min() < length) and (counts.max() == length)
        found = features.predict(token_ids, verbose=0)
        for row, count, mean in zip(token_ids, counts, found, strict=True):
            expected = hidden_states(checkpoints[kind], kind, row[:count])
            assert np.abs(mean - expected.mean(axis=0)).max() < 1e-4
        assert np.abs(expected).max() > 1  # Or the threshold would say nothing.


# What does not fit is refused.


def refused(config, folder, match):
    config = dataclasses.replace(config, text_encoder=str(folder))
    with pytest.raises(ClipError, match=match) as caught:
        build_bert_classifier(None, load_tokenizer([], config), config)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"vocab_size": 33}, "odd: expected config.json and model.safetensors of one"),
        ({"activation": "relu"}, r"odd: \('distilbert', 'relu'\); expected a bert or"),
        ({"model_type": "gpt9"}, "odd: expected .* of one bert or distilbert"),
        ({"max_position_embeddings": 39}, "odd: expected config.json and model.safet"),
        ({"n_layers": 3}, r"odd: expected .* distilbert \(.*layer\.2"),
        ({"words": [WORDS[1], WORDS[0], *WORDS[2:]]}, "padding is 1; expected 0"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(tmp_path, config, changes, match):
    refused(config, write_checkpoint(tmp_path / "odd", **changes), match)


def test_another_tokenizer_or_too_long_texts_are_refused(tmp_path, config, checkpoints):
    folder = write_checkpoint(tmp_path / "odd", words=[*WORDS, "cat"])
    shutil.copy(checkpoints["distilbert"] / "tokenizer.json", folder)
    refused(config, folder, "35 tokens, .*; expected 34, as many as its tokenizer")
    longer = dataclasses.replace(config, sequence_length=41)
    refused(longer, config.text_encoder, "40 a text; expected .* at least .* 41 a text")


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("config.json", "{", "expected config.json and model.safetensors"),
        ("config.json", None, r"tiny: expected config\.json in it"),
        ("model.safetensors", "cut", "expected config.json and model.safetensors"),
        ("tokenizer.json", "{", "tokenizer.json: not a tokenizer"),
        ("tokenizer.json", None, r"tiny: expected tokenizer\.json in it"),
    ],
)
def test_a_broken_or_missing_file_is_named(tmp_path, config, name, content, match):
    path = write_checkpoint(tmp_path / "tiny") / name
    path.unlink() if content is None else path.write_text(content)
    refused(config, tmp_path / "tiny", match)


def test_what_is_not_there_is_refused_soon(config, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    started = time.monotonic()
    for name in ("nobody/no-bert", str(tmp_path / "nowhere")):
        refused(
            config, name, f"{name}: no folder .* hub did not give it .*local folder"
        )
    assert time.monotonic() - started < 5
    with pytest.raises(ClipError, match="text_encoder = ' ': expected smallbert, dist"):
        Config(text_encoder=" ")


def test_transformers_is_missing(config, monkeypatch):
    real = builtins.__import__

    def refuse(name, *rest):
        if name == "transformers":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ClipError, match=r"pip install -r requirements-dist"):
        load_tokenizer([], config)


# Training.


def network_weights(model) -> list[np.ndarray]:
    return model.get_layer(BERT).get_weights()


def differ(one, other) -> bool:
    return any((a != b).any() for a, b in zip(one, other, strict=True))


def test_the_network_is_fine_tuned_if_asked(tmp_path, config, pieces, tiny_dataset):
    """Of both phases together the best epoch is kept: here one of the second."""
    config = dataclasses.replace(
        config,
        text_epochs=1,
        learning_rate=0.0,
        fine_tune_epochs=4,
        fine_tune_learning_rate=1e-2,
    )
    start = build_bert_classifier(tiny_dataset, pieces, config)
    before = network_weights(start)
    assert len(start.trainable_weights) == 2  # Those of its head.
    path = tmp_path / "text.keras"
    model, history = fit_text_classifier(start, tiny_dataset, pieces, config, path)
    first, *others = history["val_accuracy"]
    assert len(others) == 4 and max(others) > first
    assert differ(network_weights(model), before)


@pytest.fixture(scope="module")
def run(config, checkpoints, tiny_dataset, tmp_path_factory):
    """A CLIP trained as the command line does it, without labels; its settings."""
    config = dataclasses.replace(
        config,
        text_encoder=str(checkpoints["bert"]),
        model_dir=str(tmp_path_factory.mktemp("models")),
        clip_epochs=1,
        clip_learning_rate=1e-2,
    )
    dataset = dataclasses.replace(tiny_dataset, class_names=())
    train(dataset, config, choose_builders(config))
    return config


def test_its_features_are_frozen_in_clip(run, tiny_dataset):
    clip = Clip.load(run.clip_file)
    start = build_bert_classifier(tiny_dataset, clip.vectorizer, run)
    assert not differ(network_weights(clip.text_encoder), network_weights(start))
    paths = [weight.path for weight in clip.text_encoder.trainable_weights]
    assert len(paths) == 2 and all("projection" in path for path in paths)
    table = word_attribution(clip, "A dog , waterland !", np.eye(run.embed_dim)[0])
    assert table["token"].tolist() == ["a", "dog", "water ##land"]


# A process that knows nothing but the folder of the run: no hub, no checkpoint.
COLD = """
import socket, sys

def refuse(*rest):
    raise OSError("no network here")

socket.socket.connect = socket.getaddrinfo = refuse
import numpy as np
import clip_lib.towers
from clip_lib.retrieval.search import Clip

vectors = Clip.load(sys.argv[1]).embed_texts(["the dog on the grass", "a ball"])
np.save(sys.argv[2], vectors)
"""


def test_a_saved_run_answers_in_a_fresh_process_without_the_hub(tmp_path, run):
    """From its folder alone, moved elsewhere, beside the vocabulary of another run."""
    name = Path(run.text_encoder).name
    assert run.clip_file.name == f"myclip_with_{name}.keras"
    moved = shutil.copytree(run.model_dir, tmp_path / "moved")
    (moved / "vocab.txt").write_text("\n[UNK]\ndog")
    clip = Clip.load(run.clip_file)
    expected = clip.embed_texts(["the dog on the grass", "a ball"])
    hidden = Path(run.text_encoder).rename(tmp_path / "away")
    try:
        subprocess.run(
            [sys.executable, "-c", COLD, moved / run.clip_file.name, tmp_path / "x"],
            env=os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)},
            cwd=Path(__file__).parents[1],
            check=True,
        )
    finally:
        hidden.rename(run.text_encoder)
    assert np.abs(np.load(tmp_path / "x.npy") - expected).max() < 1e-5
    assert np.abs(expected[0] - expected[1]).max() > 1e-3


def test_another_tokenizer_than_that_of_the_training_is_refused(run, tmp_path):
    for number, change in enumerate(
        (
            {"words": [*WORDS[:-1], "cat"]},
            {"words": [*WORDS, "cat"]},
            {"lower": False},
        )
    ):
        odd = write_checkpoint(tmp_path / str(number), **change) / "tokenizer.json"
        with pytest.raises(ClipError, match=r"json: 3. words, but .* trained with 34"):
            Clip.load(run.clip_file, odd)


def test_files_bear_the_name_of_the_text_encoder():
    names = {
        "smallbert": ("myclip_with_smallbert.keras", "vocab.txt"),
        "distilbert": ("myclip_with_distilbert.keras", "tokenizer.json"),
        "google/mini-bert": ("myclip_with_mini-bert.keras", "tokenizer.json"),
        "/a/folder/": ("myclip_with_folder.keras", "tokenizer.json"),
    }
    for text_encoder, expected in names.items():
        config = Config(text_encoder=text_encoder)
        assert (config.clip_file.name, config.vocabulary_file.name) == expected
