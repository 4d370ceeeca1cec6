"""Attribute an answer: hide a word or a part of the picture, see how the cosine drops.

A positive drop: what was hidden supported the pair. A negative one: it spoke against.
"""

import itertools
import string

import numpy as np
import pandas as pd

from clip_lib.data.images import load_image
from clip_lib.data.vocabulary import word_tokens
from clip_lib.retrieval.search import Clip

PATCH = 1 / 4
"""Side of the patch that hides a part, as a share of the picture's sides."""
PLACES = 13
"""Places of the patch along each side: steps of a sixteenth of it."""
LEAST = 3
"""Occurrences of a word of which a mean is shown."""


def word_attribution(clip: Clip, texts, image_embeddings) -> pd.DataFrame:
    """Leave each word of each text out in turn.

    A text of a single word is compared with an unknown word: see `encode`.

    Args:
        clip: A trained CLIP.
        texts: Texts, N of them.
        image_embeddings: (N, D) unit vectors of the pictures they are compared with.

    Returns:
        One row per word, in order: text (number), word, token (as the model reads it,
        "[UNK]" if it is unknown; several if it is read in pieces) and drop (cosine of
        the whole text minus that of the text without the word).
    """
    vocabulary = clip.vectorizer.get_vocabulary()
    rows, shorter = [], []
    for number, text in enumerate(texts):
        words = text.split()
        for place, token_ids in enumerate(word_tokens(clip.vectorizer, words)):
            if not len(token_ids):  # A lone punctuation mark is no word.
                continue
            word = words[place].strip(string.punctuation)
            token = " ".join(vocabulary[token_id] for token_id in token_ids)
            rows.append((number, word, token))
            shorter.append(" ".join(words[:place] + words[place + 1 :]))
    table = pd.DataFrame(rows, columns=["text", "word", "token"])
    # All at once: predict costs far more to start than to run on a few more texts.
    whole, without = np.split(clip.embed_texts([*texts, *shorter]), [len(texts)])
    images, number = np.asarray(image_embeddings), table["text"].to_numpy(int)
    drop = (whole * images).sum(axis=1)[number] - (without * images[number]).sum(axis=1)
    return table.assign(drop=drop)


def word_means(drops: pd.DataFrame) -> pd.DataFrame:
    """Average a `word_attribution` over each token that occurs `LEAST` times or more.

    Returns:
        Highest drop first: token, drop (mean) and count. All unknown words are one
        token, "[UNK]".
    """
    table = drops.groupby("token")["drop"].agg(drop="mean", count="size").reset_index()
    table = table[table["count"] >= LEAST]
    return table.sort_values("drop", ascending=False, ignore_index=True)


def occlusion_map(clip: Clip, picture, text: str) -> np.ndarray:
    """Find where a picture supports a text: hide each place, see the cosine drop.

    Source: Zeiler & Fergus 2014, section 4.2. The patch has the picture's mean colour,
    which adds as little contrast of its own as one flat colour can.

    Returns:
        float array (height, width) of the size that the encoder expects: for each
        pixel, the mean drop of the cosine over the patches that hide it.

    Raises:
        ClipError: If the picture cannot be read or the text holds no known word.
    """
    text_embedding = clip.embed_text(text)
    image = load_image(picture, clip.image_size)
    boxes = list(itertools.product(*map(_spans, clip.image_size)))
    images = np.repeat(image[None], len(boxes) + 1, axis=0)
    for hidden, box in zip(images[1:], boxes, strict=True):
        hidden[box] = image.mean(axis=(0, 1)).round()
    cosines = clip.image_encoder.predict(images, verbose=0) @ text_embedding
    total, count = np.zeros((2, *clip.image_size))
    for box, cosine in zip(boxes, cosines[1:], strict=True):
        total[box] += cosines[0] - cosine
        count[box] += 1
    return total / count


def _spans(side: int) -> list[slice]:
    """Return the evenly spaced patches, from the first pixel to the last."""
    width = round(PATCH * side)
    starts = np.linspace(0, side - width, PLACES).astype(int)
    return [slice(start, start + width) for start in starts]
