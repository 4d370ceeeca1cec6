"""The benchmarks compare like with like, and their results say where they come from."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from clip_lib.errors import ClipError
from clip_lib.evaluation import results
from clip_lib.models.contrastive_loss import contrastive_loss
from clip_lib.models.saving import LOSS, load_clip, save_model, split_encoders
from clip_lib.retrieval.search import Search
from clip_lib.training.fit import clip_batches

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import ablation
import cleaning
import failures
import handed_out
import pipeline
import pretraining
import queries
import record
import tables


@pytest.fixture
def small_recipe(monkeypatch):
    """The course's recipe, shrunk."""
    monkeypatch.setattr(handed_out, "BATCH_SIZE", 8)
    monkeypatch.setattr(handed_out, "FILTERS", (4, 4, 4))
    monkeypatch.setattr(handed_out, "NUM_LAYERS", 1)


@pytest.fixture
def batches(small_recipe, tiny_dataset, tiny_config, vectorizer):
    return handed_out.handed_out_batches(tiny_dataset, vectorizer, tiny_config, "train")


def test_the_course_s_recipe_repeats_its_batches_and_ours_does_not(
    batches, tiny_dataset, tiny_config, vectorizer
):
    ours = clip_batches(tiny_dataset, vectorizer, tiny_config, "train")
    theirs, ours = (
        [[batch["text_input"].numpy().tolist() for batch in stream] for _ in range(3)]
        for stream in (batches, ours)
    )
    assert theirs[0] == theirs[1] == theirs[2]
    assert len(theirs[0]) == len(tiny_dataset.train) // 8
    assert ours[0] != ours[1] != ours[2]


def test_its_pixels_and_its_loss_are_those_of_the_course(
    batches, tiny_config, vectorizer
):
    batch = next(iter(batches))
    images = batch["image_input"].numpy()
    assert images.dtype == "float32" and 128 < images.max() <= 255
    clip = handed_out.build_handed_out(tiny_config, vectorizer.vocabulary_size())
    image_embeddings, text_embeddings = clip(batch, training=False)
    logits = image_embeddings @ tf.transpose(text_embeddings) / 0.07
    (loss,) = clip.losses
    assert float(loss) == pytest.approx(float(contrastive_loss(logits)), rel=1e-5)
    assert clip.get_layer("contrastive_loss").weights == []  # Nothing is learned.


def test_it_is_measured_as_our_pipeline_is(
    small_recipe, tiny_config, tiny_dataset, tmp_path
):
    config = dataclasses.replace(tiny_config, model_dir=str(tmp_path))
    result = handed_out.measure(config, epochs=2)
    assert {len(values) for values in result["history"].values()} == {2}
    assert result["vocabulary"] > 48  # Each of the 48 captions has a word of its own.
    assert result["clip"]["pairs"] == len(tiny_dataset.test)
    assert result["clip"] != result["clip_as_served"]


def test_a_training_seed_leaves_the_split_alone(tiny_config, monkeypatch):
    seen = []

    def train(dataset, config, builders):
        seen.append((dataset, config.seed))
        raise InterruptedError

    monkeypatch.setattr(pipeline, "train", train)
    for seed in (None, 5):
        with pytest.raises(InterruptedError):
            pipeline.measure(tiny_config, train_seed=seed)
    (one, first), (other, second) = seen
    assert one.records.equals(other.records) and (first, second) == (1, 5)


def test_more_captions_go_to_the_training_pictures_alone(tiny_dataset, tmp_path):
    table = tiny_dataset.records.assign(caption="more")
    table[["image_path", "caption"]].to_csv(tmp_path / "more.csv", index=False)
    dataset = pipeline.with_captions(tiny_dataset, tmp_path / "more.csv")
    assert set(dataset.train["caption"]) == {"more"}
    assert dataset.test["caption"].equals(tiny_dataset.test["caption"])
    table[:-5][["image_path", "caption"]].to_csv(tmp_path / "more.csv", index=False)
    with pytest.raises(ClipError, match="no caption for images/"):
        pipeline.with_captions(tiny_dataset, tmp_path / "more.csv")


