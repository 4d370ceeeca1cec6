"""Start from a pretrained CLIP: its encoders get new heads, CLIP its projections.

Ours lies in models/pretrained, see its README.
"""

from clip_lib import silence_tensorflow  # noqa: F401

# isort: split
import keras
from keras import layers

from clip_lib.config import Config
from clip_lib.data.dataset import Dataset
from clip_lib.errors import ClipError
from clip_lib.models.clip import build_clip, without_head
from clip_lib.models.saving import PROJECTION, SCALE, split_encoders
from clip_lib.retrieval.search import MODEL_FILE, Clip


def load_pretrained(config: Config) -> Clip:
    """Load the pretrained CLIP, with its vocabulary.

    Args:
        config: Gives ``pretrained_dir``, or it is ours. ``image_size`` must be that of
            its training; if a run starts from its projections, so must ``embed_dim``
            and, for its texts, ``sequence_length``.

    Raises:
        ClipError: If there is none, its vocabulary is another's, or a size differs.
    """
    path = config.pretrained_path / MODEL_FILE
    clip = Clip.load(path)
    sizes = {"image_size": clip.image_size}
    if config.pretrained_dir:
        sizes["embed_dim"] = clip.width
        if config.text_encoder == "smallbert":
            sizes["sequence_length"] = clip.text_encoder.input.shape[1]
    for name, found in sizes.items():
        if (expected := getattr(config, name)) != found:
            raise ClipError(
                f"{path}: trained with {name} = {found}, not {expected}; expected the "
                "sizes of the preset fine-tuning."
            )
    return clip


def _with_new_head(encoder: keras.Model, config: Config, dataset, dropout, name):
    keras.utils.set_random_seed(config.seed)
    features = without_head(encoder, frozen=True)
    outputs = layers.Dropout(dropout)(features.output)
    # Small, as in the CNN: a usual start would drown what a short training finds.
    small = keras.initializers.TruncatedNormal(stddev=0.001)
    num_classes = max(1, len(dataset.class_names))
    outputs = layers.Dense(
        num_classes, activation="softmax", kernel_initializer=small, name="label"
    )(outputs)
    return keras.Model(features.input, outputs, name=name)


def new_image_classifier(start: Clip, dataset: Dataset, config: Config) -> keras.Model:
    """Put a new head on the frozen image encoder of a pretrained CLIP.

    Args:
        start: The pretrained CLIP.
        dataset: Gives the labels.
        config: Gives ``seed``.

    Returns:
        Model from images (B, height, width, 3) to probabilities (B, num_classes).
    """
    return _with_new_head(start.image_encoder, config, dataset, 0.5, "image_classifier")


def new_text_classifier(start: Clip, dataset: Dataset, vectorizer, config: Config):
    """Put a new head on the frozen text encoder; see `new_image_classifier`.

    Returns:
        Model from token ids (B, sequence_length) to probabilities (B, num_classes).
    """
    return _with_new_head(
        start.text_encoder, config, dataset, config.dropout, "text_classifier"
    )


def continue_clip(start: Clip, image_features, text_features, config: Config):
    """Build a CLIP that starts from the pretrained projections; see `build_clip`.

    An encoder with features of another width keeps a random projection.
    """
    clip = build_clip(image_features, text_features, config)
    sources = start.image_encoder, start.text_encoder
    for source, target in zip(sources, split_encoders(clip), strict=True):
        for layer in source.layers:
            if layer.name in (PROJECTION, SCALE):
                own = target.get_layer(layer.name)
                if [w.shape for w in own.weights] == [w.shape for w in layer.weights]:
                    own.set_weights(layer.get_weights())
    return clip
