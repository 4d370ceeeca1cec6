"""A tiny DistilBERT with random weights, written as Hugging Face writes them."""

import json

import numpy as np
from safetensors.numpy import save_file

SIZES = {"vocab_size": 0, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48}
WORDS = [
    *("[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    *("a", "ball", "bike", "dog", "grass", "of", "on", "the", "water", "Dog"),
    *("!", '"', ",", ".", "-", "##word", "##s", "##land"),
    *(f"##{digit}" for digit in range(10)),
]


def weights(sizes: dict, seed: int = 0) -> dict[str, np.ndarray]:
    """Return the tensors of a DistilBERT by the names that PyTorch gives them."""
    random = np.random.default_rng(seed)
    width, inner = sizes["dim"], sizes["hidden_dim"]
    shapes = {
        "embeddings.word_embeddings.weight": (sizes["vocab_size"], width),
        "embeddings.position_embeddings.weight": (
            sizes["max_position_embeddings"],
            width,
        ),
        "embeddings.LayerNorm.weight": (width,),
        "embeddings.LayerNorm.bias": (width,),
    }
    for block in range(sizes["n_layers"]):
        layer = f"transformer.layer.{block}"
        linear = {f"attention.{name}_lin": (width, width) for name in "qkv"}
        linear |= {
            "attention.out_lin": (width, width),
            "ffn.lin1": (inner, width),
            "ffn.lin2": (width, inner),
            "sa_layer_norm": (width,),
            "output_layer_norm": (width,),
        }
        for name, shape in linear.items():
            shapes[f"{layer}.{name}.weight"] = shape
            shapes[f"{layer}.{name}.bias"] = shape[:1]
    return {
        # Norms around 1, and everything large enough to matter.
        f"distilbert.{name}": random.normal(
            float("orm.weight" in name), 0.3, shape
        ).astype("float32")
        for name, shape in shapes.items()
    }


def write_checkpoint(folder, words=WORDS, lower_case=True, tensors=None, **config):
    """Write config.json, model.safetensors, vocab.txt and tokenizer_config.json.

    Args:
        folder: Where to; it is made.
        words: The vocabulary, by token id.
        lower_case: Whether the tokenizer lowers capitals.
        tensors: The weights; by default drawn at random, of the sizes in ``config``.
        config: What differs in config.json.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True)
    about = SIZES | {
        "architectures": ["DistilBertForMaskedLM"],
        "model_type": "distilbert",
        "vocab_size": len(words),
        "max_position_embeddings": 40,
        "activation": "gelu",
        "dropout": 0.1,
        "attention_dropout": 0.1,
        "pad_token_id": 0,
        "sinusoidal_pos_embds": False,
    }
    tensors = tensors or weights(about)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(about | config))
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"do_lower_case": lower_case, "model_max_length": 512})
    )
    return folder