def test_each_variant_changes_what_its_name_says(
    tiny_config, started_image_classifier, tmp_path, monkeypatch
):
    """Nothing is trained."""
    built = []

    def fit_clip(clip, dataset, vectorizer, config, path):
        from clip_lib.models import contrastive_loss as module

        built.append((clip, config, module.contrastive_loss))
        return clip, {"temperature": [0.15]}

    monkeypatch.setattr(ablation, "fit_clip", fit_clip)
    monkeypatch.setattr(ablation, "evaluate_dataset", lambda *_: {})
    config = dataclasses.replace(tiny_config, model_dir=str(tmp_path))
    runs = ablation.Fold(config, (1, 5))
    image = ablation.Classifier(started_image_classifier)
    words = runs.vectorizer.vocabulary_size()
    text = ablation.Classifier(ablation.build_text_classifier(config, words, 4))
    settings = {"label_share", "feature_dropout", "temperature"}  # Passed on as such.
    changes = {k: v for k, v in ablation.CHANGES.items() if not settings & set(v)}
    monkeypatch.setattr(ablation, "CHANGES", changes)
    variants = ablation.list_variants(runs, image, text)
    for train in variants[: len(changes) + len(ablation.REMOVED)]:
        train()
    recipe, fixed, batches, words, contexts, unfrozen, smooth, _ = built

    def learned(variant):
        return [len(each.trainable_weights) for each in split_encoders(variant[0])]

    assert recipe[1] == config and batches[1].clip_batch_size == 42
    assert learned(recipe)[0] == 2 < learned(unfrozen)[0]  # The projection alone.
    assert learned(words)[1] < learned(contexts)[1] <= learned(recipe)[1]
    assert recipe[0].get_layer(LOSS).trainable_weights
    assert not fixed[0].get_layer(LOSS).trainable_weights
    assert recipe[2] is contrastive_loss and smooth[2] is ablation.smoothed_loss
    # Of each target, 0.1 * 3 / 4 lies on texts that score 100 less.
    assert float(ablation.smoothed_loss(100 * tf.eye(4))) == pytest.approx(7.5)
    assert ablation.clipped_optimizer(1e-3, 10).global_clipnorm == 1
    parts = [
        {"fold": fold, "best_accuracy": {}, "variants": dict.fromkeys(rows)}
        for fold in (0, 1)
        for rows in ("ad", "be", "c")
    ]
    folds = ablation.join_parts(parts, 3)
    assert ["".join(run["variants"]) for run in folds] == ["abcde", "abcde"]


def test_planted_faults_are_where_they_are_said_to_be(tiny_folder, tmp_path):
    sound = cleaning.read_records(tiny_folder)
    truth = cleaning.plant(tiny_folder, tmp_path, seed=0)
    written = cleaning.read_records(tmp_path)
    assert written["caption"].tolist() == truth["caption"].tolist()
    first = truth[: len(sound)]
    swapped = first["fault"] == "swapped"
    assert ((first["caption"] != sound["caption"]) == swapped).all()
    assert ((first["label"] != sound["label"]) == (first["fault"] == "foreign")).all()


@pytest.fixture
def ask(tmp_path, monkeypatch):
    """The function returned replaces the queries by its rows."""
    monkeypatch.setattr(queries, "QUERIES", tmp_path / "queries.csv")

    def write(*rows):
        table = pd.DataFrame(rows, columns=["query", "all_of", "none_of"])
        table.to_csv(queries.QUERIES, index=False)

    return write


