"""Query a trained CLIP."""

from clip_lib import silence_tensorflow  # noqa: F401  Before TensorFlow is imported.
