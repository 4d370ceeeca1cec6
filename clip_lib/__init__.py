"""A small CLIP for pictures and their captions, built with Keras."""

__version__ = "0.1.0"
