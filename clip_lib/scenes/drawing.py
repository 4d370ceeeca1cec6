"""Draw a described scene with Pillow, from its sketches."""

import math
import random
import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageColor, ImageDraw

from clip_lib.scenes.tables import SKETCHES

THINGS = SKETCHES["things"]
SIDE = 224  # scenes are composed on SIDE x SIDE units, drawn FINE times larger
FINE = 2
INK = (52, 44, 62)
_PALETTE = """red #da2c30 blue #2660d6 yellow #fad028 green #1f9a4a orange #f57e20
purple #803eb0 pink #f482b2 white #f8f8f6 black #2c2a32 brown #84502c tan #d8aa70
golden #eeaa38 gray #8c8e96"""
COLOURS = dict(re.findall(r"(\w+) (#\w+)", _PALETTE))
WATER = ("lake", "sea", "river", "pool")


@dataclass(frozen=True)
class Actor:
    """One thing in a scene: ``x``, ``y`` in scene units, ``scale`` units per metre."""

    kind: str
    pose: str
    look: dict
    x: float
    y: float
    lift: float
    scale: float
    width: float
    flip: bool


@dataclass(frozen=True)
class Scene:
    """What a picture shows; ``key`` seeds the details of which no caption speaks."""

    key: str
    caption: str
    place: str
    sky: str
    actors: tuple[Actor, ...]


@lru_cache(maxsize=4096)
def _outline(kind, text):
    """Return the points of a shape, (number, 2), in the object's units."""
    points = np.array([pair.split(",") for pair in text.split()], dtype=float)
    if kind in ("oval", "ring"):
        angle = np.linspace(0, 2 * math.pi, 29)[:, None]
        points = points[0] + points[1] * np.hstack([np.cos(angle), np.sin(angle)])
    elif kind == "blob":  # closed Catmull-Rom: organic outlines from a few points
        before, after, beyond = (np.roll(points, step, 0) for step in (1, -1, -2))
        t = (np.arange(6) / 6)[:, None, None]
        curve = points + t / 2 * (after - before)
        curve = curve + t**2 * (before - 2.5 * points + 2 * after - beyond / 2)
        curve = curve + t**3 * (1.5 * (points - after) + (beyond - before) / 2)
        points = curve.transpose(1, 0, 2).reshape(-1, 2)
    return points


def _mix(colour, other, share):
    mixed = [int(a + (b - a) * share) for a, b in zip(colour, other, strict=False)]
    return (*mixed, *colour[3:])  # an alpha channel stays as it is


class Pen:
    """Collects the shapes of one object; draws all outlines, then all fills.

    That order leaves one clean line around the whole silhouette.
    """

    def __init__(self, image, x, y, scale, flip=False, tilt=0.0, tint=(INK, 0.0)):
        self.draw = ImageDraw.Draw(image, "RGBA")
        self.scale, self.tint, self.shapes = scale * FINE, tint, []
        cosine, sine = math.cos(math.radians(tilt)), math.sin(math.radians(tilt))
        mirror = -1 if flip else 1
        self.turn = np.array([[mirror * cosine, -sine], [-mirror * sine, -cosine]])
        self.origin = np.array([x, y]) * FINE

    def sketch(self, text, look=None, base=(0.0, 0.0)):
        """Add the shapes of a sketch; ``look`` maps its colour names to colours."""
        shift, zoom = 0.0, 1.0
        for command in filter(str.strip, text.split(";")):
            kind, *words = command.split()
            if kind == "at":
                shift, zoom = _outline(kind, words[0]), float(words[1])
                continue
            width = float(words.pop(1)) * zoom if kind in ("limb", "ring") else 0.0
            points = _outline(kind, " ".join(words[1:])) * zoom + shift + base
            points = points * self.scale @ self.turn + self.origin
            name = words[0].rstrip("+-")
            name = (look or {}).get(name, name)
            colour = ImageColor.getrgb(COLOURS.get(name, name))
            if words[0][-1] in "+-":
                colour = _mix(colour, (255,) * 3 if words[0][-1] == "+" else INK, 0.3)
            colour = _mix(colour, *self.tint)
            self.shapes.append((colour, list(map(tuple, points)), width * self.scale))
        return self

    def finish(self, ink=None):
        """Draw what was collected, with a line of colour ``ink`` around it, if any."""
        for outline in (2 * FINE, 0) if ink else (0,):
            for colour, points, width in self.shapes:
                fill = ink if outline else colour
                if not width and not outline:
                    self.draw.polygon(points, fill)
                    continue
                stroke = max(1, round(width + outline))
                self.draw.line(points + points[:2] * (not width), fill, stroke, "curve")
                for x, y in (points[0], points[-1]) if width and stroke > 3 else ():
                    radius = stroke / 2 - 0.5
                    box = (x - radius, y - radius, x + radius, y + radius)
                    self.draw.ellipse(box, fill)