def test_a_picture_is_right_if_two_captions_agree_on_each_group(ask):
    captions = {
        "both": ("A Dog's ball", "Two dogs, jumping", "A red-brown ball", "Balls", ""),
        "one": ("A dog and a ball", "A cat", "A ball", "A hotdog", "a dogma"),
        "not": ("A dog and a ball", "A dog with a ball", "A cat", "A big cat", ""),
    }
    rows = [(name, each) for name, texts in captions.items() for each in texts]
    table = pd.DataFrame(rows, columns=["image_path", "caption"])
    ask(
        ("dog with ball", "dog & red * ball|ball", "cat"),
        ("any", "dog & ball", ""),
        ("jump", "jump*|hot*", ""),
        ("cat", "cat|red * ball", ""),
    )
    right = queries.right_pictures(table)
    found = {query: [*right.index[right[query]]] for query in right}
    assert found == {
        "dog with ball": ["both"],
        "any": ["both", "not"],
        "jump": [],
        "cat": ["not"],
    }


def test_every_query_has_words_to_judge_by():
    table = pd.DataFrame({"image_path": ["a", "a"], "caption": ["a dog", "dogs"]})
    right = queries.right_pictures(table)
    assert right.shape[1] >= 40 and right.columns.is_unique
    assert {"dog", "canine"} <= {*right.columns[right.loc["a"]]}
    assert right.loc["a"].mean() < 0.2


def test_queries_are_counted_beside_chance_and_the_best(
    ask, run_config, tiny_config, tiny_dataset, tmp_path
):
    twice = pd.concat([tiny_dataset.records] * 2)
    twice.to_csv(tmp_path / "captions.csv", index=False)
    ask(("dog", "dog", ""), ("zebra", "dog", ""), ("unicorn", "unicorn", ""))
    file, captions = run_config.clip_file, tmp_path / "captions.csv"
    result = queries.measure(tiny_config, "ours", file, captions, None)
    found = result["galleries"]["all"]
    assert (found["queries"], found["refused"]) == (2, 1)  # None of unicorns.
    assert found["chance_precision@5"] == 0.25 and found["best_precision@5"] == 1
    answers = Search.load(file).images_for("dog", gallery="all")["labels"] == "dog"
    assert found["by_query"] == {"dog": pytest.approx(answers.mean()), "zebra": 0}
    assert found["precision@5"] == pytest.approx(answers.mean() / 2)
    assert found["answered@5"] == answers.any() / 2
    test = result["galleries"]["test"]
    assert test["pictures"] == len(tiny_dataset.test) and test["of_training"] == 0
    assert test["best_precision@5"] == (tiny_dataset.test["label"] == "dog").sum() / 5
    with pytest.raises(ClipError, match="expected 5 captions each"):
        queries.measure(tiny_config, "ours", file, captions, tiny_config.dataset_dir)


