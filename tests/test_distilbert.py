"""DistilBERT in place of SmallBERT, from a tiny checkpoint in the true format."""

import builtins
import dataclasses
import json
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

from safetensors.numpy import load_file
from scipy.special import erf
from tiny_distilbert import WORDS, write_checkpoint
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
from clip_lib.evaluation.attribution import word_attribution
from clip_lib.evaluation.embeddings import hardest_pairs
from clip_lib.models.clip import build_clip, with_labels
from clip_lib.models.encoders import FEATURES, build_text_classifier, without_head
from clip_lib.models.reload import reload_difference
from clip_lib.models.saving import split_encoders
from clip_lib.retrieval.search import (
    IMAGE_INDEX_FILE,
    TEXT_INDEX_FILE,
    Clip,
    Search,
    build_indexes,
)
from clip_lib.towers.texts import DISTILBERT, build_distilbert_classifier
from clip_lib.training.fit import clip_batches, fit_clip, fit_text_classifier
from clip_lib.training.pipeline import prepare_vocabulary

TEXTS = ["A dog of waterland, on the grass.", "dogs!", "", "zeppelin", "ball " * 50]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("hub") / "tiny")


@pytest.fixture(scope="module")
def config(tiny_config, checkpoint, tmp_path_factory):
    return dataclasses.replace(
        tiny_config,
        text_encoder="distilbert",
        text_weights=str(checkpoint),
        model_dir=str(tmp_path_factory.mktemp("models")),
    )


@pytest.fixture(scope="module")
def pieces(config):
    return prepare_vocabulary([], config)


@pytest.fixture
def classifier(config, pieces):
    return build_distilbert_classifier(config, pieces, 4)


def hidden_states(folder, token_ids) -> np.ndarray:
    """DistilBERT's own forward pass, in NumPy, without padding: (length, width).

    Source: Sanh et al. 2019; Vaswani et al. 2017, section 3; layer norm after each
    residual, GELU by the error function.
    """
    tensors = load_file(folder / "model.safetensors")
    about = json.loads((folder / "config.json").read_text())

    def of(name):
        return tensors[f"distilbert.{name}"].astype("float64")

    def linear(name, x):
        return x @ of(f"{name}.weight").T + of(f"{name}.bias")

    def norm(name, x):
        x = x - x.mean(-1, keepdims=True)
        x /= np.sqrt((x**2).mean(-1, keepdims=True) + 1e-12)
        return x * of(f"{name}.weight") + of(f"{name}.bias")

    x = of("embeddings.word_embeddings.weight")[token_ids]
    x = x + of("embeddings.position_embeddings.weight")[: len(token_ids)]
    x = norm("embeddings.LayerNorm", x)
    for number in range(about["n_layers"]):
        block = f"transformer.layer.{number}"
        query, key, value = (
            linear(f"{block}.attention.{name}_lin", x)
            .reshape(len(x), about["n_heads"], -1)
            .swapaxes(0, 1)
            for name in "qkv"
        )
        scores = query @ key.swapaxes(1, 2) / np.sqrt(query.shape[-1])
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        context = scores / scores.sum(-1, keepdims=True) @ value
        context = context.swapaxes(0, 1).reshape(len(x), -1)
        x = norm(
            f"{block}.sa_layer_norm", x + linear(f"{block}.attention.out_lin", context)
        )
        inner = linear(f"{block}.ffn.lin1", x)
        inner = inner * (1 + erf(inner / np.sqrt(2))) / 2
        x = norm(f"{block}.output_layer_norm", x + linear(f"{block}.ffn.lin2", inner))
    return x


# Tokens.


def test_token_ids_are_those_of_the_tokenizer(checkpoint, pieces):
    tokenizer = DistilBertTokenizerFast.from_pretrained(checkpoint)
    token_ids = encode(pieces, TEXTS)
    assert token_ids.shape == (5, 32) and token_ids.dtype == np.int32
    for row, text in zip(token_ids, TEXTS, strict=True):
        expected = tokenizer(text, truncation=True, max_length=32)["input_ids"]
        assert row[: len(expected)].tolist() == expected
        assert not row[len(expected) :].any()
        assert [WORDS[token_id] for token_id in row[:1]] == ["[CLS]"]
    # Known by hand: two pieces, then punctuation; and what has no pieces.
    words = ["[CLS]", "dog", "##s", "!", "[SEP]"]
    assert [WORDS[token_id] for token_id in token_ids[1, :5]] == words
    assert [WORDS[token_id] for token_id in token_ids[3, :3]] == [
        *("[CLS]", "[UNK]", "[SEP]")
    ]
    assert pieces.get_vocabulary() == WORDS
    assert pieces.vocabulary_size() == len(WORDS)


