"""Train and measure the recipe that the course hands out, as the point of departure.

Our own code after the course's description, its faults included: what they cost is what
is measured. Its sizes are constants here rather than settings of `Config`, so that the
comparison stands still when ours change. Two things are ours: training and validation
are those of our split, and test, which the recipe has not, measures the end.

    python benchmarks/handed_out.py --data FOLDER --name folds --folds 5 --seeds 42

Its five faults, and where they are:

1. It trains on pixels from 0 to 255 and serves pixels from 0 to 1: `_read`, `measure`.
   Both are measured, so that the comparison need not rest on this fault.
2. It shuffles before it caches, and drops the short last batch: `handed_out_batches`.
3. It serves only pictures of the model's own size. An exception cannot be compared:
   here they are resized, as in its training.
4. Its Transformer block cannot be saved with its settings. The best epoch's weights
   alone are kept, so that it costs nothing here.
5. Its vocabulary is learned on all captions, test included: `measure`.

Its encoders start from random weights, without having been classifiers.
"""

import time

import numpy as np
from record import (
    list_splits,
    measure_all,
    options,
    peak_gigabytes,
    provenance,
    write_result,
)

from clip_lib import silence_tensorflow  # noqa: F401

# isort: split
import keras
import keras_nlp
import tensorflow as tf
from keras import layers, ops

from clip_lib.config import Config
from clip_lib.data.dataset import Dataset, load_dataset
from clip_lib.data.vocabulary import encode, learn_vocabulary
from clip_lib.evaluation.evaluate import evaluate_dataset
from clip_lib.retrieval.search import Clip

FILTERS = (32, 64, 128)
EMBED_DIM, NUM_HEADS, FF_DIM, NUM_LAYERS, DROPOUT = 128, 4, 256, 2, 0.1
TEMPERATURE = 0.07
BATCH_SIZE, LEARNING_RATE, EPOCHS = 32, 1e-3, 10


class Clock(keras.callbacks.Callback):
    """Keep the seconds of each epoch, input included."""

    def on_train_begin(self, logs=None):
        self.seconds, self.began = [], time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        now = time.perf_counter()
        self.seconds.append(now - self.began)
        self.began = now


class FixedTemperatureLoss(layers.Layer):
    """Pass two batches of embeddings through, and add the course's loss.

    The symmetric cross-entropy of `clip_lib.models.contrastive_loss`, at a temperature
    that is not learned.
    """

    def call(self, inputs):
        image_embeddings, text_embeddings = inputs
        logits = image_embeddings @ ops.transpose(text_embeddings) / TEMPERATURE
        diagonal = ops.arange(ops.shape(logits)[0])
        losses = [
            ops.mean(
                ops.sparse_categorical_crossentropy(diagonal, scores, from_logits=True)
            )
            for scores in (logits, ops.transpose(logits))
        ]
        self.add_loss((losses[0] + losses[1]) / 2)
        return image_embeddings, text_embeddings


def _image_encoder(image_shape) -> keras.Model:
    image_input = keras.Input(image_shape, name="image_input")
    outputs = image_input  # Fault 1: nothing scales the 0..255 of the training.
    for filters in FILTERS:
        outputs = layers.Conv2D(filters, 3, padding="same", activation="relu")(outputs)
        outputs = layers.MaxPooling2D()(outputs)
    outputs = layers.Dense(EMBED_DIM)(layers.Flatten()(outputs))
    outputs = layers.UnitNormalization()(outputs)
    return keras.Model(image_input, outputs, name="image_encoder")


def _text_encoder(sequence_length: int, vocabulary_size: int) -> keras.Model:
    text_input = keras.Input((sequence_length,), dtype="int32", name="text_input")
    outputs = keras_nlp.layers.TokenAndPositionEmbedding(
        vocabulary_size, sequence_length, EMBED_DIM, mask_zero=True
    )(text_input)
    for _ in range(NUM_LAYERS):
        outputs = keras_nlp.layers.TransformerEncoder(
            FF_DIM, NUM_HEADS, DROPOUT, activation="relu"
        )(outputs)
    outputs = layers.Dropout(DROPOUT)(layers.LayerNormalization()(outputs))
    # Of the three summaries that it offers, the one that ignores padding.
    outputs = layers.Dense(EMBED_DIM)(layers.GlobalAveragePooling1D()(outputs))
    outputs = layers.UnitNormalization()(outputs)
    return keras.Model(text_input, outputs, name="text_encoder")


def build_handed_out(config: Config, vocabulary_size: int) -> keras.Model:
    """Build and compile the course's CLIP, with weights of their own.

    Args:
        config: Gives ``image_shape``, ``sequence_length`` and ``seed``.
        vocabulary_size: Number of token ids, padding and [UNK] included.

    Returns:
        Model from ``{"image_input", "text_input"}`` to (image_embeddings,
        text_embeddings), each (B, 128) unit vectors, which carries its own loss.
    """
    keras.utils.set_random_seed(config.seed)
    encoders = (
        _image_encoder(config.image_shape),
        _text_encoder(config.sequence_length, vocabulary_size),
    )
    inputs = {encoder.input.name: encoder.input for encoder in encoders}
    embeddings = [encoder(encoder.input) for encoder in encoders]
    outputs = FixedTemperatureLoss(name="contrastive_loss")(embeddings)
    clip = keras.Model(inputs, outputs, name="handed_out_clip")
    clip.compile(keras.optimizers.Adam(LEARNING_RATE))
    return clip


