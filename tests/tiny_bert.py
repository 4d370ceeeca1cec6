"""Tiny networks of the BERT family, written as Hugging Face writes them."""

import json

import numpy as np
from safetensors.numpy import save_file

WORDS = [
    *("[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    *("a", "ball", "bike", "dog", "grass", "of", "on", "the", "water", "Dog"),
    *("!", '"', ",", ".", "-", "##word", "##s", "##land"),
    *(f"##{digit}" for digit in range(10)),
]
WIDTH, INNER, LONGEST = 32, 48, 40
CONFIG = {
    "distilbert": {
        **{"dim": WIDTH, "n_layers": 1, "n_heads": 4, "hidden_dim": INNER},
        **{"activation": "gelu", "dropout": 0.1},
    },
    "bert": {
        **{"hidden_size": WIDTH, "num_hidden_layers": 1, "num_attention_heads": 4},
        **{"intermediate_size": INNER, "hidden_act": "gelu"},
    },
}
BLOCK = {"distilbert": "transformer.layer.0", "bert": "encoder.layer.0"}
LINEAR = {
    "distilbert": "attention.q_lin attention.k_lin attention.v_lin attention.out_lin "
    "sa_layer_norm ffn.lin1 ffn.lin2 output_layer_norm",
    "bert": "attention.self.query attention.self.key attention.self.value "
    "attention.output.dense attention.output.LayerNorm intermediate.dense output.dense "
    "output.LayerNorm",
}
"""What PyTorch calls the parts of a block, in the order of its forward pass."""


def weights(kind: str, words: int) -> dict[str, np.ndarray]:
    """Return the tensors of a network by the names that PyTorch gives them."""
    random = np.random.default_rng(0)
    square, norm = (WIDTH, WIDTH), (WIDTH,)
    shapes = [*[square] * 4, norm, (INNER, WIDTH), (WIDTH, INNER), norm]
    names = [f"{BLOCK[kind]}.{name}" for name in LINEAR[kind].split()]
    layers = dict(zip(names, shapes, strict=True)) | {"embeddings.LayerNorm": norm}
    tables = {"word": words, "position": LONGEST}
    if kind == "bert":
        layers["pooler.dense"] = square
        tables["token_type"] = 2
    found = {
        f"embeddings.{name}_embeddings.weight": (rows, WIDTH)
        for name, rows in tables.items()
    }
    for name, shape in layers.items():
        found |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return {
        f"{kind}.{name}": random.normal(0, 0.3, shape).astype("float32")
        for name, shape in found.items()
    }


def write_checkpoint(folder, kind="distilbert", words=WORDS, lower=True, **changes):
    """Write config.json, model.safetensors and tokenizer.json; return the folder.

    ``words`` are the vocabulary of its tokenizer, by token id; ``changes`` stand in
    config.json, and not in the weights.
    """
    from transformers import DistilBertTokenizerFast

    folder.mkdir(parents=True)
    save_file(weights(kind, len(words)), folder / "model.safetensors")
    about = {"model_type": kind, "vocab_size": len(words)}
    about |= {"max_position_embeddings": LONGEST, **CONFIG[kind], **changes}
    (folder / "config.json").write_text(json.dumps(about))
    ids = {word: number for number, word in enumerate(words)}
    tokenizer = DistilBertTokenizerFast(vocab=ids, do_lower_case=lower)
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    return folder
