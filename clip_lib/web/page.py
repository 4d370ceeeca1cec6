"""What the search page answers, as HTML; `app` shows it.

Every input is a stranger's: texts have a maximum length, pictures a maximum size. What
cannot be answered raises a `ClipError` in the visitor's language.
"""

import dataclasses
from pathlib import Path
from typing import NamedTuple

import pandas as pd

import clip_lib.towers  # noqa: F401  For their tokenizers.
from clip_lib.config import PRETRAINED, Config, find_pretrained
from clip_lib.data.dataset import SPLITS
from clip_lib.data.images import FORMATS
from clip_lib.data.vocabulary import count_words, sort_words
from clip_lib.errors import ClipError
from clip_lib.retrieval.answers import with_captions
from clip_lib.retrieval.photo_folder import find_data, open_folder
from clip_lib.retrieval.search import IMAGE_INDEX_FILE, Clip, Search
from clip_lib.retrieval.zero_shot import knows_label, label_index
from clip_lib.web.cards import answer_list, more_button, note
from clip_lib.web.thumbnails import Thumbnails

K = 5
MAX_K = 200
MAX_CHARACTERS = 500
MAX_PIXELS = 40_000_000
"""Enough for a telephone's photo; some kinds take a gigabyte while they are read."""


class Gallery(NamedTuple):
    """Something to search.

    Attributes:
        search: A model with its indexes.
        shown: The pictures that may be shown.
        title: A folder's name with a slash, a split's without.
        model: The model's path, empty for the pretrained weights.
    """

    search: Search
    shown: Thumbnails
    title: str
    model: str


