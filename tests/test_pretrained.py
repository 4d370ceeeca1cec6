"""Our own pretrained weights: what starts from them, and that they are sound."""

import dataclasses
import hashlib

import numpy as np
import pytest
from tiny_lite0 import build_small, same

from clip_lib.__main__ import main
from clip_lib.config import PRETRAINED, Config, find_pretrained
from clip_lib.data.pipelines import image_batches
from clip_lib.data.vocabulary import vocabulary_fingerprint
from clip_lib.evaluation.embeddings import level_means, similarity_table
from clip_lib.models.augmentation import augmented_views
from clip_lib.models.clip import build_clip, without_head
from clip_lib.models.saving import load_clip, save_model, split_encoders
from clip_lib.retrieval.search import MODEL_FILE, Clip, build_indexes
from clip_lib.towers.choice import choose_builders
from clip_lib.towers.images import LITE0, LOWER, UPPER, build_lite0_features
from clip_lib.towers.pretrained_clip import load_pretrained
from clip_lib.towers.words import build_glove_features
from clip_lib.training.fit import fit_clip, fit_image_classifier


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_config, tiny_dataset, vectorizer):
    """A small CLIP on the towers of ours, whose weights are nobody else's."""
    folder, random = tmp_path_factory.mktemp("pretrained"), np.random.default_rng(0)
    lower, upper = build_small()
    paths = tiny_dataset.paths(tiny_dataset.train)
    (images,) = image_batches(paths, tiny_config.image_size, len(paths))
    pooled = np.mean(upper(lower(images.numpy())), axis=(1, 2))
    image = build_lite0_features(lower, upper, tiny_config.image_shape, pooled)
    word_vectors = random.normal(size=(vectorizer.vocabulary_size(), 100))
    text = build_glove_features(word_vectors, tiny_config)
    clip = build_clip(without_head(image, frozen=True), text, tiny_config)
    moved = [w * random.uniform(0.9, 1.1, w.shape) for w in clip.get_weights()]
    clip.set_weights(moved)
    clip.get_layer("contrastive_loss").vocabulary = vocabulary_fingerprint(vectorizer)
    save_model(clip, folder / MODEL_FILE)
    vectorizer.save(folder / "vocab.txt")
    return folder


@pytest.fixture
def lite0(tiny_config, folder, monkeypatch):
    """Settings that take its image encoder, as if it were the one of this project."""
    monkeypatch.setattr("clip_lib.config.PRETRAINED", str(folder))
    return dataclasses.replace(tiny_config, image_encoder=LITE0)


