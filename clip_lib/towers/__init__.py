"""Optional encoders that others, or we, trained before."""

from clip_lib import silence_tensorflow  # noqa: F401  Before TensorFlow is imported.
