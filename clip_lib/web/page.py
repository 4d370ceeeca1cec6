"""What the search page answers, as HTML; how the page looks is app.py's.

Whatever arrives is a stranger's: model and gallery are looked up among those that the
page was started with, texts have a greatest length, uploads a greatest size.
"""

import dataclasses
import itertools
from pathlib import Path

from clip_lib.data.dataset import SPLITS
from clip_lib.data.images import FORMATS, TooManyPixels
from clip_lib.data.vocabulary import count_words, sort_words
from clip_lib.retrieval.answers import with_captions
from clip_lib.retrieval.photo_folder import open_folder
from clip_lib.retrieval.search import Clip, Search
from clip_lib.retrieval.zero_shot import TEMPLATES, knows_label, label_index
from clip_lib.web.cards import label_rows, note, picture_cards, problem, text_rows
from clip_lib.web.thumbnails import Thumbnails

K = 5
MAX_CHARACTERS = 500
MAX_LABELS, MAX_TEMPLATES = 50, 10
MAX_UPLOAD_PIXELS = 40_000_000
"""A photo of today's telephones passes; some kinds take a gigabyte for a moment."""


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
            ClipError: If a model, an index or a folder is missing or does not fit.
        """
        return cls({str(path): _galleries(path, folders) for path in model_files})

    def sizes(self, model: str) -> dict[str, int]:
        """Return the galleries of a model and how many pictures each holds."""
        found = self.galleries[model]
        return {name: len(search.images.items) for name, (search, _) in found.items()}

    @property
    def folders(self) -> list[str]:
        """Folders whose pictures may be shown."""
        every = [shown for found in self.galleries.values() for shown in found.values()]
        return sorted({str(thumbnails.folder) for _, thumbnails in every})

    def labels(self, model: str) -> list[str]:
        """Return the labels that a model was trained with."""
        search, _ = self.galleries[model]["all"]
        return sorted(set(search.images.items.get("labels", ())))

    def examples(self, model: str, count: int = 3) -> list[str]:
        """Return a few picture files of the first gallery, of different labels."""
        search, thumbnails = next(iter(self.galleries[model].values()))
        items = search.images.items
        if "labels" in items:
            items = items.drop_duplicates("labels")
        # Only what may be shown: an index may name any file.
        shown = (path for path in items["paths"] if thumbnails.uri(path))
        return list(itertools.islice(shown, count))

    def pictures_for(self, model: str, gallery: str, text: str, words) -> str:
        """Answer a text with its best pictures."""
        if gallery not in self.galleries[model]:
            return problem(words["no_gallery"])
        search, thumbnails = self.galleries[model][gallery]
        text = _clean(text)
        if refusal := _text_refusal(text, search, words):
            return problem(refusal)
        answers = with_captions(search.images_for(text, K, "all"), search)
        unknown = dict.fromkeys(sort_words(search.clip.vectorizer, text)[1])
        warning = words["unknown"].format(", ".join(unknown)) if unknown else ""
        total = len(search.images.items)
        return note(warning) + picture_cards(answers, total, thumbnails, words)

    def texts_for(self, model: str, gallery: str, upload: str, words) -> str:
        """Answer a picture, an uploaded file, with its best texts."""
        if gallery not in self.galleries[model]:
            return problem(words["no_gallery"])
        search, thumbnails = self.galleries[model][gallery]
        if search.texts is None:
            return problem(words["no_captions"])
        try:
            answers = search.texts_for(upload, K, "all", MAX_UPLOAD_PIXELS)
        except ValueError as error:
            return problem(_upload_refusal(upload, error, words))
        return text_rows(answers, len(search.texts.items), thumbnails, words)

    def labels_for(
        self, model: str, upload: str, labels: str, templates: str, words
    ) -> str:
        """Answer a picture with labels, by their words alone."""
        clip = self.galleries[model]["all"][0].clip
        names = [" ".join(name.split()) for name in _clean(labels).split(",")]
        names = list(dict.fromkeys(filter(None, names)))
        lines = [line.strip() for line in _clean(templates).splitlines()]
        lines = list(dict.fromkeys(filter(None, lines))) or list(TEMPLATES)
        if refusal := _labels_refusal(names, lines, words):
            return problem(refusal)
        strange = [name for name in names if not knows_label(clip, name)]
        if len(strange) == len(names):
            return problem(_none_known(clip, words))
        try:
            embedding = clip.embed_image(upload, MAX_UPLOAD_PIXELS)
        except ValueError as error:
            return problem(_upload_refusal(upload, error, words))
        index = label_index(clip, names, lines)
        answers = index.search(embedding, len(names), clip.temperature)
        warning = words["strange_labels"].format(", ".join(strange)) if strange else ""
        return note(warning) + label_rows(answers, words)


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
        if Path(folder).is_dir():
            root = Thumbnails(Path(folder).resolve())
        else:
            # What an index file says of itself is not trusted: source may be anything.
            root = Thumbnails.of(images)
        # With a slash at its end it is not the name of a part, such as test.
        name = f"{root.folder.name}/"
        found[name if name not in found else f"{root.folder}/"] = (
            Search(whole.clip, images),
            root,
        )
    return found


def _clean(text: str | None) -> str:
    """Drop what is no text: half a character, which no encoding writes."""
    return (text or "").encode("utf-8", "ignore").decode().strip()


def _upload_refusal(upload: str | None, error: ValueError, words) -> str:
    """Say what is wrong with an upload; it may be gone, see `layout.KEPT_SECONDS`."""
    if not upload or not Path(upload).is_file():
        return words["choose_picture"]
    if isinstance(error, TooManyPixels):
        return words["too_many_pixels"].format(MAX_UPLOAD_PIXELS // 1_000_000)
    return words["no_picture"].format(", ".join(FORMATS))


def _text_refusal(text: str, search: Search, words) -> str:
    if not text:
        return words["empty"]
    if len(text) > MAX_CHARACTERS:
        return words["too_long"].format(MAX_CHARACTERS)
    known, _ = sort_words(search.clip.vectorizer, text)
    return "" if known else _none_known(search.clip, words)


def _labels_refusal(names: list[str], lines: list[str], words) -> str:
    if len(names) < 2:
        return words["few_labels"]
    if len(names) > MAX_LABELS or len(lines) > MAX_TEMPLATES:
        return words["many_labels"].format(MAX_LABELS, MAX_TEMPLATES)
    if max(map(len, names + lines)) > MAX_CHARACTERS:
        return words["too_long"].format(MAX_CHARACTERS)
    if not all(line.count("{}") == 1 for line in lines):
        return words["bad_template"]
    return ""


def _none_known(clip: Clip, words) -> str:
    return words["none_known"].format(count_words(clip.vectorizer))
