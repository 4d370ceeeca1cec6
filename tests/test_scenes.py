"""The drawn scenes: laid out like the photo archive, repeatable, truly captioned."""

import csv
import dataclasses
import re

import numpy as np
import pytest
from PIL import Image

from clip_lib.scenes import LABELS, describe_scene, draw_scenes, sketches
from clip_lib.scenes import folder as scenes_folder
from clip_lib.scenes.drawing import COLOURS, SIDE, draw_scene

NUMBERS = range(1, 151)
COUNTS = {"two": 2, "pair": 2, "three": 3}


@pytest.fixture(scope="module")
def everything():
    """The 600 scenes of the default data set, described but not drawn."""
    return {(label, n): describe_scene(label, n) for label in LABELS for n in NUMBERS}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A small data set, drawn once."""
    return draw_scenes(tmp_path_factory.mktemp("drawn") / "scenes", per_label=3)


def read_rows(folder):
    with open(folder / "captions.csv", encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def tree(folder):
    """Return what a folder holds, as {relative path: bytes}."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def count_pixels(scene, colour):
    """Count the pixels of a picture that are almost exactly of one colour."""
    pixels = np.asarray(draw_scene(scene), int)
    return (np.abs(pixels - COLOURS[colour]).max(axis=-1) < 12).sum()


def test_layout_is_that_of_the_archive(drawn):
    header, *rows = read_rows(drawn)
    assert header == ["image_path", "label", "caption"]
    names = [(label, f"{label}_{n:03d}") for label in LABELS for n in (1, 2, 3)]
    assert LABELS == ("dog", "water", "ball", "bike")
    expected = [(f"images/{label}/{name}.jpg", label) for label, name in names]
    assert [(path, label) for path, label, _ in rows] == expected
    for (path, _, caption), (_, name) in zip(rows, names, strict=True):
        text = drawn / "captions" / f"{name}.txt"
        assert text.read_text(encoding="utf-8") == caption
        with Image.open(drawn / path) as picture:
            assert (picture.format, picture.mode) == ("JPEG", "RGB")
            assert picture.size == (224, 224)
            assert np.asarray(picture).std() > 10


def test_same_seed_same_bytes(drawn, tmp_path):
    assert tree(draw_scenes(tmp_path / "again", per_label=3)) == tree(drawn)


def test_another_seed_gives_other_scenes(drawn, tmp_path):
    other = draw_scenes(tmp_path / "other", per_label=3, seed=7)
    pairs = zip(read_rows(other)[1:], read_rows(drawn)[1:], strict=True)
    assert all(one[2] != two[2] for one, two in pairs)


def test_fewer_scenes_are_a_prefix_of_more(drawn, tmp_path):
    one, three = tree(draw_scenes(tmp_path / "one", per_label=1)), tree(drawn)
    shared = [name for name in one if "/" in name]
    assert len(shared) == 2 * len(LABELS)
    assert all(one[name] == three[name] for name in shared)


def test_picture_size_changes_the_picture_only(drawn, tmp_path):
    small = draw_scenes(tmp_path / "small", per_label=1, image_size=(96, 64))
    with Image.open(small / "images/dog/dog_001.jpg") as picture:
        assert picture.size == (96, 64)
    assert read_rows(small)[1] == read_rows(drawn)[1]


def test_captions_are_well_formed(everything):
    captions = [scene.caption for scene in everything.values()]
    for caption in captions:
        assert re.fullmatch(r"[A-Z][a-z]*( [a-z]+| ,)*( \.)?", caption), caption
        assert 6 <= len(re.findall(r"\w+", caption)) <= 20, caption
        assert not re.search(r"\b(left|right|a [aeiou]\w*|an [^aeiou]\w*)\b", caption)
    assert len(set(captions)) >= 0.95 * len(captions)
    words = {word for caption in captions for word in caption.lower().split()}
    assert 120 <= len(words) <= 250


@pytest.mark.parametrize(
    ("label", "word"),
    [("dog", "dog|puppy"), ("ball", "ball"), ("bike", "bike|bicycle|cyclist")],
)
def test_captions_speak_of_their_label(everything, label, word):
    captions = [everything[label, n].caption.lower() for n in NUMBERS]
    assert all(re.search(word, caption) for caption in captions)


def test_some_captions_speak_of_another_label(everything):
    words = {"dog": "dog|puppy", "ball": " ball", "bike": "bike|bicycle"}
    strays = 0
    for (label, _), scene in everything.items():
        others = [word for other, word in words.items() if other != label]
        strays += bool(re.search("|".join(others), scene.caption))
    assert 0.05 < strays / len(everything) < 0.2


