"""Vocabulary, token ids, and queries that cannot be answered."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_fuzz import CASES

from clip_lib.config import Config
from clip_lib.data import vocabulary
from clip_lib.data.vocabulary import (
    check_query,
    clean,
    encode,
    learn_vocabulary,
    load_vocabulary,
    sort_words,
)
from clip_lib.errors import ClipError


def test_the_vocabulary_holds_training_words_alone(tiny_dataset, vectorizer):
    known = set(vectorizer.get_vocabulary())
    for split, is_known in (("train", True), ("validation", False), ("test", False)):
        for caption in tiny_dataset.part(split)["caption"]:
            # The word that no other caption has.
            assert (caption.split()[3].strip(",") in known) == is_known


def test_a_saved_vocabulary_encodes_alike(tmp_path, tiny_dataset, vectorizer):
    vectorizer.save(tmp_path / "vocab.txt")
    again = load_vocabulary(tmp_path / "vocab.txt", 32)
    captions = [*tiny_dataset.records["caption"], "grass " * 50, "GRASS! zeppelin", "!"]
    token_ids = encode(vectorizer, captions)
    assert (encode(again, captions) == token_ids).all()
    # The line of a word is its token id; padding is 0, an unknown or no word 1.
    lines = (tmp_path / "vocab.txt").read_text(encoding="utf-8").split("\n")
    grass = lines.index("grass")
    assert token_ids[-3].tolist() == [grass] * 32
    assert token_ids[-2:, :3].tolist() == [[grass, 1, 0], [1, 0, 0]]


WORDS = ["dog", "a", "é", "ß", "boy", "женщина", "berry", "beach", "s", "42", "犬"]
TEXT = st.lists(st.one_of(st.sampled_from(WORDS), st.text()), max_size=12).map(" ".join)


@CASES
@given(st.lists(TEXT, min_size=1, max_size=8))
def test_learning_and_looking_up_are_those_of_keras(texts):
    texts = [*texts, "a dog"]  # Keras fails without a word.
    ours = learn_vocabulary(texts, Config.quick(sequence_length=7, vocab_size=12))
    # Of its own accord it takes punctuation away, but neither accents nor hyphens.
    cleaned = [clean(text) for text in texts]
    theirs = keras.layers.TextVectorization(max_tokens=12, output_sequence_length=7)
    theirs.adapt(np.array(cleaned, object))
    assert ours.get_vocabulary() == theirs.get_vocabulary()
    # Without plurals, which are ours.
    words = [word for text in cleaned for word in text.split()]
    known = set(ours.get_vocabulary())
    plain = [word for word in words if word in known] + ["qwertz"]
    assert (ours([" ".join(plain)]) == theirs([" ".join(plain)]).numpy()).all()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("vocab.txt", b"dog\nball", "not a vocabulary"),
        ("vocab.txt", b"\xff", "not text in UTF-8"),
        ("none.txt", None, "no such vocabulary"),
        ("tokenizer.json", b"{}", "no reader for this tokenizer"),
    ],
)
def test_what_is_no_vocabulary_is_refused(
    tmp_path, monkeypatch, name, content, message
):
    monkeypatch.setattr(vocabulary, "READERS", {})
    if content:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ClipError, match=f"{name}: {message}"):
        load_vocabulary(tmp_path / name, 32)


def test_words_of_a_query_are_sorted(vectorizer):
    text = "The Zeppelin on the grass, qwertz !"
    known, unknown = vocabulary.sort_words(vectorizer, text)
    assert known == ["the", "on", "the", "grass"] and unknown == ["zeppelin", "qwertz"]


@pytest.mark.parametrize(
    "text",
    ["“dog”", "dog…", "DOG!", "dogs", "the dog's", "dog/qwertz", "qwertz-dog", "dög"],
)
def test_characters_and_plurals_do_not_hide_a_known_word(text):
    config = Config.quick()
    vectorizer = learn_vocabulary(["A dog's ball, near the bushes .", "A dog"], config)
    dog = vectorizer.get_vocabulary().index("dog")
    assert dog in encode(vectorizer, [text])
    check_query(vectorizer, text)
    assert sort_words(vectorizer, "bush")[0] == ["bush"]


@pytest.mark.parametrize(
    "text",
    # The last word of the last one is beyond what the model reads.
    ["", " \n", "zeppelin qwertz", "!!!", "犬", "on the a", "qwertz " * 32 + "grass"],
)
def test_a_query_without_a_meaningful_known_word_is_refused(vectorizer, text):
    with pytest.raises(
        ClipError, match="none of its content words" if text.strip() else "Empty"
    ):
        check_query(vectorizer, text)