def test_the_start_is_the_pretrained_model(tiny_config, folder, tiny_dataset):
    """Before any training: features, words and embeddings are the pretrained ones."""
    config = dataclasses.replace(tiny_config, pretrained_dir=str(folder))
    clip, builders = load_clip(folder / MODEL_FILE), choose_builders(config)
    vectorizer = builders.vocabulary(["other words altogether"], config)
    rows = tiny_dataset.validation
    (images,) = image_batches(tiny_dataset.paths(rows), (64, 64))
    token_ids = np.asarray(vectorizer(list(rows["caption"])))
    image_classifier = builders.image(tiny_dataset, config)
    text_classifier = builders.text(tiny_dataset, vectorizer, config)
    assert image_classifier.output.shape[1] == text_classifier.output.shape[1] == 4
    # It has no layers that augment: the notebook shows the picture as it is.
    assert np.allclose(augmented_views(image_classifier, images[0]), images[0] / 255)
    # Of both classifiers the head alone is trained, of CLIP the projections.
    assert len(image_classifier.trainable_weights) == 2
    assert len(text_classifier.trainable_weights) == 2
    started = builders.clip(
        without_head(image_classifier, builders.frozen_images),
        without_head(text_classifier, builders.frozen_texts),
        config,
    )
    layers = {weight.path.split("/")[-2] for weight in started.trainable_weights}
    assert layers == {"projection", "contrastive_loss"}
    inputs = {"image_input": images.numpy(), "text_input": token_ids}
    for one, other in zip(
        started.predict(inputs, verbose=0), clip.predict(inputs, verbose=0), strict=True
    ):
        assert np.allclose(one, other, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            "START embed_dim=64",
            "trained with embed_dim = 32, not 64; expected the size",
        ),
        (
            "START image_size=(96,96)",
            "trained with image_size = (64, 64), not (96, 96)",
        ),
        ("START sequence_length=16", "trained with sequence_length = 32, not 16"),
        (
            "LITE0 image_size=(96,96)",
            "trained with image_size = (64, 64), not (96, 96)",
        ),
        (
            "pretrained_dir=nowhere",
            "nowhere/myclip_with_smallbert.keras: no such model",
        ),
        ("image_encoder=vgg", "'vgg': expected one of cnn, efficientnet_lite0"),
    ],
)
def test_other_sizes_are_refused_before_anything_is_trained(
    lite0, tiny_folder, tmp_path, monkeypatch, capsys, settings, message
):
    settings = settings.replace("START", f"pretrained_dir={lite0.pretrained_path}")
    settings = settings.replace("LITE0", f"image_encoder={LITE0}")
    command = ["train", "--data", str(tiny_folder), "--models", str(tmp_path)]
    changes = [word for each in settings.split() for word in ("--set", each)]
    assert main([*command, "--preset", "quick", *changes]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ") and message in said and said.count("\n") == 1
    assert not list(tmp_path.glob("*.keras"))


def test_labels_weigh_more_the_longer_their_directions(
    tiny_config, folder, tiny_dataset, tmp_path
):
    config = dataclasses.replace(
        tiny_config,
        pretrained_dir=str(folder),
        clip_epochs=1,
        clip_learning_rate=0.0,
        label_stretch=10.0,
    )
    before, builders = Clip.load(folder / MODEL_FILE), choose_builders(config)
    clip = builders.clip(
        without_head(before.image_encoder, frozen=True),
        without_head(before.text_encoder, frozen=True),
        config,
    )
    clip, _ = fit_clip(
        clip, tiny_dataset, before.vectorizer, config, tmp_path / MODEL_FILE
    )
    gaps = []
    for one in (before, Clip(*split_encoders(clip), before.vectorizer)):
        indexes = build_indexes(one, tiny_dataset, "train")
        means = level_means(similarity_table(*indexes))
        gaps.append(means["same label"] - means["other label"])
    assert gaps[1] > gaps[0] + 0.01


@pytest.mark.parametrize(("first", "second"), [(0.0, 1e-2), (1e-2, 1.0)])
def test_a_classifier_on_it_is_fine_tuned_but_for_its_statistics(
    lite0, tiny_dataset, tmp_path, first, second
):
    """Of both phases together the best epoch is kept: at a sane rate the second's."""
    rates = {"learning_rate": first, "fine_tune_learning_rate": second}
    config = dataclasses.replace(lite0, image_epochs=2, fine_tune_epochs=3, **rates)
    model = choose_builders(config).image(tiny_dataset, config)
    path, clip = tmp_path / "image.keras", load_pretrained(config)
    model, history = fit_image_classifier(model, tiny_dataset, config, path)
    accuracies, rows = history["val_accuracy"], tiny_dataset.validation
    assert len(accuracies) == len(history["loss"]) == 5
    batches = image_batches(tiny_dataset.paths(rows), config.image_size)
    answers = model.predict(batches, verbose=0).argmax(axis=1)
    accuracy = (answers == tiny_dataset.labels(rows)).mean()
    assert accuracy == pytest.approx(max(accuracies))
    for half, norms in ((LOWER, 4 * 3), (UPPER, 4 * 7)):  # Four weights a layer.
        kept = same(model.get_layer(half), clip.image_encoder.get_layer(half))
        assert all(kept[:norms])
        if second == 1:
            assert max(accuracies[:2]) > accuracies[-1] and all(kept)
        else:
            assert max(accuracies[:2]) < accuracy and not any(kept[norms:])


def test_weights_are_those_of_their_checksums(folder, tmp_path, monkeypatch, capsys):
    path, sums = tmp_path / MODEL_FILE, tmp_path / "SHA256SUMS"
    (tmp_path / "vocab.txt").write_bytes((folder / "vocab.txt").read_bytes())
    content = (folder / MODEL_FILE).read_bytes()
    sums.write_text(
        f"{'0' * 64}  vocab.txt\n{hashlib.sha256(content).hexdigest()}  {path.name}\n"
    )
    path.write_bytes(content)
    Clip.load(path)
    # One bit of the time of a file in it, which nobody reads.
    path.write_bytes(content[:10] + bytes([content[10] ^ 1]) + content[11:])
    assert main(["search", "a dog", "--model", str(path)]) == 1
    said = capsys.readouterr().err
    assert said == (
        f"error: {path}: not the file that {sums} names; `git checkout` restores it.\n"
    )
    sums.unlink()
    Clip.load(path)


# What is committed.


def test_our_weights_fit_the_preset_and_tell_texts_apart():
    clip = load_pretrained(Config.fine_tuning())
    assert {"kayak", "cyclists", "puppy"} < set(clip.vectorizer.get_vocabulary())
    texts = ["a dog runs", "a dog is running", "a puppy", "the sea", "a kayak"]
    running, same, puppy, sea, kayak = clip.embed_texts(texts)
    assert running @ same > running @ sea + 0.2
    assert running @ puppy > max(running @ kayak, puppy @ kayak)


def test_our_image_encoder_is_the_network_that_was_measured():
    """Maps of a drawn picture, by the half that stays as ImageNet left it."""
    rows, columns = np.mgrid[:224, :224]
    pixels = np.stack([rows, columns, (rows // 32 + columns // 32) % 2 * 200], axis=-1)
    encoder = load_pretrained(Config.fine_tuning()).image_encoder
    maps = encoder.get_layer(LOWER)(pixels[None].astype("float32"))
    found = np.mean(maps, axis=(0, 1, 2))[[96, 8, 12, 81]]
    assert found == pytest.approx([-14.82, -12.83, 12.41, -11.71], abs=0.02)


def test_our_weights_are_small_and_say_what_they_are():
    folder = find_pretrained(PRETRAINED)
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 16_000_000
    sums = (folder / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    assert sorted(line.split("  ")[1] for line in sums) == [MODEL_FILE, "vocab.txt"]
    for line in sums:
        digest, name = line.split("  ")
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    card = (folder / "README.md").read_text(encoding="utf-8")
    for source, licence in (("Lite0", "Apache"), ("GloVe", "public domain")):
        paragraphs = [line for line in card.split("\n- ") if source in line]
        assert any(licence in paragraph for paragraph in paragraphs), source
