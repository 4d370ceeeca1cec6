"""A small CLIP for pictures and their captions, built with Keras.

The modules follow the order in which the notebook uses them, and import only what
stands before them::

    config -> data -> text -> batches -> encoders -> losses -> clip -> train
           -> retrieval -> evaluate -> plots

``import clip_lib`` is all that ``keras.saving.load_model`` needs in order to read
the models saved by this project: it registers its own layers and optimiser.
"""

from clip_lib import silence_tensorflow as quiet  # noqa: F401  First: it silences TensorFlow's start-up.
from clip_lib.config import Config
from clip_lib.models.contrastive_loss import ContrastiveLoss
from clip_lib.models.cross_replica import WholeBatchNormalization
from clip_lib.models.second_order_pooling import SecondOrderPooling
from clip_lib.towers import texts  # noqa: F401  Registers the reader of its tokenizer.
from clip_lib.training.optimizer import WholeBatchAdamW

__version__ = "0.1.0"
__all__ = [
    "Config",
    "ContrastiveLoss",
    "SecondOrderPooling",
    "WholeBatchAdamW",
    "WholeBatchNormalization",
]
