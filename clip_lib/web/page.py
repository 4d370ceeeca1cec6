"""What the search page answers, as HTML; how the page looks is app.py's.

Whatever arrives is a stranger's: model and gallery are looked up among those that the
page was started with, texts have a greatest length, uploads a greatest size.
"""

import dataclasses

from clip_lib.answers import with_captions
from clip_lib.data import SPLITS
from clip_lib.folder_index import open_folder
from clip_lib.images import FORMATS, TooManyPixels
from clip_lib.retrieval import Search
from clip_lib.text import sort_words
from clip_lib.web.cards import label_rows, note, picture_cards, problem, text_rows
from clip_lib.web.thumbnails import Thumbnails
from clip_lib.zero_shot import TEMPLATES, knows_label, label_index

K = 5
MAX_CHARACTERS = 500
MAX_LABELS, MAX_TEMPLATES = 50, 10
MAX_UPLOAD_PIXELS = 40_000_000
"""A photo of today's telephones passes; decoded, it takes 120 MB for a moment."""


@dataclasses.dataclass(frozen=True)
class Page:
    """Models, what each can search, and the answers to a visitor's questions.

    Attributes:
        galleries: For each model file, by name: its pictures and texts, and what of
            them may be shown.
    """

    galleries: dict[str, dict[str, tuple[Search, Thumbnails]]]

    @classmethod
    def load(cls, model_files, folders=()) -> "Page":
        """Load models and galleries.

        Args:
            model_files: CLIPs, each with its vocabulary and indexes beside it.
            folders: Folders of photos that were indexed for each model, or index files.

        Raises:
            ValueError: If a model, an index or a folder is missing or does not fit.
        """
        return cls({str(path): _galleries(path, folders) for path in model_files})

    def sizes(self, model: str) -> dict[str, int]:
        """Return the galleries of a model and how many pictures each holds."""
        found = self.galleries[model]
        return {name: len(search.images.items) for name, (search, _) in found.items()}

    def labels(self, model: str) -> list[str]:
        """Return the labels that a model was trained with."""
        search, _ = self._find(model)
        return sorted(set(search.images.items.get("labels", ())))

    def examples(self, model: str, count: int = 3) -> list[str]:
        """Return a few picture files of the first gallery, of different labels."""
        search, thumbnails = self._find(model)
        items = search.images.items
        if "labels" in items:
            items = items.drop_duplicates("labels")
        # Only what may be shown: an index may name any file.
        return [path for path in items["paths"] if thumbnails.uri(path)][:count]

    def pictures_for(self, model: str, gallery: str, text: str, words) -> str:
        """Answer a text with its best pictures."""
        search, thumbnails = self._find(model, gallery)
        text = (text or "").strip()
        if refusal := _text_refusal(text, search, words):
            return problem(refusal)
        answers = with_captions(search.images_for(text, K, "all"), search)
        unknown = dict.fromkeys(sort_words(search.clip.vectorizer, text)[1])
        warning = words["unknown"].format(", ".join(unknown)) if unknown else ""
        total = len(search.images.items)
        return note(warning) + picture_cards(answers, total, thumbnails, words)

    def texts_for(self, model: str, gallery: str, upload: str, words) -> str:
        """Answer a picture, an uploaded file, with its best texts."""
        search, thumbnails = self._find(model, gallery)
        if search.texts is None:
            return problem(words["no_captions"])
        embedding, refusal = _embed(search, upload, words)
        if refusal:
            return problem(refusal)
        answers = search.texts.search(embedding, K, search.clip.temperature)
        return text_rows(answers, len(search.texts.items), thumbnails, words)

    def labels_for(
        self, model: str, upload: str, labels: str, templates: str, words
    ) -> str:
        """Answer a picture with labels, by their words alone."""
        search, _ = self._find(model)
        names = [" ".join(name.split()) for name in (labels or "").split(",")]
        names = list(dict.fromkeys(filter(None, names)))
        lines = [line.strip() for line in (templates or "").splitlines()]
        lines = list(dict.fromkeys(filter(None, lines))) or list(TEMPLATES)
        if refusal := _labels_refusal(names, lines, words):
            return problem(refusal)
        strange = [name for name in names if not knows_label(search.clip, name)]
        if len(strange) == len(names):
            return problem(_none_known(search, words))
        embedding, refusal = _embed(search, upload, words)
        if refusal:
            return problem(refusal)
        index = label_index(search.clip, names, lines)
        answers = index.search(embedding, len(names), search.clip.temperature)
        warning = words["strange_labels"].format(", ".join(strange)) if strange else ""
        return note(warning) + label_rows(answers, words)

    def _find(self, model: str, gallery: str = "") -> tuple[Search, Thumbnails]:
        """Look a gallery up; the model's first one if it has none of that name."""
        found = self.galleries[model]
        return found.get(gallery) or next(iter(found.values()))


def _galleries(model_file, folders) -> dict[str, tuple[Search, Thumbnails]]:
    whole = Search.load(model_file)
    thumbnails = Thumbnails.of(whole.images)
    splits = set(whole.images.items.get("splits", ()))
    parts = [name for name in reversed(SPLITS) if name in splits] + ["all"]
    found = {
        name: (
            Search(whole.clip, whole.images.part(name), whole.texts.part(name)),
            thumbnails,
        )
        for name in parts
    }
    for folder in folders:
        images = open_folder(whole.clip, model_file, folder)
        found[str(folder)] = (Search(whole.clip, images), Thumbnails.of(images))
    return found


def _embed(search: Search, upload: str, words):
    """Return the vector (D,) of an upload, and what is wrong with it, if anything."""
    if not upload:
        return None, words["choose_picture"]
    try:
        return search.clip.embed_image(upload, MAX_UPLOAD_PIXELS), ""
    except TooManyPixels:
        return None, words["too_many_pixels"].format(MAX_UPLOAD_PIXELS // 1_000_000)
    except ValueError:
        return None, words["no_picture"].format(", ".join(FORMATS))


def _text_refusal(text: str, search: Search, words) -> str:
    if not text:
        return words["empty"]
    if len(text) > MAX_CHARACTERS:
        return words["too_long"].format(MAX_CHARACTERS)
    known, _ = sort_words(search.clip.vectorizer, text)
    return "" if known else _none_known(search, words)


def _labels_refusal(names: list[str], lines: list[str], words) -> str:
    if len(names) < 2:
        return words["few_labels"]
    if len(names) > MAX_LABELS or len(lines) > MAX_TEMPLATES:
        return words["many_labels"].format(MAX_LABELS, MAX_TEMPLATES)
    if max(map(len, names + lines)) > MAX_CHARACTERS:
        return words["too_long"].format(MAX_CHARACTERS)
    if not all("{}" in line for line in lines):
        return words["bad_template"]
    return ""


def _none_known(search: Search, words) -> str:
    # Two of the vocabulary's lines are padding and the unknown word.
    size = search.clip.vectorizer.vocabulary_size() - 2
    return words["none_known"].format(size)
