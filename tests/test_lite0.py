"""EfficientNet-Lite0: its conversion, its file, and what is built on it."""

import collections
import dataclasses
import io
import os
import pickle
import re
import sys
from types import ModuleType

import keras
import numpy as np
import pytest
from PIL import Image

from clip_lib.config import Config
from clip_lib.data.images import load_image
from clip_lib.errors import ClipError
from clip_lib.models.saving import split_encoders
from clip_lib.retrieval.search import Clip
from clip_lib.towers import convert_lite0, images
from clip_lib.towers.choice import choose_builders
from clip_lib.training.fit import fit_image_classifier
from clip_lib.training.pipeline import train

STAGES = ((1, 4, 1, 1, 3), (6, 6, 2, 2, 5))
"""A network of the same kind: a block without expansion, one that is added up."""


def tensors():
    """Return weights by the names that the PyTorch model gives them, in its order."""
    random = np.random.default_rng(0)
    found = {}

    def layer(convolution, norm, *shape):
        fan = np.prod(shape[1:])
        found[f"{convolution}.weight"] = random.normal(0, 1.5 / fan**0.5, shape)
        for name in ("weight", "bias", "running_mean", "running_var"):
            values = random.uniform(0.5, 1.5, shape[0])
            found[f"{norm}.{name}"] = values - (name in ("bias", "running_mean"))
        found[f"{norm}.num_batches_tracked"] = np.array(7)

    layer("_conv_stem", "_bn0", 32, 3, 3, 3)
    number, width = 0, 32
    for expansion, filters, blocks, _, side in STAGES:
        for _ in range(blocks):
            block, wide = f"_blocks.{number}", expansion * width
            if expansion > 1:
                layer(f"{block}._expand_conv", f"{block}._bn0", wide, width, 1, 1)
            layer(f"{block}._depthwise_conv", f"{block}._bn1", wide, 1, side, side)
            layer(f"{block}._project_conv", f"{block}._bn2", filters, wide, 1, 1)
            number, width = number + 1, filters
    layer("_conv_head", "_bn1", 1280, width, 1, 1)
    found["_fc.weight"] = random.normal(0, 1, (1000, 1280))
    found["_fc.bias"] = np.zeros(1000)
    return {
        name: values.astype("float32" if values.ndim else "int64")
        for name, values in found.items()
    }


def write_pytorch(path, found):
    """Write PyTorch's old format, kernels with the channels last as in the true one."""
    # Pickle looks the names up in these modules.
    torch, utilities = ModuleType("torch"), ModuleType("torch._utils")

    def _rebuild_tensor_v2(*about): ...

    _rebuild_tensor_v2.__module__ = "torch._utils"
    _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    utilities._rebuild_tensor_v2 = _rebuild_tensor_v2
    for name in ("FloatStorage", "LongStorage"):
        setattr(torch, name, type(name, (), {"__module__": "torch"}))
    storages = {}

    class Storage(str): ...

    class Tensor:
        def __init__(self, name, values):
            if values.ndim == 4:
                values = values.transpose(2, 3, 1, 0).copy().transpose(3, 2, 0, 1)
            strides = tuple(each // values.itemsize for each in values.strides)
            # Each storage begins with numbers that are not the tensor's.
            raw = values.ravel("K")
            storages[name] = np.concatenate([np.zeros(3, raw.dtype), raw])
            self.about = Storage(name), 3, values.shape, strides, False, {}

        def __reduce__(self):
            return _rebuild_tensor_v2, self.about

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            if isinstance(value, Storage):
                own = storages[value]
                kind = "FloatStorage" if own.dtype == "float32" else "LongStorage"
                kind = getattr(torch, kind)
                return "storage", kind, str(value), "cpu", len(own), None
            return None

    state = collections.OrderedDict(
        (name, Tensor(name, values)) for name, values in found.items()
    )
    with pytest.MonkeyPatch.context() as patch, open(path, "wb") as file:
        patch.setitem(sys.modules, "torch", torch)
        patch.setitem(sys.modules, "torch._utils", utilities)
        for value in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, state):
            Pickler(file, 2).dump(value)
        pickle.dump(sorted(storages), file, 2)
        for name in sorted(storages):
            file.write(np.int64(len(storages[name])).tobytes())
            file.write(storages[name].tobytes())


