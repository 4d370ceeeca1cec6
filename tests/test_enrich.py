"""Enriched captions, against a chat server on this machine that misbehaves."""

import json
import signal
import socket
import sys
import threading
import time

import pandas as pd
import pytest
from chat_server import CONTENTS, ENDING, FAULTS, ChatServer, lengthen
from conftest import LABELS, make_folder

from clip_lib.__main__ import main
from clip_lib.config import Config
from clip_lib.data.captions_table import read_records
from clip_lib.data.dataset import load_dataset
from clip_lib.enrich import endpoint
from clip_lib.enrich.cache import Cache
from clip_lib.enrich.checks import judge, stem
from clip_lib.enrich.folder import REPORT
from clip_lib.enrich.runner import answers_of

pytest.importorskip("openai", reason="pip install -r requirements-enrich.txt")

CAPTION = "Two brown dogs run in the snow ."
LONGER = "Two brown dogs are running happily through the deep white snow ."


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in ("CLIP_DATA_DIR", "CLIP_MODEL_DIR", "CLIP_PRESET", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


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
        return main([*command, *map(str, options)])

    return run


def tree(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def table(folder):
    return pd.read_csv(folder / "captions.csv")


def report_of(folder):
    return json.loads((folder / REPORT).read_text("utf-8"))


# Checks of answers.


def test_the_forms_of_a_word_are_one_and_other_words_are_others():
    for forms in (
        "dog dogs",
        "run running",
        "bike biking",
        "carries carrying",
        "kiss kisses",
        "plays played",
    ):
        assert len({stem(word) for word in forms.split()}) == 1, forms
    for pair in ("red read", "ski sky", "glass glare", "grass gray"):
        assert len({stem(word) for word in pair.split()}) == 2, pair


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (LONGER, ""),
        (f'"{LONGER}"', ""),
        (LONGER.replace("brown", "small"), ""),  # four of five words
        (LONGER.replace("brown", "small").replace("snow", "sand"), "words lost"),
        (LONGER.replace("Two", "Three").replace("snow", "sand"), "words lost"),
        ("", "empty"),
        (" . ", "empty"),
        (f"Sure, {LONGER}", "boilerplate"),
        (f"Here is a longer one: {LONGER}", "boilerplate"),
        ("I\u2019m sorry, but I can\u2019t.", "boilerplate"),
        (f"{LONGER} As an AI I see no more .", "boilerplate"),
        (f"**{LONGER}** [refused: no]", "boilerplate"),
        (f"{LONGER}\ufffd", "boilerplate"),
        (f"{LONGER}\x07", "boilerplate"),
        (f"{LONGER} Footballers watch .", "other label"),
        (f"{LONGER} More dogs come .", ""),
        (CAPTION, "not longer"),
        ("Two brown dogs run , snow .", "not longer"),
        ("Two brown dogs run - in \u2026 the snow !", "not longer"),
        (LONGER + " very" * 21, ""),
        (LONGER + " very" * 22, "too long"),
    ],
)
def test_an_answer_is_judged(answer, kind):
    text, fault = judge(CAPTION, answer, ("ball", "bike", "water"), 32)
    assert fault.partition(":")[0] == kind
    if not kind:
        assert text[0] == "T"


@pytest.mark.parametrize(
    ("reply", "answers"),
    [
        ("1. A\n2. B", ["A", "B"]),
        ("<think>1. no\n2. no</think>\n1. A\n2. B", ["A", "B"]),
        ("<think>1. A\n2. B", ["", ""]),
        ("Sure!\n\n1) A\n\n2) B\n\nAnything else?", ["A", "B"]),
        ("**1.** A\n**2.** B", ["A", "B"]),
        ("2. B", ["", "B"]),
        ("0. Z\n1. A\n3. C", ["A", ""]),
        ("A\nB", ["", ""]),
        (" A dog . ", ["A dog ."]),
        ("1. A dog .", ["A dog ."]),
    ],
)
def test_answers_are_found_by_their_number(reply, answers):
    assert answers_of(reply, len(answers)) == answers


def test_a_line_cut_by_a_crash_costs_itself_alone(tmp_path):
    path = tmp_path / "answers.jsonl"
    cache = Cache(path, "m", "p")
    for name in "abc":
        cache.add({name: name.upper()}, 10, 1)
    path.write_bytes(path.read_bytes()[:-20])
    Cache(path, "m", "p").add({"d": "D", "a": "A2"}, 5, 1)
    cache = Cache(path, "m", "p")
    assert dict(cache.answers) == {"a": ["A", "A2"], "b": ["B"], "d": ["D"]}
    assert (cache.sent, cache.received) == (25, 3)
    for other in (Cache(path, "m2", "p"), Cache(path, "m", "p2")):
        assert not other.answers and other.sent == 0


