"""Both encoders, CLIP, its loss and their files.

``import clip_lib.models`` is all that ``keras.saving.load_model`` needs to read the
models saved by this project: it registers their layers.
"""

from clip_lib import silence_tensorflow  # noqa: F401  Before TensorFlow is imported.

# isort: split
from clip_lib.models import contrastive_loss, second_order_pooling  # noqa: F401
