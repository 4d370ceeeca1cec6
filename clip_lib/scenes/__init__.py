"""Drawn scenes: a stand-in for the photo archive, for demonstration and tests.

A scene is first described (`describe_scene`: a caption and its actors) and then drawn,
so a caption says only what its picture shows. The pictures are flat illustrations, not
photographs: what a model learns from them shows that the code works, not how well CLIP
does on the world.
"""

from clip_lib.scenes.describe import describe_scene
from clip_lib.scenes.drawing import draw_scene
from clip_lib.scenes.folder import LABELS, draw_scenes

__all__ = ["LABELS", "describe_scene", "draw_scene", "draw_scenes"]
