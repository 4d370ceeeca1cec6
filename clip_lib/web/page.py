"""What the search page answers, as HTML; `app` shows it.

Every input is a stranger's: texts have a maximum length, pictures a maximum size. What
cannot be answered raises a `ClipError` in the visitor's language.
"""

import contextlib
import dataclasses
from pathlib import Path
from typing import NamedTuple

import clip_lib.towers  # noqa: F401  For their tokenizers.
from clip_lib.config import PRETRAINED, Config, find_pretrained
from clip_lib.data.dataset import SPLITS
from clip_lib.data.images import FORMATS
from clip_lib.data.vocabulary import count_words, sort_words
from clip_lib.errors import ClipError
from clip_lib.retrieval.answers import with_captions
from clip_lib.retrieval.photo_folder import find_data, open_folder
from clip_lib.retrieval.question import fits, negations, texts_of
from clip_lib.retrieval.runtime import open_clip
from clip_lib.retrieval.search import IMAGE_INDEX_FILE, Clip, Search
from clip_lib.retrieval.zero_shot import knows_label, label_ranking, split_labels
from clip_lib.web.cards import answer_list, more_button, note
from clip_lib.web.thumbnails import Thumbnails

_PRETRAINED = "pretrained"
K = 5
MAX_K = 200
MAX_CHARACTERS = 500
MAX_PIXELS = 40_000_000
"""Enough for a telephone's photo; some kinds take a gigabyte while they are read."""


