"""EfficientNet-Lite0: its conversion, its file, and what is built on it."""

import collections
import dataclasses
import io
import os
import pickle
import re
import sys
from pathlib import Path
from types import ModuleType

import keras
import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import convert_lite0

from clip_lib.config import Config
from clip_lib.errors import ClipError
from clip_lib.towers import images
from clip_lib.towers.choice import choose_builders
from clip_lib.training.fit import fit_image_classifier

STAGES = ((1, 4, 1, 1, 3), (6, 6, 2, 2, 5))  # Small, with every kind of block.


def network(seed: int = 0) -> keras.Model:
    """Return a small one with random weights, of 16 bits as in the file."""
    model, random = images.build_lite0((40, 40, 3)), np.random.default_rng(seed)
    values = [random.uniform(-0.5, 1, weight.shape) for weight in model.weights]
    for value, weight in zip(values, model.weights, strict=True):
        value += weight.path.endswith("variance")  # None is negative.
    model.set_weights([value.astype("float16") for value in values])
    return model


def tensors(model) -> dict[str, np.ndarray]:
    """Return what PyTorch holds of a network, and its head of 1,000 classes."""
    found = {}
    for layer in model.layers:
        name, own = layer.name, layer.get_weights()
        if isinstance(layer, keras.layers.DepthwiseConv2D):
            found[f"{name}_depthwise"] = own[0].transpose(2, 3, 0, 1)
        elif isinstance(layer, keras.layers.Conv2D):
            found[name] = own[0].transpose(3, 2, 0, 1)
        elif own:
            found |= {f"{name}.{number}": values for number, values in enumerate(own)}
            found[f"{name}.num_batches_tracked"] = np.array(7)
    random = np.random.default_rng(1)
    found["_fc.weight"] = random.normal(size=(1000, 1280)).astype("float32")
    return found | {"_fc.bias": np.zeros(1000, "float32")}


