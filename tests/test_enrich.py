"""Enriched captions, against a chat server on this machine that misbehaves."""

import _thread
import builtins
import csv
import email.utils
import json
import socket
import time

import numpy as np
import pandas as pd
import pytest
from chat_server import CONTENTS, ENDING, ChatServer, lengthen, numbered
from conftest import LABELS, make_folder, write_folder
from PIL import Image

from clip_lib.__main__ import main
from clip_lib.config import Config
from clip_lib.data.captions_table import read_records
from clip_lib.data.check import check_folder
from clip_lib.data.dataset import load_dataset
from clip_lib.data.vocabulary import learn_vocabulary
from clip_lib.enrich import endpoint
from clip_lib.enrich.cache import Cache
from clip_lib.enrich.checks import foreign_labels, judge
from clip_lib.enrich.endpoint import Endpoint, EndpointError, Unanswered, retry_after
from clip_lib.enrich.folder import REPORT
from clip_lib.enrich.pace import Pace, Stopped
from clip_lib.enrich.prompt import PROMPT_FILE, answers_of, instructions, question
from clip_lib.enrich.runner import Question, questions_of
from clip_lib.enrich.words import kept_share, lost_words, model_words, stem
from clip_lib.retrieval.search import MODEL_FILE

pytest.importorskip("openai", reason="pip install -r requirements-enrich.txt")

