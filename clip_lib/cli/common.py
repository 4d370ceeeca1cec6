"""Everything that the commands share: the model, answers, warnings, figures."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import clip_lib.towers  # noqa: F401  For their tokenizers.
from clip_lib.atomic import replacing
from clip_lib.config import PRETRAINED, Config, find_pretrained
from clip_lib.data.vocabulary import sort_words
from clip_lib.errors import ClipError, printable


class Answer(NamedTuple):
    """The outcome of a command.

    Attributes:
        text: Printed for a person.
        value: Printed as JSON for a program, with --json; a string is JSON already.
        status: The exit status.
        then: What remains to be done once it is printed.
        end: What is printed after the text.
    """

    text: str = ""
    value: object = None
    status: int = 0
    then: Callable[[], object] = bool
    end: str = "\n"

    def show(self, as_json: bool) -> None:
        """Print one of the two forms."""
        text, value = self.text, self.value
        if as_json:
            if hasattr(value, "itertuples"):
                from clip_lib.retrieval.answers import answer_records

                value = answer_records(value)
            if not isinstance(text := value, str):
                text = json.dumps(value, indent=2, ensure_ascii=False)
        if text:
            print(text, end="\n" if as_json else self.end, flush=True)


def find_model(name: str | None, config: Config) -> Path:
    """Return the file of the CLIP that ``--model`` names: a file or its folder.

    "pretrained" are the pretrained weights; without a name it is the run's CLIP, and if
    nothing is trained yet the pretrained weights, which is said.
    """
    if name and name != "pretrained":
        folder = Path(name)
        return folder / Config().clip_file.name if folder.is_dir() else folder
    if not name and config.clip_file.is_file():
        return config.clip_file
    path = find_pretrained(PRETRAINED) / Config().clip_file.name
    if not path.is_file():
        raise ClipError(
            f"{path}: the pretrained weights are missing; take {PRETRAINED} from the "
            "repository, or train a model with `make run`."
        )
    if not name:
        missing = f"nothing trained yet ({config.clip_file})"
        warn(f"{missing}: the pretrained weights answer ({PRETRAINED})")
    return path


def warn(message: str) -> None:
    """Print one line to standard error."""
    print(printable(message), file=sys.stderr)


def model_name(path: Path) -> str:
    """Return what to call a model's file in a sentence."""
    ours = find_pretrained(PRETRAINED).resolve()
    return "the pretrained weights" if path.resolve().parent == ours else str(path)


def warn_of_words(clip, *texts: str) -> None:
    """Name the words that the model never saw; say what it does not read."""
    vectorizer = clip.vectorizer
    if unknown := dict.fromkeys(sort_words(vectorizer, " ".join(texts))[1]):
        warn(f"words the model never saw: {', '.join(unknown)}")
    if any(len(vectorizer.split(text)) > vectorizer.sequence_length for text in texts):
        most = vectorizer.sequence_length
        warn(f"the model reads at most the first {most} words of a text")


def warn_of_faults(faults: list[str], word: str = "error") -> int:
    """Print each fault; return the exit status, 1 if there are any."""
    for fault in faults:
        warn(f"{word}: {fault}")
    return 1 if faults else 0


def path_lines(paths, zero: bool) -> tuple[str, str]:
    """Return paths for another program, and what ends them, see `Answer.end`.

    A terminal gets no control characters; a program gets each name as it is.
    """
    if zero:
        return "\0".join(paths), "\0" if len(paths) else ""
    shown = map(printable, paths) if sys.stdout.isatty() else paths
    return "\n".join(shown), "\n"


def save_figure(figure, path: str) -> None:
    """Write a figure in the format that its suffix names."""
    formats = figure.canvas.get_supported_filetypes()
    if Path(path).suffix[1:].lower() not in formats:
        raise ClipError(f"{path}: expected a name ending in .{', .'.join(formats)}.")
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110, bbox_inches="tight")
