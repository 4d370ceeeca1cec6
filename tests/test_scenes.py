"""The drawn scenes: laid out like the photo archive, repeatable, truly captioned."""

import csv
import dataclasses
import re

import numpy as np
import pytest
from PIL import Image

from clip_lib.errors import ClipError
from clip_lib.scenes import LABELS, describe_scene, draw_scene, draw_scenes
from clip_lib.scenes import folder as scenes_folder
from clip_lib.scenes.drawing import COLOURS, SIDE

NUMBERS = range(1, 151)
COUNTS = {"two": 2, "pair": 2, "three": 3}


@pytest.fixture(scope="module")
def everything():
    """The 600 scenes of the default data set, described but not drawn."""
    return {(label, n): describe_scene(label, n) for label in LABELS for n in NUMBERS}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A small data set, drawn once."""
    return draw_scenes(tmp_path_factory.mktemp("drawn") / "scenes", per_label=2)


def read_rows(folder):
    with open(folder / "captions.csv", encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def tree(folder):
    """Return the content of a folder, as {relative path: bytes}."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_layout_is_that_of_the_archive(drawn):
    header, *rows = read_rows(drawn)
    assert header == ["image_path", "label", "caption"]
    names = [(label, f"{label}_{n:03d}") for label in LABELS for n in (1, 2)]
    for (path, label, caption), (of, name) in zip(rows, names, strict=True):
        assert (path, label) == (f"images/{of}/{name}.jpg", of)
        assert (drawn / f"captions/{name}.txt").read_text("utf-8") == caption
        with Image.open(drawn / path) as picture:
            assert (picture.format, picture.mode) == ("JPEG", "RGB")
            assert picture.size == (224, 224) and np.asarray(picture).std() > 10


def test_the_seed_says_everything_and_fewer_scenes_are_a_prefix(drawn, tmp_path):
    one = tree(draw_scenes(tmp_path / "one", per_label=1))
    shared = [name for name in one if "/" in name]
    assert len(shared) == 2 * len(LABELS)
    assert all(one[name] == tree(drawn)[name] for name in shared)
    other = draw_scenes(tmp_path / "other", per_label=2, seed=7)
    pairs = zip(read_rows(other)[1:], read_rows(drawn)[1:], strict=True)
    assert all(one[2] != two[2] for one, two in pairs)


def test_captions_are_well_formed_and_speak_of_their_label(everything):
    captions = [scene.caption for scene in everything.values()]
    for caption in captions:
        assert re.fullmatch(r"[A-Z][a-z]*( [a-z]+| ,)*( \.)?", caption), caption
        assert 6 <= len(re.findall(r"\w+", caption)) <= 20, caption
        assert not re.search(r"\b(left|right|a [aeiou]\w*|an [^aeiou]\w*)\b", caption)
    assert len(set(captions)) >= 0.95 * len(captions)
    assert 120 <= len(set(" ".join(captions).lower().split())) <= 250
    words = {"dog": "dog|puppy", "ball": "ball", "bike": "bike|bicycle|cyclist"}
    for (label, _), scene in everything.items():
        assert re.search(words.get(label, ""), scene.caption.lower()), scene.caption


def test_actors_are_inside_the_picture_and_as_many_as_is_said(everything):
    checked = 0
    for scene in everything.values():
        for actor in scene.actors:
            reach = actor.width * actor.scale * 0.45
            assert reach < actor.x < SIDE - reach, scene.caption
            assert SIDE / 2 < actor.y < SIDE, scene.caption
        count = COUNTS.get(re.match(r"(A )?(\w+)", scene.caption)[2].lower())
        if count:
            checked += 1
            crew = sum(len(actor.look.get("crew", ())) for actor in scene.actors)
            assert count == (crew or len(scene.actors)), scene.caption
    assert checked > 20


@pytest.mark.parametrize(
    ("label", "noun", "part"),
    [("dog", "dog|puppy", "coat"), ("ball", "ball", "ball"), ("bike", "bike", "bike")],
)
def test_named_colours_are_those_of_the_picture(everything, label, noun, part):
    checked = 0
    for n in NUMBERS:
        scene = everything[label, n]
        found = re.search(rf"\b(?<!and )(\w+) ({noun})\b", scene.caption)
        actors = [actor for actor in scene.actors if actor.kind == label]
        if found and found[1] in COLOURS and len(actors) == 1 and checked < 6:
            checked += 1
            other = "purple" if found[1] != "purple" else "orange"
            look = actors[0].look | {part: other}
            changed = dataclasses.replace(actors[0], look=look)
            cast = [changed if actor is actors[0] else actor for actor in scene.actors]
            repainted = dataclasses.replace(scene, actors=tuple(cast))
            # Only the thing itself changes colour: what is left of it is elsewhere.
            here, left = (
                np.abs(np.asarray(draw_scene(each), int) - COLOURS[found[1]]).max(-1)
                for each in (scene, repainted)
            )
            assert (here < 12).sum() - (left < 12).sum() > 60, scene.caption
    assert checked >= 5


def test_a_folder_that_is_there_is_left_as_it_is(drawn, tmp_path, monkeypatch):
    (tmp_path / "mine.txt").write_text("mine")
    monkeypatch.setattr(scenes_folder, "draw_scene", lambda _: pytest.fail("drawn"))
    before = tree(drawn)
    assert draw_scenes(drawn, per_label=2) == drawn
    for folder, changed in ((drawn, {"seed": 1}), (drawn, {}), (tmp_path, {})):
        with pytest.raises(ClipError, match=f"{re.escape(str(folder))} is not empty"):
            draw_scenes(folder, **changed)
    assert tree(drawn) == before and tree(tmp_path) == {"mine.txt": b"mine"}


def test_an_interruption_leaves_nothing(tmp_path, monkeypatch):
    calls = iter([Image.new("RGB", (9, 9)), Image.new("RGB", (9, 9))])

    def draw(scene):
        if (picture := next(calls, None)) is None:
            raise KeyboardInterrupt
        return picture

    monkeypatch.setattr(scenes_folder, "draw_scene", draw)
    (tmp_path / "scenes").mkdir()  # Empty: it would be used.
    with pytest.raises(KeyboardInterrupt):
        draw_scenes(tmp_path / "scenes", per_label=2)
    assert [path.name for path in tmp_path.iterdir()] == ["scenes"] and not tree(
        tmp_path
    )
