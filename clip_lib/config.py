"""The settings of a run: one frozen object, passed to data, models and training.

The names fixed by the course (``model_dir``, ``image_size``, ``sequence_length``,
``vocab_size``, ``num_heads``, ``ff_dim``, ``num_layers``, ``embed_dim``...) are kept.
"""

import dataclasses
import json
import os
from pathlib import Path

from clip_lib.atomic import replacing
from clip_lib.errors import ClipError, first_line

VOCABULARY_FILE, TOKENIZER_FILE = "vocab.txt", "tokenizer.json"
"""The vocabulary beside a model: SmallBERT's, or the one of any other text encoder."""
CONFIG_FILE = "config.json"
"""The settings of a training, saved beside its model."""
IMAGE_ENCODERS = ("cnn", "efficientnet_lite0")
PRETRAINED = "models/pretrained"
"""Our own pretrained weights, see the README there."""
GONE = ("strategy",)
"""Settings of earlier versions: a model that was saved with one still loads."""
COUNTS = ("batch_size", "image_epochs", "text_epochs", "clip_batch_size", "clip_epochs")
"""Settings that are at least 1: a training of no epoch would leave an older model."""
ENVIRONMENT = {
    "dataset_dir": "CLIP_DATA_DIR",
    "model_dir": "CLIP_MODEL_DIR",
    "image_encoder": "CLIP_IMAGE_ENCODER",
    "text_encoder": "CLIP_TEXT_ENCODER",
}
"""Environment variables, by the setting that they change."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of a run. ``dataclasses.replace(config, seed=1)`` changes one."""

    # Folders. An empty dataset_dir means: look for the data, see data/source.py.
    model_dir: str = "models"
    dataset_dir: str = ""
    seed: int = 42

    # Data: images are (height, width) pixels, captions sequence_length tokens.
    image_size: tuple[int, int] = (224, 224)
    sequence_length: int = 32
    vocab_size: int = 10_000  # Upper limit: the training captions hold about 800 words.
    validation_share: float = 0.15
    test_share: float = 0.15

    # The encoders: from scratch, or pretrained ones, see towers/. A text encoder is
    # smallbert, distilbert, or any network of the BERT family by its Hugging Face name
    # or folder. Pretrained ones are frozen while their head learns, then fine-tuned for
    # fine_tune_epochs.
    text_encoder: str = "smallbert"
    image_encoder: str = "cnn"
    fine_tune_epochs: int = 0
    fine_tune_learning_rate: float = 2e-5

    # Folder of a pretrained CLIP that both encoders and projections start from,
    # whatever image_encoder says; empty: from scratch. The sizes below must be those of
    # that CLIP, see the presets.
    pretrained_dir: str = ""

    # SmallBERT; embed_dim is also the width of the common space.
    embed_dim: int = 128
    num_heads: int = 4
    ff_dim: int = 256
    num_layers: int = 2
    dropout: float = 0.1

    # CNN, see models/cnn.py: the picture, halved, is cut into square cells whose sides
    # are so many pixels; a convolution over 4 x 4 cells gives so many descriptors.
    cells: tuple[int, ...] = (3, 5, 7)
    descriptors: int = 80

    # Training of the two classifiers.
    batch_size: int = 32
    image_epochs: int = 20
    text_epochs: int = 10
    learning_rate: float = 3e-4

    # Training of CLIP: a larger batch gives each pair more negatives. 84 rather than
    # the course's 32 or 64: 5 x 84 = 420, no training pair is left over.
    clip_batch_size: int = 84
    clip_epochs: int = 30
    clip_learning_rate: float = 3e-4
    # Chosen by measurement, see benchmarks/README.md: dropout of the image features,
    # the initial temperature, and the share of each target that is spread over the
    # pairs of the same label.
    feature_dropout: float = 0.5
    temperature: float = 0.15
    label_share: float = 0.4
    # How much longer the label directions of a pretrained CLIP are made before it is
    # trained further, see models/clip.py.
    label_stretch: float = 1.0

    def __post_init__(self):
        if self.image_encoder not in IMAGE_ENCODERS:
            expected = ", ".join(IMAGE_ENCODERS)
            raise ClipError(
                f"image_encoder = {self.image_encoder!r}: expected one of {expected}."
            )
        if not isinstance(self.text_encoder, str) or not self.text_encoder.strip():
            raise ClipError(
                f"text_encoder = {self.text_encoder!r}: expected smallbert, distilbert "
                "or the Hugging Face name or folder of another BERT."
            )
        sizes = self.image_size
        pair = isinstance(sizes, tuple) and len(sizes) == 2
        if not pair or any(type(n) is not int or n < 1 for n in sizes):
            raise ClipError(f"image_size = {sizes!r}: expected (height, width).")
        for name in COUNTS:
            if type(count := getattr(self, name)) is not int or count < 1:
                raise ClipError(f"{name} = {count!r}: expected a number from 1 on.")

    @classmethod
    def quick(cls, **changes) -> "Config":
        """Return a shrunk configuration for tests: it runs, it does not learn."""
        small = {
            "image_size": (64, 64),
            "descriptors": 8,
            "embed_dim": 32,
            "ff_dim": 32,
            "num_layers": 1,
            "image_epochs": 2,
            "text_epochs": 2,
            "clip_epochs": 2,
        }
        return cls(**(small | changes))

    @classmethod
    def fine_tuning(cls, **changes) -> "Config":
        """Return the configuration that starts from our own pretrained weights."""
        tuned = {
            "pretrained_dir": PRETRAINED,
            "image_encoder": "efficientnet_lite0",
            "embed_dim": 512,
            "ff_dim": 512,
            "sequence_length": 20,
            "feature_dropout": 0.2,
            "temperature": 0.045,
            "label_stretch": 1.4,
            # Few small steps: more of them forget other pictures, and gain nothing.
            "clip_epochs": 10,
            "clip_learning_rate": 1e-4,
        }
        return cls(**(tuned | changes))

    @classmethod
    def from_environment(cls, **changes) -> "Config":
        """Return the configuration that the environment asks for.

        ``CLIP_PRESET`` names one of `PRESETS`; `ENVIRONMENT` lists the settings that
        have a variable of their own.

        Raises:
            ClipError: If there is no such preset or encoder.
        """
        preset = os.environ.get("CLIP_PRESET") or "course"
        if preset not in PRESETS:
            expected = ", ".join(PRESETS)
            raise ClipError(f"preset {preset!r}: expected one of {expected}.")
        make = PRESETS[preset]
        for name, variable in ENVIRONMENT.items():
            if os.environ.get(variable):
                changes.setdefault(name, os.environ[variable])
        return make(**changes)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Shape of one picture: (height, width, 3)."""
        return (*self.image_size, 3)

    @property
    def clip_file(self) -> Path:
        """The file of the trained CLIP, as the course names it.

        A text encoder that is a path or a Hugging Face name gives its last part.
        """
        name = os.path.basename(self.text_encoder)
        if name in ("", ".", ".."):
            name = Path(self.text_encoder).resolve().name
        return self.model_path(f"myclip_with_{name}.keras")

    @property
    def vocabulary_file(self) -> Path:
        """The file of the vocabulary, beside the CLIP."""
        ours = self.text_encoder == "smallbert"
        return self.model_path(VOCABULARY_FILE if ours else TOKENIZER_FILE)

    @property
    def pretrained_path(self) -> Path:
        """The folder of the pretrained CLIP, ours if there is no other."""
        return find_pretrained(self.pretrained_dir or PRETRAINED)

    @property
    def config_file(self) -> Path:
        """The file of these settings, beside the models."""
        return self.model_path(CONFIG_FILE)

    def save(self, path) -> Path:
        """Write the settings as JSON, whole or not at all; return the path."""
        with replacing(path) as temporary:
            text = json.dumps(dataclasses.asdict(self), indent=2)
            temporary.write_text(text + "\n", encoding="utf-8")
        return Path(path)

    @classmethod
    def load(cls, path) -> "Config":
        """Read settings that `save` wrote.

        Raises:
            ClipError: If there is no such file, it is not JSON, or names a setting that
                does not exist.
        """
        path = Path(path)
        try:
            settings = json.loads(path.read_text(encoding="utf-8"))
            settings = {name: settings[name] for name in settings if name not in GONE}
            unknown = set(settings) - {field.name for field in dataclasses.fields(cls)}
            if unknown:
                raise ClipError(f"{min(unknown)} is not a setting")
            for name, value in settings.items():
                settings[name] = tuple(value) if isinstance(value, list) else value
            return cls(**settings)
        except (OSError, ValueError, TypeError) as error:
            raise ClipError(
                f"{path}: expected the settings of a training ({first_line(error)}); "
                "train again, or remove it."
            ) from error

    def model_path(self, name: str) -> Path:
        """Return the path of a file of the run, such as ``vocab.txt``."""
        return Path(self.model_dir) / name


def find_pretrained(folder) -> Path:
    """Return a folder of weights; a relative one may be one of the repository.

    Installed by pip, the library holds its own weights.
    """
    folder, library = Path(folder), Path(__file__).parent
    places = folder, library.parent / folder, library / folder.name
    return next((place for place in places if place.exists()), places[1])


PRESETS = {
    "course": Config,
    "quick": Config.quick,
    "fine-tuning": Config.fine_tuning,
}
"""The configurations that have a name."""
