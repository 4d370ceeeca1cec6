"""Figures and tables, in French, for the notebook and the report."""

from clip_lib import silence_tensorflow  # noqa: F401  Before TensorFlow is imported.