def test_words_of_a_query_are_sorted(pieces):
    known, unknown = sort_words(pieces, "Dogs on waterland, zeppelin ! .")
    assert known == ["Dogs", "on", "waterland,"] and unknown == ["zeppelin"]
    assert sort_words(pieces, "") == ([], [])
    for text in ("zeppelin", "!!!", "犬"):
        with pytest.raises(ValueError, match="not one word is among the 23 that"):
            check_query(pieces, text)
    # Neither the five marks, one unused, [UNK], nor five of punctuation.
    assert count_words(pieces) == len(WORDS) - 11 == 23


@pytest.mark.parametrize("lower_case", [True, False])
def test_a_saved_tokenizer_encodes_alike(tmp_path, config, lower_case):
    folder = write_checkpoint(tmp_path / "one", lower_case=lower_case)
    config = dataclasses.replace(config, text_weights=str(folder))
    pieces = prepare_vocabulary([], config)
    texts = [*TEXTS, "Dog dog DOG"]
    before = encode(pieces, texts)
    save_vocabulary(pieces, tmp_path / "tokenizer.json")
    again = load_vocabulary(tmp_path / "tokenizer.json", 32)
    assert (encode(again, texts) == before).all()
    assert (encode(pieces, texts) == before).all()
    dogs = [WORDS[token_id] for token_id in before[-1, 1:4]]
    assert dogs == (["dog"] * 3 if lower_case else ["Dog", "dog", "[UNK]"])
    assert again.spelling["lowercase"] == lower_case


def test_a_file_that_is_no_tokenizer_is_refused(tmp_path):
    for content in ("", "{}", '{"normalizer": null}', "[1]"):
        (tmp_path / "tokenizer.json").write_text(content)
        with pytest.raises(ValueError, match=r"tokenizer\.json: not a tokenizer"):
            load_vocabulary(tmp_path / "tokenizer.json", 32)


# Vectors.


@pytest.mark.parametrize("length", [32, 9])
def test_hidden_states_are_those_of_the_formula(config, checkpoint, pieces, length):
    """With padding, and without: 9 tokens are what the first text has."""
    config = dataclasses.replace(config, sequence_length=length)
    pieces = prepare_vocabulary([], config)
    model = build_distilbert_classifier(config, pieces, 4)
    token_ids = encode(pieces, TEXTS)
    network = model.get_layer(DISTILBERT)
    states = network.predict(
        {"token_ids": token_ids, "padding_mask": (token_ids != 0).astype("int32")},
        verbose=0,
    )
    means = keras.Model(model.input, model.get_layer(FEATURES).output)
    means = means.predict(token_ids, verbose=0)
    counts = (token_ids != 0).sum(axis=1)
    assert (counts.min() < length) and (counts.max() == length)
    for row, count, state, mean in zip(token_ids, counts, states, means, strict=True):
        expected = hidden_states(checkpoint, row[:count])
        assert np.abs(state[:count] - expected).max() < 1e-4
        assert np.abs(mean - expected.mean(axis=0)).max() < 1e-4
    assert np.abs(expected).max() > 1  # Or the threshold would say nothing.


def test_padding_changes_nothing(config):
    vectors = []
    for length in (12, 40):
        config = dataclasses.replace(config, sequence_length=length)
        pieces = prepare_vocabulary([], config)
        model = without_head(build_distilbert_classifier(config, pieces, 4))
        vectors.append(model.predict(encode(pieces, TEXTS[:4]), verbose=0))
    assert np.abs(vectors[0] - vectors[1]).max() < 1e-5
    assert np.abs(vectors[0][0] - vectors[0][1]).max() > 1e-2


# What does not fit is refused.


