"""What the search page answers, as HTML; `app` shows it.

Every input is a stranger's: texts have a maximum length, pictures a maximum size. What
cannot be answered raises a `ClipError` in the visitor's language.
"""

import dataclasses
import os
from pathlib import Path

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
from clip_lib.web.cards import answer_list, note
from clip_lib.web.thumbnails import Thumbnails

K = 5
MAX_CHARACTERS = 500
MAX_PIXELS = 40_000_000
"""Enough for a telephone's photo; some kinds take a gigabyte while they are read."""


@dataclasses.dataclass(frozen=True)
class Page:
    """Galleries, and the answers to a visitor's queries.

    Attributes:
        galleries: By name: a model with what it searches, and what may be shown of it.
    """

    galleries: dict[str, tuple[Search, Thumbnails]]

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
            ours = Path(path).resolve().parent == pretrained
            model = "pretrained weights" if ours else path
            for name, gallery in _galleries(path, folders, config).items():
                found[name if len(model_files) == 1 else f"{name} · {model}"] = gallery
        return cls(found)

    @property
    def folders(self) -> list[str]:
        """The folders whose pictures may be shown."""
        return sorted({str(shown.folder) for _, shown in self.galleries.values()})

    def examples(self) -> list[str]:
        """Return up to three thumbnails from all over the first gallery."""
        search, thumbnails = next(iter(self.galleries.values()))
        paths = search.images.items["paths"]
        found = map(thumbnails.uri, paths[:: len(paths) // 3 + 1])
        return list(filter(None, found))

    def pictures_for(self, gallery: str, text: str, words) -> str:
        """Answer a text with its best pictures."""
        search, thumbnails = self.galleries[gallery]
        text = _clean(text)
        if not text:
            return ""
        known, unknown = sort_words(search.clip.vectorizer, text)
        warning = _warning(known, unknown, search.clip, words)
        answers = with_captions(search.images_for(text, K, "all"), search)
        names = answers["paths"].map(os.path.basename)
        captions = answers.get("captions", names)
        answers["text"] = captions.where(captions != "", names)
        answers["picture"] = answers["paths"]
        total = len(search.images.items)
        return warning + answer_list(answers, total, thumbnails, words, "clip-cards")

    def texts_for(self, gallery: str, upload: str, labels: str, words) -> str:
        """Answer a picture, an uploaded file, with its best labels or captions.

        Labels are separated by commas; without any, the gallery's captions answer.
        """
        search, thumbnails = self.galleries[gallery]
        clip, texts, warning = search.clip, search.texts, ""
        if not upload:
            return ""
        if labels := _clean(labels):
            names = [" ".join(name.split()) for name in labels.split(",")]
            names = list(dict.fromkeys(filter(None, names)))
            known = [name for name in names if knows_label(clip, name)]
            unknown = [name for name in names if name not in known]
            warning = _warning(known, unknown, clip, words)
            texts = label_index(clip, names)
        if texts is None or len(texts.items) == 1:
            raise ClipError(words["few_labels"])
        try:
            embedding = clip.embed_image(upload, MAX_PIXELS)
        except ClipError as error:
            limits = MAX_PIXELS // 1_000_000, ", ".join(FORMATS)
            raise ClipError(words["no_picture"].format(*limits)) from error
        total = len(texts.items)
        answers = texts.search(embedding, total if labels else K, clip.temperature)
        text = "labels" if labels else "captions"
        answers = answers.rename(columns={text: "text", "image_paths": "picture"})
        return warning + answer_list(answers, total, thumbnails, words)


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
