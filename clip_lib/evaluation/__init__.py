"""Metrics beside chance, and what the model learned."""

from clip_lib import silence_tensorflow  # noqa: F401  Before TensorFlow is imported.