def refused(config, folder, match):
    config = dataclasses.replace(config, text_weights=str(folder))
    with pytest.raises(ValueError, match=match):
        build_distilbert_classifier(config, prepare_vocabulary([], config), 4)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"vocab_size": 33}, "config.json: vocab_size is 33; expected 34, as many"),
        ({"pad_token_id": 1}, "config.json: pad_token_id is 1; expected 0"),
        ({"activation": "relu"}, "config.json: activation is 'relu'; expected 'gelu'"),
        ({"model_type": "bert"}, "model_type is 'bert'; expected 'distilbert'"),
        ({"max_position_embeddings": 31}, "reads 31 tokens at most; .* = 32"),
        ({"max_position_embeddings": 39}, "model.safetensors: not the weights of"),
        ({"n_layers": 3}, r"model.safetensors: not the weights .*layer\.2"),
        ({"dim": 16}, "model.safetensors: not the weights of"),
        ({"words": [*WORDS, "dog"]}, "34 tokens whose ids are not 0 to 33"),
        ({"words": [WORDS[1], WORDS[0], *WORDS[2:]]}, "padding has id 1; expected 0"),
        ({"words": [*WORDS[:5], *WORDS[6:]]}, r"its lines are not the 34 .*\[MASK\]"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(tmp_path, config, changes, match):
    """Weights for a vocabulary of 34 words, unless the words themselves change."""
    if "words" not in changes:
        whole = write_checkpoint(tmp_path / "whole")
        changes = changes | {"tensors": load_file(whole / "model.safetensors")}
    refused(config, write_checkpoint(tmp_path / "odd", **changes), match)


@pytest.mark.parametrize(
    ("names", "match"),
    [
        (["config.json"], "expected config.json in it"),
        (["model.safetensors"], "expected model.safetensors in it"),
        (["vocab.txt"], "expected vocab.txt or tokenizer.json in it"),
    ],
)
def test_a_missing_file_is_named(tmp_path, config, names, match):
    folder = write_checkpoint(tmp_path / "tiny")
    for name in names:
        (folder / name).unlink()
    refused(config, folder, match)


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("config.json", "{", r"config\.json: "),
        ("config.json", "[]", r"config\.json: "),
        ("model.safetensors", "cut", r"model\.safetensors: not the weights"),
        ("tokenizer.json", "{", "no tokenizer in it"),
    ],
)
def test_a_broken_file_is_named(tmp_path, config, name, content, match):
    folder = write_checkpoint(tmp_path / "tiny")
    (folder / name).write_text(content)
    refused(config, folder, match)


def test_weights_without_their_prefix_are_named(tmp_path, config):
    """As PyTorch's DistilBertModel saves itself; KerasHub does not read them."""
    whole = write_checkpoint(tmp_path / "whole")
    tensors = load_file(whole / "model.safetensors")
    bare = {name.removeprefix("distilbert."): t for name, t in tensors.items()}
    match = r"model\.safetensors: not the weights .*distilbert\.embeddings"
    refused(config, write_checkpoint(tmp_path / "bare", tensors=bare), match)


def test_two_vocabularies_that_disagree_are_refused(tmp_path, config):
    folder = write_checkpoint(tmp_path / "tiny")
    DistilBertTokenizerFast.from_pretrained(folder).save_pretrained(folder)
    config = dataclasses.replace(config, text_weights=str(folder))
    both = prepare_vocabulary([], config)
    path = folder / "vocab.txt"
    path.write_text("\n".join([*WORDS[:6], *WORDS[:5:-1]]) + "\n")
    refused(config, folder, r"vocab\.txt: its lines are not .* tokenizer\.json beside")
    path.unlink()
    alone = prepare_vocabulary([], config)
    assert (encode(alone, TEXTS) == encode(both, TEXTS)).all()
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    refused(config, folder, r"tokenizer\.json: treats capitals and accents otherwise")


