"""Which builders a run needs, by its settings: the one place that asks."""

from clip_lib.config import Config
from clip_lib.training.pipeline import FROM_SCRATCH, Builders


def choose_builders(config: Config) -> Builders:
    """Return how the models of a run are made.

    Args:
        config: Gives ``image_encoder``, ``text_encoder`` and ``pretrained_dir``.
    """
    chosen = {}
    if config.pretrained_dir:
        from clip_lib.towers import pretrained_clip as ours

        chosen["clip"] = ours.pretrained_clip
        if config.image_encoder == "cnn":
            chosen["image"] = ours.pretrained_image_classifier
        if config.text_encoder == "smallbert":
            chosen["vocabulary"] = ours.pretrained_vocabulary
            chosen["text"] = ours.pretrained_text_classifier
    if config.image_encoder != "cnn":
        from clip_lib.towers.images import build_backbone_classifier

        chosen["image"] = build_backbone_classifier
    if config.text_encoder != "smallbert":
        from clip_lib.towers.texts import build_distilbert_classifier
        from clip_lib.towers.word_pieces import pretrained_tokenizer

        chosen["vocabulary"] = pretrained_tokenizer
        chosen["text"] = build_distilbert_classifier
        # Its learning rate is too high for a pretrained network.
        chosen["frozen_texts"] = True
    return Builders(**(vars(FROM_SCRATCH) | chosen))
