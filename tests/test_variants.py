"""The options of the subject: what can be trained is, what cannot says why."""

import dataclasses
import shutil
from types import SimpleNamespace

import pandas as pd
import pytest

from clip_lib.data.captions_table import COLUMNS
from clip_lib.errors import ClipError
from clip_lib.evaluation.evaluate import evaluate_dataset
from clip_lib.figures.tables import lacking_options, options_table
from clip_lib.retrieval.search import MODEL_FILE, Clip
from clip_lib.towers import texts, variants
from clip_lib.towers.variants import Option, list_options, measure_options


@pytest.fixture
def config(tiny_config, tmp_path, monkeypatch):
    """Nothing that an option needs is here, but what the repository holds."""
    monkeypatch.setitem(texts.CHECKPOINTS, "distilbert", "somebody/nobody-has-it")
    return dataclasses.replace(
        tiny_config,
        pretrained_dir=str(tmp_path / "pretrained"),
        model_dir=str(tmp_path / "models"),
    )


def lacks(config, dataset):
    return {option.key: option.lacks for option in list_options(config, dataset)}


def test_an_option_says_what_it_lacks(config, tiny_dataset, tmp_path):
    found = lacks(config, tiny_dataset)
    assert found["pretrained"] == (tmp_path / "pretrained" / MODEL_FILE).as_posix()
    assert found["distilbert"] == "somebody/nobody-has-it"
    assert found["efficientnet_lite0"] == ""
    assert found["enriched"].endswith("tiny_enriched/captions.csv")
    # The usual run is no option.
    config = dataclasses.replace(config, image_encoder="efficientnet_lite0")
    assert "efficientnet_lite0" not in lacks(config, tiny_dataset)


def test_what_is_there_is_not_lacked(config, tiny_dataset, tmp_path, monkeypatch):
    (tmp_path / "pretrained").mkdir()
    (tmp_path / "pretrained" / MODEL_FILE).touch()
    for name in texts.NEEDED:
        (tmp_path / name).touch()
    monkeypatch.setitem(texts.CHECKPOINTS, "distilbert", str(tmp_path))
    options = {option.key: option for option in list_options(config, tiny_dataset)}
    assert [key for key, option in options.items() if option.lacks] == ["enriched"]
    assert options["pretrained"].config.pretrained_dir
    assert options["pretrained"].config.clip_epochs == config.clip_epochs
    assert options["distilbert"].config.text_encoder == "distilbert"
    folders = {option.config.model_dir for option in options.values()}
    assert len(folders) == 4 and config.model_dir not in folders


def test_an_option_is_trained_and_measured(
    config, tiny_dataset, tmp_path, run_config, monkeypatch
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

    def train(dataset, config, builders):
        if config.text_encoder == "distilbert":
            raise ClipError("model.safetensors: damaged")
        trained.append(dataset)
        shutil.copytree(run_config.model_dir, config.model_dir)
        return SimpleNamespace()

    monkeypatch.setattr(variants, "train", train)
    options = {
        "enriched": dataclasses.replace(config, dataset_dir=str(folder)),
        "distilbert": dataclasses.replace(config, text_encoder="distilbert"),
    }
    options = [Option(*option) for option in options.items()]
    results = measure_options([*options, Option("pretrained", config, "a file")])
    # Files of one network are no reason to lose a finished notebook.
    assert results["distilbert"] == {"lacks": "model.safetensors: damaged"}
    assert results["pretrained"] == {"lacks": "a file"}
    (dataset,) = trained
    assert len(dataset.train) == 2 * len(tiny_dataset.train)
    assert dataset.test["caption"].tolist() == tiny_dataset.test["caption"].tolist()
    clip = Clip.load(run_config.clip_file)
    expected = evaluate_dataset(clip, dataset, "test")["image_to_text"]
    assert results["enriched"]["report"]["image_to_text"] == expected
    table = options_table({"usual": results["enriched"]} | results)
    assert table.index.tolist() == ["comme ci-dessus", "légendes enrichies", "hasard"]
    column = table["R@10, i → t"]
    assert column["légendes enrichies"] == f"{expected['recall@10']:.2f}"
    assert column["hasard"] == f"{expected['chance']['recall@10']:.2f}"
    lines = lacking_options(results).splitlines()
    assert lines[-1] == "nos poids préentraînés : il manque a file"
