"""Our own pretrained weights: what starts from them, and that they are sound."""

import dataclasses

import numpy as np
import pytest

from clip_lib.config import PRETRAINED, Config, find_pretrained
from clip_lib.data.pipelines import image_batches
from clip_lib.data.vocabulary import save_vocabulary, vocabulary_fingerprint
from clip_lib.errors import ClipError
from clip_lib.models.clip import without_head
from clip_lib.models.saving import load_clip, save_model
from clip_lib.retrieval.search import MODEL_FILE
from clip_lib.towers import images as lite0
from clip_lib.towers.choice import choose_builders
from clip_lib.towers.pretrained_clip import load_pretrained


@pytest.fixture
def folder(tmp_path, tiny_clip, vectorizer):
    """A CLIP to start from, whose weights are nobody else's."""
    random = np.random.default_rng(0)
    moved = [w * random.uniform(0.9, 1.1, w.shape) for w in tiny_clip.get_weights()]
    tiny_clip.set_weights(moved)
    loss = tiny_clip.get_layer("contrastive_loss")
    loss.vocabulary = vocabulary_fingerprint(vectorizer)
    save_model(tiny_clip, tmp_path / MODEL_FILE)
    save_vocabulary(vectorizer, tmp_path / "vocab.txt")
    return tmp_path


@pytest.fixture
def config(tiny_config, folder):
    return dataclasses.replace(
        tiny_config, pretrained_dir=str(folder), model_dir=str(folder / "tuned")
    )


def test_the_start_is_the_pretrained_model(config, folder, tiny_dataset):
    """Before any training: features, words and embeddings are the pretrained ones."""
    clip, builders = load_clip(folder / MODEL_FILE), choose_builders(config)
    vectorizer = builders.vocabulary(["other words altogether"], config)
    rows = tiny_dataset.validation
    (images,) = image_batches(tiny_dataset.paths(rows), (64, 64))
    token_ids = np.asarray(vectorizer(list(rows["caption"])))
    image_classifier = builders.image(tiny_dataset, config)
    text_classifier = builders.text(tiny_dataset, vectorizer, config)
    assert image_classifier.output.shape[1] == text_classifier.output.shape[1] == 4
    # The text encoder is trained further, of the image classifier the head alone.
    assert len(image_classifier.trainable_weights) == 2
    assert text_classifier.get_layer("embedding").trainable_weights
    parts = without_head(image_classifier, frozen=True), without_head(text_classifier)
    started = builders.clip(*parts, config)
    inputs = {"image_input": images.numpy(), "text_input": token_ids}
    for one, other in zip(
        started.predict(inputs, verbose=0), clip.predict(inputs, verbose=0), strict=True
    ):
        assert np.allclose(one, other, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"embed_dim": 64}, "trained with embed_dim = 32, not 64"),
        ({"image_size": (96, 96)}, r"trained with image_size = \(64, 64\)"),
        ({"sequence_length": 16}, "trained with sequence_length = 32, not 16"),
        ({"pretrained_dir": "nowhere"}, "no such model"),
    ],
)
def test_other_sizes_are_refused_by_name(config, tiny_dataset, changes, message):
    config = dataclasses.replace(config, **changes)
    with pytest.raises(ClipError, match=message):
        choose_builders(config).image(tiny_dataset, config)


# What is committed.


def test_our_weights_fit_the_preset_and_tell_texts_apart():
    clip = load_pretrained(Config.fine_tuning())
    assert clip.vectorizer.vocabulary_size() > 3_000
    texts = ["a dog runs", "a dog is running", "the sea"]
    vectors = clip.embed_texts(texts)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.2
    files = list(find_pretrained(PRETRAINED).iterdir())
    assert sum(path.stat().st_size for path in files) <= 16_000_000


def test_lite0_is_the_network_that_was_measured():
    """Features of a drawn picture, by the network that took 85 % of dogs for dogs."""
    rows, columns = np.mgrid[:224, :224]
    pixels = np.stack([rows, columns, (rows // 32 + columns // 32) % 2 * 200], axis=-1)
    maps = lite0.load_lite0((224, 224, 3))(pixels[None].astype("float32"))
    assert maps.shape == (1, 7, 7, 1280)
    found = np.mean(maps, axis=(0, 1, 2))[[113, 468, 897, 747]]
    assert found == pytest.approx([4.181, 3.521, 2.703, 2.598], abs=0.01)
    assert lite0.LITE0_FILE.stat().st_size < 7_000_000
    card = (lite0.LITE0_FILE.parent / "README.md").read_text(encoding="utf-8")
    assert lite0.LITE0_FILE.name in card and "Apache" in card