def test_counts_in_captions_are_true(everything):
    checked = 0
    for scene in everything.values():
        count = COUNTS.get(re.match(r"(A )?(\w+)", scene.caption)[2].lower())
        if count:
            checked += 1
            crew = sum(len(actor.look.get("crew", ())) for actor in scene.actors)
            assert count == (crew or len(scene.actors)), scene.caption
    assert checked > 20


def test_actors_are_inside_the_picture(everything):
    for scene in everything.values():
        for actor in scene.actors:
            reach = actor.width * actor.scale * 0.45
            assert reach < actor.x < SIDE - reach, scene.caption
            assert SIDE / 2 < actor.y < SIDE, scene.caption


@pytest.mark.parametrize(
    ("label", "noun", "kind", "part"),
    [
        ("dog", "dog|puppy", "dog", "coat"),
        ("ball", "ball", "ball", "ball"),
        ("bike", "bike|bicycle", "bike", "bike"),
        ("water", "sail", "sail", "boat"),
    ],
)
def test_named_colours_are_in_the_picture(everything, label, noun, kind, part):
    checked = 0
    for n in NUMBERS:
        scene = everything[label, n]
        found = re.search(rf"\b(?<!and )(\w+) ({noun})\b", scene.caption)
        actors = [actor for actor in scene.actors if actor.kind == kind]
        if not found or found[1] not in COLOURS or len(actors) != 1:
            continue
        checked += 1
        other = "purple" if found[1] != "purple" else "orange"
        # Only the thing itself changes colour: what is left of it is elsewhere.
        look = actors[0].look | {part: other}
        changed = dataclasses.replace(actors[0], look=look)
        cast = [changed if actor is actors[0] else actor for actor in scene.actors]
        repainted = dataclasses.replace(scene, actors=tuple(cast))
        gone = count_pixels(scene, found[1]) - count_pixels(repainted, found[1])
        assert gone > 60, scene.caption
        if checked == 12:
            break
    assert checked >= 5


def test_every_place_pose_and_thing_can_be_drawn(everything):
    seen = set()
    for scene in everything.values():
        new = {scene.place, scene.sky} | {
            (actor.kind, actor.pose, actor.look.get("extra")) for actor in scene.actors
        }
        if not new <= seen:
            seen |= new
            empty = dataclasses.replace(scene, actors=())
            with_actors, without = map(np.asarray, map(draw_scene, (scene, empty)))
            share = (with_actors != without).any(axis=-1).mean()
            assert 0.02 < share < 0.6, scene.caption
    assert {*sketches.PLACES, *sketches.SKIES} <= seen


def test_second_call_draws_nothing(tmp_path, monkeypatch):
    folder = draw_scenes(tmp_path / "scenes", per_label=1)
    before = tree(folder)
    monkeypatch.setattr(
        scenes_folder, "draw_scene", lambda *_: pytest.fail("drawn again")
    )
    assert draw_scenes(folder, per_label=1) == folder
    assert tree(folder) == before


@pytest.mark.parametrize(
    "changed", [{"seed": 1}, {"per_label": 2}, {"image_size": (9, 9)}]
)
def test_other_scenes_are_not_overwritten(tmp_path, changed):
    folder = draw_scenes(tmp_path / "scenes", per_label=1)
    before = tree(folder)
    with pytest.raises(ValueError, match="scenes is not empty"):
        draw_scenes(folder, **{"per_label": 1, **changed})
    assert tree(folder) == before


def test_foreign_folder_is_not_overwritten(tmp_path):
    (tmp_path / "captions.csv").write_text("mine", encoding="utf-8")
    with pytest.raises(ValueError, match=re.escape(str(tmp_path))):
        draw_scenes(tmp_path, per_label=1)
    assert tree(tmp_path) == {"captions.csv": b"mine"}


def test_empty_folder_is_used(tmp_path):
    (tmp_path / "scenes").mkdir()
    assert (draw_scenes(tmp_path / "scenes", per_label=1) / "captions.csv").is_file()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_interruption_leaves_nothing(tmp_path, monkeypatch, error):
    calls = []

    def fail(scene, size):
        calls.append(scene)
        if len(calls) == 3:
            raise error
        return Image.new("RGB", size)

    monkeypatch.setattr(scenes_folder, "draw_scene", fail)
    with pytest.raises(error):
        draw_scenes(tmp_path / "scenes", per_label=2)
    assert len(calls) == 3
    assert not list(tmp_path.iterdir())
