"""One way to train, for the notebook, the command line and the benchmarks."""

from clip_lib import silence_tensorflow  # noqa: F401  Before TensorFlow is imported.
