"""Networks of the BERT family in place of SmallBERT, from tiny checkpoints."""

import dataclasses
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("transformers", reason="pip install -r requirements-distilbert.txt")

from tiny_bert import WORDS, weights, write_checkpoint
from transformers import DistilBertTokenizerFast

from clip_lib.config import Config
from clip_lib.data.vocabulary import (
    check_query,
    encode,
    load_vocabulary,
    sort_words,
)
from clip_lib.errors import ClipError
from clip_lib.models.clip import without_head
from clip_lib.retrieval.search import Clip
from clip_lib.towers.choice import choose_builders
from clip_lib.towers.texts import BERT, build_bert_classifier, load_tokenizer
from clip_lib.training.pipeline import train

TEXTS = ["A dog of waterland, on the grass.", "dogs!", "", "zeppelin", "ball " * 50]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    kinds = ("distilbert", "bert")
    return {kind: write_checkpoint(folder / f"tiny-{kind}", kind) for kind in kinds}


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
    words = ["[CLS]", "dog", "##s", "!", "[SEP]"]  # Known by hand.
    assert [WORDS[token_id] for token_id in token_ids[1, :5]] == words
    known, unknown = sort_words(pieces, "Dogs on waterland, zeppelin ! .")
    assert known == ["Dogs", "on", "waterland,"] and unknown == ["zeppelin"]
    # Neither the five marks, one unused, [UNK], nor five of punctuation.
    with pytest.raises(
        ClipError, match=r"none of its content words is among the 23 that"
    ):
        check_query(pieces, "!!! 犬")


def test_a_saved_tokenizer_encodes_alike(tmp_path, config):
    folder = str(write_checkpoint(tmp_path / "one", lower=False))
    pieces = load_tokenizer([], dataclasses.replace(config, text_encoder=folder))
    texts = ["Dog dog DOG", *TEXTS]
    before = encode(pieces, texts)
    pieces.save(tmp_path / "tokenizer.json")
    again = load_vocabulary(tmp_path / "tokenizer.json", 32)
    assert (encode(again, texts) == before).all()
    words = [WORDS[token_id] for token_id in before[0, 1:4]]
    assert words == ["Dog", "dog", "[UNK]"]


# Vectors.


@pytest.mark.parametrize("kind", ["distilbert", "bert"])
def test_features_are_the_mean_over_the_real_tokens(
    config, checkpoints, kind, tiny_dataset
):
    config = dataclasses.replace(config, text_encoder=str(checkpoints[kind]))
    vectors = []
    for length in (32, 12):  # The first text has 12 tokens.
        config = dataclasses.replace(config, sequence_length=length)
        pieces = load_tokenizer([], config)
        model = build_bert_classifier(tiny_dataset, pieces, config)
        token_ids = encode(pieces, TEXTS[:4])
        vectors.append(without_head(model).predict(token_ids, verbose=0))
    network, ones = model.get_layer(BERT), np.ones((1, 12), "int32")
    table = weights(kind, len(WORDS))[f"{kind}.embeddings.word_embeddings.weight"]
    assert (network.token_embedding.embeddings.numpy() == table).all()
    inputs = {"token_ids": token_ids[:1], "padding_mask": ones, "segment_ids": 0 * ones}
    states = network({name: inputs[name] for name in network.input})
    states = states["sequence_output"] if kind == "bert" else states
    assert np.abs(np.mean(states, axis=1) - vectors[1][:1]).max() < 1e-5
    assert np.abs(vectors[0] - vectors[1]).max() < 1e-5  # Padding changes nothing.
    assert np.abs(vectors[0][0] - vectors[0][1]).max() > 1e-2


# What does not fit is refused.


