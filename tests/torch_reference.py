"""Hidden states of a checkpoint by PyTorch: python torch_reference.py FOLDER IN OUT.

Runs in an environment of its own, see ``make test-torch``; ``IN`` and ``OUT`` are .npz
files with ``token_ids`` (N, length) and ``hidden_states`` (N, length, width).
"""

import sys

import numpy as np
import torch
from transformers import DistilBertModel

folder, given, returned = sys.argv[1:]
token_ids = torch.tensor(np.load(given)["token_ids"], dtype=torch.long)
model, about = DistilBertModel.from_pretrained(folder, output_loading_info=True)
assert not about["missing_keys"], about
with torch.no_grad():
    outputs = model.eval()(input_ids=token_ids, attention_mask=token_ids != 0)
np.savez(returned, hidden_states=outputs.last_hidden_state.numpy())
