"""The drawn scenes: laid out like the photo archive, repeatable, truly captioned."""

import dataclasses
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageColor

from clip_lib.errors import ClipError
from clip_lib.scenes import folder as scenes_folder
from clip_lib.scenes.describe import describe_scene
from clip_lib.scenes.drawing import COLOURS, SIDE, draw_scene
from clip_lib.scenes.folder import LABELS, draw_scenes

WORDS = {"dog": "dog|puppy", "ball": "ball", "bike": "bike|bicycle|cyclist"}
COUNTS = {"two": 2, "pair": 2, "three": 3}


@pytest.fixture(scope="module")
def everything():
    """The 600 scenes of the default data set, described but not drawn."""
    return [
        (label, describe_scene(label, n + 1)) for label in LABELS for n in range(150)
    ]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A small data set, drawn once."""
    return draw_scenes(tmp_path_factory.mktemp("drawn") / "scenes", per_label=2)


def tree(folder):
    """Return the content of a folder, as {relative path: bytes}."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_layout_is_that_of_the_archive(drawn):
    rows = pd.read_csv(drawn / "captions.csv")
    assert list(rows.columns) == ["image_path", "label", "caption"]
    names = [(label, f"{label}_{n:03d}") for label in LABELS for n in (1, 2)]
    for row, (label, name) in zip(rows.itertuples(), names, strict=True):
        assert row[1:3] == (f"images/{label}/{name}.jpg", label)
        assert (drawn / f"captions/{name}.txt").read_text("utf-8") == row.caption
        with Image.open(drawn / row.image_path) as picture:
            assert (picture.format, picture.size) == ("JPEG", (224, 224))
            assert np.asarray(picture).std() > 10


def test_the_seed_says_everything_and_fewer_scenes_are_a_prefix(drawn, tmp_path):
    one = tree(draw_scenes(tmp_path / "one", per_label=1))
    shared = [name for name in one if "/" in name]
    assert len(shared) == 2 * len(LABELS)
    assert all(one[name] == tree(drawn)[name] for name in shared)
    other = tree(draw_scenes(tmp_path / "other", per_label=1, seed=7))
    assert all(one[name] != other[name] for name in shared)


def test_captions_are_well_formed_and_say_what_is_there(everything):
    captions = [scene.caption for _, scene in everything]
    assert len(set(captions)) >= 0.95 * len(captions)
    assert 120 <= len(set(" ".join(captions).lower().split())) <= 250
    counted = 0
    for label, scene in everything:
        caption = scene.caption
        assert re.fullmatch(r"[A-Z][a-z]*( [a-z]+| ,)*( \.)?", caption), caption
        assert 6 <= len(re.findall(r"\w+", caption)) <= 20, caption
        assert not re.search(r"\b(left|right|a [aeiou]\w*|an [^aeiou]\w*)\b", caption)
        assert re.search(WORDS.get(label, ""), caption.lower()), caption
        for actor in scene.actors:
            reach = actor.width * actor.scale * 0.45
            assert reach < actor.x < SIDE - reach, caption
            assert SIDE / 2 < actor.y < SIDE, caption
        if count := COUNTS.get(re.match(r"(A )?(\w+)", caption)[2].lower()):
            crew = sum(len(actor.look.get("crew", ())) for actor in scene.actors)
            assert count == (crew or len(scene.actors)), caption
            counted += 1
    assert counted > 20


@pytest.mark.parametrize(
    ("label", "part"), [("dog", "coat"), ("ball", "ball"), ("bike", "bike")]
)
def test_named_colours_are_those_of_the_picture(everything, label, part):
    checked = 0
    for _, scene in everything:
        found = re.search(rf"\b(?<!and )(\w+) ({WORDS[label]})\b", scene.caption)
        actors = [actor for actor in scene.actors if actor.kind == label]
        if found and found[1] in COLOURS and len(actors) == 1 and checked < 6:
            checked += 1
            other = "purple" if found[1] != "purple" else "orange"
            changed = dataclasses.replace(
                actors[0], look=actors[0].look | {part: other}
            )
            cast = [changed if actor is actors[0] else actor for actor in scene.actors]
            repainted = dataclasses.replace(scene, actors=tuple(cast))
            own = ImageColor.getrgb(COLOURS[found[1]])
            # Pixels that keep this colour belong to other objects.
            here, left = (
                np.abs(np.asarray(draw_scene(each), int) - own).max(-1)
                for each in (scene, repainted)
            )
            assert (here < 12).sum() - (left < 12).sum() > 60, scene.caption
    assert checked == 6


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
    def draw(scene, calls=iter([Image.new("RGB", (9, 9))])):  # noqa: B008
        if (picture := next(calls, None)) is None:
            raise KeyboardInterrupt
        return picture

    monkeypatch.setattr(scenes_folder, "draw_scene", draw)
    (tmp_path / "scenes").mkdir()  # Empty: it would be used.
    with pytest.raises(KeyboardInterrupt):
        draw_scenes(tmp_path / "scenes", per_label=1)
    assert [path.name for path in tmp_path.rglob("*")] == ["scenes"]