def refused(config, folder, match):
    config = dataclasses.replace(config, text_encoder=str(folder))
    with pytest.raises(ClipError, match=match) as caught:
        build_bert_classifier(None, load_tokenizer([], config), config)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"activation": "relu"}, r"odd: \('distilbert', 'relu'\); expected a bert or"),
        ({"model_type": "gpt9"}, "odd: expected .* of one bert or distilbert"),
        ({"n_layers": 3}, r"odd: expected .* distilbert \(.*layer\.1"),
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


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_broken_or_missing_file_is_named(tmp_path, config, name):
    path = write_checkpoint(tmp_path / "tiny") / name
    path.write_text("{")
    refused(config, path.parent, rf"{name}: not a tok|expected .*{name}.* of one bert")
    path.unlink()
    refused(config, path.parent, rf"tiny: expected {name} in it")


def test_what_is_not_there_is_refused_soon(config, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    started = time.monotonic()
    for name in ("nobody/no-bert", str(tmp_path / "nowhere")):
        refused(config, name, f"{name}: no folder .* hub did not give it .*name a loc")
    assert time.monotonic() - started < 5
    with pytest.raises(ClipError, match="text_encoder = ' ': expected smallbert, dist"):
        Config(text_encoder=" ")


def test_transformers_is_missing(config, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ClipError, match=r"pip install -r requirements-dist"):
        load_tokenizer([], config)


# A CLIP of it.


@pytest.fixture(scope="module")
def run(config, run_config, checkpoints, tiny_dataset, tmp_path_factory):
    """One of two pretrained encoders, trained as the command line does it."""
    config = dataclasses.replace(
        config,
        pretrained_dir=run_config.model_dir,
        text_encoder=str(checkpoints["bert"]),
        model_dir=str(tmp_path_factory.mktemp("models")),
        clip_epochs=1,
        clip_learning_rate=1e-2,
    )
    dataset = dataclasses.replace(tiny_dataset, class_names=())  # Nothing but CLIP.
    train(dataset, config, choose_builders(config))
    return config


def test_both_encoders_are_frozen_in_clip(run, tiny_dataset):
    clip, builders = Clip.load(run.clip_file), choose_builders(run)
    images = builders.image(tiny_dataset, run)
    texts = builders.text(tiny_dataset, clip.vectorizer, run)
    for start, encoder in (images, clip.image_encoder), (texts, clip.text_encoder):
        weights = (without_head(each).get_weights() for each in (start, encoder))
        for before, after in zip(*weights, strict=True):
            assert (before == after).all()
        paths = [weight.path for weight in encoder.trainable_weights]
        assert len(paths) == 2 and all("projection" in path for path in paths)


def test_a_saved_run_needs_neither_hub_nor_checkpoint(
    run, tmp_path, photo, monkeypatch
):
    """Moved elsewhere, beside the vocabulary of another run."""
    assert run.clip_file.name == "myclip_with_tiny-bert.keras"
    texts = ["the dog", "a ball"]
    expected = Clip.load(run.clip_file).embed_texts(texts)
    moved = shutil.copytree(run.model_dir, tmp_path / "moved")
    (moved / "vocab.txt").write_text("\n[UNK]\ndog")
    monkeypatch.setattr("clip_lib.towers.texts.checkpoint_folder", None)
    clip = Clip.load(moved / run.clip_file.name)
    found = clip.embed_texts(texts)
    assert np.abs(found - expected).max() < 1e-5
    assert np.abs(found[0] - found[1]).max() > 1e-3
    # So does a command, in a process that has not imported its tokenizer.
    words = ["rerank", "the dog", photo, "--model", str(moved / run.clip_file.name)]
    command = [sys.executable, "-m", "clip_lib", *words]
    root = Path(__file__).parents[1]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert photo in done.stdout, done.stderr


@pytest.mark.parametrize("change", [{"words": [*WORDS[:-1], "cat"]}, {"lower": False}])
def test_another_tokenizer_than_that_of_the_training_is_refused(run, tmp_path, change):
    other = write_checkpoint(tmp_path / "other", **change) / "tokenizer.json"
    with pytest.raises(ClipError, match=r"json: 34 words, but .* trained with 34"):
        Clip.load(run.clip_file, other)