def handed_out_batches(
    dataset: Dataset, vectorizer, config: Config, split: str
) -> tf.data.Dataset:
    """Stream the pairs of a split as the course's builder does.

    Args:
        dataset: Split data.
        vectorizer: Vocabulary of all captions.
        config: Gives ``image_size`` and ``seed``.
        split: "train" or "validation".

    Returns:
        Batches ``{"image_input": float32 (32, height, width, 3), "text_input": int32
        (32, length)}``; of all rows if there are fewer than 32.
    """
    rows = dataset.part(split)

    def pair(path, token_ids):
        return {"image_input": _read(path, config.image_size), "text_input": token_ids}

    columns = (dataset.paths(rows), encode(vectorizer, rows["caption"]))
    stream = tf.data.Dataset.from_tensor_slices(columns)
    # Fault 2: the cache keeps the first epoch's order. Every later epoch has the same
    # batches, hence the same negatives, and leaves out the same rows.
    stream = stream.shuffle(len(rows), seed=config.seed)
    stream = stream.map(pair, num_parallel_calls=tf.data.AUTOTUNE).cache()
    stream = stream.batch(min(BATCH_SIZE, len(rows)), drop_remainder=True)
    return stream.prefetch(tf.data.AUTOTUNE)


def _read(path, image_size):
    image = tf.io.read_file(path)
    image = tf.io.decode_image(image, channels=3, expand_animations=False)
    # Fault 1: resizing returns floats from 0 to 255, which convert_image_dtype, meant
    # to bring integers to 0..1, leaves as they are.
    image = tf.image.resize(image, image_size)
    return tf.image.convert_image_dtype(image, tf.float32)


def measure(config: Config, epochs: int = EPOCHS, fold=None) -> dict:
    """Train the course's recipe once; return its metrics on test.

    Args:
        config: Data, split, seed, and the folder that receives the weights.
        epochs: Length of the training; the epoch of least validation loss is kept.
        fold: See `load_dataset`.

    Returns:
        Cost (``minutes`` and ``seconds_per_epoch`` of the training, decoding and
        validation included, ``peak_gigabytes`` of this process until now), ``history``,
        and the report of `evaluate_dataset` twice: ``clip`` when served the pixels of
        its training, ``clip_as_served`` from 0 to 1.
    """
    dataset = load_dataset(config, fold=fold)
    started = time.monotonic()
    # Fault 5: the captions of validation and test are among them.
    vectorizer = learn_vocabulary(dataset.records["caption"], config)
    clip = build_handed_out(config, vectorizer.vocabulary_size())
    weights, clock = config.model_path("handed_out.weights.h5"), Clock()
    best = keras.callbacks.ModelCheckpoint(
        weights, "val_loss", save_best_only=True, save_weights_only=True
    )
    train, validation = (
        handed_out_batches(dataset, vectorizer, config, split)
        for split in ("train", "validation")
    )
    history = clip.fit(
        train,
        validation_data=validation,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        callbacks=[best, clock],
    ).history
    minutes, peak = (time.monotonic() - started) / 60, peak_gigabytes()
    clip.load_weights(weights)
    images, texts = (clip.get_layer(f"{side}_encoder") for side in ("image", "text"))
    zero_to_one = layers.Rescaling(1 / 255)(images.input)
    as_served = keras.Model(images.input, images(zero_to_one))
    return {
        "seed": config.seed,
        "fold": fold[0] if fold else 0,
        "minutes": minutes,
        "seconds_per_epoch": float(np.median(clock.seconds)),
        "peak_gigabytes": peak,
        "epochs": epochs,
        "best_epoch": int(np.argmin(history["val_loss"])) + 1,
        "vocabulary": vectorizer.vocabulary_size(),
        "parameters": clip.count_params(),
        "history": history,
        "chance_accuracy": 1 / len(dataset.class_names),
        "clip": evaluate_dataset(Clip(images, texts, vectorizer), dataset),
        "clip_as_served": evaluate_dataset(Clip(as_served, texts, vectorizer), dataset),
    }


def main() -> None:
    """Measure every seed and fold; write benchmarks/results/handed_out_<name>.json."""
    parser = options(__doc__, splits=True)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    given = parser.parse_args()
    about = provenance()
    make = Config.quick if given.quick else Config
    tasks = [
        (make(dataset_dir=given.data, seed=seed), given.epochs, fold)
        for seed, fold in list_splits(given)
    ]
    runs = measure_all(measure, tasks, given.jobs)
    if not given.quick:
        write_result(f"handed_out_{given.name}", about | {"runs": runs})


if __name__ == "__main__":
    main()
