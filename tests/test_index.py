"""The search and the file of an index, beside slow references."""

import os
import zipfile

import hypothesis
import numpy as np
import pandas as pd
import pytest
from hypothesis import strategies as st
from scipy.special import softmax

from clip_lib.retrieval.index import Index
from clip_lib.retrieval.npz import map_array

TIES = st.integers(-4, 4).map(lambda number: number / 4)
ODD = TIES | st.sampled_from([np.nan, np.inf, -np.inf])


def sorted_search(scores, k, temperature):
    """The answers of an index by a stable sort of all its rows."""
    order = np.argsort(-scores, kind="stable")
    best = scores[order].astype("float64")
    answers = pd.DataFrame(
        {
            "rank": np.arange(1, len(order) + 1),
            "score": best,
            "margin": -np.diff(best, append=np.nan),
            "probability": softmax(best / temperature) if len(best) else [],
            "row": order,
        }
    )
    return answers[:k]


def search(scores, k, temperature):
    """The answers of an index whose rows have these cosines with the query."""
    items = pd.DataFrame({"row": range(len(scores))})
    return Index(scores[:, None], items).search(np.ones(1, "float32"), k, temperature)


def assert_as_sorted(scores, k, temperature=0.07):
    scores = np.array(scores, "float32")
    with np.errstate(invalid="ignore"):
        found = search(scores, k, temperature)
        expected = sorted_search(scores, k, temperature)
    pd.testing.assert_frame_equal(found, expected, rtol=1e-12, atol=0)


@hypothesis.settings(max_examples=300, deadline=None, derandomize=True, database=None)
@hypothesis.given(
    scores=st.lists(TIES, max_size=80) | st.lists(ODD, max_size=80), data=st.data()
)
def test_the_search_is_a_stable_sort_of_all_rows(scores, data):
    assert_as_sorted(scores, data.draw(st.integers(1, len(scores) + 3), "k"))


@pytest.mark.parametrize("k", [1, 5, 199, 2999, 3000, 3003])
def test_the_search_is_exact_among_thousands_and_many_ties(k):
    random = np.random.default_rng(k)
    assert_as_sorted(random.integers(-9, 10, 3000) / 10, k)
    # The best are neighbours, so that most samples of the rows miss them.
    assert_as_sorted(np.sort(random.uniform(-1, 1, 3000)), k)
    assert_as_sorted(np.zeros(3000), k)


@pytest.mark.parametrize("temperature", [0.01, 0.07, 1.0])
def test_probabilities_are_the_softmax_of_all_rows(temperature):
    scores = np.random.default_rng(0).uniform(-1, 1, 3000).astype("float32")
    expected = softmax(scores.astype("float64") / temperature)
    answers = search(scores, 3000, temperature)
    assert answers["probability"].sum() == pytest.approx(1, abs=1e-12)
    assert np.allclose(answers["probability"], expected[answers["row"]], 1e-12, 0)
    few = search(scores, 7, temperature)["probability"]
    assert few.tolist() == answers["probability"][:7].tolist()


@pytest.fixture
def index():
    embeds = np.random.default_rng(0).uniform(size=(40, 8)).astype("float32")
    items = pd.DataFrame({"paths": [f"{row}.jpg" for row in range(40)]})
    return Index(embeds, items, "model", "source")


def is_mapped(array):
    return array is not None and (
        isinstance(array, np.memmap) or is_mapped(getattr(array, "base", None))
    )


def test_embeddings_lie_in_the_file_as_in_memory(tmp_path, index):
    path = index.save(tmp_path / "index.npz")
    with zipfile.ZipFile(path) as archive:
        kinds = [(member.filename, member.compress_type) for member in archive.filelist]
    assert kinds[0] == ("embeds.npy", zipfile.ZIP_STORED)
    assert {kind for _, kind in kinds[1:]} == {zipfile.ZIP_DEFLATED}
    assert path.read_bytes().index(index.embeds.tobytes()) % 4 == 0
    for mapped in (True, False):
        again = Index.load(path, mapped)
        assert is_mapped(again.embeds) == mapped
        assert again.embeds.flags.writeable != mapped
        assert again.embeds.dtype == np.float32
        assert (again.embeds == index.embeds).all()
        assert again.items.equals(index.items)
        assert (again.model, again.source) == ("model", "source")


def test_rows_in_any_order_of_memory_are_saved(tmp_path, index):
    turned = np.asfortranarray(index.embeds)
    path = Index(turned, index.items).save(tmp_path / "index.npz")
    assert is_mapped(Index.load(path, mapped=True).embeds)
    assert (Index.load(path, mapped=True).embeds == index.embeds).all()


@pytest.mark.parametrize("write", [np.savez_compressed, np.savez])
@pytest.mark.parametrize("mapped", [True, False])
def test_files_of_numpys_writers_are_read(tmp_path, index, write, mapped):
    path = tmp_path / "index.npz"
    paths = index.items["paths"].to_numpy(str)
    write(path, paths=paths, embeds=index.embeds, model="model")
    again = Index.load(path, mapped)
    assert (again.embeds == index.embeds).all()
    assert again.items.equals(index.items) and again.model == "model"
    # What lies otherwise in the file is read.
    write(path, embeds=np.asfortranarray(index.embeds), paths=paths)
    assert (Index.load(path, mapped).embeds == index.embeds).all()


def test_an_index_without_rows_is_read(tmp_path, index):
    empty = Index(index.embeds[:0], index.items[:0])
    path = empty.save(tmp_path / "index.npz")
    for mapped in (True, False):
        assert Index.load(path, mapped).embeds.shape == (0, 8)
        assert Index.load(path, mapped).search(index.embeds[0]).empty


@pytest.mark.parametrize("mapped", [True, False])
def test_a_cut_index_is_named(tmp_path, index, mapped):
    path = index.save(tmp_path / "index.npz")
    content = path.read_bytes()
    for length in (0, 100, 700, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"index\.npz: not an index .*\)\.$"):
            Index.load(path, mapped)


def test_another_bit_among_the_embeddings_is_found_by_reading(tmp_path, index):
    path = index.save(tmp_path / "index.npz")
    content = bytearray(path.read_bytes())
    content[content.index(index.embeds.tobytes()) + 7] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"index\.npz: not an index .*CRC"):
        Index.load(path)


def test_embeddings_are_not_mapped_beyond_their_end(tmp_path, index):
    path = index.save(tmp_path / "index.npz")
    content = path.read_bytes()
    for shape in (b"(40, 9)", b"(40, 7)"):
        path.write_bytes(content.replace(b"(40, 8)", shape))
        with pytest.raises(ValueError, match=r"index\.npz: .* in 1408 bytes"):
            Index.load(path, mapped=True)
    # A table of contents that tells the same lie.
    path.write_bytes(content.replace(b"(40, 8)", b"(40,99)"))
    with open(path, "rb") as file, np.load(file) as arrays:
        arrays.zip.getinfo("embeds.npy").file_size += 40 * 91 * 4
        assert arrays.zip.getinfo("embeds.npy").file_size > os.path.getsize(path)
        with pytest.raises(ValueError, match="greater than file size"):
            map_array(file, arrays, "embeds")


def test_a_single_array_is_not_an_index(tmp_path, index):
    with open(tmp_path / "index.npz", "wb") as file:
        np.save(file, index.embeds)
    with pytest.raises(ValueError, match=r"index\.npz: not an index"):
        Index.load(tmp_path / "index.npz")
