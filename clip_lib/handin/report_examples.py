"""What the saved models answer, for the report: their figures on test and examples.

No example is chosen by hand: the subject's query, the first test picture and caption of
a label, the pairs placed worst.
"""

import dataclasses
import functools
from collections.abc import Iterator

import keras
import numpy as np
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter

from clip_lib.config import Config
from clip_lib.data.pipelines import image_batches
from clip_lib.data.vocabulary import encode, sort_words
from clip_lib.errors import ClipError
from clip_lib.evaluation import attribution, embeddings
from clip_lib.evaluation.evaluate import evaluate_indexes
from clip_lib.figures import attribution_plots, curves, embedding_plots, image_grids
from clip_lib.handin.architecture import architecture_figure
from clip_lib.handin.model_summary import architecture_sizes, encoder_titles
from clip_lib.retrieval.search import Search
from clip_lib.retrieval.zero_shot import knows_label, zero_shot

QUERY = "A big dog in the woods"
HARDEST = 3
NOTICE = (
    "Ce sont des scènes dessinées : elles montrent que toute la chaîne fonctionne et "
    "ne disent rien des photographies."
)
FRENCH = {"drawn scenes": "scènes dessinées", "photographs": "photographies"}


def _load_classifier(config: Config, name: str) -> keras.Model:
    path = config.model_path(name)
    if not path.is_file():
        raise ClipError(f"{path}: no such model; `make run` trains one.")
    return keras.saving.load_model(path, compile=False)


