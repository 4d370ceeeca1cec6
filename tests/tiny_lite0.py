"""A small EfficientNet-Lite0 with random weights, and the PyTorch package of it."""

import collections
import io
import pickle
import sys
import zipfile
from types import ModuleType

import keras
import numpy as np
import pytest
from keras import layers

from clip_lib.towers import images

STAGES = ((1, 4, 1, 2, 3), (6, 6, 2, 2, 5))  # Small, with every kind of block.


def build_small(seed: int = 0) -> tuple[keras.Model, keras.Model]:
    """Return the two halves, whose weights have 16 bits as in our own file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(images, "STAGES", STAGES)
        patch.setattr(images, "LOWER_STAGES", 1)
        halves, random = images.build_lite0(), np.random.default_rng(seed)
    for half in halves:
        values = [random.uniform(-0.5, 1, weight.shape) for weight in half.weights]
        for value, weight in zip(values, half.weights, strict=True):
            value += weight.path.endswith("variance")  # None is negative.
        half.set_weights([value.astype("float16") for value in values])
    return halves


def same(network: keras.Model, other: keras.Model) -> list[bool]:
    """Tell which weights of two networks agree, those of batch normalisation first."""
    pairs = zip(network.layers, other.layers, strict=True)
    kind = layers.BatchNormalization
    return [
        bool((weights == others).all())
        for one, two in sorted(pairs, key=lambda pair: not isinstance(pair[0], kind))
        for weights, others in zip(one.get_weights(), two.get_weights(), strict=True)
    ]


def tensors(halves) -> dict[str, np.ndarray]:
    """Return what PyTorch holds of a network, and its head of 1,000 classes."""
    found = {}
    for layer in [layer for half in halves for layer in half.layers]:
        name, own = layer.name, layer.get_weights()
        if isinstance(layer, layers.DepthwiseConv2D):
            found[f"{name}_depthwise"] = own[0].transpose(2, 3, 0, 1)
        elif isinstance(layer, layers.Conv2D):
            found[name] = own[0].transpose(3, 2, 0, 1)
        elif own:
            found |= {f"{name}.{number}": values for number, values in enumerate(own)}
            found[f"{name}.num_batches_tracked"] = np.array(7)
    random = np.random.default_rng(1)
    found["_fc.weight"] = random.normal(size=(1000, 1280)).astype("float32")
    return found | {"_fc.bias": np.zeros(1000, "float32")}


def pytorch_bytes(found: dict[str, np.ndarray]) -> bytes:
    """Return PyTorch's old format, kernels with channels last as in the true one."""
    # Pickle looks the names up in these modules.
    torch, utilities = ModuleType("torch"), ModuleType("torch._utils")
    exec("class FloatStorage: ...\nclass LongStorage: ...", torch.__dict__)
    exec("def _rebuild_tensor_v2(*about): ...", utilities.__dict__)
    storages, file = {}, io.BytesIO()

    class Tensor:
        def __init__(self, name, values):
            if values.ndim == 4:
                values = values.transpose(2, 3, 1, 0).copy().transpose(3, 2, 0, 1)
            strides = tuple(each // values.itemsize for each in values.strides)
            # Each storage begins with numbers that are not the tensor's.
            padding = np.zeros(3, values.dtype)
            storages[name] = np.concatenate([padding, values.ravel("K")])
            self.about = memoryview(name.encode()), 3, values.shape, strides, False, {}

        def __reduce__(self):
            return utilities._rebuild_tensor_v2, self.about

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            if not isinstance(value, memoryview):
                return None
            name = bytes(value).decode()
            whole = storages[name].dtype == "int64"
            kind = torch.LongStorage if whole else torch.FloatStorage
            return "storage", kind, name, "cpu", len(storages[name]), None

    state = {name: Tensor(name, values) for name, values in found.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "torch", torch)
        patch.setitem(sys.modules, "torch._utils", utilities)
        for value in (1, 1001, {}, collections.OrderedDict(state), sorted(storages)):
            Pickler(file, 2).dump(value)
    for name in sorted(storages):
        file.write(np.int64(len(storages[name])).tobytes())
        file.write(storages[name].tobytes())
    return file.getvalue()


def write_wheel(path, content: bytes):
    """Write the package: one .pth among other files."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr("lite0/__init__.py", "raise SystemExit")
        wheel.writestr("lite0/models/lite0-57934424.pth", content)
    return path
