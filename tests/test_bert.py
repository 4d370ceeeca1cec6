"""Networks of the BERT family in place of SmallBERT, from tiny checkpoints."""

import dataclasses
import shutil
import sys
import time

import keras
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
    save_vocabulary,
    sort_words,
)
from clip_lib.errors import ClipError
from clip_lib.evaluation.attribution import word_attribution
from clip_lib.models.clip import without_head
from clip_lib.retrieval.search import Clip
from clip_lib.towers.choice import choose_builders
from clip_lib.towers.texts import BERT, build_bert_classifier, load_tokenizer
from clip_lib.training.fit import fit_text_classifier
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
    with pytest.raises(ClipError, match="not one word is among the 23 that"):
        check_query(pieces, "!!! 犬")


@pytest.mark.parametrize("lower", [True, False])
def test_a_saved_tokenizer_encodes_alike(tmp_path, config, lower):
    folder = str(write_checkpoint(tmp_path / "one", lower=lower))
    pieces = load_tokenizer([], dataclasses.replace(config, text_encoder=folder))
    texts = ["Dog dog DOG", *TEXTS]
    before = encode(pieces, texts)
    save_vocabulary(pieces, tmp_path / "tokenizer.json")
    again = load_vocabulary(tmp_path / "tokenizer.json", 32)
    assert (encode(again, texts) == before).all()
    dogs = [WORDS[token_id] for token_id in before[0, 1:4]]
    assert dogs == (["dog"] * 3 if lower else ["Dog", "dog", "[UNK]"])


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
    network = model.get_layer(BERT)
    table = weights(kind, len(WORDS))[f"{kind}.embeddings.word_embeddings.weight"]
    assert (network.token_embedding.embeddings.numpy() == table).all()
    inputs = {"token_ids": token_ids[:1], "padding_mask": np.ones((1, 12), "int32")}
    if kind == "bert":
        inputs["segment_ids"] = np.zeros((1, 12), "int32")
    states = network(inputs)
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
        ({"vocab_size": 33}, "odd: expected config.json and model.safetensors of one"),
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


# Training.


def differ(one: keras.Model, other: keras.Model) -> bool:
    pairs = zip(
        *(each.get_layer(BERT).get_weights() for each in (one, other)), strict=True
    )
    return any((a != b).any() for a, b in pairs)


def test_the_network_is_fine_tuned_if_asked(tmp_path, config, pieces, tiny_dataset):
    """Of both phases together the best epoch is kept: here one of the second."""
    rates = {"learning_rate": 0.0, "fine_tune_learning_rate": 1e-2}
    config = dataclasses.replace(config, text_epochs=1, fine_tune_epochs=4, **rates)
    model = build_bert_classifier(tiny_dataset, pieces, config)
    assert len(model.trainable_weights) == 2  # Those of its head.
    before, path = without_head(model), tmp_path / "text.keras"
    model, history = fit_text_classifier(model, tiny_dataset, pieces, config, path)
    first, *others = history["val_accuracy"]
    assert len(others) == 4 and max(others) > first
    assert differ(model, before)


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
    assert not differ(clip.text_encoder, start)
    paths = [weight.path for weight in clip.text_encoder.trainable_weights]
    assert len(paths) == 2 and all("projection" in path for path in paths)
    table = word_attribution(clip, ["A dog , waterland !"], np.eye(run.embed_dim)[:1])
    assert table["token"].tolist() == ["a", "dog", "water ##land"]


def test_a_saved_run_needs_neither_hub_nor_checkpoint(tmp_path, run, monkeypatch):
    """Moved elsewhere, beside the vocabulary of another run."""
    texts = ["the dog", "a ball"]
    expected = Clip.load(run.clip_file).embed_texts(texts)
    moved = shutil.copytree(run.model_dir, tmp_path / "moved")
    (moved / "vocab.txt").write_text("\n[UNK]\ndog")
    monkeypatch.setattr("clip_lib.towers.texts.checkpoint_folder", None)
    found = Clip.load(moved / run.clip_file.name).embed_texts(texts)
    assert np.abs(found - expected).max() < 1e-5
    assert np.abs(found[0] - found[1]).max() > 1e-3


@pytest.mark.parametrize(
    "change",
    [{"words": [*WORDS[:-1], "cat"]}, {"words": [*WORDS, "cat"]}, {"lower": False}],
)
def test_another_tokenizer_than_that_of_the_training_is_refused(run, tmp_path, change):
    other = write_checkpoint(tmp_path / "other", **change) / "tokenizer.json"
    with pytest.raises(ClipError, match=r"json: 3. words, but .* trained with 34"):
        Clip.load(run.clip_file, other)


@pytest.mark.parametrize(
    ("text_encoder", "name"),
    [("distilbert", "distilbert"), ("google/mini-bert", "mini-bert"), ("/a/b/", "b")],
)
def test_files_bear_the_name_of_the_text_encoder(text_encoder, name):
    config = Config(text_encoder=text_encoder)
    assert config.clip_file.name == f"myclip_with_{name}.keras"
    assert config.vocabulary_file.name == "tokenizer.json"
