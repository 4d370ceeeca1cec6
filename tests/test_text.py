"""Vocabulary, token ids, and queries that cannot be answered."""

import pytest

from clip_lib.data.vocabulary import (
    READERS,
    check_query,
    encode,
    load_vocabulary,
    save_vocabulary,
    sort_words,
)
from clip_lib.errors import ClipError


def test_the_vocabulary_holds_training_words_alone(tiny_dataset, vectorizer):
    known = set(vectorizer.get_vocabulary())

    def own_words(rows):
        """The word of each caption that no other caption has."""
        return {caption.split()[3].strip(",") for caption in rows["caption"]}

    assert own_words(tiny_dataset.train) <= known
    assert not own_words(tiny_dataset.validation) & known
    assert not own_words(tiny_dataset.test) & known


def test_a_saved_vocabulary_encodes_alike(tmp_path, tiny_dataset, vectorizer):
    save_vocabulary(vectorizer, tmp_path / "vocab.txt")
    again = load_vocabulary(tmp_path / "vocab.txt", 32)
    captions = [*tiny_dataset.records["caption"], "never seen words", "GRASS!", "!"]
    token_ids = encode(vectorizer, captions)
    assert (encode(again, captions) == token_ids).all()
    # The line of a word is its token id; padding is 0, an unknown word is 1.
    lines = (tmp_path / "vocab.txt").read_text(encoding="utf-8").split("\n")
    assert lines[token_ids[-2, 0]] == "grass"
    assert token_ids[-3:, :4].tolist() == [
        [1, 1, 1, 0],
        [token_ids[-2, 0], 0, 0, 0],
        [1, 0, 0, 0],
    ]
    assert (encode(vectorizer, ["grass " * 50]) > 1).all()  # Cut at 32.


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("vocab.txt", b"dog\nball", "not a vocabulary"),
        ("vocab.txt", b"\xff", "not text in UTF-8"),
        ("vocab.txt", None, "no such vocabulary"),
        ("tokenizer.json", b"{}", "no reader for this tokenizer"),
    ],
)
def test_a_file_that_is_no_vocabulary_is_refused(
    tmp_path, monkeypatch, name, content, message
):
    monkeypatch.delitem(READERS, "tokenizer.json", raising=False)
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ClipError, match=f"{name}: {message}"):
        load_vocabulary(tmp_path / name, 32)


def test_a_registered_reader_reads_its_file(tmp_path, monkeypatch):
    monkeypatch.setitem(READERS, "tokenizer.json", lambda path, length: (path, length))
    (tmp_path / "tokenizer.json").write_text("{}")
    path = tmp_path / "tokenizer.json"
    assert load_vocabulary(path, 32) == (path, 32)


def test_words_of_a_query_are_sorted(vectorizer):
    known, unknown = sort_words(vectorizer, "The Zeppelin on the grass, qwertz !")
    assert known == ["The", "on", "the", "grass,"]
    assert unknown == ["Zeppelin", "qwertz"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        *((text, "Empty query") for text in ("", "   ", "\n")),
        *((text, "not one word") for text in ("zeppelin qwertz", "!!!", "犬")),
    ],
)
def test_a_query_without_a_known_word_is_refused(vectorizer, text, message):
    with pytest.raises(ClipError, match=message):
        check_query(vectorizer, text)
