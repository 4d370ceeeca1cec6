"""Read the tables of the drawn scenes: ``sketches.toml`` and ``stories.toml``."""

import tomllib
from pathlib import Path


def _read(name: str) -> dict[str, dict[str, str]]:
    text = Path(__file__).with_name(name).read_text(encoding="utf-8")
    return tomllib.loads(text)


SKETCHES = _read("sketches.toml")
"""How everything looks: dog_poses, person_poses, things, skies, places, paints."""
STORIES = _read("stories.toml")
"""What is told: places, skies, nouns, details, extents and, by label, stories."""