CAPTION = "Two brown dogs run in the snow ."
LONGER = "Two brown dogs are running happily through the deep white snow ."
FAULTS = {
    "late": "timeout",
    "too_many": "status 429",
    "breaks": "status 500",
    "cut_json": "not a chat answer",
    "cut_body": "connection",
    "hangs_up": "connection",
    "page": "not a chat answer",
    "no_choice": "not a chat answer",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in ("CLIP_DATA_DIR", "CLIP_MODEL_DIR", "CLIP_PRESET", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(endpoint, "BACK_OFF", 0.01)


@pytest.fixture
def server():
    with ChatServer() as server:
        yield server


@pytest.fixture
def folder(tmp_path):
    return make_folder(tmp_path / "data", per_label=3)


@pytest.fixture
def enrich(server, folder):
    """Run the command on the folder; return its exit status."""

    def run(*options, url=server.url, data=folder):
        command = ["enrich", "--url", url, "--model", "toy", "--data", str(data)]
        return main([*command, "--timeout", "5", *map(str, options)])

    return run


def tree(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def table(folder):
    return pd.read_csv(folder / "captions.csv")


def report_of(folder):
    return json.loads((folder / REPORT).read_text("utf-8"))


# Words and checks.


def test_words_are_counted_as_the_model_counts_them():
    texts = [
        CAPTION,
        'A "ball" - on , the well-known T-shirt\'s (back) !',
        "x_y ..",
        "",
    ]
    config = Config(sequence_length=None)
    token_ids = np.asarray(learn_vocabulary(texts, config)(texts))
    counts = [len(model_words(text)) for text in texts]
    assert counts == (token_ids > 0).sum(axis=1).tolist()


@pytest.mark.parametrize(
    "forms",
    [
        "dog dogs",
        "run runs running",
        "bike bikes biking",
        "carries carry carried carrying",
        "jump jumped jumping jumps",
        "box boxes",
        "fall falls falling",
        "kiss kisses kissing",
    ],
)
def test_the_forms_of_a_word_are_one(forms):
    assert len({stem(word) for word in forms.split()}) == 1


@pytest.mark.parametrize("pair", ["red read", "string str", "ski sky", "glass glare"])
def test_other_words_are_others(pair):
    first, second = pair.split()
    assert stem(first) != stem(second)


def test_the_share_of_content_words():
    assert kept_share(CAPTION, LONGER) == 1
    lost = LONGER.replace("Two", "Three").replace("snow", "sand")
    assert lost_words(CAPTION, lost) == ["two", "snow"]
    assert kept_share(CAPTION, lost) == pytest.approx(3 / 5)
    assert kept_share("It is what it is .", "Something") == 1


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (LONGER, ""),
        (f'"{LONGER}"', ""),
        (LONGER.replace("brown", "small"), ""),  # four of five words
        (LONGER.replace("brown", "small").replace("snow", "sand"), "words lost"),
        ("", "empty"),
        (" . ", "empty"),
        (f"Sure, {LONGER}", "boilerplate"),
        (f"Here is a longer one: {LONGER}", "boilerplate"),
        ("I'm sorry, but I can't help with that.", "boilerplate"),
        ("I\u2019m sorry, but I can\u2019t.", "boilerplate"),
        (f"{LONGER} As an AI I see no more .", "boilerplate"),
        (f"**{LONGER}** [refused: no]", "boilerplate"),
        (f"{LONGER}\ufffd", "boilerplate"),
        (f"{LONGER}\x07", "boilerplate"),
        (f"{LONGER} A ball lies there .", "other label"),
        (f"{LONGER} Footballers watch .", "other label"),
        (f"{LONGER} More dogs come .", ""),
        (CAPTION, "not longer"),
        ("Two brown dogs run , snow .", "not longer"),
        (LONGER + " very" * 21, ""),
        (LONGER + " very" * 22, "too long"),
    ],
)
def test_an_answer_is_judged(answer, kind):
    verdict = judge(CAPTION, answer, ("ball", "bike", "water"), 32)
    assert (verdict.kind, verdict.accepted) == (kind, not kind), verdict
    if not kind:
        assert verdict.text[0] == "T"


def test_what_the_caption_says_itself_is_no_boilerplate():
    caption = "Here is a dog [left] ."
    assert judge(caption, "Here is a dog [left] on a meadow .", (), 32).accepted


def test_the_labels_that_an_answer_must_not_name():
    assert foreign_labels(CAPTION, ["dog"], LABELS) == ("ball", "bike", "water")
    # The caption itself says it, as the course says it: within a word.
    assert foreign_labels("A football .", ["dog"], LABELS) == ("bike", "water")
    # One caption, pictures of two labels.
    both = foreign_labels("A man .", ["dog", "ball"], LABELS)
    assert both == ("ball", "bike", "dog", "water")
    names = ("mountain_bike", "dog")
    foreign = foreign_labels("A dog .", ["dog"], names)
    assert judge("A dog .", "A dog and a Mountain bike .", foreign, 32).kind


# The prompt and its answers.


def test_the_prompt_says_what_is_checked():
    text = instructions(("mountain_bike", "{length}"), 32)
    assert "mountain bike, {length}" in text and "never more than 32" in text
    assert len(PROMPT_FILE.read_text("utf-8").splitlines()) < 40
    asked = question(["A dog .", "A cat ."], {"A cat .": "empty"})
    assert asked == "1. A dog .\n2. A cat . [refused: empty]"


@pytest.mark.parametrize(
    ("reply", "answers"),
    [
        ("1. A\n2. B", ["A", "B"]),
        ("<think>1. no\n2. no</think>\n1. A\n2. B", ["A", "B"]),
        ("<think>1. A\n2. B", ["", ""]),
        ("Sure!\n\n1) A\n\n2) B\n\nAnything else?", ["A", "B"]),
        ("**1.** A\n**2.** B", ["A", "B"]),
        ("1. A\nand more\n2. B", ["A and more", "B"]),
        ("2. B", ["", "B"]),
        ("1. A\n2. B\n2. C", ["A", ""]),
        ("0. Z\n1. A\n3. C", ["A", ""]),
        ("A\nB", ["", ""]),
        ("", ["", ""]),
    ],
)
def test_answers_are_found_by_their_number(reply, answers):
    assert answers_of(reply, 2) == answers


def test_one_answer_needs_no_number_and_a_cut_one_is_none():
    assert answers_of(" A dog . ", 1) == ["A dog ."]
    assert answers_of("A do", 1, cut=True) == [""]
    assert answers_of("1. A\n2. B", 2, cut=True) == ["A", ""]


# The cache.


def test_answers_are_found_by_model_prompt_and_caption(tmp_path):
    path = tmp_path / "answers.jsonl"
    cache = Cache(path, "m", "p")
    cache.add({"a": "A", "b": ""}, 10, 4)
    cache.add({"a": "A2"}, 5, 1)
    cache.close()
    again = Cache(path, "m", "p")
    assert again.answers("a") == ["A", "A2"] and again.answers("b") == [""]
    assert again.answers("c") == [] and (again.sent, again.received) == (15, 5)
    for other in (Cache(path, "m2", "p"), Cache(path, "m", "p2")):
        assert other.answers("a") == [] and other.sent == 0


def test_a_cut_line_costs_itself_alone(tmp_path):
    path = tmp_path / "answers.jsonl"
    cache = Cache(path, "m", "p")
    for name in "abc":
        cache.add({name: name.upper()}, 1, 1)
    cache.close()
    path.write_bytes(path.read_bytes()[:-20])
    cache = Cache(path, "m", "p")
    assert cache.damaged == 1 and cache.answers("c") == []
    cache.add({"d": "D", "odd \ud800": "\ud800"}, 1, 1)
    cache.close()
    cache = Cache(path, "m", "p")
    assert [cache.answers(name) for name in "abcd"] == [["A"], ["B"], [], ["D"]]
    assert cache.damaged == 1


# The pace and the endpoint.


def test_the_pace_is_kept():
    pace = Pace(per_minute=1200)
    started = time.monotonic()
    for _ in range(5):
        pace.wait()
    assert 0.19 < time.monotonic() - started < 2
    pace.hold(0.2)
    pace.wait()
    assert 0.39 < time.monotonic() - started < 3
    pace.hold(60)
    pace.stop.set()
    with pytest.raises(Stopped):
        pace.wait()


@pytest.mark.parametrize("fault", FAULTS)
def test_what_may_pass_is_asked_again(server, fault):
    server.late, server.retry_after = 1.4, "0.02"
    server.behave = lambda number, captions: "good" if number == 2 else fault
    line = Endpoint(server.url, "toy", Pace(), timeout=0.7 if fault == "late" else 5)
    reply = line.ask("Lengthen.", "1. A dog .")
    assert reply == endpoint.Reply(f"1. A dog{ENDING}", False, 100, 20)
    assert line.requests == 3 and dict(line.faults) == {FAULTS[fault]: 2}
    assert server.said[0][0] == {"role": "system", "content": "Lengthen."}


def test_tries_have_an_end(server):
    server.behave = lambda number, captions: "breaks"
    line = Endpoint(server.url, "toy", Pace())
    with pytest.raises(Unanswered, match="500"):
        line.ask("", "1. A dog .")
    assert len(server.requests) == line.requests == endpoint.TRIES


def test_back_off_doubles(server, monkeypatch):
    pace, waits = Pace(), []
    monkeypatch.setattr(pace, "rest", waits.append)
    server.behave = lambda number, captions: "breaks"
    with pytest.raises(Unanswered):
        Endpoint(server.url, "toy", pace).ask("", "1. A dog .")
    assert waits == [pytest.approx(0.01 * 2**n, rel=0.26) for n in range(3)]


def test_retry_after_holds_every_worker(server):
    server.retry_after = "0.5"
    server.behave = lambda number, captions: "good" if number else "too_many"
    pace = Pace()
    Endpoint(server.url, "toy", pace).ask("", "1. A dog .")
    assert 0.5 <= server.times[1] - server.times[0] < 5
    started = time.monotonic()
    pace.hold(0.3)
    Endpoint(server.url, "toy", pace).ask("", "1. A dog .")
    assert server.times[2] - started >= 0.3


def test_retry_after_may_be_a_date():
    assert retry_after({"retry-after": "7"}) == 7
    soon = email.utils.formatdate(time.time() + 30, usegmt=True)
    assert 25 < retry_after({"retry-after": soon}) <= 30
    past = "Wed, 21 Oct 2015 07:28:00 GMT"
    for text in (past, "-3", "nan", "soon", ""):
        assert retry_after({"retry-after": text}) == 0
    assert retry_after({}) == 0


def test_a_wait_that_is_too_long_ends_the_run(server):
    server.retry_after = "4000"
    server.behave = lambda number, captions: "too_many"
    with pytest.raises(EndpointError, match="4000 seconds"):
        Endpoint(server.url, "toy", Pace()).ask("", "1. A dog .")
    assert len(server.requests) == 1


def test_a_question_that_is_refused_is_not_repeated(server):
    server.behave = lambda number, captions: "dislikes"
    with pytest.raises(Unanswered, match="content policy"):
        Endpoint(server.url, "toy", Pace()).ask("", "1. A dog .")
    assert len(server.requests) == 1


# The whole command.


def test_a_new_folder_beside_the_original(enrich, server, folder, tmp_path, capsys):
    before = tree(folder)
    assert enrich("--price-in", 2, "--price-out", 10) == 0
    assert tree(folder) == before
    output = tmp_path / "data_enriched"
    rows, original = table(output), read_records(folder)
    assert list(rows) == ["image_path", "label", "caption", "origin"]
    assert rows["origin"].tolist() == ["original", "enriched"] * 12
    columns = ["image_path", "label", "caption"]
    assert rows[::2][columns].to_numpy().tolist() == original.to_numpy().tolist()
    assert rows["caption"][1::2].tolist() == [*map(lengthen, original["caption"])]
    for name, captions in rows.groupby("image_path")["caption"]:
        text = output / "captions" / f"{name.split('/')[-1][:-4]}.txt"
        assert text.read_text("utf-8").splitlines() == captions.tolist()
    pictures = {name: file for name, file in before.items() if name.endswith(".jpg")}
    assert {n: f for n, f in tree(output).items() if n.endswith(".jpg")} == pictures
    picture = next(output.rglob("*.jpg"))
    assert picture.stat().st_nlink == 1, "a link would change the original with it"
    # 12 captions, 5 a request: 3 requests of 100 and 20 tokens.
    assert sorted(len(captions) for captions in server.requests) == [2, 5, 5]
    total = report_of(output)["totals"]
    assert total["tokens"] == {"sent": 300, "received": 60}
    assert total["cost"] == pytest.approx(300 * 2e-6 + 60 * 1e-5)
    assert (total["accepted"], total["kept"], total["words_kept"]) == (12, 0, 1)
    out, progress = capsys.readouterr()
    assert "12 enriched, 0 kept" in out and "words kept: 100.0 %" in out
    assert "12/12" in progress and "300 + 60 tokens, cost 0.0012" in progress


def test_the_new_folder_is_as_sound_as_the_old_one(enrich, tmp_path):
    folder = make_folder(tmp_path / "full", per_label=10)
    assert enrich(data=folder) == 0
    output = tmp_path / "full_enriched"
    report = check_folder(output, Config())
    assert report.status == 0, str(report)
    assert report.labels.loc["all labels", "captions"] == 80


def test_no_test_is_made_of_an_enriched_caption(enrich, tmp_path):
    folder = make_folder(tmp_path / "full", per_label=10)
    assert enrich(data=folder) == 0
    assert enrich("--replace", "--output", tmp_path / "replaced", data=folder) == 0
    load = lambda path: load_dataset(Config(dataset_dir=str(path)))  # noqa: E731
    old, new = load(folder), load(tmp_path / "full_enriched")
    replaced = load(tmp_path / "replaced")
    for part in ("validation", "test"):
        columns = ["image_path", "caption"]
        assert new.part(part)[columns].equals(old.part(part)[columns])
        # The same pictures; but their captions are no longer those of a person.
        assert replaced.part(part)["image_path"].equals(old.part(part)["image_path"])
        assert replaced.part(part)["caption"].str.endswith(ENDING).all()
    assert len(new.train) == 2 * len(old.train)
    config = Config(dataset_dir=str(tmp_path / "full_enriched"))
    fold = load_dataset(config, fold=(2, 5))
    assert not fold.test["caption"].str.endswith(ENDING).any()
    whole = load_dataset(Config(dataset_dir=str(new.folder)), split=False)
    assert len(whole.records) == len(old.records)


def test_evaluate_asks_the_originals(enrich, run_config, tiny_folder, tmp_path, capsys):
    assert enrich("--output", tmp_path / "both", data=tiny_folder) == 0
    assert enrich("--output", tmp_path / "alone", "--replace", data=tiny_folder) == 0
    capsys.readouterr()
    reports = []
    for data in (tiny_folder, tmp_path / "both", tmp_path / "alone"):
        model = ["--model", str(run_config.model_path(MODEL_FILE))]
        command = ["evaluate", *model, "--data", str(data), "--split", "test"]
        assert main([*command, "--json"]) == 0
        reports.append(json.loads(capsys.readouterr().out))
    assert reports[0] == reports[1]
    assert reports[0]["pairs"] == reports[2]["pairs"] and reports[0] != reports[2]


def test_a_picture_without_an_original_is_refused(folder):
    path = folder / "captions.csv"
    rows = table(folder).assign(origin="original")
    rows.loc[4, "origin"] = "enriched"
    rows.to_csv(path, index=False)
    with pytest.raises(ValueError, match=r"ball_002|bike_002.*original"):
        load_dataset(Config(dataset_dir=str(folder)), split=False)


def test_replace_writes_the_enriched_caption_alone(enrich, server, tmp_path):
    server.behave = lambda number, captions: "hallucinates" if number == 0 else "good"
    server.contents["good"] = lambda captions: (
        CONTENTS["hallucinates"](captions)
        if "ballword1," in captions[0]
        else CONTENTS["good"](captions)
    )
    assert enrich("--replace", "--output", tmp_path / "out") == 0
    rows = table(tmp_path / "out")
    assert list(rows) == ["image_path", "label", "caption"] and len(rows) == 12
    assert rows["caption"].str.endswith(ENDING).tolist() == [False] + [True] * 11
    text = (tmp_path / "out/captions/dog_002.txt").read_text("utf-8")
    assert text == lengthen('A "dog" of dogword2, on the grass .') + "\n"


@pytest.mark.parametrize("labelled", [True, False])
def test_split_and_want_of_labels_are_kept(enrich, folder, tmp_path, labelled):
    """Test pictures stay test pictures; no empty label is written."""
    records = read_records(folder)
    records["split"] = (["train"] * 4 + ["dev", "test"]) * 2
    kept = records if labelled else records.drop(columns="label")
    kept.to_csv(folder / "captions.csv", index=False)
    assert enrich() == 0
    output = tmp_path / "data_enriched"
    rows = table(output)
    labels = ["label"] * labelled
    assert list(rows) == ["image_path", *labels, "caption", "origin", "split"]
    assert rows["split"][::2].tolist() == records["split"].tolist()
    dataset = load_dataset(Config(dataset_dir=str(output)))
    tested = records["image_path"][records["split"] == "test"]
    assert dataset.test["image_path"].tolist() == tested.tolist()
    assert len(dataset.train) == 16 and bool(dataset.class_names) == labelled


def test_nothing_is_lost_whatever_the_server_does(enrich, server, tmp_path):
    """A tenth of garbage, every fault, and each caption and request accounted for."""
    folder = make_folder(tmp_path / "full", per_label=20)
    before = tree(folder)
    cycle = [*FAULTS, *CONTENTS, "stopped", "dislikes", "garbage", "good", "good"]
    seen = []

    def behave(number, captions):
        seen.append(cycle[number * 7 % len(cycle)])
        return seen[-1]

    server.behave, server.late, server.retry_after = behave, 1.6, "0.05"
    output = tmp_path / "out"
    options = ("--output", output, "--workers", 8, "--timeout", 0.8)
    assert enrich(*options, data=folder) == 0
    assert tree(folder) == before
    report = report_of(output)
    rows, total = report["captions"], report["totals"]
    original = read_records(folder)
    assert [row["caption"] for row in rows] == original["caption"].tolist()
    assert total["captions"] == 80 == total["accepted"] + total["kept"]
    assert sum(total["kept_because"].values()) == total["kept"] > 0
    assert total["accepted_at_second_answer"] > 0
    assert total["requests"] == len(server.requests) == len(seen)
    in_vain = [name for name in seen if name in FAULTS or name == "dislikes"]
    assert sum(total["faults"].values()) == len(in_vain)
    assert total["tokens"]["sent"] == 100 * (len(seen) - len(in_vain))
    for row in rows:
        assert row["answers"] <= 2 and (row["status"] == "kept") == bool(row["reason"])
        expected = None if row["status"] == "kept" else lengthen(row["caption"])
        assert row["enriched"] == expected
        assert row["words_kept"] == 1 or row["status"] == "kept"
    written = [row for row in rows if row["enriched"]]
    assert len(table(output)) == 80 + len(written)
    assert len(list((output / "captions").iterdir())) == 80


def test_a_refused_answer_is_asked_for_once_more_alone_and_with_the_reason(
    enrich, server, tmp_path
):
    server.behave = lambda number, captions: "good" if number == 3 else "hallucinates"
    assert enrich("--batch", 4, "--workers", 1, "--output", tmp_path / "out") == 0
    assert [len(captions) for captions in server.requests] == [4] * 3 + [1] * 12
    assert server.said[3][-1]["content"].endswith(
        "[refused: other label: it adds bike, dog, water]"
    )
    total = report_of(tmp_path / "out")["totals"]
    assert (total["accepted"], total["kept"]) == (1, 11)
    assert total["kept_because"] == {"other label": 11}


def test_what_was_answered_is_not_asked_again(enrich, server, tmp_path, capsys):
    server.behave = lambda number, captions: "good" if number < 2 else "denies"
    assert enrich("--workers", 1) == 1
    assert not (tmp_path / "data_enriched").exists()
    said = capsys.readouterr().err
    assert "10 of 12 captions are done" in said and "OPENAI_API_KEY" in said
    answered = server.asked[:10]
    server.behave = lambda number, captions: "good"
    assert enrich() == 0
    assert server.asked[15:] == [] and len(server.asked) == 14
    assert not set(server.asked[12:]) & set(answered)
    total = report_of(tmp_path / "data_enriched")["totals"]
    assert total["accepted"] == 12 and total["tokens"]["sent"] == 100
    assert total["with_earlier_runs"]["sent"] == 300
    # All of it is known: nothing is asked for another folder.
    cache = tmp_path / "data_enriched.jsonl"
    assert enrich("--output", tmp_path / "third", "--cache", cache) == 0
    assert len(server.asked) == 14
    assert table(tmp_path / "third").equals(table(tmp_path / "data_enriched"))


def test_an_interruption_keeps_what_was_answered(enrich, server, tmp_path, capsys):
    server.late = 20

    def behave(number, captions):
        if number < 2:
            return "good"
        _thread.interrupt_main()
        return "late"

    server.behave = behave
    started = time.monotonic()
    assert enrich("--workers", 1, "--timeout", 30) == 130
    assert time.monotonic() - started < 10, "the request under way is not waited for"
    assert "10 of 12 captions are done" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["data"]
    server.behave = lambda number, captions: "good"
    assert enrich() == 0
    assert [len(captions) for captions in server.requests] == [5, 5, 2, 2]


def test_an_unanswered_caption_stays_open(enrich, server, tmp_path, capsys):
    strange = lambda captions: any("dogword2" in one for one in captions)  # noqa: E731
    server.behave = lambda number, captions: "breaks" if strange(captions) else "good"
    assert enrich("--batch", 1, "--output", tmp_path / "out") == 0
    assert "1 captions got no answer" in capsys.readouterr().err
    rows = report_of(tmp_path / "out")["captions"]
    kept = [row for row in rows if row["status"] == "kept"]
    assert [(row["reason"], row["answers"]) for row in kept] == [("not answered", 0)]
    server.behave = lambda number, captions: "good"
    cache = tmp_path / "out.jsonl"
    before = len(server.requests)
    assert enrich("--output", tmp_path / "again", "--cache", cache) == 0
    assert len(server.requests) == before + 1
    assert report_of(tmp_path / "again")["totals"]["kept"] == 0


def test_an_endpoint_that_stays_silent_ends_the_run(enrich, server, tmp_path, capsys):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    assert enrich("--batch", 1, url=url) == 1
    said = capsys.readouterr().err
    assert "3 questions in a row" in said and url in said
    # After a first answer it is given more time.
    server.behave = lambda number, captions: "breaks" if number else "good"
    assert enrich("--batch", 1) == 1
    said = capsys.readouterr().err
    assert "10 questions in a row" in said and "status 500" in said
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["data"]


def test_requests_a_minute(enrich, server):
    assert enrich("--per-minute", 300, "--batch", 2) == 0
    assert len(server.times) == 6 and server.times[-1] - server.times[0] > 0.8


def test_a_caption_without_room_is_not_asked(enrich, server, folder, tmp_path):
    rows = table(folder)
    rows.loc[0, "caption"] = "dog " * 32
    rows.loc[1, "caption"] = rows.loc[2, "caption"]
    rows.to_csv(folder / "captions.csv", index=False)
    assert enrich() == 0
    assert len(server.asked) == 10 and not any("dog dog" in one for one in server.asked)
    total = report_of(tmp_path / "data_enriched")["totals"]
    assert total["captions"] == 12 and total["kept_because"] == {"no room": 1}


def test_one_caption_of_two_labels_may_name_neither():
    rows = [("a", "dog", "A man ."), ("b", "ball", "A man ."), ("c", "dog", "A cat .")]
    records = pd.DataFrame(rows, columns=["image_path", "label", "caption"])
    assert questions_of(records, ("ball", "dog"), 9) == [
        Question("A man .", ("ball", "dog"), 9),
        Question("A cat .", ("ball",), 9),
    ]


def test_a_trial_writes_no_folder(enrich, server, tmp_path, capsys):
    assert enrich("--limit", 4) == 0
    out = capsys.readouterr().out
    assert out.count("->") == 4 and lengthen(server.asked[0]) in out
    assert not (tmp_path / "data_enriched").exists()
    labels = {caption.split('"')[1] for caption in server.asked}
    assert labels == set(LABELS), "a trial is spread over the labels"
    assert enrich("--limit", 4, "--json") == 0
    assert json.loads(capsys.readouterr().out)["totals"]["accepted"] == 4
    assert len(server.asked) == 4
    assert enrich() == 0
    assert len(server.asked) == 12


def test_a_dry_run_asks_nothing(enrich, server, tmp_path, capsys, no_openai):
    assert enrich("--dry-run", "--price-in", 1, "--price-out", 1) == 0
    out = capsys.readouterr().out
    assert instructions(LABELS, 32) in out
    assert '3. A "ball" of ballword3, on the grass .' in out and "4. " not in out
    assert "12 captions to toy" in out and "about 3 requests" in out
    assert enrich("--dry-run", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["tokens"]["sent"] > 3 * len(shown["prompt"]) / 5
    assert server.requests == []
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_trial_has_as_many_captions_as_asked(enrich, server, monkeypatch, folder):
    monkeypatch.chdir(folder)
    for limit in (1, 7, 11, 13):
        assert enrich("--limit", limit, data=".") == 0
        assert len(set(server.asked)) <= 12
        path = folder.with_name("data_enriched.jsonl")
        assert path.is_file()
        path.unlink()
        assert len(server.asked) == min(limit, 12)
        server.requests.clear()


def test_answers_in_json(enrich, server, tmp_path, capsys):
    server.behave = lambda number, captions: "refuses"
    assert enrich("--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["folder"] == str(tmp_path / "data_enriched")
    assert found["totals"]["kept"] == len(found["kept"]) == 12
    assert found["kept"][0]["refused"].startswith("I'm sorry")


def test_pictures_of_one_name_have_no_texts(enrich, tmp_path, capsys):
    rows = [
        (f"images/{label}/1.png", label, f"A {label} .") for label in ("cat", "Cow")
    ]
    rows += [("images/Cow/x.png", "Cow", "A cow , sleeping .")]
    pictures = {name: Image.new("RGB", (8, 8)) for name, _, _ in rows}
    folder = write_folder(tmp_path / "own", rows, pictures)
    assert enrich(data=folder) == 0
    assert "share a text" in capsys.readouterr().err
    output = tmp_path / "own_enriched"
    assert not (output / "captions").exists() and len(table(output)) == 6


def test_a_server_that_counts_no_tokens(enrich, server, tmp_path):
    server.usage = None
    assert enrich() == 0
    total = report_of(tmp_path / "data_enriched")["totals"]
    assert total["tokens"] == {"sent": 0, "received": 0}
    assert total["answers_without_a_count_of_tokens"] == 3


# The key.


def test_the_key_is_sent_and_nowhere_else(
    enrich, server, tmp_path, monkeypatch, capsys
):
    assert enrich("--limit", 1) == 0
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-one")
    assert enrich("--limit", 2) == 0
    file = tmp_path / "key.txt"
    file.write_text("sk-secret-two\n")
    server.behave = lambda number, captions: "denies" if number == 2 else "good"
    assert enrich("--api-key-file", file) == 1
    assert enrich("--api-key-file", file) == 0
    keys = [key.removeprefix("Bearer ") for key in server.keys]
    assert keys[:3] == ["none", "sk-secret-one", "sk-secret-two"]
    said = "".join(capsys.readouterr())
    assert "Incorrect key: Bearer ***" in said and "sk-secret" not in said
    file.unlink()
    for content in tree(tmp_path).values():
        assert b"sk-secret" not in content


# What cannot be done.


@pytest.fixture
def no_openai(monkeypatch):
    real = builtins.__import__

    def refuse(name, *rest):
        if name == "openai" or name.startswith("openai."):
            raise ModuleNotFoundError(f"No module named {name!r}", name="openai")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)


def refusal(capsys, status, expected=1):
    said = capsys.readouterr().err
    assert status == expected, said
    assert "Traceback" not in said
    return said


def test_openai_is_missing(enrich, no_openai, capsys):
    said = refusal(capsys, enrich())
    assert (
        said == "error: enrich needs openai: pip install -r requirements-enrich.txt\n"
    )


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("localhost:11434/v1", "expected an address"),
        ("ftp://127.0.0.1/v1", "expected an address"),
        ("http:///v1", "expected an address"),
        ("http://127.0.0.1:99999/v1", "expected an address"),
        ("http://me:sesame@127.0.0.1/v1", "expected a key in OPENAI_API_KEY"),
    ],
)
def test_addresses_that_are_none(enrich, capsys, url, words):
    said = refusal(capsys, enrich(url=url))
    assert words in said and said.count("\n") == 1 and "sesame" not in said


