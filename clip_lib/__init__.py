"""A small CLIP for images and their captions, built with Keras.

Imports run one way::

    config <- data <- models <- training, retrieval <- evaluation <- figures

``towers`` adds encoders that others trained; ``enrich``, ``handin``, ``web`` and
``cli`` stand on top. Nothing is loaded before it is used: TensorFlow takes seconds.
"""

__version__ = "0.3.0"