class Gallery(NamedTuple):
    """What is searched, what may be shown of it, and the model's path.

    The path is empty for the pretrained weights.
    """

    search: Search
    shown: Thumbnails
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
            for name, gallery in _galleries(path, folders, config).items():
                named = f"{name} · {model or _PRETRAINED}"
                found[named if len(model_files) > 1 else name] = Gallery(
                    *gallery, model
                )
        return cls(found)

    @property
    def folders(self) -> list[str]:
        """The folders whose pictures may be shown."""
        return sorted({str(one.shown.folder) for one in self.galleries.values()})

    def choices(self, words) -> tuple[list[tuple[str, str]], str]:
        """Return what to call each gallery, with its name, and what to say of all."""
        choices, models = [], {one.model for one in self.galleries.values()}
        for name, (search, *_) in self.galleries.items():
            count = words["pictures"].format(len(search.images.items))
            shown = name.replace(f"· {_PRETRAINED}", f"· {words['pretrained']}")
            choices.append((f"{shown} · {count}", name))
        about = [words["model"].format(words["pretrained"])] if models == {""} else []
        about += [words["gallery_hint"]] if "test" in self.galleries else []
        return choices, " ".join(about)

    def examples(self) -> list[str]:
        """Return up to three thumbnails from all over the first gallery."""
        search, shown, *_ = next(iter(self.galleries.values()))
        paths = search.images.items["paths"]
        found = map(shown.uri, paths[:: len(paths) // 3 + 1])
        return list(filter(None, found))

    def path(self, gallery: str, name: str) -> str | None:
        """Find a gallery's picture by its name; None if there is no such thing."""
        if gallery not in self.galleries:
            return None
        search, shown, _ = self.galleries[gallery]
        paths = search.images.items["paths"]
        paths = paths[paths.str.endswith(name.rpartition("/")[2])]
        return next((path for path in paths if shown.name(path) == name), None)

    def file(self, gallery: str, name: str) -> Path | None:
        """Return the file of such a picture, if it may be shown."""
        path = self.path(gallery, name)
        return path and self.galleries[gallery].shown.file(path)

    def pictures_for(
        self, gallery: str, text: str, words, like: str = "", k: int = K
    ) -> str:
        """Answer a text with its k best pictures, or a picture with those like it.

        The text may combine several, see `read_question`, but no pictures: a stranger
        would read any file. ``like`` is the name of one of the gallery's.
        """
        search = self._search(gallery, words)
        if like:
            if not (path := self.path(gallery, like)):
                raise ClipError(words["gone"])
            return self._similar(gallery, path, k, words, like)
        if not (text := _clean(text)):
            return ""
        with _saying(words["no_meaning"]):
            texts, vectorizer = texts_of(text), search.clip.vectorizer
        known, unknown = sort_words(vectorizer, " ".join(texts))
        notes = _warning(known, unknown, search.clip, words)
        length = vectorizer.sequence_length
        if any(len(vectorizer.split(one)) > length for one in texts):
            notes += note(words["cut"].format(length))
        with _saying(_unknown(unknown, words) if unknown else words["no_meaning"]):
            answers = search.images_for(text, _bounded(k), "all")
            if not fits(search, text, "all"):
                notes += note(words["no_fit"])
        for phrase, word in negations(text):
            notes += note(words["negation"].format(phrase, word))
        total = len(search.images.items)
        heading = words["best"].format(len(answers), total)
        return notes + self._cards(gallery, answers, heading, total, words)

    def texts_for(
        self, gallery: str, upload: str, labels: str, words, k: int = K
    ) -> str:
        """Answer a picture, an uploaded file, with texts and with similar pictures.

        The texts are the k best captions of the gallery if it has any, or all labels
        that are given, separated by commas.
        """
        search, notes, answers = self._search(gallery, words), "", None
        if not upload:
            return ""
        clip, total = search.clip, len(search.texts.items) if search.texts else 0
        limits = MAX_PIXELS // 1_000_000, ", ".join(FORMATS)
        with _saying(words["no_picture"].format(*limits)):
            embedding = clip.embed_image(upload, MAX_PIXELS)
        if labels := _clean(labels):
            names = split_labels(labels)
            known = [name for name in names if knows_label(clip, name)]
            unknown = [name for name in names if name not in known]
            notes, total = _warning(known, unknown, clip, words), len(names)
            with _saying(words["few_labels"]):
                answers = label_ranking(clip, names)(embedding)
        elif search.texts:
            answers = search.texts.search(embedding, _bounded(k), clip.temperature)
        similar = self._similar(gallery, upload, k, words, embedding=embedding)
        if answers is None:
            return similar
        text = "labels" if labels else "captions"
        answers = answers.rename(columns={text: "text", "image_paths": "picture"})
        heading = words["best"].format(len(answers), total)
        shown = self.galleries[gallery].shown
        return notes + answer_list(answers, heading, shown, gallery, words) + similar

    def _search(self, gallery: str, words) -> Search:
        if gallery not in self.galleries:
            raise ClipError(words["no_gallery"].format(gallery))
        return self.galleries[gallery].search

    def _similar(
        self, gallery: str, picture: str, k: int, words, name="", embedding=None
    ) -> str:
        """Show the k pictures most like one, by the name that it has in the gallery."""
        search = self.galleries[gallery].search
        answers = search.images_like(picture, _bounded(k), "all", embedding)
        # The temperature is that of texts: a probability would mean nothing.
        answers = answers.drop(columns="probability")
        total = len(search.images.items) - bool(name)
        heading = words["like"] if name else words["similar"]
        heading = heading.format(len(answers), total, name)
        return self._cards(gallery, answers, heading, total, words)

    def _cards(self, gallery: str, answers, heading: str, total: int, words) -> str:
        search, shown, _ = self.galleries[gallery]
        answers = with_captions(answers, search)
        names = answers["paths"].map(shown.name)
        captions = answers.get("captions", names)
        answers["text"] = captions.where(captions != "", names)
        answers["picture"] = answers["paths"]
        cards = answer_list(answers, heading, shown, gallery, words, "clip-cards")
        return cards + (more_button(words) if len(answers) < min(total, MAX_K) else "")


@contextlib.contextmanager
def _saying(message: str):
    """Say in the visitor's language what cannot be answered."""
    try:
        yield
    except ClipError as error:
        raise ClipError(message) from error


def _bounded(k) -> int:
    return min(max(k or K, 1), MAX_K)


def _galleries(model_file, folders, config) -> dict[str, tuple[Search, Thumbnails]]:
    own, found = Path(model_file).with_name(IMAGE_INDEX_FILE), {}
    whole = Search.load(model_file, open_clip) if own.is_file() else None
    clip = whole.clip if whole else open_clip(model_file)
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
    return note(_unknown(unknown, words)) if unknown else ""


def _unknown(names, words) -> str:
    return words["unknown"].format(", ".join(dict.fromkeys(names)))
