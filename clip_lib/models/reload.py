"""Check that a saved model comes back: in a fresh process, to the same vectors."""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

# What anyone would write to use the model. `import clip_lib` is all it needs.
_SCRIPT = """
import sys
import clip_lib, keras
import numpy as np

model = keras.saving.load_model(sys.argv[1], compile=False)
inputs = dict(np.load(sys.argv[2]))
inputs = inputs.get("array", inputs)
outputs = model.predict(inputs, verbose=0)
np.savez(sys.argv[3], *(outputs if isinstance(outputs, (list, tuple)) else [outputs]))
"""


def reload_difference(model, path, inputs) -> float:
    """Load a saved model in a new Python process and compare its answers.

    Args:
        model: The model in memory.
        path: The ``.keras`` file it was saved to.
        inputs: A batch: an array, or input name -> array.

    Returns:
        Largest absolute difference between the two models' outputs.

    Raises:
        RuntimeError: If the file does not load; the message ends with the error.
    """
    outputs = model.predict(inputs, verbose=0)
    if not isinstance(outputs, list | tuple):
        outputs = [outputs]
    with tempfile.TemporaryDirectory() as folder:
        given, returned = Path(folder) / "inputs.npz", Path(folder) / "outputs.npz"
        np.savez(given, **(inputs if isinstance(inputs, dict) else {"array": inputs}))
        process = subprocess.run(
            [sys.executable, "-c", _SCRIPT, Path(path).resolve(), given, returned],
            capture_output=True,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        if process.returncode:
            raise RuntimeError(f"{path} does not reload:\n{process.stderr[-2000:]}")
        with np.load(returned) as arrays:
            again = [arrays[name] for name in arrays.files]
    return max(
        float(np.abs(one - other).max())
        for one, other in zip(outputs, again, strict=True)
    )
