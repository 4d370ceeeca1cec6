"""The sizes of a saved CLIP, and what its figure says of its two halves, in French."""

import keras
import numpy as np

from clip_lib.models.encoders import FEATURES, STATISTICS, networks_in
from clip_lib.retrieval.search import Clip
from clip_lib.towers.images import NETWORK_TITLES

Box = tuple[str, str, bool]
"""Heading, line below, whether CLIP's training may change it."""

_TITLES = {"distilbert": "DistilBERT"}


def encoder_titles(clip: Clip) -> tuple[str, str]:
    """Return how people call the encoders of a saved CLIP: pictures, then texts."""
    return (
        _title(clip.image_encoder, "CNN"),
        _title(clip.text_encoder, "SmallBERT"),
    )


def _title(encoder: keras.Model, own: str) -> str:
    """Name the pretrained network in an encoder, or else the one that we built."""
    networks = networks_in(encoder)
    name = networks[0].name if networks else own
    return (NETWORK_TITLES | _TITLES).get(name, name)


def architecture_sizes(clip: Clip) -> dict[str, int]:
    """Read from a saved CLIP what a reader would ask: widths, places, weights.

    Returns:
        Name -> number. ``map_3`` is the side of the map of the cells of 3 pixels;
        ``weights_image`` counts the weights of the image half, ``trained_image`` those
        that CLIP's training may change. An encoder has no sizes of another kind.
    """
    image, text = clip.image_encoder, clip.text_encoder
    sizes = {
        "image_height": image.input.shape[1],
        "image_width": image.input.shape[2],
        "image_features": image.get_layer(FEATURES).output.shape[-1],
        "sequence_length": text.input.shape[1],
        "text_features": text.get_layer(FEATURES).output.shape[-1],
        "embed_dim": text.output.shape[-1],
    }
    sizes |= _backbone_sizes(image) if networks_in(image) else _cnn_sizes(image)
    sizes |= _distilbert_sizes(text) if networks_in(text) else _smallbert_sizes(text)
    for name, model in (("image", image), ("text", text)):
        trained = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
        sizes |= {f"weights_{name}": model.count_params(), f"trained_{name}": trained}
    return sizes


def _cnn_sizes(image: keras.Model) -> dict[str, int]:
    describe = image.get_layer("descriptors")
    sizes = {
        "half_height": image.get_layer("half_size").output.shape[1],
        "half_width": image.get_layer("half_size").output.shape[2],
        "directions": image.get_layer("edges").filters,
        "piece": describe.kernel_size[0],
        "statistics": describe.kernel.shape[2],
        "descriptors": describe.filters,
        "second_order": image.get_layer("second_order").output.shape[-1],
    }
    for layer in image.layers:
        if layer.name.startswith(STATISTICS):
            cell = layer.name.removeprefix(f"{STATISTICS}_")
            sizes[f"map_{cell}"] = layer.output.shape[1]
    return sizes


def _backbone_sizes(image: keras.Model) -> dict[str, int]:
    (network,) = networks_in(image)
    _, height, width, channels = network.output.shape
    return {
        "convolutions": sum(hasattr(layer, "kernel") for layer in network.layers),
        "last_height": height,
        "last_width": width,
        "channels": channels,
    }


def _smallbert_sizes(text: keras.Model) -> dict[str, int]:
    embedding = text.get_layer("embedding").token_embedding
    blocks = [layer for layer in text.layers if layer.name.startswith("transformer")]
    about = blocks[0].get_config()
    return {
        "vocabulary": embedding.input_dim,
        "word_width": embedding.output_dim,
        "blocks": len(blocks),
        "heads": about["num_heads"],
        "ff_dim": about["intermediate_dim"],
    }


def _distilbert_sizes(text: keras.Model) -> dict[str, int]:
    (network,) = networks_in(text)
    return {
        "vocabulary": network.vocabulary_size,
        "word_width": network.hidden_dim,
        "blocks": network.num_layers,
        "heads": network.num_heads,
        "ff_dim": network.intermediate_dim,
    }


