"""Which builders a run needs, by its settings: the one place that asks."""

from clip_lib.config import Config
from clip_lib.towers import pretrained_clip, texts
from clip_lib.towers.images import LITE0
from clip_lib.training.pipeline import FROM_SCRATCH, Builders


def choose_builders(config: Config) -> Builders:
    """Return how the models of a run are made.

    Args:
        config: Gives ``image_encoder``, ``text_encoder`` and ``pretrained_dir``.
    """
    chosen = {}
    if config.pretrained_dir:
        chosen["clip"] = pretrained_clip.pretrained_clip
        chosen["vocabulary"] = pretrained_clip.pretrained_vocabulary
        chosen["text"] = pretrained_clip.pretrained_text_classifier
        # Trained on a few hundred captions, it would forget most words.
        chosen["frozen_texts"] = True
    if config.pretrained_dir or config.image_encoder == LITE0:
        chosen["image"] = pretrained_clip.pretrained_image_classifier
    if config.text_encoder != "smallbert":
        chosen["vocabulary"] = texts.load_tokenizer
        chosen["text"] = texts.build_bert_classifier
        # The learning rate of CLIP is too high for a pretrained network.
        chosen["frozen_texts"] = True
    return Builders(**(vars(FROM_SCRATCH) | chosen))