# The new folder.


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
    pictures = {name: file for name, file in before.items() if name.endswith(".jpg")}
    assert {n: f for n, f in tree(output).items() if n.endswith(".jpg")} == pictures
    # A link would change the original with it.
    assert next(output.rglob("*.jpg")).stat().st_nlink == 1
    # 12 captions, 5 a request: 3 requests of 100 and 20 tokens.
    assert sorted(len(captions) for captions in server.requests) == [2, 5, 5]
    total = report_of(output)["totals"]
    assert total["tokens"] == {"sent": 300, "received": 60}
    assert total["cost"] == pytest.approx(300 * 2e-6 + 60 * 1e-5)
    assert (total["enriched"], total["kept"]) == (12, 0)
    assert "300 + 60 tokens, cost 0.0012" in capsys.readouterr().out


def test_no_test_is_made_of_an_enriched_caption(enrich, server, tmp_path):
    """Nor does --replace lose a caption whose answers were refused."""
    folder = make_folder(tmp_path / "full", per_label=10)
    bad = lambda captions: any("ballword1," in one for one in captions)  # noqa: E731
    server.behave = lambda _, captions: "hallucinates" if bad(captions) else "good"
    assert enrich("--batch", 1, data=folder) == 0
    assert enrich("--replace", "--output", tmp_path / "replaced", data=folder) == 0
    load = lambda path: load_dataset(Config(dataset_dir=str(path)))  # noqa: E731
    old, new = load(folder), load(tmp_path / "full_enriched")
    replaced = load(tmp_path / "replaced")
    for part in ("validation", "test"):
        columns = ["image_path", "caption"]
        assert new.part(part)[columns].equals(old.part(part)[columns])
        # The same pictures; but their captions are no longer those of a person.
        assert replaced.part(part)["image_path"].equals(old.part(part)["image_path"])
    assert len(new.train) == 2 * len(old.train)
    rows = table(replaced.folder)
    assert "origin" not in rows
    assert rows["caption"].str.endswith(ENDING).tolist() == [False] + [True] * 39
    fold = load_dataset(Config(dataset_dir=str(new.folder)), fold=(2, 5))
    assert not fold.test["caption"].str.endswith(ENDING).any()
    # `evaluate --split all` asks the originals too.
    whole = load_dataset(Config(dataset_dir=str(new.folder)), split=False)
    assert len(whole.records) == len(old.records)
    assert main(["check", str(new.folder)]) == 0


def test_a_picture_without_an_original_is_refused(folder):
    rows = table(folder).assign(origin="original")
    rows.loc[4, "origin"] = "enriched"
    rows.to_csv(folder / "captions.csv", index=False)
    with pytest.raises(ValueError, match=r"ball_002|bike_002.*original"):
        load_dataset(Config(dataset_dir=str(folder)), split=False)


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


# What servers and people do.


@pytest.mark.parametrize("fault", [*FAULTS, "hangs_up", "stopped", *CONTENTS])
def test_a_fault_is_no_end(enrich, server, tmp_path, fault):
    """It passes: the client repeats the request, or the second round does."""
    server.behave = lambda number, captions: "good" if number else fault
    status = enrich("--batch", 6, "--workers", 1)
    if fault == "denies":  # A wrong key does not get better.
        assert status == 1 and not (tmp_path / "data_enriched").exists()
    else:
        assert status == 0
        assert report_of(tmp_path / "data_enriched")["totals"]["enriched"] == 12


def test_a_refused_answer_is_requested_again_alone_and_with_the_reason(
    enrich, server, tmp_path
):
    server.behave = lambda number, captions: "good" if number == 3 else "hallucinates"
    assert enrich("--batch", 4, "--workers", 1) == 0
    assert [len(captions) for captions in server.requests] == [4] * 3 + [1] * 12
    assert server.said[3][-1]["content"].endswith(
        "[refused: other label: it adds bike, dog, water]"
    )
    total = report_of(tmp_path / "data_enriched")["totals"]
    assert (total["enriched"], total["kept_because"]) == (1, {"other label": 11})


