"""What one answer rests on: hide a word or a place, see how far the cosine falls.

A positive drop: what was hidden spoke for the pair. A negative one: it spoke against.
"""

import itertools
import math
import string

import numpy as np
import pandas as pd

from clip_lib.data.images import load_image
from clip_lib.data.vocabulary import word_tokens
from clip_lib.errors import ClipError
from clip_lib.retrieval.search import Clip


def word_reliance(clip: Clip, text: str, image_embedding) -> pd.DataFrame:
    """Leave each word of a text out in turn.

    A text of a single word is compared with an unknown word: see `encode`.

    Args:
        clip: A trained CLIP.
        text: The text.
        image_embedding: Unit vector (D,) of the picture it is compared with.

    Returns:
        A row per word, in order: word, token (as the model reads it, "[UNK]" if it is
        unknown; several if DistilBERT reads it in pieces), without (cosine of the text
        without it) and drop (cosine of the whole text minus ``without``).

    Raises:
        ClipError: If the text holds no word.
    """
    table = _leave_one_out(clip, [text], [image_embedding])
    if table.empty:
        raise ClipError(f"{text!r}: expected at least one word.")
    return table


def word_table(clip: Clip, texts, image_embeddings, least: int = 3) -> pd.DataFrame:
    """Leave each word of many texts out in turn; mean drop of each word.

    Args:
        clip: A trained CLIP.
        texts: Texts, N of them.
        image_embeddings: (N, D) unit vectors of their pictures.
        least: Words that occur less often are left out of the table.

    Returns:
        A row per token, highest drop first: token, drop (mean) and count. All unknown
        words are one token, "[UNK]".

    Raises:
        ClipError: If there are not as many texts as embeddings.
    """
    texts = list(texts)
    if len(texts) != len(image_embeddings):
        raise ClipError(
            f"{len(texts)} texts and {len(image_embeddings)} embeddings: expected as "
            "many of both."
        )
    drops = _leave_one_out(clip, texts, image_embeddings).groupby("token")["drop"]
    table = drops.agg(drop="mean", count="size").reset_index()
    table = table[table["count"] >= least]
    return table.sort_values("drop", ascending=False, ignore_index=True)


def _leave_one_out(clip: Clip, texts, image_embeddings) -> pd.DataFrame:
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
    image_embeddings = np.asarray(image_embeddings)
    table["without"] = (without * image_embeddings[table["text"].to_numpy(int)]).sum(1)
    table["drop"] = (whole * image_embeddings).sum(1)[table["text"].to_numpy(int)]
    table["drop"] -= table["without"]
    return table.drop(columns="text")


def occlusion_map(
    clip: Clip, picture, text: str, patch: float = 0.25, stride: float = 1 / 16
) -> np.ndarray:
    """Find where a picture supports a text: hide each place, see the cosine fall.

    Source: Zeiler & Fergus 2014, section 4.2. The patch has the picture's mean colour
    rather than black or a fixed grey: it takes the content away and adds as little
    contrast of its own as one flat colour can, so the drop is that of what it hides.

    Args:
        clip: A trained CLIP.
        picture: Path or binary file object.
        text: The text.
        patch: Side of the patch, as a share of the picture's sides.
        stride: Step between two patches, likewise.

    Returns:
        float array (height, width) of the size that the encoder expects: for each
        pixel, the mean drop of the cosine over the patches that hide it.

    Raises:
        ClipError: If not 0 < stride <= patch <= 1, the picture cannot be read, or the
            text holds no known word.
    """
    if not 0 < stride <= patch <= 1:
        raise ClipError(
            f"patch = {patch}, stride = {stride}: expected 0 < stride <= patch <= 1, "
            "shares of the picture."
        )
    text_embedding = clip.embed_text(text)
    image = load_image(picture, clip.image_size)
    boxes = list(
        itertools.product(*(_spans(side, patch, stride) for side in clip.image_size))
    )
    images = np.repeat(image[None], len(boxes) + 1, axis=0)
    for hidden, box in zip(images[1:], boxes, strict=True):
        hidden[box] = image.mean(axis=(0, 1)).round()
    cosines = clip.image_encoder.predict(images, verbose=0) @ text_embedding
    total, count = np.zeros((2, *clip.image_size))
    for box, cosine in zip(boxes, cosines[1:], strict=True):
        total[box] += cosines[0] - cosine
        count[box] += 1
    return total / count


def _spans(side: int, patch: float, stride: float) -> list[slice]:
    """Cut a side into equal spans, evenly spaced, from its first pixel to its last."""
    width = max(1, round(patch * side))
    step = max(1, min(width, round(stride * side)))
    count = math.ceil((side - width) / step) + 1
    # Rounded down: two neighbours are then never further apart than one step, and no
    # pixel is left between them.
    starts = np.linspace(0, side - width, count).astype(int)
    return [slice(start, start + width) for start in starts]