@dataclasses.dataclass(frozen=True)
class SavedRun:
    """What the notebook leaves: CLIP with its indexes, and both classifiers.

    Attributes:
        search: CLIP and its indexes.
        image_classifier, text_classifier: The models that its halves come from.
    """

    search: Search
    image_classifier: keras.Model
    text_classifier: keras.Model

    @classmethod
    def load(cls, config: Config) -> "SavedRun":
        """Load them from ``config.model_dir``.

        Raises:
            ClipError: If a file is missing or does not fit; the message says which.
        """
        search = Search.load(config.clip_file)
        names = ("image_classifier.keras", "text_classifier.keras")
        return cls(search, *(_load_classifier(config, name) for name in names))

    @property
    def source(self) -> str:
        """What its pictures are, in French."""
        return FRENCH.get(self.search.images.source, self.search.images.source)

    @property
    def class_names(self) -> list[str]:
        """The labels, in the order of their numbers."""
        return sorted(set(self.search.images.items["labels"]))

    def query(self) -> str:
        """The subject's query; the first test caption if the model knows no word."""
        known, _ = sort_words(self.search.clip.vectorizer, QUERY)
        if known:
            return QUERY
        return self.search.texts.part("test").items["captions"][0]

    @functools.cached_property
    def predictions(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Heading -> label numbers and predicted ones, on test, of each classifier."""
        clip = self.search.clip
        images, texts = (each.part("test") for each in self._indexes)
        batches = image_batches(
            list(images.items["paths"]), clip.image_size, cached=False
        )
        token_ids = encode(clip.vectorizer, texts.items["captions"])
        number = {name: place for place, name in enumerate(self.class_names)}
        image_title, text_title = encoder_titles(clip)
        seen = {
            image_title: (images, self.image_classifier.predict(batches, verbose=0)),
            text_title: (texts, self.text_classifier.predict(token_ids, verbose=0)),
        }
        found = {
            name: (index.items["labels"].map(number), scores.argmax(axis=1))
            for name, (index, scores) in seen.items()
        }
        if all(knows_label(clip, name) for name in self.class_names):
            names = zero_shot(clip, images.embeds, self.class_names)
            guesses = np.array([number[name] for name in names])
            found["CLIP, zéro-shot"] = found[image_title][0], guesses
        return found

    @property
    def _indexes(self):
        return self.search.images, self.search.texts

    def measure(self) -> tuple[dict, dict]:
        """Measure it on its test part.

        Returns:
            The report of `evaluate_indexes`, and what else is known of the models: what
            its pictures are, sizes, temperature, accuracies, reasons of failures.
        """
        clip = self.search.clip
        parts = [each.part("test") for each in self._indexes]
        pairs = embeddings.hardest_pairs(*parts, clip.vectorizer)
        reasons = pairs["reason"].value_counts()
        about = {
            "source": self.source,
            "notice": NOTICE if self.search.images.source == "drawn scenes" else "",
            "query": self.query(),
            "temperature": clip.temperature,
            "labels": len(self.class_names),
            "sizes": architecture_sizes(clip),
            "accuracy": {
                name: float((np.asarray(truth) == guess).mean())
                for name, (truth, guess) in self.predictions.items()
            },
            "hardest": HARDEST,
            "reasons": {
                name: int(reasons.get(name, 0)) for name in embedding_plots.REASONS
            },
        }
        return evaluate_indexes(*parts), about

    def figures(self) -> Iterator[tuple[str, Figure, tuple[float, ...] | None]]:
        """Draw the examples: name, figure, and its size in the report.

        The size is width and height in inches, and by how much the letters shrink.
        """
        search, clip, query = self.search, self.search.clip, self.query()
        images, texts = (each.part("test") for each in self._indexes)
        labels = len(self.class_names)
        yield "architecture", architecture_figure(clip, labels), None
        for number, (name, found) in enumerate(self.predictions.items(), 1):
            figure = curves.confusion(*found, self.class_names, name)
            yield f"confusion_{number}", figure, (2.05, 2.0, 0.78)
        where = image_grids.gallery_name(search.images, "test")
        answers = search.images_for(query)
        yield (
            "images",
            image_grids.image_answers(answers, query, where),
            (6.3, 1.95, 0.78),
        )
        first = texts.items.iloc[0]
        found = search.images_for(first["captions"])
        figure = image_grids.image_answers(
            found, first["captions"], where, first["image_paths"]
        )
        yield "images_own", figure, (6.3, 1.95, 0.78)
        where = image_grids.gallery_name(search.texts, "test")
        for number, label in enumerate((self.class_names[0], self.class_names[-1]), 1):
            own = images.items[images.items["labels"] == label]["paths"].iloc[0]
            figure = image_grids.text_answers(own, search.texts_for(own), where)
            yield f"texts_{number}", figure, (6.3, 1.75, 0.74)
        pairs = embeddings.hardest_pairs(images, texts, clip.vectorizer)
        figure = embedding_plots.hardest(pairs.head(HARDEST))
        yield "hardest", figure, (6.3, 0.2 + 1.1 * HARDEST, 0.7)
        captions, paths = texts.items["captions"], texts.items["image_paths"]
        own_images = clip.embed_images(paths)
        drops = attribution.word_attribution(clip, captions[0], own_images[0])
        words = attribution.word_table(clip, captions, own_images)
        figure = attribution_plots.word_bars(drops, words, captions[0])
        yield "words", figure, (6.3, 2.4, 0.78)
        maps = [
            attribution.occlusion_map(clip, path, query) for path in answers["paths"]
        ]
        figure = attribution_plots.heat_row(answers, maps, query)
        _outline(figure, maps)
        yield "places", figure, (6.3, 2.4, 0.78)


def _outline(figure: Figure, maps) -> None:
    """Draw lines around what supports the text, dashed ones around the contrary."""
    limit = max(np.abs(one).max() for one in maps) or 1.0
    for axes, heat in zip(figure.axes[len(maps) :], maps, strict=False):
        heat = gaussian_filter(heat, heat.shape[0] / 28)  # Hidden squares have steps.
        for level, line in ((-limit / 3, "dashed"), (limit / 3, "solid")):
            if heat.min() < level < heat.max():
                axes.contour(
                    heat, [level], colors="black", linestyles=line, linewidths=0.8
                )