@dataclasses.dataclass(frozen=True)
class Page:
    """Galleries, and the answers to a visitor's queries.

    Attributes:
        galleries: By the name that stands in the page's address. The first is shown.
    """

    galleries: dict[str, Gallery]

    @classmethod
    def load(cls, model_files, folders=(), config: Config | None = None) -> "Page":
        """Load models and what each searches: the folders, and its own pictures.

        Args:
            model_files: CLIPs, each with its vocabulary beside it, and the indexes of
                its own pictures if it has any.
            folders: Folders of pictures, whose indexes are brought up to date. A data
                folder brings its captions.
            config: Says where to find the data for models without indexes of their own
                (by default, as the environment says).

        Raises:
            ClipError: If a file or folder is missing or does not fit.
        """
        found, pretrained = {}, find_pretrained(PRETRAINED).resolve()
        for path in model_files:
            model = "" if Path(path).resolve().parent == pretrained else str(path)
            for title, (search, shown) in _galleries(path, folders, config).items():
                name = f"{title} · {model or 'pretrained'}"
                name = title if len(model_files) == 1 else name
                found[name] = Gallery(search, shown, title, model)
        return cls(found)

    @property
    def folders(self) -> list[str]:
        """The folders whose pictures may be shown."""
        return sorted({str(one.shown.folder) for one in self.galleries.values()})

    def choices(self, words) -> tuple[list[tuple[str, str]], str]:
        """Return what to call each gallery, with its name, and what to say of all."""
        models = {one.model for one in self.galleries.values()}
        choices = []
        for name, (search, _, title, model) in self.galleries.items():
            label = [title, words["pictures"].format(len(search.images.items))]
            label += [_model(model, words)] if len(models) > 1 else []
            choices.append((" · ".join(label), name))
        about = [_model(*models, words)] if len(models) == 1 else []
        about += [words["gallery_hint"]] if "test" in self.galleries else []
        return choices, ". ".join(about)

    def examples(self) -> list[str]:
        """Return up to three thumbnails from all over the first gallery."""
        search, shown, *_ = next(iter(self.galleries.values()))
        paths = search.images.items["paths"]
        found = map(shown.uri, paths[:: len(paths) // 3 + 1])
        return list(filter(None, found))

    def file(self, gallery: str, name: str) -> Path | None:
        """Return a gallery's picture by its name; None if there is no such thing."""
        if gallery not in self.galleries:
            return None
        search, shown, *_ = self.galleries[gallery]
        row = _row(search, shown, name)
        return None if row is None else shown.file(search.images.items["paths"][row])

    def pictures_for(
        self, gallery: str, text: str, words, like: str = "", k: int = K
    ) -> str:
        """Answer a text, or the name of a picture, with the k best pictures."""
        search, shown = self._open(gallery, words)
        text, warning = _clean(text), ""
        if like:
            if (row := _row(search, shown, like)) is None:
                raise ClipError(words["gone"])
            return self._similar(gallery, search.images.embeds[row], words, k, like)
        if not text:
            return ""
        known, unknown = sort_words(search.clip.vectorizer, text)
        warning = _warning(known, unknown, search.clip, words)
        answers = search.images_for(text, _whole(k), "all")
        total = len(search.images.items)
        heading = words["best"].format(len(answers), total)
        return warning + self._cards(gallery, answers, heading, total, words)

    def texts_for(
        self, gallery: str, upload: str, labels: str, words, k: int = K
    ) -> str:
        """Answer a picture, an uploaded file, with texts and with similar pictures.

        The texts are the k best captions of the gallery if it has any, or all labels
        that are given, separated by commas.
        """
        search, shown = self._open(gallery, words)
        clip, texts, warning, unknown = search.clip, search.texts, "", []
        if not upload:
            return ""
        if labels := _clean(labels):
            names = [" ".join(name.split()) for name in labels.split(",")]
            names = list(dict.fromkeys(filter(None, names)))
            known = [name for name in names if knows_label(clip, name)]
            unknown = [name for name in names if name not in known]
            warning = _warning(known, unknown, clip, words)
            if len(names) == 1:
                raise ClipError(words["few_labels"])
            texts = label_index(clip, known)
        try:
            embedding = clip.embed_image(upload, MAX_PIXELS)
        except ClipError as error:
            limits = MAX_PIXELS // 1_000_000, ", ".join(FORMATS)
            raise ClipError(words["no_picture"].format(*limits)) from error
        similar = self._similar(gallery, embedding, words, k)
        if not texts:
            return similar
        answers = texts.search(
            embedding, len(texts.items) if labels else _whole(k), clip.temperature
        )
        # A label without a known word stands for nothing: last, without a number.
        answers = pd.concat([answers, pd.DataFrame({"labels": unknown})])
        text = "labels" if labels else "captions"
        answers = answers.rename(columns={text: "text", "image_paths": "picture"})
        total = len(texts.items) + len(unknown)
        heading = words["best"].format(len(answers), total)
        listed = answer_list(answers, heading, shown, gallery, words)
        return warning + listed + similar

    def _open(self, gallery: str, words) -> tuple[Search, Thumbnails]:
        if gallery not in self.galleries:
            raise ClipError(words["no_gallery"].format(gallery))
        return self.galleries[gallery][:2]

    def _similar(self, gallery: str, embedding, words, k: int, name: str = "") -> str:
        """Show the k pictures nearest to a picture, but not itself."""
        search, shown = self._open(gallery, words)
        answers = search.images.search(embedding, _whole(k) + bool(name))
        if name:
            answers = answers[answers["paths"].map(shown.name) != name][: _whole(k)]
            answers["rank"] = range(1, len(answers) + 1)
        total = len(search.images.items) - bool(name)
        heading = words["like" if name else "similar"]
        heading = heading.format(*filter(None, [name]), len(answers), total)
        # The temperature is that of texts: a probability would mean nothing.
        answers = answers.drop(columns="probability")
        return self._cards(gallery, answers, heading, total, words)

    def _cards(self, gallery: str, answers, heading: str, total: int, words) -> str:
        search, shown = self._open(gallery, words)
        answers = with_captions(answers, search)
        names = answers["paths"].map(shown.name)
        captions = answers.get("captions", names)
        answers["text"] = captions.where(captions != "", names)
        answers["picture"] = answers["paths"]
        cards = answer_list(answers, heading, shown, gallery, words, "clip-cards")
        return cards + (more_button(words) if len(answers) < min(total, MAX_K) else "")


def _row(search: Search, shown: Thumbnails, name: str) -> int | None:
    """Find a picture of the index by its name, see `Thumbnails.name`."""
    paths = search.images.items["paths"]
    last = name.rpartition("/")[2]
    found = (
        row
        for row, path in paths[paths.str.endswith(last)].items()
        if shown.name(path) == name
    )
    return next(found, None)


def _model(model: str, words) -> str:
    return words["model"].format(model) if model else words["pretrained"]


def _whole(k) -> int:
    """Keep a visitor's number of answers within bounds."""
    return int(min(max(k or K, 1), MAX_K))


def _galleries(model_file, folders, config) -> dict[str, tuple[Search, Thumbnails]]:
    own, found = Path(model_file).with_name(IMAGE_INDEX_FILE), {}
    whole = Search.load(model_file) if own.is_file() else None
    clip = whole.clip if whole else Clip.load(model_file)
    if not whole and not folders:
        folders = [find_data(config or Config.from_environment())]
    for folder in folders:
        root = Path(folder).resolve()
        # With a slash at its end it is not the name of a split, such as test.
        name = f"{root.name}/"
        gallery = open_folder(clip, root), Thumbnails(root)
        found[name if name not in found else f"{root}/"] = gallery
    if whole:
        shown = Thumbnails.of(whole.images)
        splits = set(whole.images.items.get("splits", ()))
        for name in [*(name for name in reversed(SPLITS) if name in splits), "all"]:
            parts = (index.part(name) for index in (whole.images, whole.texts))
            found[name] = Search(clip, *parts), shown
    return found


def _clean(text: str | None) -> str:
    """Cut a visitor's text; drop half characters, which no encoding writes."""
    text = (text or "").encode("utf-8", "ignore").decode()
    return text.strip()[:MAX_CHARACTERS]


def _warning(known, unknown, clip: Clip, words) -> str:
    """Name what the model does not know; refuse a query of nothing else."""
    if not known:
        raise ClipError(words["none_known"].format(count_words(clip.vectorizer)))
    names = ", ".join(dict.fromkeys(unknown))
    return note(words["unknown"].format(names)) if unknown else ""
