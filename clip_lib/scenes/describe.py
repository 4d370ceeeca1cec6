"""Compose a scene and its caption together, so that the caption says what is shown."""

import random
import re

from clip_lib.scenes.drawing import SIDE, WATER, Actor, Scene
from clip_lib.scenes.sketches import SKETCHES, read_table

# place: standing there ; moving there
PLACES = read_table("""
park: in the park/on the grass/in a green park ; across the grass/through the park
meadow: in a field of flowers/in a meadow ; through a field of flowers/across a meadow
beach: on the beach/on the sand ; along the beach/across the sand
snow: in the snow/on a snowy field ; through the snow/across a snowy field
street: on the street/in front of colorful houses ; down the street/past some houses
woods: in the woods/in the forest ; through the woods/through the forest
mountain: in the mountains/on a mountain trail ; along a mountain trail/up a dirt path
garden: in the garden/by a white fence ; through the garden/past a white fence
shore: by the lake/near the water ; along the lake/along the shore
court: on the court ; across the court
lake: in the lake/in a calm lake ; across the lake/on the lake
sea: in the sea/in the ocean ; across the sea/on the ocean
river: in the river ; down the river
pool: in the pool/in a swimming pool ; across the pool
waterfall: in front of a waterfall/below a tall waterfall ; past a waterfall
""")
SKIES = read_table("""
day: 60 ; [///on a sunny day/under a blue sky/on a bright day]
sunset: 15 ; [/at sunset/in the evening]
gray: 15 ; [/on a cloudy day/under a gray sky]
night: 10 ; [/at night/under the night sky]
""")
# weight|places|caption with [choices] and {facts}|actors. An actor is kind, number,
# :pose, /extra, @lift in metres, "<" if it looks back; "&" puts two at one spot.
STORIES = {
    "dog": """
6|land|a {dog1} [runs/is running/races] {along} {sky}|dog1:run
3|land|a {dog1} [walks/is walking/trots] {along} {sky}|dog1:walk
3|land|a {dog1} [sits/is sitting] {on} {sky}|dog1:sit
2|land|a {dog1} [lies/rests/is lying down] {on} {sky}|dog1:lie
2|land|a {dog1} [jumps/leaps/is jumping] over a log {on}|log&dog1:run@.45
2|land|a {dog1} jumps to catch a {boat1} frisbee {on}|dog1:run@.35 disc1@1.15
2|land|a {dog1} [walks/trots] {along} with a stick in its mouth|dog1:walk/stick
2|land|two {dogs1} [run/play/race] {on} {sky}|dog1:run dog1:run
1|land|three {dogs1} [run/are running] {along}|dog1:run dog1:run dog1:run
2|land|a {dog1} [chases/runs after/follows] a {dog2} {along}|dog1:run dog2:run
2|land|a {dog1} and a {dog2} [sit/are sitting] {on} {sky}|dog1:sit dog2:sit<
3|land|a {who1} [walks/is walking] a {dog1} {along}|person1:walk/leash dog1:walk
1|land|a {dog1} [sits/waits] next to a {who1} {on}|dog1:sit person1:stand<
1|land|a {dog1} [sits/rests] next to a bench {on}|bench dog1:sit
2|land|a {dog1} [runs after/chases] a {ball1} {along}|dog1:run ball1
1|land|a {dog1} [sits/waits] next to a {bike1} {on}|dog1:sit bike1
2|lake sea|a {dog1} [swims/is swimming] {on} {sky}|dog1:run@-.5
""",
    "water": """
4|wet|a {person1} in a {hat1} cap [swims/is swimming] {on} {sky}|person1:swim/cap
2|wet|two [people/swimmers] [swim/are swimming] {on} {sky}|person1:swim/cap person2:swim
1|wet|two kids [splash/play] in the water {sky}|person1:jump@-.8 person2:jump@-.8
2|lake river|a {who1} [rows/is rowing] a {boat1} boat {along} {sky}|boat1:1
2|lake river|two people [row/sit in] a {boat1} boat {along} {sky}|boat1:2
3|lake sea|a sailboat with a {boat1} sail [glides/sails] {along} {sky}|sail1
1|lake sea|two [boats/sailboats] with {boat1} and {boat2} sails move {along}|sail1 sail2
2|sea|a surfer in a {shirt1} shirt rides a [big/huge] wave {sky}|surfer1
2|sea|a {person1} on a {boat1} surfboard rides a wave {sky}|surfer1
3|pool lake|a {who1} [jumps/is jumping] into the [water/{water}]|person1:jump@.35
2|lake sea|a {who1} stands in the [water/{water}] {sky}|person1:stand@-.55
2|lake river|a {duck1} duck [swims/floats] {along} {sky}|duck1
2|lake river|[two/a pair of] {duck1} ducks [swim/float] {along} {sky}|duck1 duck1
1|lake river|three {duck1} ducks swim {along} {sky}|duck1 duck1 duck1
3|waterfall|a {who1} [stands/is standing] {on}|person1:stand
1|waterfall|a {who1} and a {who2} look at a waterfall|person1:stand person2:stand<
2|park street garden|water [sprays/splashes] from a fountain {on} {sky}|fountain
2|park street garden|a {who1} stands near a fountain {on}|fountain person1:stand<
2|shore|a {who1} [fishes/is fishing] {on} {sky}|person1:hold/rod
2|lake sea|a {person1} and a {dog1} swim in the {water}|person1:swim dog1:run@-.5
1|shore|a {who1} [looks/stands] at the lake next to a {bike1}|person1:stand bike1
1|pool lake|a {person1} plays with a {ball1} in the {water}|person1:jump@-.8 ball1@.1
""",
    "ball": """
4|land|a {who1} [kicks/is kicking] a {ball1} {on} {sky}|person1:kick ball1@.25
3|land|a {who1} [chases/runs after] a {ball1} {along}|person1:run ball1
3|land|a {who1} throws a {ball1} to a {who2}|person1:throw ball1@1.5 person2:catch<
2|land|a {who1} throws a {ball1} into the air {on}|person1:throw ball1@1.5
3|land|a {who1} [holds/is holding/carries] a {ball1} {on}|person1:hold/ball1
2|land|a {who1} [tries to catch/reaches for] a {ball1} {on}|person1:catch ball1@1.45
3|land|a {ball1} [lies/rests/is lying] {on} {sky}|ball1
2|land|a {ball1} and a {ball2} [lie/are lying] {on} {sky}|ball1 ball2
1|land|three balls [lie/rest] {on} , [one is/including] a {ball1}|ball2 ball1 ball3
3|court|a {who1} throws a basketball at the hoop|person1:throw basketball@1.6 hoop
3|court|a {who1} hits a tennis ball over the net|person1:throw/racket tennis@1.7 net
3|park|a {who1} kicks a soccer ball [at/toward] the goal|person1:kick soccer@.2 goal
3|park|players in {shirt1} and {shirt2} run to the ball|person1:run soccer person2:run<
2|land|a {dog1} and a {person1} play with a {ball1} {on}|person1:kick ball1@.2 dog1:run<
1|land|a {person1} throws a {ball1} for a {dog1} {on}|person1:throw ball1@1.4 dog1:sit<
1|land|a {ball1} lies next to a {bike1} {on}|bike1 ball1
1|pool|a {who1} throws a {ball1} in the pool|person1:jump@-.8 ball1@.9
""",
    "bike": """
6|land|a {who1} [rides/is riding/pedals] a {bike1} {along}|rider1
4|land|a cyclist in a {hat1} helmet [rides/is riding] {along} {sky}|rider1/helmet
2|land|a {person1} wearing a {hat1} helmet rides a {bike1} {along}|rider1/helmet
3|land|two [people/cyclists] ride {bikes1} {along} {sky}|rider1 rider2
2|land|a {who1} and a {who2} ride [bikes/bicycles] {along}|rider1 rider2
1|land|three [people/cyclists] ride [bikes/bicycles] {along} {sky}|rider1 rider2 rider3
4|land|a {bike1} [stands/is parked] {on} {sky}|bike1
2|land|a {bike1} with a basket of flowers [stands/is parked] {on}|bike1/basket
2|land|a {bike1} and a {bike2} [stand/are parked] {on}|bike1 bike2
1|land|a {bike1} is parked next to a bench {on}|bench bike1
3|land|a {who1} stands [next to/beside] a {bike1} {on}|person1:stand bike1
4|land|a {person1} on a {bike1} [jumps/flies] over a ramp {on}|ramp&rider1/helmet@.6
3|land|a {dog1} runs [behind/after] a {person1} on a {bike1}|dog1:run rider1
1|land|a {person1} rides a {bike1} past a {ball1} {on}|rider1 ball1
""",
}
LONGEST = 20  # words of a caption
GROUPS = {
    "land": "park meadow beach snow street woods mountain garden shore",
    "wet": "lake sea river pool",
}
NOUNS = read_table("""
man: man/guy
woman: woman/lady
boy: boy/kid
girl: girl/child
""")
BUILDS = {"": 0.74, "big": 0.86, "small": 0.6, "puppy": 0.56}  # of dogs: their size
# Drawn without repetition within a scene: "red ball and a red ball" says little.
_BRIGHT = "red blue yellow green orange purple pink"
DISTINCT = dict.fromkeys(("shirt", "hat", "bike", "boat"), f"{_BRIGHT} white black")
DISTINCT["coat"] = "black white brown tan golden gray white-black white-brown"
DISTINCT["ball"] = f"{_BRIGHT} soccer tennis beach"
DETAILS = read_table("""
skin: #f3c9a5 #d9a074 #a86d45 #7a4a30
hair: #2c2420 #5a3a22 #a8702c #d8b060
trousers: #3a4a70 #4a4a52 #7a6448 #2f5a5a
shoes: #3a3438
duck: white yellow brown
collar: red blue green
ears: floppy pointed
""")
# width, height (metres) and largest scale (units per metre) of a kind, a pose, an extra
EXTENTS = read_table("""
person: .95 1.8 84
swim: 1.6 .5 88
jump: .95 2.1 84
rod: 2.5 1.9 76
rider: 1.8 1.8 80
bike: 1.8 1.15 92
dog: 1.3 .95 136
ball: .46 .34 190
disc: .5 .2 136
boat: 2.4 1 74
sail: 2.1 2.4 58
surfer: 3.4 2.1 60
duck: 1 .6 90
fountain: 2.1 1.8 64
hoop: .9 2.5 99
goal: 1.8 1.2 99
net: 1.8 .7 99
bench: 1.6 .9 99
""")


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
        look |= {part: rng.choice(names.split()) for part, names in DETAILS.items()}
        # A plural in the story ("two {dogs1}") makes all of them alike.
        look["coat"] = drawn["coat"][0 if "{dogs1}" in story else n]
        look["bike"] = drawn["bike"][0 if "{bikes1}" in story else n]
        look["coat"], _, patch = look["coat"].partition("-")
        look["patch"] = patch or look["coat"]
        build = "" if "{dogs1}" in story else rng.choice(("", "", *BUILDS))
        person = rng.choice(list(NOUNS)[2 if "kids" in story else 0 :])
        child = person in ("boy", "girl")
        fur = f"{patch} and {look['coat']}" if patch else look["coat"]
        dog = f"{fur} puppy" if build == "puppy" else f"{build} {fur} dog"
        named = {
            "person": f"[{NOUNS[person]}]",
            "who": f"[{NOUNS[person]}] [in/wearing] a {look['shirt']} [shirt/top]",
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
        sketch = look["ball"] if look["ball"] in SKETCHES else "ball"
        own["ball"] = look | {"sketch": sketch}
        looks |= {f"{kind}{n + 1}": its for kind, its in own.items()}
    return facts, looks


def _arrange(rng, cast, looks, afloat):
    """Place the actors next to each other, as large as the picture allows."""
    token = re.compile(r"([a-z]+)(\d?):?(\w*)/?(\w*)@?([-.\d]*)(<?)")
    slots = [
        [token.fullmatch(name).groups() for name in slot.split("&")]
        for slot in cast.split()
    ]
    extents = []  # of the last actor of a slot; the first one may only lie below it
    for *_, (kind, _, pose, extra, lift, _) in slots:
        names = [name for name in (extra, pose, kind, "ball") if name in EXTENTS]
        width, height, largest = map(float, EXTENTS[names[0]].split())
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
    rows = [row.split("|") for row in STORIES[label].strip().splitlines()]
    _, places, story, cast = rng.choices(rows, [int(row[0]) for row in rows])[0]
    place = rng.choice(GROUPS.get(places, places).split())
    weights = [int(row.split(";")[0]) for row in SKIES.values()]
    sky = rng.choices(list(SKIES), weights)[0]
    hidden = place in ("woods", "waterfall")  # little of the sky is seen
    sky, when = ("day", "") if hidden else (sky, SKIES[sky].split(";")[1])
    standing, moving = PLACES[place].split(" ; ")
    facts, looks = _invent(rng, story)
    facts |= {"on": f"[{standing}]", "along": f"[{moving}]"}
    facts |= {"water": place, "sky": when}
    caption = _say(rng, story, facts)
    while len(caption.split()) > LONGEST:  # other choices say less
        caption = _say(rng, story, facts)
    caption = caption[0].upper() + caption[1:] + (" ." if rng.random() < 0.85 else "")
    return Scene(key, caption, place, sky, _arrange(rng, cast, looks, place in WATER))
