"""The options of the subject: what can be trained is, what cannot says why."""

import dataclasses
import shutil
from types import SimpleNamespace

import pandas as pd
import pytest

from clip_lib.data.captions_table import COLUMNS
from clip_lib.data.pipelines import image_batches
from clip_lib.errors import ClipError
from clip_lib.evaluation.evaluate import evaluate_dataset
from clip_lib.figures.tables import options_table
from clip_lib.retrieval.search import MODEL_FILE, Clip
from clip_lib.towers import variants
from clip_lib.towers.variants import Option, list_options, measure_options


@pytest.fixture
def config(tiny_config, tmp_path, monkeypatch):
    """Nothing that an option needs is here."""

    def absent(*_, **__):
        raise ClipError("not here")

    monkeypatch.setattr("clip_lib.config.PRETRAINED", str(tmp_path / "pretrained"))
    monkeypatch.setattr(variants, "checkpoint_folder", absent)
    return dataclasses.replace(tiny_config, model_dir=str(tmp_path / "models"))


def listed(config, dataset):
    return {option.key: option for option in list_options(config, dataset)}


def test_an_option_says_what_it_lacks(config, tiny_dataset, tmp_path, monkeypatch):
    options = listed(config, tiny_dataset)
    file = tmp_path / "pretrained" / MODEL_FILE
    assert options["pretrained"].lacks == file.as_posix()
    assert options["enriched"].lacks.endswith("tiny_enriched/captions.csv")
    assert "distilbert" in options["distilbert"].lacks
    file.parent.mkdir()
    file.touch()
    monkeypatch.setattr(variants, "checkpoint_folder", lambda *_, **__: tmp_path)
    options = listed(config, tiny_dataset)
    assert options["pretrained"].lacks == options["distilbert"].lacks == ""
    assert options["pretrained"].config.pretrained_dir
    assert options["pretrained"].config.image_epochs == config.image_epochs
    assert options["distilbert"].config.text_encoder == "distilbert"
    folders = {option.config.model_dir for option in options.values()}
    assert len(folders) == 4 and config.model_dir not in folders
    # What the usual run does is no option.
    usual = dataclasses.replace(config, text_encoder="distilbert")
    assert "distilbert" not in listed(usual, tiny_dataset)


def test_an_option_is_trained_and_measured(
    config,
    tiny_dataset,
    tmp_path,
    run_config,
    started_image_classifier,
    monkeypatch,
):
    """Enriched captions: learned beside the originals, never tested on."""
    folder = tmp_path / "tiny_enriched"
    shutil.copytree(tiny_dataset.folder, folder)
    records = tiny_dataset.records[list(COLUMNS)].assign(origin="")
    longer = records.assign(
        caption=records["caption"] + " and much more of it", origin="enriched"
    )
    table = pd.concat([records, longer])
    table.to_csv(folder / "captions.csv", index=False)
    trained = []

    def train(dataset, config, *_):
        trained.append(dataset)
        shutil.copytree(run_config.model_dir, config.model_dir)
        return SimpleNamespace(image_classifier=started_image_classifier)

    monkeypatch.setattr(variants, "train", train)
    option = Option("enriched", dataclasses.replace(config, dataset_dir=str(folder)))
    results = measure_options([option, Option("distilbert", config, "a file")])
    assert results["distilbert"] == {"lacks": "a file"}
    (dataset,) = trained
    assert len(dataset.train) == 2 * len(tiny_dataset.train)
    assert dataset.test["caption"].tolist() == tiny_dataset.test["caption"].tolist()
    clip = Clip.load(run_config.clip_file)
    expected = evaluate_dataset(clip, dataset, "test")["image_to_text"]
    found = results["enriched"]
    assert found["report"]["image_to_text"] == expected
    assert found["megabytes"] == run_config.clip_file.stat().st_size / 1e6
    (images,) = image_batches(dataset.paths(dataset.pictures("test")), (64, 64))
    answers = started_image_classifier.predict(images, verbose=0).argmax(axis=1)
    right = answers == dataset.labels(dataset.pictures("test"))
    assert found["accuracy"] == pytest.approx(right.mean())
    table = options_table({"usual": found} | results)
    names = ["comme ci-dessus", "légendes enrichies", "DistilBERT", "hasard"]
    assert table.index.tolist() == names
    assert table["il manque"].tolist() == ["", "", "a file", ""]
    recall = table["R@10"]["légendes enrichies"]
    assert recall.startswith(f"{expected['recall@10']:.2f} ; ".replace(".", ","))


def test_a_faulty_file_is_a_row_and_a_bug_is_an_end(config, tiny_dataset, monkeypatch):
    """One network's weights are no reason to lose a finished notebook."""

    def train(*_):
        raise fault

    monkeypatch.setattr(variants, "train", train)
    options = [Option("distilbert", config)]
    fault = ClipError("weights.h5: not the weights\nof it")
    found = {"distilbert": {"lacks": "weights.h5: not the weights"}}
    assert measure_options(options) == found
    fault = ValueError("a bug")
    with pytest.raises(ValueError, match="a bug"):
        measure_options(options)