def architecture_boxes(clip: Clip, labels: int) -> tuple[list[Box], list[Box]]:
    """Return what stands in the figure's two columns, pictures and texts, downwards.

    Args:
        clip: A trained CLIP.
        labels: Number of labels of the classifiers that its halves come from.
    """
    size = architecture_sizes(clip)
    head = f"la tête à {labels} étiquettes, coupée, la lisait"
    projection = (
        "Projection linéaire, longueur 1",
        f"largeur {size['embed_dim']}",
        True,
    )
    scaled = ("Normalisation par lot", "chaque nombre à son échelle", True)
    pixels = f"{size['image_height']} × {size['image_width']} pixels, de 0 à 255"
    tokens = f"{size['sequence_length']} tokens, remplissage compris"
    image_title, text_title = encoder_titles(clip)
    image, text = [("Image", pixels, True)], [("Légende", tokens, True)]
    if networks_in(clip.image_encoder):
        image += _backbone_boxes(clip, size, image_title, head)
    else:
        image += _cnn_boxes(clip, size, head)
    if networks_in(clip.text_encoder):
        text += _distilbert_boxes(clip, size, text_title, head)
    else:
        text += _smallbert_boxes(size, head)
    return [*image, projection], [*text, scaled, projection]


def _by_thousands(value: int) -> str:
    return f"{value:,}".replace(",", "\u00a0")


def _cnn_boxes(clip: Clip, size: dict, head: str) -> list[Box]:
    cells = [name.removeprefix("map_") for name in size if name.startswith("map_")]
    sides = ", ".join(f"{size[f'map_{cell}']}" for cell in cells)
    learned = bool(clip.image_encoder.get_layer("descriptors").trainable_weights)
    half = f"{size['half_height']} × {size['half_width']}"
    return [
        ("Moitié, échelle, miroir", f"{half} pixels, de −1 à 1", learned),
        (
            f"Cellules de {', '.join(cells)} pixels",
            f"{size['statistics']} mesures (couleurs, bords), côtés {sides}",
            learned,
        ),
        (
            f"Convolution {size['piece']} × {size['piece']}, partagée",
            f"{size['descriptors']} descripteurs par endroit",
            learned,
        ),
        (
            "Produits deux à deux, racine de matrice",
            f"{_by_thousands(size['second_order'])} nombres par image",
            learned,
        ),
        ("Centrage, une échelle pour tout", head, learned),
    ]


def _backbone_boxes(clip: Clip, size: dict, title: str, head: str) -> list[Box]:
    (network,) = networks_in(clip.image_encoder)
    learned = bool(network.trainable_weights)
    places = f"{size['last_height']} × {size['last_width']}"
    return [
        ("Miroir, échelle", f"celle de {title}", learned),
        (title, f"{size['convolutions']} convolutions", learned),
        ("Dernières cartes", f"{places} endroits", learned),
        ("Moyenne sur les endroits", head, learned),
        ("Un vecteur", f"{_by_thousands(size['channels'])} nombres", learned),
    ]


def _blocks(size: dict) -> tuple[str, str]:
    return (
        f"{size['blocks']} bloc{'s'[: size['blocks'] - 1]} Transformer",
        f"{size['heads']} têtes, couche interne de {size['ff_dim']}",
    )


def _smallbert_boxes(size: dict, head: str) -> list[Box]:
    words = _by_thousands(size["vocabulary"])
    return [
        (
            "Vecteurs des mots, positions, masque",
            f"{words} mots, largeur {size['word_width']}",
            True,
        ),
        (*_blocks(size), True),
        ("Moyenne masquée, en contexte", head, True),
        ("Les deux moyennes bout à bout", f"largeur {size['text_features']}", True),
    ]


def _distilbert_boxes(clip: Clip, size: dict, title: str, head: str) -> list[Box]:
    learned = bool(networks_in(clip.text_encoder)[0].trainable_weights)
    words = _by_thousands(size["vocabulary"])
    return [
        (
            f"{title} : morceaux de mots",
            f"{words} morceaux, largeur {size['word_width']}",
            learned,
        ),
        (*_blocks(size), learned),
        ("Moyenne masquée, en contexte", head, learned),
        ("Un vecteur", f"largeur {size['text_features']}", learned),
    ]
