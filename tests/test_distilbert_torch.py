"""Our DistilBERT beside PyTorch's own, which has an environment of its own."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("transformers", reason="pip install -r requirements-distilbert.txt")

from tiny_distilbert import write_checkpoint

from clip_lib.config import Config
from clip_lib.data.vocabulary import encode
from clip_lib.towers.texts import load_network
from clip_lib.training.pipeline import prepare_vocabulary

ROOT = Path(__file__).parents[1]
PYTHON = ROOT / ".venv-torch/bin/python"
TEXTS = ["A dog of waterland, on the grass.", "dogs!", "", "zeppelin", "ball " * 50]


@pytest.mark.skipif(not PYTHON.is_file(), reason="needs PyTorch: make test-torch")
def test_hidden_states_are_those_of_pytorch(tmp_path):
    folder = write_checkpoint(tmp_path / "tiny")
    config = Config(text_encoder="distilbert", text_weights=str(folder))
    pieces = prepare_vocabulary([], config)
    token_ids = encode(pieces, TEXTS)
    given, returned = tmp_path / "given.npz", tmp_path / "returned.npz"
    np.savez(given, token_ids=token_ids)
    subprocess.run(
        [PYTHON, ROOT / "tests/torch_reference.py", folder, given, returned], check=True
    )
    with np.load(returned) as arrays:
        expected = arrays["hidden_states"]
    real = token_ids != 0
    inputs = {"token_ids": token_ids, "padding_mask": real.astype("int32")}
    found = load_network(config, pieces).predict(inputs, verbose=0)
    assert np.abs(found - expected)[real].max() < 1e-4
    assert np.abs(expected[real]).max() > 1  # Or the threshold would say nothing.
    assert not real.all()
