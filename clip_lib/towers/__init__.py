"""Every encoder but the CNN and SmallBERT: those that were trained before.

``import clip_lib.towers`` is all that `retrieval.search.Clip.load` needs to read the
tokenizer beside a model with a pretrained text encoder.
"""

from clip_lib.config import TOKENIZER_FILE
from clip_lib.data.vocabulary import READERS


def _read_tokenizer(path, sequence_length: int):
    from clip_lib.towers.texts import WordPieces  # It takes seconds to import.

    return WordPieces(path, sequence_length)


READERS[TOKENIZER_FILE] = _read_tokenizer
