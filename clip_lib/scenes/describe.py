"""Compose a scene and its caption together, so that the caption says what is shown."""

import random
import re

from clip_lib.scenes.drawing import SIDE, WATER, Actor, Scene
from clip_lib.scenes.tables import SKETCHES, STORIES

LONGEST = 20  # words of a caption
GROUPS = {
    "land": "park meadow beach snow street woods mountain garden shore",
    "wet": "lake sea river pool",
}
BUILDS = {"": 0.74, "big": 0.86, "small": 0.6, "puppy": 0.56}  # of dogs: their size
# Drawn without repetition within a scene: "red ball and a red ball" says little.
_BRIGHT = "red blue yellow green orange purple pink"
DISTINCT = dict.fromkeys(("shirt", "hat", "bike", "boat"), f"{_BRIGHT} white black")
DISTINCT["coat"] = "black white brown tan golden gray white-black white-brown"
DISTINCT["ball"] = f"{_BRIGHT} soccer tennis beach"


def _say(rng, text, facts):
    """Fill a caption template: [one/of/these] and {facts}, which may hold choices."""
    pick = re.compile(r"\[([^][{}]*)\]")
    while "{" in text or "[" in text:
        text = pick.sub(lambda found: rng.choice(found[1].split("/")), text)
        text = re.sub(r"\{(\w+)\}", lambda found: facts[found[1]], text)
    return re.sub(r"\ba (?=[aeiou])", "an ", " ".join(text.split()))


def _invent(rng, story):
    """Return words and looks of every person, dog, ball ... a story may name."""
    facts, looks = {}, {}
    drawn = {kind: rng.sample(names.split(), 3) for kind, names in DISTINCT.items()}
    for n in range(3):
        look = {kind: names[n] for kind, names in drawn.items()}
        look |= {
            part: rng.choice(names.split())
            for part, names in STORIES["details"].items()
        }
        # A plural in the story ("two {dogs1}") makes all of them alike.
        look["coat"] = drawn["coat"][0 if "{dogs1}" in story else n]
        look["bike"] = drawn["bike"][0 if "{bikes1}" in story else n]
        look["coat"], _, patch = look["coat"].partition("-")
        look["patch"] = patch or look["coat"]
        build = "" if "{dogs1}" in story else rng.choice(("", "", *BUILDS))
        person = rng.choice(list(STORIES["nouns"])[2 if "kids" in story else 0 :])
        noun = STORIES["nouns"][person]
        child = person in ("boy", "girl")
        fur = f"{patch} and {look['coat']}" if patch else look["coat"]
        dog = f"{fur} puppy" if build == "puppy" else f"{build} {fur} dog"
        named = {
            "person": f"[{noun}]",
            "who": f"[{noun}] [in/wearing] a {look['shirt']} [shirt/top]",
            "dog": f"{dog} [////with a {look['collar']} collar]",
            "dogs": f"{fur} dogs",
            "ball": f"{look['ball']} ball",
            "bike": f"{look['bike']} [bike/bicycle]",
            "bikes": f"{look['bike']} [bikes/bicycles]",
        }
        facts |= {f"{kind}{n + 1}": words for kind, words in (look | named).items()}
        sizes = {"size": 0.76, "zoom": 1.3} if child else {"size": 1.0, "zoom": 1.0}
        sizes["hair_cut"] = "long" if person in ("woman", "girl") else ""
        own = dict.fromkeys(("bike", "boat", "sail", "disc", "duck"), look)
        own |= dict.fromkeys(("person", "rider", "surfer"), look | sizes)
        zoom = 1.25 if build == "puppy" else 1.0
        own["dog"] = look | {"size": BUILDS[build], "zoom": zoom}
        sketch = look["ball"] if look["ball"] in SKETCHES["things"] else "ball"
        own["ball"] = look | {"sketch": sketch}
        looks |= {f"{kind}{n + 1}": its for kind, its in own.items()}
    return facts, looks


def _arrange(rng, cast, looks, afloat):
    """Place the actors next to each other, as large as the picture allows."""
    known = STORIES["extents"]
    token = re.compile(r"([a-z]+)(\d?):?(\w*)/?(\w*)@?([-.\d]*)(<?)")
    slots = [
        [token.fullmatch(name).groups() for name in slot.split("&")]
        for slot in cast.split()
    ]
    extents = []  # Of the last actor of a slot: the first may only lie below it.
    for *_, (kind, _, pose, extra, lift, _) in slots:
        names = (name for name in (extra, pose, kind, "ball") if name in known)
        width, height, largest = map(float, known[next(names)].split())
        extents.append((width, height + max(0, float(lift or 0)), largest))
    widths, heights, largest = zip(*extents, strict=True)
    scale = min(200 / sum(widths), 165 / max(heights), *largest)
    scale *= rng.uniform(0.85, 1.0)
    edge = 6 + rng.uniform(0.15, 0.85) * (SIDE - 12 - sum(widths) * scale)
    flip = rng.random() < 0.5
    base = rng.uniform(144, 168) if afloat else rng.uniform(184, 206)
    actors = []
    for slot, width in zip(slots, widths, strict=True):
        x, y = edge + width * scale / 2, base + rng.uniform(-5, 5) * (len(slots) > 1)
        x, edge = SIDE - x if flip else x, edge + width * scale
        for kind, number, pose, extra, lift, back in slot:
            look = dict(looks.get(kind + number, {}))
            if kind == "boat":
                look["crew"] = [looks["person1"], looks["person2"]][: int(pose)]
            look |= looks.get(extra, {})  # a ball in the hand brings its own colours
            part = "hat_kind" if extra in ("helmet", "cap") else "extra"
            look[part] = looks.get(extra, {}).get("sketch", extra)
            pose = "ride" if kind == "rider" else pose
            place = (x, y, float(lift or 0), scale, width)
            actors.append(Actor(kind, pose, look, *place, flip != bool(back)))
    return tuple(actors)


def describe_scene(label: str, number: int, seed: int = 42) -> Scene:
    """Compose one scene, without drawing it.

    Args:
        label: One of "dog", "water", "ball" and "bike".
        number: Number of the scene within its label, from 1.
        seed: Seed of the whole data set.

    Returns:
        The scene; equal arguments give equal scenes.
    """
    key = f"{seed}-{label}-{number}"
    rng = random.Random(key)
    rows = [row.split("|") for row in STORIES["stories"][label].strip().splitlines()]
    _, places, story, cast = rng.choices(rows, [int(row[0]) for row in rows])[0]
    place = rng.choice(GROUPS.get(places, places).split())
    weights = [int(row.split(";")[0]) for row in STORIES["skies"].values()]
    sky = rng.choices(list(STORIES["skies"]), weights)[0]
    hidden = place in ("woods", "waterfall")  # little of the sky is seen
    sky, when = ("day", "") if hidden else (sky, STORIES["skies"][sky].split(";")[1])
    standing, moving = STORIES["places"][place].split(" ; ")
    facts, looks = _invent(rng, story)
    facts |= {"on": f"[{standing}]", "along": f"[{moving}]"}
    facts |= {"water": place, "sky": when}
    caption = _say(rng, story, facts)
    while len(caption.split()) > LONGEST:  # other choices say less
        caption = _say(rng, story, facts)
    caption = caption[0].upper() + caption[1:] + (" ." if rng.random() < 0.85 else "")
    return Scene(key, caption, place, sky, _arrange(rng, cast, looks, place in WATER))