def test_what_is_not_there_is_refused_soon(config, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    started = time.monotonic()
    for name in ("nobody/no-distilbert", str(tmp_path / "nowhere")):
        match = f"{name}: no folder .* hub did not give it .*local folder in text_wei"
        other = dataclasses.replace(config, text_weights=name)
        with pytest.raises(ValueError, match=match):
            prepare_vocabulary([], other)
    assert time.monotonic() - started < 5


def test_transformers_is_missing(config, monkeypatch):
    real = builtins.__import__

    def refuse(name, *rest):
        if name == "transformers":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    match = "DistilBERT needs transformers: pip install -r requirements-distilbert.txt"
    with pytest.raises(ValueError, match=match):
        prepare_vocabulary([], config)


# Training.


def network_weights(model) -> list[np.ndarray]:
    return model.get_layer(DISTILBERT).get_weights()


def differ(one, other) -> bool:
    return any((a != b).any() for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(
    ("head_rate", "epochs", "rate", "improved"),
    [(1e-2, 1, 3.0, False), (0.0, 12, 1e-2, True)],
    ids=["frozen", "fine-tuned"],
)
def test_the_network_is_frozen_and_then_fine_tuned(
    tmp_path, config, pieces, tiny_dataset, head_rate, epochs, rate, improved
):
    """The best epoch of both phases is kept, once of the first, once of the second."""
    start = network_weights(build_distilbert_classifier(config, pieces, 4))
    config = dataclasses.replace(
        config,
        text_epochs=4 if head_rate else 1,
        text_patience=99,
        learning_rate=head_rate,
        fine_tune_epochs=epochs,
        fine_tune_learning_rate=rate,
    )
    path = tmp_path / "text.keras"
    model, history = fit_text_classifier(tiny_dataset, pieces, config, path)
    accuracy = history.history["val_accuracy"]
    assert len(accuracy) == config.text_epochs + epochs
    first, second = accuracy[: config.text_epochs], accuracy[config.text_epochs :]
    assert (max(second) > max(first)) == improved
    assert differ(network_weights(model), start) == improved
    assert model.get_layer(DISTILBERT).trainable == improved
    rows = tiny_dataset.validation
    batch = encode(pieces, rows["caption"]), np.array(tiny_dataset.labels(rows))
    if improved:
        assert reload_difference(model, path, batch[0]) < 1e-5
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    kept = model.evaluate(*batch, verbose=0, return_dict=True)["accuracy"]
    assert kept == pytest.approx(max(accuracy))


def test_no_word_is_hidden_from_distilbert(config, pieces, tiny_dataset):
    """Token 1 is no word of its vocabulary."""
    config = dataclasses.replace(config, word_dropout=0.9)
    for batch in clip_batches(tiny_dataset, pieces, config, "train"):
        assert not (batch["text_input"].numpy() == 1).any()


@pytest.mark.parametrize("locked", [None, False])
def test_its_features_are_locked_in_clip(
    config, pieces, classifier, tiny_dataset, started_image_classifier, locked
):
    config = dataclasses.replace(config, locked_texts=locked)
    features = without_head(classifier)
    clip = build_clip(without_head(started_image_classifier), features, config)
    encoder = split_encoders(clip)[1]
    before = network_weights(encoder)
    projection = encoder.get_layer("projection").kernel.numpy()
    trained = with_labels(clip)
    trained.compile(keras.optimizers.AdamW(1e-2))
    trained.train_on_batch(
        next(iter(clip_batches(tiny_dataset, pieces, config, "train")))
    )
    assert differ(network_weights(encoder), before) == (locked is False)
    assert (encoder.get_layer("projection").kernel.numpy() != projection).any()


@pytest.mark.parametrize(("locked", "expected"), [(None, False), (True, True)])
def test_those_of_smallbert_are_locked_if_asked(
    tiny_config, vectorizer, started_image_classifier, locked, expected
):
    config = dataclasses.replace(tiny_config, locked_texts=locked)
    texts = build_text_classifier(config, vectorizer.vocabulary_size(), 4)
    parts = without_head(started_image_classifier), without_head(texts)
    encoder = split_encoders(build_clip(*parts, config))[1]
    paths = [weights.path for weights in encoder.trainable_weights]
    assert all("projection" in path for path in paths) == expected


# A CLIP of it, saved.


@pytest.fixture(scope="module")
def saved(config, pieces, tiny_dataset, started_image_classifier):
    """A run of one epoch: the model, its vocabulary and indexes."""
    config = dataclasses.replace(config, clip_epochs=1)
    texts = build_distilbert_classifier(config, pieces, 4)
    parts = without_head(started_image_classifier), without_head(texts)
    clip = build_clip(*parts, config)
    fit_clip(clip, tiny_dataset, pieces, config, config.clip_file)
    save_vocabulary(pieces, config.vocabulary_file)
    indexes = build_indexes(Clip.load(config.clip_file), tiny_dataset)
    for index, name in zip(indexes, (IMAGE_INDEX_FILE, TEXT_INDEX_FILE), strict=True):
        index.save(config.model_path(name))
    return config


# A process that knows nothing but the folder of the run: no hub, no checkpoint.
COLD = """
import socket, sys

def refuse(*rest):
    raise OSError("no network here")

socket.socket.connect = socket.getaddrinfo = refuse
import numpy as np
from clip_lib.retrieval.search import Search

search = Search.load(sys.argv[1])
texts = search.texts.items["captions"].tolist()
assert np.abs(search.clip.embed_texts(texts) - search.texts.embeds).max() < 1e-5
answers = search.images_for("the dog on the grass", k=3, gallery="all")
np.savez(sys.argv[2], scores=answers["score"].to_numpy())
"""


def test_a_saved_run_answers_in_a_fresh_process_without_the_hub(
    tmp_path, saved, checkpoint, pieces, tiny_dataset
):
    """From its folder alone, moved elsewhere; the same vectors, the same answers."""
    shutil.copytree(saved.model_dir, tmp_path / "moved")
    model_file = tmp_path / "moved" / "myclip_with_distilbert.keras"
    expected = Search.load(saved.clip_file)
    expected = expected.images_for("the dog on the grass", k=3, gallery="all")
    checkpoint.rename(checkpoint.with_name("away"))
    try:
        subprocess.run(
            [sys.executable, "-c", COLD, model_file, tmp_path / "scores.npz"],
            env=os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)},
            cwd=Path(__file__).parents[1],
            check=True,
        )
    finally:
        checkpoint.with_name("away").rename(checkpoint)
    with np.load(tmp_path / "scores.npz") as found:
        assert np.allclose(found["scores"], expected["score"], atol=1e-5)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda words: [*words[:6], *words[:5:-1]], "34 words, .* in another order"),
        (lambda words: [*words[:-1], "cat"], "34 words, but .* with 34 others"),
        (lambda words: [*words, "cat"], "35 words, but .* was trained with 34"),
    ],
)
def test_another_vocabulary_than_that_of_the_training_is_refused(
    saved, tmp_path, config, change, match
):
    odd = write_checkpoint(tmp_path / "odd", words=change(WORDS))
    config = dataclasses.replace(config, text_weights=str(odd))
    save_vocabulary(prepare_vocabulary([], config), tmp_path / "tokenizer.json")
    with pytest.raises(ValueError, match=rf"tokenizer\.json: .*{match}"):
        Clip.load(saved.clip_file, tmp_path / "tokenizer.json")


