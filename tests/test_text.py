"""Vocabulary, token ids, and queries that cannot be answered."""

import pytest

from clip_lib.data.vocabulary import (
    check_query,
    encode,
    load_vocabulary,
    save_vocabulary,
)


def test_the_vocabulary_holds_training_words_alone(tiny_dataset, vectorizer):
    known = set(vectorizer.get_vocabulary())

    def own_words(rows):
        """The word of each caption that no other caption has."""
        return {caption.split()[3].strip(",") for caption in rows["caption"]}

    assert own_words(tiny_dataset.train) <= known
    assert not own_words(tiny_dataset.validation) & known
    assert not own_words(tiny_dataset.test) & known


def test_the_line_of_a_word_is_its_token_id(tmp_path, vectorizer):
    save_vocabulary(vectorizer, tmp_path / "vocab.txt")
    lines = (tmp_path / "vocab.txt").read_text(encoding="utf-8").split("\n")
    assert lines[:2] == ["", "[UNK]"]
    token_id = int(encode(vectorizer, ["grass"])[0, 0])
    assert lines[token_id] == "grass"


def test_a_saved_vocabulary_encodes_alike(tmp_path, tiny_dataset, vectorizer):
    save_vocabulary(vectorizer, tmp_path / "vocab.txt")
    again = load_vocabulary(tmp_path / "vocab.txt", 32)
    captions = [*tiny_dataset.records["caption"], "never seen words", "GRASS!"]
    assert (encode(again, captions) == encode(vectorizer, captions)).all()


def test_ids_are_padded_with_zeros_and_cut_at_the_length(vectorizer):
    token_ids = encode(vectorizer, ["on the grass", "grass " * 50])
    assert token_ids.shape == (2, 32)
    assert (token_ids[0, 3:] == 0).all() and (token_ids[0, :3] > 1).all()
    assert (token_ids[1] > 1).all()


def test_a_file_that_is_no_vocabulary_is_refused(tmp_path):
    (tmp_path / "vocab.txt").write_text("dog\nball")
    with pytest.raises(ValueError, match=r"vocab\.txt: not a vocabulary"):
        load_vocabulary(tmp_path / "vocab.txt", 32)
    with pytest.raises(ValueError, match=r"none\.txt: no such vocabulary"):
        load_vocabulary(tmp_path / "none.txt", 32)


def test_unknown_words_of_a_query_are_returned(vectorizer):
    assert check_query(vectorizer, "The Zeppelin on the grass, qwertz!") == [
        "Zeppelin",
        "qwertz!",
    ]


@pytest.mark.parametrize("text", ["", "   ", "\n"])
def test_an_empty_query_is_refused(vectorizer, text):
    with pytest.raises(ValueError, match="Empty query"):
        check_query(vectorizer, text)


@pytest.mark.parametrize("text", ["zeppelin qwertz", "!!!", "犬"])
def test_a_query_without_a_known_word_is_refused(vectorizer, text):
    with pytest.raises(ValueError, match="not one word"):
        check_query(vectorizer, text)