def test_keys_that_are_none(enrich, server, tmp_path, capsys, monkeypatch):
    for name, content in (
        ("missing", None),
        ("empty", b" \n"),
        ("two", b"sk-secret\nmore"),
        ("bytes", b"sk-secret\xff"),
    ):
        file = tmp_path / name
        if content is not None:
            file.write_bytes(content)
        said = refusal(capsys, enrich("--api-key-file", file))
        assert str(file) in said and "sk-secret" not in said
        assert said.count("\n") == 1
    monkeypatch.setenv("OPENAI_API_KEY", "sk secret")
    assert "OPENAI_API_KEY: expected" in refusal(capsys, enrich())
    assert server.requests == []


def test_places_where_nothing_is_written(enrich, server, folder, tmp_path, capsys):
    before = tree(folder)
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine.txt").write_text("mine")
    for output, words in (
        (full, "not empty"),
        (full / "mine.txt", "not empty"),
        (folder, "inside"),
        (folder / "new", "inside"),
    ):
        assert words in refusal(capsys, enrich("--output", output))
    assert enrich() == 0
    capsys.readouterr()
    again = enrich("--output", tmp_path / "b", data=tmp_path / "data_enriched")
    assert "enriched already" in refusal(capsys, again)
    notes = tmp_path / "notes.txt"
    notes.write_text("Dear diary,\n")
    said = refusal(capsys, enrich("--output", tmp_path / "c", "--cache", notes))
    assert "not a file of answers" in said
    said = refusal(capsys, enrich("--output", tmp_path / "c", "--cache", tmp_path))
    assert "expected a file of answers" in said
    assert notes.read_text() == "Dear diary,\n" and tree(folder) == before
    assert (full / "mine.txt").read_text() == "mine"
    assert len(server.asked) == 12


