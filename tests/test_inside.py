"""What the notebook shows of the first layers of the classifiers."""

import numpy as np
import pytest

from clip_lib.evaluation.weights_shown import colour_filters, nearest_words
from clip_lib.models.encoders import build_image_classifier, build_text_classifier


def test_words_stand_beside_those_whose_vectors_point_alike(tiny_config, vectorizer):
    known = vectorizer.get_vocabulary()
    vectors = np.zeros((len(known), tiny_config.embed_dim), "float32")
    for word, angle in (("dog", 0.0), ("ball", 0.5), ("bike", 1.0), ("grass", 3.0)):
        vectors[known.index(word), :2] = np.cos(angle), np.sin(angle)
    vectors[known.index("ball")] *= 9  # Their length plays no part.
    model = build_text_classifier(tiny_config, len(known), 4, vectors)
    table = nearest_words(model, vectorizer, ["dog", "bike", "water", "zeppelin"], 3)
    assert table.index.tolist() == ["dog", "bike"]  # One is 0, one unknown.
    assert table.loc["dog"].tolist() == ["dog", "ball", "bike"]
    assert table.loc["bike"].tolist()[0] == "bike"
    assert set(table.loc["bike"]) == {"bike", "ball", "dog"}


def test_words_of_distilbert_have_neighbours_too(tiny_config, tmp_path):
    pytest.importorskip("transformers")
    import dataclasses

    from tiny_distilbert import write_checkpoint

    from clip_lib.towers.texts import build_distilbert_classifier
    from clip_lib.training.pipeline import prepare_vocabulary

    config = dataclasses.replace(
        tiny_config,
        text_encoder="distilbert",
        text_weights=str(write_checkpoint(tmp_path / "tiny")),
    )
    pieces = prepare_vocabulary([], config)
    model = build_distilbert_classifier(config, pieces, 4)
    table = nearest_words(model, pieces, ["dog", "zeppelin"], 5)
    assert table.shape == (1, 5)
    assert table.loc["dog"].tolist()[0] == "dog"


def test_colours_that_the_cnn_looks_for(tiny_config):
    model = build_image_classifier(tiny_config, 4)
    kernel, bias = model.get_layer("descriptors").get_weights()
    kernel[:] = 0
    kernel[1, 2, 0, 3] = 2  # The fourth filter looks for red, and against blue.
    kernel[1, 2, 2, 3] = -1
    kernel[1, 2, 5, 3] = 7  # A deviation: no colour.
    model.get_layer("descriptors").set_weights([kernel, bias])
    found = colour_filters(model, 5)
    assert found.shape == (5, 4, 4, 3)
    assert found[3, 1, 2].tolist() == [1, 0.5, 0.25]
    found[3, 1, 2] = 0.5
    assert (found == 0.5).all()
