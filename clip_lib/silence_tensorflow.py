"""Import TensorFlow and Keras without their start-up messages.

TensorFlow writes a dozen lines to the C-level standard error while it loads (missing
GPU drivers, oneDNN), before any Python setting can reach its logger. In a notebook
they end up in the first cell's output and in the PDF, where they read like errors.
"""

import os
import warnings

from clip_lib.errors import without_stderr

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"
with without_stderr(), warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import keras
    import keras_nlp  # noqa: F401
    import tensorflow as tf

    # Listing the devices starts the drivers, whose messages belong here too.
    tf.config.list_physical_devices()
    keras.backend.backend()
tf.get_logger().setLevel("ERROR")
# TokenAndPositionEmbedding adds positions outside the mask, then puts the mask back
# itself (tests/test_models.py checks that padding changes nothing): a false alarm.
warnings.filterwarnings("ignore", message="Layer 'position_embedding'.*mask")