@pytest.mark.parametrize(
    "options",
    [
        ("--limit", "0"),
        ("--workers", "-1"),
        ("--batch", "1.5"),
        ("--per-minute", "-2"),
        ("--price-in", "nan"),
        ("--timeout", "inf"),
    ],
)
def test_numbers_that_are_none(enrich, capsys, options):
    with pytest.raises(SystemExit) as leaving:
        enrich(*options)
    assert leaving.value.code == 2
    assert f"{options[1]}: expected a number from" in capsys.readouterr().err


def test_a_folder_that_cannot_be_finished_is_not_there(
    enrich, folder, tmp_path, monkeypatch, capsys
):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("clip_lib.enrich.folder.shutil.copyfile", full)
    assert "No space left" in refusal(capsys, enrich())
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["data", "data_enriched.jsonl"]


def test_the_table_is_plain_csv(enrich, server, folder, tmp_path):
    server.contents["good"] = lambda captions: numbered(
        lengthen(caption).replace("scene", 'scene, "so" quiet;') for caption in captions
    )
    assert enrich() == 0
    with open(
        tmp_path / "data_enriched/captions.csv", newline="", encoding="utf-8"
    ) as f:
        rows = list(csv.reader(f, strict=True))
    assert {len(row) for row in rows} == {4} and 'scene, "so" quiet;' in rows[2][2]
