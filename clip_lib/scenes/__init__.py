"""Drawn scenes: a stand-in for the photo archive, for demonstration and tests.

A scene is first described (`describe_scene`: a caption and its actors) and then drawn,
so a caption says only what its picture shows. The pictures are flat illustrations, not
photographs: what a model learns from them shows that the code works, not how well CLIP
does on the world.
"""