def features(found, pixels) -> np.ndarray:
    """The forward pass by the formula, in NumPy: (1280,) of one picture."""

    def convolve(maps, name, norm, stride=1, active=True):
        kernel = found[f"{name}.weight"].astype("float64")
        side = kernel.shape[-1]
        # TensorFlow's "same": the odd pixel of the border is below and on the right.
        lacks = [max((-(-n // stride) - 1) * stride + side - n, 0) for n in maps.shape]
        edges = [(lack // 2, lack - lack // 2) for lack in lacks[:2]]
        maps = np.pad(maps, [*edges, (0, 0)])
        windows = np.lib.stride_tricks.sliding_window_view(maps, (side, side), (0, 1))
        windows = windows[::stride, ::stride]
        if "depthwise" in name:
            maps = np.einsum("yxcij,cij->yxc", windows, kernel[:, 0])
        else:
            maps = np.einsum("yxcij,ocij->yxo", windows, kernel)
        mean, variance = found[f"{norm}.running_mean"], found[f"{norm}.running_var"]
        maps = (maps - mean) / np.sqrt(variance + 1e-3)
        maps = maps * found[f"{norm}.weight"] + found[f"{norm}.bias"]
        return maps.clip(0, 6) if active else maps

    maps = convolve((pixels - 127.0) / 128, "_conv_stem", "_bn0", 2)
    number = 0
    for expansion, _, blocks, stride, _ in STAGES:
        for block in range(blocks):
            name, before = f"_blocks.{number}", maps
            if expansion > 1:
                maps = convolve(maps, f"{name}._expand_conv", f"{name}._bn0")
            step = 1 if block else stride
            maps = convolve(maps, f"{name}._depthwise_conv", f"{name}._bn1", step)
            maps = convolve(maps, f"{name}._project_conv", f"{name}._bn2", active=False)
            maps = maps + before if block else maps
            number += 1
    return convolve(maps, "_conv_head", "_bn1").mean(axis=(0, 1))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The folder of a small source, lite0.pth, and of lite0.npy made from it."""
    folder = tmp_path_factory.mktemp("lite0")
    source, output = folder / "lite0.pth", folder / "lite0.npy"
    write_pytorch(source, tensors())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(images, "STAGES", STAGES)
        patch.setattr(images, "LITE0_FILE", output)
        patch.setattr(images, "LITE0_SHA256", "another")
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


def pooled(network, pixels) -> np.ndarray:
    return np.asarray(network(pixels)).mean(axis=(1, 2))


# Conversion.


@pytest.mark.parametrize("shape", [(32, 32), (37, 50)])
def test_converted_features_are_those_of_the_formula(small, shape):
    pixels = np.random.default_rng(1).integers(0, 256, (2, *shape, 3))
    found = pooled(images.load_lite0((*shape, 3)), pixels.astype("float32"))
    expected = np.stack([features(tensors(), each) for each in pixels])
    assert expected.std() > 0.1  # Or the threshold would say nothing.
    assert np.abs(found - expected).max() < 2e-2  # Weights of 16 bits.
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.9999


def test_the_command_checks_itself_with_pictures_of_dogs(small, tmp_path, capsys):
    found = tensors()
    dogs = [features(found, np.full((224, 224, 3), grey)) for grey in (0, 255)]
    # Made so that the black picture is a dog, and the white one is not.
    found["_fc.weight"][:] = 0
    found["_fc.weight"][200] = dogs[0] - dogs[1]
    found["_fc.bias"][3] = found["_fc.weight"][200] @ (dogs[0] + dogs[1]) / 2
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


@pytest.mark.parametrize("fault", ["no such file", "damaged, or of another network"])
def test_a_missing_or_damaged_file_is_named(fault, config, tiny_dataset, small):
    content = images.LITE0_FILE.read_bytes()
    images.LITE0_FILE.unlink()
    try:
        if fault.startswith("damaged"):
            images.LITE0_FILE.write_bytes(content[:-1] + b"!")
        with pytest.raises(ClipError, match=rf"lite0\.npy: {fault}; take the weights"):
            choose_builders(config).image(tiny_dataset, config)
    finally:
        images.LITE0_FILE.write_bytes(content)


def test_another_image_encoder_is_refused():
    with pytest.raises(
        ClipError, match="'vgg': expected one of cnn, efficientnet_lite0"
    ):
        Config(image_encoder="vgg")


# Training.


def parts(model) -> dict[str, list[np.ndarray]]:
    """The weights of its network: of batch normalisations, and all others."""
    kinds = {"norms": [], "others": []}
    for layer in model.get_layer(images.LITE0).layers:
        norm = isinstance(layer, keras.layers.BatchNormalization)
        kinds["norms" if norm else "others"] += layer.get_weights()
    return kinds


def differ(one, other) -> bool:
    return any((a != b).any() for a, b in zip(one, other, strict=True))


def test_it_is_frozen_and_then_fine_tuned_but_its_statistics(
    config, tiny_dataset, tmp_path
):
    config = dataclasses.replace(
        config,
        image_epochs=1,
        learning_rate=0.0,
        fine_tune_epochs=4,
        fine_tune_learning_rate=1e-2,
    )
    model = choose_builders(config).image(tiny_dataset, config)
    assert len(model.trainable_weights) == 2  # Those of its head.
    before, path = parts(model), tmp_path / "image.keras"
    model, history = fit_image_classifier(model, tiny_dataset, config, path)
    first, *others = history["val_accuracy"]
    assert len(others) == 4 and max(others) > first
    assert differ(parts(model)["others"], before["others"])
    assert not differ(parts(model)["norms"], before["norms"])


def test_a_clip_on_it_keeps_it_and_is_reloaded(config, tiny_dataset, tmp_path):
    config = dataclasses.replace(config, model_dir=str(tmp_path), clip_epochs=1)
    dataset = dataclasses.replace(tiny_dataset, class_names=())  # Nothing but CLIP.
    trained = train(dataset, config, choose_builders(config))
    clip = Clip.load(config.clip_file)
    start = choose_builders(config).image(tiny_dataset, config)
    for kind, weights in parts(start).items():
        assert not differ(parts(clip.image_encoder)[kind], weights)
    paths = tiny_dataset.paths(tiny_dataset.test)
    vectors = clip.embed_images(paths)
    pixels = np.stack([load_image(path, config.image_size) for path in paths])
    expected = split_encoders(trained.clip)[0].predict(pixels, verbose=0)
    assert np.abs(vectors - expected).max() < 1e-5
    assert np.abs(vectors - vectors[0]).max() > 1e-3
