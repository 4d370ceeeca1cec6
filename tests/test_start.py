"""What the classifiers know before they are trained."""

import numpy as np
import pytest

from clip_lib.batches import image_batches
from clip_lib.patches import learn_patches
from clip_lib.start import start_image_classifier, start_text_classifier
from clip_lib.text import encode
from clip_lib.word_vectors import learn_word_vectors


@pytest.fixture(autouse=True)
def few_patches(monkeypatch):
    monkeypatch.setattr("clip_lib.patches.SAMPLES", 1000)


def test_the_cnn_starts_with_patches_of_the_training_pictures(
    tiny_dataset, tiny_config
):
    batches = image_batches(
        tiny_dataset.paths(tiny_dataset.train), tiny_config.image_size, 64
    )
    (pixels,) = batches.as_numpy_iterator()
    quarter = pixels.reshape(len(pixels), 16, 4, 16, 4, 3).mean(axis=(2, 4))
    # In the order in which they are drawn, which the sample depends on.
    drawn = tiny_dataset.train.sample(frac=1, random_state=tiny_config.seed).index
    place = {row: number for number, row in enumerate(tiny_dataset.train.index)}
    quarter = quarter[[place[row] for row in drawn]]
    sizes = tiny_config.patch_filters, tiny_config.patch_size
    expected = learn_patches(quarter / 127.5 - 1, *sizes, tiny_config.seed)
    model = start_image_classifier(tiny_dataset, tiny_config)
    found = model.get_layer("patches").get_weights()[0]
    assert np.allclose(found, expected, atol=1e-4)


def test_smallbert_starts_with_the_word_vectors_of_the_training_captions(
    tiny_dataset, vectorizer, tiny_config
):
    token_ids = encode(vectorizer, tiny_dataset.train["caption"])
    vocabulary = vectorizer.get_vocabulary()
    expected = learn_word_vectors(token_ids, vocabulary, tiny_config.embed_dim)
    model = start_text_classifier(tiny_dataset, vectorizer, tiny_config)
    table = model.get_layer("embedding").token_embedding
    assert (table.get_weights()[0] == expected).all()
    assert expected[vocabulary.index("grass")].any()
