"""What one answer rests on: words and corners made by hand."""

import io

import keras
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from clip_lib.evaluation.attribution import occlusion_map, word_reliance, word_table
from clip_lib.figures import attribution_plots as reliance_plots
from clip_lib.retrieval.search import MODEL_FILE, Search

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


# Words.


class Words:
    """A CLIP whose text vector only asks whether the word "dog" is there."""

    vectorizer = keras.layers.TextVectorization(
        vocabulary=["a", "dog", "runs"], output_sequence_length=8
    )

    def __init__(self):
        self.calls = 0

    def embed_texts(self, texts):
        self.calls += 1
        return np.array(
            [[1.0, 0.0] if "dog" in text.lower() else [0.0, 1.0] for text in texts]
        )


def test_the_word_that_carries_the_similarity_has_the_whole_drop():
    table = word_reliance(Words(), "A dog , qwertz runs .", [1.0, 0.0])
    assert table["word"].tolist() == ["A", "dog", "qwertz", "runs"]
    assert table["token"].tolist() == ["a", "dog", "[UNK]", "runs"]
    assert table["drop"].tolist() == [0.0, 1.0, 0.0, 0.0]
    assert table["without"].tolist() == [1.0, 0.0, 1.0, 1.0]


def test_each_occurrence_is_left_out_alone():
    table = word_reliance(Words(), "dog dog", [1.0, 0.0])
    assert table["drop"].tolist() == [0.0, 0.0]
    against = word_reliance(Words(), "dog runs", [0.0, 1.0])
    assert against["drop"].tolist() == [-1.0, 0.0]


def test_a_text_without_a_word_is_refused():
    for text in ("", " . "):
        with pytest.raises(ValueError, match="at least one word"):
            word_reliance(Words(), text, [1.0, 0.0])


def test_words_of_many_texts():
    clip = Words()
    texts = ["a dog runs", "the Dog.", "a boat", "dog dog"]
    embeddings = np.array([[1.0, 0.0], [0.5, 0.5], [1.0, 0.0], [1.0, 0.0]])
    table = word_table(clip, texts, embeddings, least=1).set_index("token")
    # Without "dog" the second text moves from one axis to the other: 0.5 - 0.5.
    assert table.loc["dog", "drop"] == pytest.approx((1 + 0 + 0 + 0) / 4)
    assert table["count"].to_dict() == {"dog": 4, "a": 2, "[UNK]": 2, "runs": 1}
    assert table.index[0] == "dog"
    assert clip.calls == 1
    table = word_table(clip, texts, embeddings, least=3)
    assert table["token"].tolist() == ["dog"]
    with pytest.raises(ValueError, match="4 texts and 3 embeddings"):
        word_table(clip, texts, embeddings[:3])


# Places.


class Corner:
    """A CLIP whose image vector is how white a corner of 8 x 8 pixels is."""

    def __init__(self, size, corner=(0, 0)):
        self.image_size, self.image_encoder, self.batches = size, self, []
        self.corner = tuple(slice(start, start + 8) for start in corner)

    def embed_text(self, text):
        return np.array([1.0])

    def predict(self, images, verbose):
        self.batches.append(len(images))
        images = np.asarray(images, float)
        return images[:, *self.corner].mean(axis=(1, 2, 3))[:, None] / 255


def white_corner(size, corner):
    pixels = np.zeros((*size, 3), "uint8")
    pixels[corner] = 255
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file


@pytest.mark.parametrize("size", [(64, 64), (40, 72), (37, 53)])
def test_the_map_is_hot_where_the_encoder_looks_and_zero_elsewhere(size):
    for corner in ((0, 0), (size[0] - 8, size[1] - 8)):
        clip = Corner(size, corner)
        heat = occlusion_map(clip, white_corner(size, clip.corner), "white")
        assert heat.shape == size and len(clip.batches) == 1
        # Places that no patch hides together with the corner: further than a patch.
        height, width = (round(side / 4) for side in size)
        rows = np.abs(np.arange(size[0]) - (corner[0] + 3.5)) < 3.5 + height
        columns = np.abs(np.arange(size[1]) - (corner[1] + 3.5)) < 3.5 + width
        near = np.outer(rows, columns)
        assert (heat[~near] == 0).all()
        # The outermost pixel is hidden by one patch, which hides all of the corner.
        colour = round(64 / (size[0] * size[1]) * 255) / 255
        outermost = heat[-1 if corner[0] else 0, -1 if corner[1] else 0]
        assert outermost == pytest.approx(1 - colour) == heat.max()
        assert (heat[clip.corner] > 0.2).all()


def test_hiding_nothing_new_changes_nothing():
    grey = io.BytesIO()
    Image.new("RGB", (64, 64), (90, 90, 90)).save(grey, "png")
    assert not occlusion_map(Corner((64, 64)), grey, "grey").any()


@pytest.mark.parametrize(
    ("patch", "stride"), [(1.0, 0.5), (0.3, 0.3), (0.001, 0.001), (0.1, 0.07)]
)
def test_every_pixel_is_hidden_at_least_once(patch, stride):
    for size in ((17, 23), (9, 8)):
        clip = Corner(size)
        heat = occlusion_map(clip, white_corner(size, clip.corner), "t", patch, stride)
        assert np.isfinite(heat).all() and heat[0, 0] > 0


@pytest.mark.parametrize(("patch", "stride"), [(0.1, 0.2), (0.2, 0), (1.5, 0.1)])
def test_a_patch_that_leaves_gaps_is_refused(patch, stride):
    with pytest.raises(ValueError, match=f"patch = {patch}, stride = {stride}"):
        occlusion_map(Corner((64, 64)), None, "t", patch, stride)


# What is drawn.


def test_a_saved_model_is_asked_and_drawn(run_config):
    search = Search.load(run_config.model_path(MODEL_FILE))
    query = "a dog on the grass"
    answers = search.images_for(query, 2)
    maps = [occlusion_map(search.clip, path, query) for path in answers["paths"]]
    assert all(heat.shape == run_config.image_size for heat in maps)
    figure = reliance_plots.heat_row(answers, maps, query)
    assert [len(axes.images) for axes in figure.axes[:4]] == [1, 1, 2, 2]
    assert query in figure.get_suptitle().replace("\n", " ")
    embedding = search.images.embeds[0]
    table = word_reliance(search.clip, query, embedding)
    cosine = search.clip.embed_text(query) @ embedding
    assert np.allclose(table["without"] + table["drop"], cosine, atol=1e-5)


def test_the_bars_of_words_stand_in_order():
    reliance = word_reliance(Words(), "A dog qwertz", [1.0, 0.0])
    words = pd.DataFrame({"token": list("abcdefghijklmnopqr")}).assign(
        drop=np.linspace(1, -1, 18), count=3
    )
    figure = reliance_plots.word_bars(reliance, words, "A dog qwertz")
    left, right = figure.axes
    words = [label.get_text() for label in left.get_yticklabels()]
    assert words == ["A", "dog", "qwertz"]
    assert left.yaxis_inverted() and len(right.patches) == 15
    assert [bar.get_width() for bar in left.patches] == [0, 1, 0]
    styles = [label.get_style() for label in left.get_yticklabels()]
    assert styles == ["normal", "normal", "italic"]
    assert right.get_yticklabels()[0].get_text() == "a (3)"