def write_pytorch(path, found):
    """Write PyTorch's old format, kernels with the channels last as in the true one."""
    # Pickle looks the names up in these modules.
    torch, utilities = ModuleType("torch"), ModuleType("torch._utils")
    exec("class FloatStorage: ...\nclass LongStorage: ...", torch.__dict__)
    exec("def _rebuild_tensor_v2(*about): ...", utilities.__dict__)
    storages = {}

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
    with pytest.MonkeyPatch.context() as patch, open(path, "wb") as file:
        patch.setitem(sys.modules, "torch", torch)
        patch.setitem(sys.modules, "torch._utils", utilities)
        for value in (1, 1001, {}, collections.OrderedDict(state), sorted(storages)):
            Pickler(file, 2).dump(value)
        for name in sorted(storages):
            file.write(np.int64(len(storages[name])).tobytes())
            file.write(storages[name].tobytes())


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The folder of a small source, lite0.pth, and of lite0.npy made from it."""
    folder = tmp_path_factory.mktemp("lite0")
    source, output = folder / "lite0.pth", folder / "lite0.npy"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(images, "STAGES", STAGES)
        patch.setattr(images, "LITE0_FILE", output)
        patch.setattr(images, "LITE0_SHA256", "another")
        write_pytorch(source, tensors(network()))
        patch.setattr(convert_lite0, "SOURCE_SHA256", images.checksum(source))
        with pytest.raises(ClipError, match=r"SHA-256 .*; expected another") as no:
            convert_lite0.convert(source, output)
        assert list(folder.iterdir()) == [source]
        digest = re.search(r"SHA-256 (\w+)", str(no.value))[1]
        patch.setattr(images, "LITE0_SHA256", digest)
        convert_lite0.convert(source, output)
        yield folder


@pytest.fixture(scope="module")
def config(tiny_config, small):
    return dataclasses.replace(tiny_config, image_encoder=images.LITE0)


# Conversion.


def test_the_converted_network_is_the_one_of_the_tensors(small):
    """Its architecture is that of the committed weights, see test_pretrained.py."""
    found = images.load_lite0((40, 40, 3)).get_weights()
    for one, other in zip(found, network().get_weights(), strict=True):
        assert (one == other).all()


def test_the_command_checks_itself_with_pictures_of_dogs(small, tmp_path, capsys):
    greys = np.stack([np.full((224, 224, 3), grey) for grey in (0, 255)])
    dark, light = np.mean(images.load_lite0((224, 224, 3))(greys), axis=(1, 2))
    # A head that takes a black picture for a dog, and a white one not.
    found = tensors(network())
    found["_fc.weight"] *= 0
    found["_fc.weight"][200] = dark - light
    found["_fc.bias"][3] = (dark - light) @ (dark + light) / 2
    source = tmp_path / "dogs.pth"
    write_pytorch(source, found)
    for name, grey in (("a", 0), ("b", 255), ("c", 0), ("d", 0)):
        Image.new("L", (300, 200), grey).save(tmp_path / f"{name}.jpg")
    command = [str(source), str(tmp_path / "x.npy"), "--check", str(tmp_path)]
    assert convert_lite0.main(command) == 1
    assert "dogs.pth: expected efficientnet-lite0-5" in capsys.readouterr().err
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convert_lite0, "SOURCE_SHA256", images.checksum(source))
        assert convert_lite0.main(command) == 0
    assert "75% are taken for one of ImageNet's dogs" in capsys.readouterr().out


def test_what_is_no_tensor_is_not_unpickled(tmp_path):
    class Command:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "done"),)

    file = io.BytesIO(pickle.dumps(1) * 3 + pickle.dumps({"weights": Command()}))
    with pytest.raises(ClipError, match="mkdir in the file; expected tensors alone"):
        convert_lite0.read_tensors(file)
    assert not (tmp_path / "done").exists()


# The file.


def test_a_missing_or_damaged_file_is_named(config, small, tmp_path, monkeypatch):
    file = tmp_path / "mine.npy"
    monkeypatch.setattr(images, "LITE0_FILE", file)
    with pytest.raises(ClipError, match=r"mine\.npy: no such file; take the weights"):
        images.load_lite0(config.image_shape)
    file.write_bytes((small / "lite0.npy").read_bytes()[:-1])
    with pytest.raises(ClipError, match=r"mine\.npy: damaged, or of another network"):
        images.load_lite0(config.image_shape)
    with pytest.raises(ClipError, match="'vgg': expected one of cnn, efficientnet_l"):
        Config(image_encoder="vgg")


# Training.


def weights(model) -> list[np.ndarray]:
    """Those of its network, batch normalisations first."""
    own = model.get_layer(images.LITE0).layers
    kind = keras.layers.BatchNormalization
    own = sorted(own, key=lambda layer: not isinstance(layer, kind))
    return [values for layer in own for values in layer.get_weights()]


def test_it_is_frozen_and_then_fine_tuned_but_its_statistics(
    config, tiny_dataset, tmp_path
):
    """Of both phases together the best epoch is kept: here one of the second."""
    rates = {"learning_rate": 0.0, "fine_tune_learning_rate": 1e-2}
    config = dataclasses.replace(config, image_epochs=1, fine_tune_epochs=4, **rates)
    model = choose_builders(config).image(tiny_dataset, config)
    assert len(model.trainable_weights) == 2  # Those of its head.
    before, path = weights(model), tmp_path / "image.keras"
    model, history = fit_image_classifier(model, tiny_dataset, config, path)
    first, *others = history["val_accuracy"]
    assert len(others) == 4 and max(others) > first
    pairs = zip(weights(model), before, strict=True)
    kept = [(one == other).all() for one, other in pairs]
    norms = 4 * 10  # Ten layers, each with a scale, a shift, a mean and a variance.
    assert all(kept[:norms]) and not any(kept[norms:])
