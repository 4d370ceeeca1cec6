"""Both encoders, CLIP, its loss and their files."""

from clip_lib import silence_tensorflow  # noqa: F401  Before what imports TensorFlow.
