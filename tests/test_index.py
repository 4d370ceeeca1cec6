"""The search in an index beside slow references, and its file."""

import numpy as np
import pandas as pd
import pytest

from clip_lib.errors import ClipError
from clip_lib.retrieval.index import Index


@pytest.fixture
def index():
    """Cosines with [1, 0]: a 0.6, b 1, c -1, d 0."""
    embeds = np.array([[0.6, 0.8], [1, 0], [-1, 0], [0, 1]], "float32")
    splits = ["test", "train", "train", "test"]
    items = pd.DataFrame({"paths": list("abcd"), "splits": splits})
    return Index(embeds, items, "model", "source")


def test_equal_scores_stay_in_order_and_what_is_no_number_comes_last():
    scores = np.array([0.5, np.nan, 0.5, 1.0, 0.5], "float32")
    index = Index(scores[:, None], pd.DataFrame({"row": range(5)}))
    for k in range(1, 7):
        assert index.search([1.0], k)["row"].tolist() == [3, 0, 2, 4, 1][:k]
    assert Index(index.embeds[:0], index.items[:0]).search([1.0]).empty


def test_answers_by_hand(index):
    answers = index.search([1, 0], k=3, temperature=0.5)
    assert answers["paths"].tolist() == ["b", "a", "d"]
    assert answers["rank"].tolist() == [1, 2, 3]
    assert answers["score"].tolist() == pytest.approx([1, 0.6, 0])
    # The last margin reaches to a row that is not shown, as the softmax does.
    assert answers["margin"].tolist() == pytest.approx([0.4, 0.6, 1.0])
    powers = np.exp([2, 1.2, 0, -2])
    assert answers["probability"].tolist() == pytest.approx(powers[:3] / powers.sum())
    with pytest.raises(ClipError, match="k = 0"):
        index.search([1, 0], k=0)


def test_a_standing_counts_who_is_better_and_who_is_worse(index):
    assert index.standing([1, 0], 0.3) == {"rank": 3, "of": 4, "better_than": 0.5}
    assert index.standing([1, 0], 1.0)["rank"] == 1
    # Row a itself, from a batch that rounded otherwise: neither better nor worse.
    for score in (0.6, 0.600001, 0.599999):
        standing = index.standing([1, 0], score)
        assert (standing["rank"], standing["better_than"]) == (2, 0.5)


def test_a_part_holds_one_split(index):
    assert index.part("test").search([1, 0])["paths"].tolist() == ["a", "d"]
    assert index.part("all") is index
    with pytest.raises(ClipError, match=r"'tset' is empty: expected .* test, train"):
        index.part("tset")


def test_an_index_comes_back_as_it_was(tmp_path, index):
    index.items["paths"] = ["é.jpg", "b b.jpg", "c.jpg", "d.jpg"]
    index.items["mtime_ns"] = 1_700_000_000_123_456_789
    for saved in (index, Index(index.embeds[:0], index.items[:0])):
        again = Index.load(saved.save(tmp_path / "index.npz"))
        assert (again.embeds == saved.embeds).all() and again.embeds.dtype == "float32"
        assert again.items.to_dict("list") == saved.items.to_dict("list")
    assert Index.load(index.save(tmp_path / "i.npz")).model == "model"
    assert Index.load(tmp_path / "i.npz").source == "source"


def test_an_index_in_the_courses_bare_form_is_searched(tmp_path, index):
    np.savez_compressed(tmp_path / "i.npz", embeds=index.embeds, paths=[*"abcd"])
    bare = Index.load(tmp_path / "i.npz")
    assert bare.part("all").search([1, 0], k=1)["paths"].tolist() == ["b"]
    with pytest.raises(ClipError, match="'test' is empty: expected one of all"):
        bare.part("test")


def test_what_is_not_an_index_is_named(tmp_path, index):
    path = tmp_path / "index.npz"
    with pytest.raises(ClipError, match=r"index\.npz: no such index"):
        Index.load(path)
    whole = index.save(path).read_bytes()
    flipped = bytearray(whole)
    flipped[whole.index(index.embeds.tobytes()) + 7] ^= 1
    for content in (b"", b"PK\x03\x04 cut", whole[:700], whole[:-1], bytes(flipped)):
        path.write_bytes(content)
        with pytest.raises(ClipError, match=r"index\.npz: not an index .*\)\.$"):
            Index.load(path)
    for arrays in (
        {"embeds": np.array([{"a": 1}], dtype=object)},  # It would need pickle.
        {"embeds": index.embeds, "paths": [*"ab"]},
        {"embeds": index.embeds},
        {"embeds": np.ones(4), "paths": [*"abcd"]},
    ):
        np.savez(path, **arrays)
        with pytest.raises(ClipError, match=r"index\.npz: not an index"):
            Index.load(path)


def test_a_full_disk_names_the_file_and_leaves_it_as_it_was(tmp_path, index, full_disk):
    path = index.save(tmp_path / "index.npz")
    large = Index(np.ones((1000, 50), "float32"), pd.DataFrame({"row": range(1000)}))
    with full_disk(), pytest.raises(OSError, match=r"large: '\S+/index\.npz'$"):
        large.save(path)
    assert Index.load(path).items["paths"].tolist() == [*"abcd"]
    assert [file.name for file in tmp_path.iterdir()] == ["index.npz"]
