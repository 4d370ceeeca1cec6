"""Optional encoders that others, or we, trained before.

``import clip_lib.towers`` is all that `retrieval.search.Clip.load` needs to read the
tokenizer beside a model with a pretrained text encoder.
"""

from clip_lib import silence_tensorflow  # noqa: F401  Before TensorFlow is imported.

# isort: split
from clip_lib.towers import texts  # noqa: F401
