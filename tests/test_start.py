"""What the classifiers know before they are trained."""

import dataclasses

import keras
import numpy as np
import pytest

from clip_lib.data.pipelines import image_batches
from clip_lib.data.vocabulary import encode
from clip_lib.models.descriptors import learn_descriptors
from clip_lib.models.encoders import without_head
from clip_lib.models.initialization import start_image_classifier, start_text_classifier
from clip_lib.models.word_vectors import learn_word_vectors


def test_the_cnn_starts_from_the_training_pictures(tiny_dataset, tiny_config):
    """Its convolution as learned from them, its features around 0 and of scale 1."""
    model = start_image_classifier(tiny_dataset, tiny_config)
    # In the order in which they are drawn, which the sample depends on.
    rows = tiny_dataset.train.sample(frac=1, random_state=tiny_config.seed)
    batches = image_batches(tiny_dataset.paths(rows), tiny_config.image_size, 64)
    names = [f"statistics_{cell}" for cell in tiny_config.cells]
    maps = keras.Model(model.input, [model.get_layer(name).output for name in names])
    expected = learn_descriptors(
        maps.predict(batches, verbose=0), tiny_config.descriptors, 4, tiny_config.seed
    )
    found = model.get_layer("descriptors").get_weights()
    for one, other in zip(found, expected, strict=True):
        assert np.allclose(one, other, atol=1e-3)
    features = without_head(model).predict(batches, verbose=0)
    assert np.abs(features.mean(axis=0)).max() < 1e-2
    assert features.std() == pytest.approx(1, abs=1e-2)
    # One scale for all: what hardly varies stays small.
    spreads = features.std(axis=0)
    assert spreads.min() < 0.5 * spreads.max()


def test_nothing_but_training_pictures_takes_part(tiny_dataset, tiny_config):
    one = start_image_classifier(tiny_dataset, tiny_config)
    records = tiny_dataset.records.copy()
    withheld = records["split"] != "train"
    records.loc[withheld, "image_path"] = "images/there/is/none.jpg"
    other = dataclasses.replace(tiny_dataset, records=records)
    other = start_image_classifier(other, tiny_config)
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        assert np.allclose(a, b)


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
