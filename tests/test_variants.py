"""The options of the subject: what can be trained is, what cannot says why."""

import dataclasses
import shutil
from types import SimpleNamespace

import pandas as pd
import pytest
from tiny_distilbert import write_checkpoint

from clip_lib.data.captions_table import COLUMNS
from clip_lib.evaluation.evaluate import evaluate_dataset
from clip_lib.figures.tables import lacking_options, options_table
from clip_lib.retrieval.search import MODEL_FILE, Clip
from clip_lib.towers import variants
from clip_lib.towers.variants import Option, list_options, measure_options


@pytest.fixture
def config(tiny_config, tmp_path, monkeypatch):
    """Nothing that an option needs is here."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return dataclasses.replace(
        tiny_config,
        text_weights="somebody/a-name-that-nobody-has",
        pretrained_dir=str(tmp_path / "pretrained"),
        model_dir=str(tmp_path / "models"),
    )


def lacks(config, dataset):
    return {option.key: option.lacks for option in list_options(config, dataset)}


def test_an_option_says_what_it_lacks(config, tiny_dataset, tmp_path):
    found = lacks(config, tiny_dataset)
    assert found["pretrained"] == (tmp_path / "pretrained" / MODEL_FILE).as_posix()
    assert found["distilbert"] == "somebody/a-name-that-nobody-has"
    assert found["mobilenet_v3"].endswith("no_top_v2.h5")
    assert found["enriched"].endswith("tiny_enriched/captions.csv")


def test_what_is_there_is_not_lacked(config, tiny_dataset, tmp_path):
    (tmp_path / "pretrained").mkdir()
    (tmp_path / "pretrained" / MODEL_FILE).touch()
    (tmp_path / "keras" / "models").mkdir(parents=True)
    file = lacks(config, tiny_dataset)["mobilenet_v3"]
    (tmp_path / "keras" / "models" / file).touch()
    checkpoint = write_checkpoint(tmp_path / "checkpoint")
    config = dataclasses.replace(config, text_weights=str(checkpoint))
    options = {option.key: option for option in list_options(config, tiny_dataset)}
    lacking = [key for key, option in options.items() if option.lacks]
    assert lacking == ["enriched"]
    assert options["pretrained"].config.pretrained
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
    clip, trained = Clip.load(run_config.clip_file), []

    def train(dataset, config):
        trained.append(dataset)
        return SimpleNamespace(clip=clip)

    monkeypatch.setattr(variants, "train", train)
    changed = dataclasses.replace(config, dataset_dir=str(folder))
    options = [Option("enriched", changed), Option("distilbert", config, "a file")]
    results = measure_options(options)
    assert results["distilbert"] == {"lacks": "a file"}
    (dataset,) = trained
    assert len(dataset.train) == 2 * len(tiny_dataset.train)
    assert dataset.test["caption"].tolist() == tiny_dataset.test["caption"].tolist()
    expected = evaluate_dataset(clip, dataset, "test")["image_to_text"]
    assert results["enriched"]["report"]["image_to_text"] == expected
    table = options_table({"usual": results["enriched"]} | results)
    assert table.index.tolist() == ["comme ci-dessus", "légendes enrichies", "hasard"]
    column = table["R@10, i → t"]
    assert column["légendes enrichies"] == f"{expected['recall@10']:.2f}"
    assert column["hasard"] == f"{expected['chance']['recall@10']:.2f}"
    assert lacking_options(results) == "DistilBERT : il manque a file"


def test_a_faulty_file_is_a_row_and_not_an_end(config, tiny_dataset, tmp_path):
    """The weights of one network are no reason to lose a finished notebook."""
    (tmp_path / "weights.h5").write_bytes(b"of something else")
    config = dataclasses.replace(config, image_weights=str(tmp_path / "weights.h5"))
    options = {option.key: option for option in list_options(config, tiny_dataset)}
    assert not options["mobilenet_v3"].lacks
    (found,) = measure_options([options["mobilenet_v3"]]).values()
    assert "weights.h5: not the weights" in found["lacks"]


def test_the_usual_run_is_no_option(config, tiny_dataset):
    config = dataclasses.replace(config, image_encoder="mobilenet_v3")
    assert "mobilenet_v3" not in lacks(config, tiny_dataset)
