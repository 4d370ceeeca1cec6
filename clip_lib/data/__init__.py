"""Captioned pictures: find, read, check, split and stream them."""

from clip_lib import silence_tensorflow  # noqa: F401  Before what imports TensorFlow.