def test_other_captions_of_a_picture_are_neither_right_nor_wrong():
    """The loss, term by term: three pictures with two captions each."""
    random = np.random.default_rng(0)
    images, texts = random.normal(size=(3, 4)), random.normal(size=(6, 4))
    scores = np.exp(images @ texts.T / 0.5)
    terms = []
    for text in range(6):
        own = text // 2
        others = [other for other in range(6) if other // 2 != own]
        right = scores[own, text]
        terms.append(-np.log(right / scores[:, text].sum()))
        terms.append(-np.log(right / (right + scores[own, others].sum())))
    layer = pretraining.AllCaptions(0.5)
    layer([images.astype("float32"), texts.astype("float32")])
    (loss,) = layer.losses
    assert float(loss) == pytest.approx(np.mean(terms), rel=1e-5)


def test_a_batch_has_pictures_in_some_view_with_all_their_captions():
    """A feature is ten times its picture's number, plus its view's; a word is it."""
    pictures = np.arange(1, 6)
    token_ids = np.tile(pictures[:, None, None], (1, 2, 20))
    token_ids[:, 1, 1:] = 0  # The second caption is one word, which is never left out.
    orders, drawn, left_out = set(), set(), []
    for size, batches in ((2, 2), (5, 1), (128, 1)):
        views = [pictures[:, None] * 10 + view for view in (0, 1)]
        stream = pretraining.Batches(views, token_ids, size, seed=size)
        assert len(stream) == batches
        for _ in range(20):
            found = [stream[number][0] for number in range(batches)]
            stream.on_epoch_end()
            features = np.concatenate([batch["feature_input"][:, 0] for batch in found])
            words = np.concatenate([batch["texts"] for batch in found])
            order = features.astype(int) // 10
            assert len(set(order)) == len(order) == min(size, 5) * batches
            assert (words.max(axis=-1) == order[:, None]).all()
            assert not words[:, 1, 1:].any()
            orders.add(tuple(order))
            drawn |= set(features % 10)
            left_out.append((words[:, 0] == 0).mean())
    assert len(orders) > 30 and drawn == {0, 1}
    assert np.mean(left_out) == pytest.approx(pretraining.WORD_DROPOUT, abs=0.02)


def test_small_weights_are_half_the_bytes_and_the_same_model(tiny_clip, tmp_path):
    small = pretraining.save_small(tiny_clip, tmp_path / "small.keras")
    whole = save_model(tiny_clip, tmp_path / "whole.keras")
    assert small.stat().st_size < 0.7 * whole.stat().st_size
    weights = zip(load_clip(small).get_weights(), tiny_clip.get_weights(), strict=True)
    assert all(np.allclose(one, other, rtol=1e-3, atol=1e-6) for one, other in weights)
    # What an older Keras does not know is left out, if it changes nothing.
    assert pretraining.for_keras_3_10([{"renorm": False, "units": 3}]) == [{"units": 3}]
    with pytest.raises(ValueError, match="renorm = True"):
        pretraining.for_keras_3_10({"config": {"renorm": True}})


def test_failures_are_made_as_the_page_says():
    batch = {"text_input": tf.range(100), "feature_input": tf.range(100)}
    (torn,) = failures.shuffled(tf.data.Dataset.from_tensors(batch))
    assert sorted(torn["text_input"].numpy()) == list(range(100))
    assert (torn["text_input"].numpy() != torn["feature_input"].numpy()).mean() > 0.8
    features = np.arange(6)[:, None]
    token_ids = 10 * features[..., None] + np.arange(3)[None, :, None]
    ((all_three,),) = [failures.Rows(features, token_ids, 4, True)[0]]
    pictures, captions = (all_three[key].ravel() for key in failures.INPUTS)
    assert len(set(pictures)) == 4 and len(set(captions)) == 12
    assert (captions // 10 == pictures).all()
    ((one,),) = [failures.Rows(features, token_ids, 4, False)[0]]
    assert len(set(one[failures.INPUTS[0]].ravel())) == 4
    assert (one[failures.INPUTS[1]] // 10 == one[failures.INPUTS[0]]).all()


def test_tasks_run_in_order_and_share_the_cores(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    names = ["OMP_NUM_THREADS", "CLIP_NOTHING", "TF_NUM_INTRAOP_THREADS"]
    assert list(record.each_in_its_process(os.getenv, names, 3)) == ["2", None, "2"]


def test_a_task_without_a_result_is_an_error(monkeypatch):
    monkeypatch.setattr(record, "each_in_its_process", lambda *_: iter([{}]))
    assert record.measure_all(None, [1]) == [{}]
    with pytest.raises(RuntimeError, match="task 2 of 2 gave no result"):
        record.measure_all(None, [1, 2])


def test_a_result_names_its_command_and_its_commit(tmp_path, monkeypatch):
    words = "/home/me/benchmarks/pipeline.py --data /home/me/data --jobs 5"
    monkeypatch.setattr(sys, "argv", words.split())
    assert record.command() == "python benchmarks/pipeline.py --data ... --jobs 5"
    monkeypatch.setattr(record, "ROOT", tmp_path)
    monkeypatch.delenv("CLIP_COMMIT", raising=False)
    with pytest.raises(ClipError, match="CLIP_COMMIT"):
        record.commit()
    monkeypatch.setenv("CLIP_COMMIT", "abc1234")
    assert record.commit() == "abc1234"
    (tmp_path / "benchmarks" / "results").mkdir(parents=True)
    result, code = tmp_path / "benchmarks/results/a.json", tmp_path / "code.py"
    result.touch(), code.touch()
    for options in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        subprocess.run(["git", *who, *options], cwd=tmp_path, check=True)
    clean = record.commit()
    assert len(clean) >= 7 and "-" not in clean
    result.write_text("{}")
    assert record.commit() == clean
    code.write_text("pass")
    assert record.commit() == f"{clean}-dirty"


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """A folder of results; the function returned writes one."""
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    about = {"machine": "a laptop", "runs": results_of_two_folds()}

    def write(name, **changes):
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(about | changes))

    return write


def results_of_two_folds():
    def variant(recall, seconds):
        measured = {"recall@10": recall, "label_precision@5": 0.5}
        clip = {"image_to_text": measured, "text_to_image": measured}
        return {"clip": clip, "seconds": seconds}

    runs = []
    for recall, accuracy in ((0.25, 0.5), (0.5, 0.7)):
        variants = {"the recipe": variant(recall, 10)}
        variants["without a piece"] = variant(recall - 0.125, 21)
        runs.append({"best_accuracy": {"CNN": accuracy}, "variants": variants})
    return runs


def test_variants_are_compared_with_the_recipe_fold_by_fold(recorded):
    recorded(tables.HEADLINE)
    recorded("ablation")
    lines = tables.ablation_table().splitlines()
    both = "0.38 ± 0.18 | 0.38 ± 0.18 | 0.50 ± 0.00"
    assert f"| the recipe | {both} |  |  | 10 |" in lines
    # The folds differ, the differences do not.
    (row,) = [line for line in lines if line.startswith("| without a piece")]
    assert row.endswith("| -0.125 ± 0.000 | +0.000 ± 0.000 | 21 |")
    assert "| CNN | 0.60 ± 0.14 |" in lines


def test_queries_are_shown_by_gallery_and_model(recorded):
    def run(model, precision):
        levels = dict.fromkeys(tables.ANSWER_LEVELS, 0.25)
        answers = dict.fromkeys(tables.ANSWERS, precision)
        found = {"pictures": 90, "queries": 40, "refused": 1, **levels, **answers}
        return {"model": model, "galleries": {"test": found}}

    recorded(tables.HEADLINE)
    recorded("queries", runs=[run("ours", 0.5), run("ours", 0.7), run("theirs", 0.75)])
    ours, theirs = tables.queries_table().splitlines()[2:4]
    levels = "| 0.25 | 0.25 |"
    both = "0.60 ± 0.14"
    assert ours == f"| 90, test part | ours | 40 | 1 | {both} {levels} {both} | 0.25 |"
    assert theirs.endswith(f"| theirs | 40 | 1 | 0.75 {levels} 0.75 | 0.25 |")


def test_a_result_of_another_commit_is_not_shown(recorded):
    recorded(tables.HEADLINE, commit="abc1234")
    recorded("ablation", commit="abc1234")
    text = "<!-- ablation -->\nold\n<!-- end -->\n<!-- speed -->\nold\n<!-- end -->"
    shown, refused = tables.with_tables(text)
    assert "Commit abc1234. Machine: a laptop." in shown
    assert "speed has not been measured." in shown and len(refused) == 1
    recorded("ablation", commit="def5678")
    shown, refused = tables.with_tables(text)
    assert "the recipe" not in shown and "old" not in shown
    assert "measured at commit def5678, the headline at abc1234" in refused[0]
