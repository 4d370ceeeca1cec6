"""What stands beside a score: figures worked out by hand, and how they are shown."""

import hypothesis
import numpy as np
import pandas as pd
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from clip_lib.models.saving import load_clip, save_model
from clip_lib.retrieval.answers import answer_lines, answer_records
from clip_lib.retrieval.index import Index
from clip_lib.retrieval.search import MODEL_FILE, VOCABULARY_FILE, Clip
from clip_lib.retrieval.zero_shot import label_index


@pytest.fixture
def index():
    """Cosines with [1, 0]: a 0.6, b 1, c -1, d 0."""
    embeds = np.array([[0.6, 0.8], [1, 0], [-1, 0], [0, 1]], "float32")
    return Index(embeds, pd.DataFrame({"paths": list("abcd")}))


def test_the_margin_reaches_to_the_next_of_the_gallery(index):
    answers = index.search([1, 0], k=4)
    assert answers.columns[:4].tolist() == ["rank", "score", "margin", "probability"]
    assert answers["margin"][:3].tolist() == pytest.approx([0.4, 0.6, 1.0])
    assert np.isnan(answers["margin"][3])
    # The next place counts even where it is not shown.
    assert index.search([1, 0], k=1)["margin"].tolist() == pytest.approx([0.4])


def test_the_probability_is_over_the_gallery_at_the_temperature(index):
    # Cosines 1, 0.6, 0, -1 divided by 0.5.
    powers = np.exp([2, 1.2, 0, -2])
    answers = index.search([1, 0], k=2, temperature=0.5)
    assert answers["probability"].tolist() == pytest.approx(
        powers[:2] / powers.sum(), rel=1e-6
    )
    colder = index.search([1, 0], k=1, temperature=0.1)["probability"][0]
    assert colder > answers["probability"][0]


@hypothesis.settings(deadline=None, derandomize=True, database=None)
@hypothesis.given(
    scores=arrays.arrays(
        "float32", st.integers(1, 60), elements=st.floats(-1, 1, width=32)
    ),
    temperature=st.floats(0.01, 1),
)
def test_probabilities_sum_to_one_and_margins_to_the_range(scores, temperature):
    items = pd.DataFrame({"paths": [str(number) for number in range(len(scores))]})
    answers = Index(scores[:, None], items).search([1.0], 100, temperature)
    assert answers["probability"].sum() == pytest.approx(1, abs=1e-9)
    assert answers["probability"].is_monotonic_decreasing
    assert (answers["margin"].dropna() >= 0).all()
    spread = float(scores.max()) - float(scores.min())
    assert answers["margin"].sum() == pytest.approx(spread, abs=1e-6)


def test_a_standing_counts_who_is_better_and_who_is_worse(index):
    assert index.standing([1, 0], 0.3) == {"rank": 3, "of": 4, "better_than": 0.5}
    assert index.standing([1, 0], 1.0)["rank"] == 1
    # Row a itself, from a batch that rounded otherwise: neither better nor worse.
    for score in (0.6, 0.600001, 0.599999):
        assert index.standing([1, 0], score) == {
            "rank": 2,
            "of": 4,
            "better_than": 0.5,
        }


def test_the_temperature_is_the_one_that_was_learned(run_config, tmp_path):
    clip = load_clip(run_config.model_path(MODEL_FILE))
    clip.get_layer("contrastive_loss").log_scale.assign(np.log(20.0))
    model_file = save_model(clip, tmp_path / MODEL_FILE)
    vocabulary = run_config.model_path(VOCABULARY_FILE)
    loaded = Clip.load(model_file, vocabulary)
    assert loaded.temperature == pytest.approx(1 / 20)
    # Models put together by hand have none.
    assert Clip(*clip.layers[2:4], loaded.vectorizer).temperature == 1


def test_an_index_keeps_numbers_as_numbers(tmp_path):
    items = pd.DataFrame({"paths": ["é.jpg"], "mtime_ns": [1_700_000_000_123_456_789]})
    Index(np.ones((1, 2), "float32"), items).save(tmp_path / "index.npz")
    again = Index.load(tmp_path / "index.npz").items
    assert again["mtime_ns"].tolist() == [1_700_000_000_123_456_789]
    assert again["paths"].tolist() == ["é.jpg"]


class Sentences:
    """Stands for a CLIP: sentence -> vector."""

    def __init__(self, vectors):
        self.vectors = vectors

    def embed_texts(self, texts):
        return np.array([self.vectors[text] for text in texts])


def test_labels_are_searched_like_any_index():
    clip = Sentences({"a dog": [3.0, 0], "one dog": [0, 3.0], "a sea": [0, 1.0]})
    clip.vectors["one sea"] = [0, 1.0]
    labels = label_index(clip, ["dog", "sea"], ["a {}", "one {}"])
    assert np.allclose(labels.embeds, [[np.sqrt(0.5)] * 2, [0, 1]])
    answers = labels.search([0, 1], 2, temperature=0.5)
    assert answers["labels"].tolist() == ["sea", "dog"]
    powers = np.exp([2, 2 * np.sqrt(0.5)])
    assert answers["probability"].tolist() == pytest.approx(powers / powers.sum())


def test_braces_of_a_template_do_nothing_else():
    clip = Sentences({"dog {0} {x!r} dog": [1.0, 0]})
    assert len(label_index(clip, ["dog"], ["{} {0} {x!r} {}"]).embeds) == 1


def test_answers_for_programs_have_keys_in_the_singular(index):
    index.items["size"] = index.items["mtime_ns"] = 7
    index.items["labels"] = "dog"
    records = answer_records(index.search([1, 0], k=4))
    keys = ["rank", "score", "margin", "probability", "path", "label"]
    assert [list(record) for record in records] == [keys] * 4
    assert records[0]["path"] == "b" and records[0]["rank"] == 1
    assert records[3]["margin"] is None


def test_answers_for_people_are_lines_of_rounded_figures(index):
    index.items["paths"] = ["a b.jpg", "été.jpg", "c.jpg", "d.jpg"]
    lines = answer_lines(index.search([1, 0], k=4, temperature=0.5)).splitlines()
    assert lines[0].split() == ["rank", "score", "margin", "probability", "path"]
    assert lines[1].split() == ["1", "1.000", "0.400", "62.4%", "été.jpg"]
    assert lines[2].endswith("28.0% a b.jpg")
    assert lines[4].split() == ["4", "-1.000", "1.1%", "c.jpg"]
    start = lines[0].index("path")
    assert lines[1].index("été") == lines[2].index("a b") == start