def test_what_was_answered_is_not_requested_again(enrich, server, tmp_path, capsys):
    """The key that the server repeats is shown and stored nowhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", "sk-secret")
        server.behave = lambda number, captions: "good" if number < 2 else "denies"
        assert enrich("--workers", 1) == 1
    assert not (tmp_path / "data_enriched").exists()
    said = capsys.readouterr().err
    assert "2 captions are left" in said and "Bearer ***" in said
    answered = server.asked[:10]
    server.behave = lambda number, captions: "good"
    assert enrich() == 0
    assert len(server.asked) == 14 and not set(server.asked[12:]) & set(answered)
    assert server.keys == ["Bearer sk-secret"] * 3 + ["Bearer none"]
    total = report_of(tmp_path / "data_enriched")["totals"]
    assert total["enriched"] == 12 and total["tokens"]["sent"] == 300
    assert "sk-secret" not in said + "".join(capsys.readouterr())
    assert not any(b"sk-secret" in content for content in tree(tmp_path).values())


@pytest.mark.skipif(sys.platform == "win32", reason="a signal to a thread")
def test_an_interruption_keeps_what_is_in_flight(enrich, server, tmp_path, capsys):
    def behave(number, captions):
        if number == 1:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            time.sleep(1)  # Until it has arrived, on a busy machine too.
        return "good"

    server.behave = behave
    assert enrich("--workers", 1) == 130
    assert "2 captions are left" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["data"]
    assert enrich() == 0
    assert [len(captions) for captions in server.requests] == [5, 5, 2]


def test_an_unanswered_caption_is_kept_and_stays_open(enrich, server, tmp_path, capsys):
    strange = lambda captions: any("dogword2" in one for one in captions)  # noqa: E731
    server.behave = lambda _, captions: "dislikes" if strange(captions) else "good"
    assert enrich("--batch", 1) == 0
    assert "1 kept as they are (not answered 1)" in capsys.readouterr().out
    server.behave = lambda number, captions: "good"
    before = len(server.requests)
    assert enrich("--output", tmp_path / "again") == 0
    assert len(server.requests) == before + 1
    assert report_of(tmp_path / "again")["totals"]["kept"] == 0


def test_an_endpoint_that_stays_silent_ends_the_run(
    enrich, server, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(endpoint, "RETRIES", 0)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    assert enrich("--batch", 1, url=url) == 1
    said = capsys.readouterr().err
    assert "5 requests in a row failed" in said and url in said and "refused" in said
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_caption_without_room_is_not_requested(enrich, server, folder, tmp_path):
    """A caption of two pictures is requested once, and may name neither's label."""
    rows = table(folder)
    rows.loc[0, "caption"] = "dog " * 32
    rows.loc[3, "caption"] = rows.loc[6, "caption"] = "A man ."
    rows.to_csv(folder / "captions.csv", index=False)
    server.behave = lambda number, captions: "hallucinates"
    assert enrich("--workers", 1, "--batch", 20) == 0
    assert len(server.requests[0]) == 10 and "A man ." in server.requests[0]
    rows = report_of(tmp_path / "data_enriched")["captions"]
    assert rows[0]["reason"] == "no room"
    assert rows[3]["reason"] == "other label: it adds ball, bike, dog, water"


def test_a_trial_writes_no_folder(enrich, server, tmp_path, capsys):
    assert enrich("--limit", 4) == 0
    out = capsys.readouterr().out
    assert out.count("->") == 4 and lengthen(server.asked[0]) in out
    assert not (tmp_path / "data_enriched").exists()
    labels = {caption.split('"')[1] for caption in server.asked}
    assert labels == set(LABELS), "a trial is spread over the labels"
    assert enrich("--limit", 4, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["totals"]["enriched"] == 4 == len(found["captions"])
    assert len(server.asked) == 4


def test_a_dry_run_requests_nothing(enrich, server, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    assert enrich("--dry-run") == 0
    out = capsys.readouterr().out
    assert "ball, bike, dog, water" in out and "never more than 32" in out
    assert '3. A "ball" of ballword3, on the grass .' in out and "4. " not in out
    assert "12 captions to toy" in out and "about 3 requests" in out
    assert server.requests == []
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    assert enrich() == 1
    assert "pip install -r requirements-enrich.txt" in capsys.readouterr().err


# What cannot be done.


def test_options_that_are_none(enrich, capsys):
    for option, value in (
        *(("--limit", "0"), ("--workers", "-1"), ("--batch", "1.5")),
        *(("--url", "localhost:11434/v1"), ("--url", "http://me:sesame@127.0.0.1/v1")),
    ):
        with pytest.raises(SystemExit):
            enrich(option, value)
        said = capsys.readouterr().err
        assert f"{option}: " in said and "expected a" in said and "sesame" not in said


def test_places_where_nothing_is_written(enrich, server, folder, tmp_path, capsys):
    before = tree(folder)
    mine, notes = tmp_path / "full" / "mine.txt", tmp_path / "data_enriched.jsonl"
    mine.parent.mkdir()
    mine.write_text("mine")
    notes.write_text("Dear diary,\n")
    for options, words in (
        (["--output", mine.parent], "not empty"),
        (["--output", mine], "not empty"),
        (["--output", folder / "new"], "inside"),
        ([], "not a cache of `enrich`"),
    ):
        assert enrich(*options) == 1
        said = capsys.readouterr().err
        assert words in said and said.count("\n") == 1
    assert tree(folder) == before and mine.read_text() == "mine"
    assert notes.read_text() == "Dear diary,\n" and server.requests == []


def test_a_key_that_is_none(enrich, server, monkeypatch, capsys):
    monkeypatch.setenv("OPENAI_API_KEY", "sk secret")
    assert enrich() == 1
    said = capsys.readouterr().err
    assert "OPENAI_API_KEY: expected" in said and "secret" not in said
    assert server.requests == []


def test_a_folder_that_cannot_be_finished_is_not_there(
    enrich, tmp_path, monkeypatch, capsys
):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("clip_lib.enrich.folder.shutil.copyfile", full)
    assert enrich() == 1
    assert "error: [Errno 28] No space left" in capsys.readouterr().err
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["data", "data_enriched.jsonl"]
