"""Which builders a run needs, by its settings: the one place that asks."""

from functools import partial

from clip_lib.config import Config
from clip_lib.towers import pretrained_clip as pretrained
from clip_lib.towers import texts
from clip_lib.towers.images import LITE0
from clip_lib.training.pipeline import Builders


def choose_builders(config: Config) -> Builders:
    """Return how the models of a run are made; pretrained weights are loaded here.

    Args:
        config: Gives ``image_encoder``, ``text_encoder`` and ``pretrained_dir``.

    Raises:
        ClipError: See `towers.pretrained_clip.load_pretrained`.
    """
    chosen = {}
    if config.pretrained_dir or config.image_encoder == LITE0:
        start = pretrained.load_pretrained(config)
        chosen["image"] = partial(pretrained.new_image_classifier, start)
    if config.pretrained_dir:
        chosen["clip"] = partial(pretrained.continue_clip, start)
        chosen["vocabulary"] = lambda captions, config: start.vectorizer
        chosen["text"] = partial(pretrained.new_text_classifier, start)
        # Trained on a few hundred captions, it would forget most words.
        chosen["frozen_texts"] = True
    if config.text_encoder != "smallbert":
        chosen["vocabulary"] = texts.load_tokenizer
        chosen["text"] = texts.build_bert_classifier
        # The learning rate of CLIP is too high for a pretrained network.
        chosen["frozen_texts"] = True
    return Builders(**chosen)
