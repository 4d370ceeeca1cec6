"""What one answer rests on: words and corners made by hand."""

import io

import keras
import numpy as np
import pytest
from PIL import Image

from clip_lib.evaluation.attribution import occlusion_map, word_attribution, word_means


class Words:
    """A CLIP whose text vector only asks whether the word "dog" is there."""

    vectorizer = keras.layers.TextVectorization(
        vocabulary=["a", "dog", "runs"], output_sequence_length=8
    )

    def embed_texts(self, texts):
        return np.array(
            [[1.0, 0.0] if "dog" in text.lower() else [0.0, 1.0] for text in texts]
        )


def test_the_word_that_carries_the_similarity_has_the_whole_drop():
    table = word_attribution(Words(), ["A dog , qwertz runs ."], [[1.0, 0.0]])
    assert table["word"].tolist() == ["A", "dog", "qwertz", "runs"]
    assert table["token"].tolist() == ["a", "dog", "[UNK]", "runs"]
    assert table["drop"].tolist() == [0.0, 1.0, 0.0, 0.0]
    # Each occurrence is left out alone; a word may speak against the pair.
    texts, images = ["dog dog", "dog runs", " . "], [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]
    table = word_attribution(Words(), texts, images)
    assert table["drop"].tolist() == [0, 0, -1, 0]
    assert table["text"].tolist() == [0, 0, 1, 1]


def test_words_of_many_texts():
    texts = ["a dog runs", "the Dog.", "a boat", "dog dog", "a sea"]
    embeddings = np.array([[1.0, 0.0], [0.5, 0.5], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    table = word_means(word_attribution(Words(), texts, embeddings))
    # Without "dog" the second text moves from one axis to the other: 0.5 - 0.5. "runs"
    # occurs once: too seldom for a mean.
    assert table["token"].tolist()[0] == "dog"
    table = table.set_index("token")
    assert table.loc["dog", "drop"] == pytest.approx((1 + 0 + 0 + 0) / 4)
    assert table["count"].to_dict() == {"dog": 4, "a": 3, "[UNK]": 3}


class Corner:
    """A CLIP whose image vector is how white a corner of 8 x 8 pixels is."""

    def __init__(self, size, corner=(0, 0)):
        self.image_size, self.image_encoder = size, self
        self.corner = tuple(slice(start, start + 8) for start in corner)

    def embed_text(self, text):
        return np.array([1.0])

    def predict(self, images, verbose):
        images = np.asarray(images, float)
        return images[:, *self.corner].mean(axis=(1, 2, 3))[:, None] / 255


def picture_of(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file


@pytest.mark.parametrize("size", [(64, 64), (40, 72), (37, 53), (17, 23)])
def test_the_map_is_hot_where_the_encoder_looks_and_zero_elsewhere(size):
    for corner in ((0, 0), (size[0] - 8, size[1] - 8)):
        clip = Corner(size, corner)
        pixels = np.zeros((*size, 3), "uint8")
        pixels[clip.corner] = 255
        heat = occlusion_map(clip, picture_of(pixels), "white")
        assert heat.shape == size and np.isfinite(heat).all()
        # Places that no patch hides together with the corner: further than a patch.
        height, width = (round(side / 4) for side in size)
        rows = np.abs(np.arange(size[0]) - (corner[0] + 3.5)) < 3.5 + height
        columns = np.abs(np.arange(size[1]) - (corner[1] + 3.5)) < 3.5 + width
        assert (heat[~np.outer(rows, columns)] == 0).all()
        # The outermost pixel is hidden by one patch, which hides most of the corner.
        outermost = heat[-1 if corner[0] else 0, -1 if corner[1] else 0]
        assert outermost == pytest.approx(heat.max()) and outermost > 0.2
