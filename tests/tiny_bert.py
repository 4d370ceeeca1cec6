"""Tiny networks of the BERT family, written as Hugging Face writes them."""

import json
import os

import numpy as np
from safetensors.numpy import load_file, save_file
from scipy.special import erf

WORDS = [
    *("[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    *("a", "ball", "bike", "dog", "grass", "of", "on", "the", "water", "Dog"),
    *("!", '"', ",", ".", "-", "##word", "##s", "##land"),
    *(f"##{digit}" for digit in range(10)),
]
WIDTH, INNER, BLOCKS, HEADS, LONGEST = 32, 48, 2, 4, 40
NAMES = {
    "distilbert": {
        "block": "distilbert.transformer.layer.{}.",
        **{name: f"attention.{name[0]}_lin" for name in ("query", "key", "value")},
        "mixed": "attention.out_lin",
        "first_norm": "sa_layer_norm",
        "wide": "ffn.lin1",
        "narrow": "ffn.lin2",
        "last_norm": "output_layer_norm",
    },
    "bert": {
        "block": "bert.encoder.layer.{}.",
        **{name: f"attention.self.{name}" for name in ("query", "key", "value")},
        "mixed": "attention.output.dense",
        "first_norm": "attention.output.LayerNorm",
        "wide": "intermediate.dense",
        "narrow": "output.dense",
        "last_norm": "output.LayerNorm",
    },
}
"""What PyTorch calls the parts of a block."""


def weights(kind: str, words: int) -> dict[str, np.ndarray]:
    """Return the tensors of a network by the names that PyTorch gives them."""
    random = np.random.default_rng(0)
    embeddings = f"{kind}.embeddings."
    shapes = {
        f"{embeddings}word_embeddings.weight": (words, WIDTH),
        f"{embeddings}position_embeddings.weight": (LONGEST, WIDTH),
    }
    linear = {f"{embeddings}LayerNorm": (WIDTH,)}
    if kind == "bert":
        shapes[f"{embeddings}token_type_embeddings.weight"] = (2, WIDTH)
        linear["bert.pooler.dense"] = (WIDTH, WIDTH)
    names = dict(NAMES[kind])
    block = names.pop("block")
    sizes = {"wide": (INNER, WIDTH), "narrow": (WIDTH, INNER)}
    for number in range(BLOCKS):
        for part, name in names.items():
            norm = (WIDTH,) if "norm" in part else (WIDTH, WIDTH)
            linear[block.format(number) + name] = sizes.get(part, norm)
    for name, shape in linear.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return {
        # Norms around 1, and everything large enough to matter.
        name: random.normal(float("orm.weight" in name), 0.3, shape).astype("float32")
        for name, shape in shapes.items()
    }


def write_checkpoint(folder, kind="distilbert", words=WORDS, lower=True, **changes):
    """Write config.json, model.safetensors and tokenizer.json; return the folder.

    Args:
        folder: Where to; it is made.
        kind: "distilbert" or "bert".
        words: The vocabulary of the tokenizer, by token id.
        lower: Whether the tokenizer lowers capitals.
        changes: What differs in config.json from what the weights are.
    """
    # Or transformers says that it finds no PyTorch.
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    from transformers import DistilBertTokenizerFast

    folder.mkdir(parents=True)
    sizes = (len(words), WIDTH, BLOCKS, HEADS, INNER, LONGEST)
    names = {
        "distilbert": ("vocab_size", "dim", "n_layers", "n_heads", "hidden_dim"),
        "bert": (
            *("vocab_size", "hidden_size", "num_hidden_layers"),
            *("num_attention_heads", "intermediate_size"),
        ),
    }[kind]
    about = dict(zip((*names, "max_position_embeddings"), sizes, strict=True))
    about |= {"model_type": kind, "dropout": 0.1}
    about["activation" if kind == "distilbert" else "hidden_act"] = "gelu"
    save_file(weights(kind, len(words)), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(about | changes))
    ids = {word: number for number, word in enumerate(words)}
    tokenizer = DistilBertTokenizerFast(vocab=ids, do_lower_case=lower)
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def hidden_states(folder, kind: str, token_ids) -> np.ndarray:
    """The network's own forward pass, in NumPy, without padding: (length, width).

    Source: Vaswani et al. 2017, section 3; layer norm after each residual. GELU by the
    error function, of BERT by the hyperbolic tangent.
    """
    tensors = load_file(folder / "model.safetensors")

    def linear(name, x):
        return x @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]

    def norm(name, x):
        x = x - x.mean(-1, keepdims=True)
        x /= np.sqrt((x**2).mean(-1, keepdims=True) + 1e-12)
        return x * tensors[f"{name}.weight"] + tensors[f"{name}.bias"]

    def gelu(x):
        if kind == "bert":
            return x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))) / 2
        return x * (1 + erf(x / np.sqrt(2))) / 2

    def heads(x):
        return x.reshape(len(x), HEADS, -1).swapaxes(0, 1)

    table = f"{kind}.embeddings."
    x = tensors[f"{table}word_embeddings.weight"][token_ids].astype("float64")
    x += tensors[f"{table}position_embeddings.weight"][: len(token_ids)]
    if kind == "bert":
        x += tensors[f"{table}token_type_embeddings.weight"][0]
    x = norm(f"{table}LayerNorm", x)
    names = dict(NAMES[kind])
    block = names.pop("block")
    for number in range(BLOCKS):
        part = {key: block.format(number) + name for key, name in names.items()}
        query, key, value = (
            heads(linear(part[name], x)) for name in ("query", "key", "value")
        )
        scores = query @ key.swapaxes(1, 2) / np.sqrt(query.shape[-1])
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        context = scores / scores.sum(-1, keepdims=True) @ value
        context = context.swapaxes(0, 1).reshape(len(x), -1)
        x = norm(part["first_norm"], x + linear(part["mixed"], context))
        inner = gelu(linear(part["wide"], x))
        x = norm(part["last_norm"], x + linear(part["narrow"], inner))
    return x