def _gradient(image, top, bottom, first, last):
    part = np.linspace(0, 1, last - first)[:, None]
    column = (np.array(top) * (1 - part) + np.array(bottom) * part).astype(np.uint8)
    rows = np.repeat(column[:, None], image.width, axis=1)
    image.paste(Image.fromarray(rows), (0, first))


def _draw_place(image, place, sky, rng):
    """Paint sky, ground and everything behind the actors."""
    ground, sketch, scatter = SKETCHES["places"][place].split("|")
    horizon = rng.randint(104, 116) - 22 * (place in WATER)
    light, things = SKETCHES["skies"][sky].split("|")
    top, bottom, tint = map(ImageColor.getrgb, light.split()[:3])
    tint = tint, float(light.split()[3])
    _gradient(image, top, bottom, 0, horizon * FINE)
    for name, *numbers in map(str.split, things.split(",")):
        count, size, low, high = map(int, numbers)
        for _ in range(count):
            pen = Pen(image, rng.uniform(8, SIDE - 8), rng.uniform(low, high), size)
            pen.sketch(THINGS[name]).finish()
    ends = [_mix(ImageColor.getrgb(end), *tint) for end in ground.split()]
    _gradient(image, *ends, horizon * FINE, SIDE * FINE)
    Pen(image, 0, horizon, 1, tint=tint).sketch(sketch).finish()
    for name, *numbers in map(str.split, scatter.split(",")):
        count, low, high, small, large = map(int, numbers)
        # A range without width means a regular row, such as houses or a fence.
        loose = 0.45 * ((low, small) != (high, large))
        for depth, slot in sorted((rng.uniform(low, high), n) for n in range(count)):
            x = (slot + 0.5 + rng.uniform(-loose, loose)) * SIDE / count
            size = small + (large - small) * (depth - low) / max(high - low, 1)
            look = {
                part: rng.choice(codes.split())
                for part, codes in SKETCHES["paints"].items()
            }
            pen = Pen(image, x, horizon + depth, size, tint=tint)
            pen.sketch(THINGS[name], look).finish()


def _figure(kind, pose, look, seat=""):
    """Return the sketch of a person or a dog in a pose, astride ``seat`` if any."""
    paths = [path.strip() for path in pose.split("|")]
    halves = [" ".join(path.split()[:2]) for path in paths]
    ends = [path.split()[-1] for path in paths]
    names = ("hair_cut", "hat_kind", "ears", "extra")
    parts = {name: THINGS.get(look.get(name), "") for name in names}
    parts |= {"seat": seat, "zoom": look["zoom"]}
    return THINGS[kind].format(*paths, *halves, *ends, **parts)


def _draw_actor(image, actor, afloat):
    look, kind = actor.look, actor.kind
    layer = image.copy() if afloat else image
    size = actor.scale * look.get("size", 1)
    height = actor.y - actor.lift * (actor.scale if actor.lift > 0 else size)
    tilt = 14 * (actor.lift > 0 and kind in ("dog", "rider"))
    half = actor.width / 2
    if not afloat:
        shadow = f"oval #08184038 0,.02 {half * 0.92},.08"
        Pen(image, actor.x, actor.y, size).sketch(shadow).finish()
    pen = Pen(layer, actor.x, height, size, actor.flip, tilt)
    if kind == "dog":
        pen.sketch(_figure(kind, SKETCHES["dog_poses"][actor.pose], look), look)
    elif kind in ("person", "rider"):
        seat = THINGS["bike"] if kind == "rider" else ""
        pen.sketch(
            _figure("person", SKETCHES["person_poses"][actor.pose], look, seat), look
        )
    else:
        for seat, rower in enumerate(look.get("crew", ())):
            pose = _figure("person", SKETCHES["person_poses"]["row"], rower)
            pen.sketch(pose, rower, (-0.1 - 0.7 * seat, 0.1))
        names = look.get("sketch", kind), look.get("extra")
        pen.sketch(";".join(THINGS.get(name, "") for name in names), look)
        if kind == "surfer":
            rider = _figure("person", SKETCHES["person_poses"]["surf"], look)
            pen.sketch(rider, look, (0.1, 0.45))
    pen.finish(INK)
    if afloat:  # what is under water shines through a little
        line, side = round(actor.y * FINE), SIDE * FINE
        image.paste(layer.crop((0, 0, side, line)))
        below = (0, line, side, side)
        image.paste(Image.blend(image.crop(below), layer.crop(below), 0.3), below)
        foam = f"oval #ffffff88 0,0 {half},.03; oval #ffffff66 0,-.1 {half * 0.7},.02"
        Pen(image, actor.x, actor.y, actor.scale).sketch(foam).finish()


def draw_scene(scene: Scene) -> Image.Image:
    """Return the RGB picture of a scene, ``SIDE`` pixels wide and high."""
    image = Image.new("RGB", (SIDE * FINE, SIDE * FINE))
    _draw_place(image, scene.place, scene.sky, random.Random(scene.key))
    for actor in scene.actors:
        _draw_actor(image, actor, scene.place in WATER)
    return image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