def test_another_treatment_of_capitals_is_refused(saved, tmp_path):
    about = json.loads(saved.vocabulary_file.read_text(encoding="utf-8"))
    about["normalizer"]["lowercase"] = False
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(about))
    with pytest.raises(
        ValueError, match=r"tokenizer\.json: 34 words, but .* 34 others"
    ):
        Clip.load(saved.clip_file, path)


def test_what_an_answer_rests_on_is_told_of_words(saved):
    search = Search.load(saved.clip_file)
    table = word_attribution(
        search.clip, ["A dog , waterland !"], search.images.embeds[:1]
    )
    assert table["word"].tolist() == ["A", "dog", "waterland"]
    assert table["token"].tolist() == ["a", "dog", "water ##land"]
    pairs = hardest_pairs(search.images, search.texts, search.clip.vectorizer)
    # 'A "ball" of ballword1, on the grass .': a, ball, of, ball ##word ##1, on, the...
    assert set(pairs["known_words"]) == {1.0}
    search.texts.items["captions"] = "a zeppelin !"
    pairs = hardest_pairs(search.images, search.texts, search.clip.vectorizer)
    assert set(pairs["known_words"]) == {0.5}


def test_smallbert_and_distilbert_lie_side_by_side(config):
    assert config.clip_file.name == "myclip_with_distilbert.keras"
    assert config.vocabulary_file.name == "tokenizer.json"
    assert Config().clip_file.name == "myclip_with_smallbert.keras"
    assert Config().vocabulary_file.name == "vocab.txt"
