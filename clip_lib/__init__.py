"""A small CLIP for pictures and their captions, built with Keras.

The modules follow the order in which the notebook uses them, and import only what
stands before them::

    config -> data -> text -> batches -> encoders -> losses -> clip -> train
           -> retrieval -> evaluate -> plots

``import clip_lib`` is all that ``keras.saving.load_model`` needs in order to read
the models saved by this project: it registers its own layers and optimiser.
"""

from clip_lib import quiet  # noqa: F401  First: it silences TensorFlow's start-up.
from clip_lib.config import Config
from clip_lib.losses import ContrastiveLoss
from clip_lib.optimizer import WholeBatchAdamW
from clip_lib.replicas import WholeBatchNormalization
from clip_lib.second_order import SecondOrderPooling

__version__ = "0.1.0"
__all__ = [
    "Config",
    "ContrastiveLoss",
    "SecondOrderPooling",
    "WholeBatchAdamW",
    "WholeBatchNormalization",
]
