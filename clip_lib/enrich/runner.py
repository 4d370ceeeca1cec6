"""Request a longer version of every caption, and once more where it is rejected."""

import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from tqdm import tqdm

from clip_lib.data.vocabulary import clean
from clip_lib.enrich.cache import Cache
from clip_lib.enrich.checks import judge
from clip_lib.enrich.endpoint import Endpoint, Unanswered
from clip_lib.errors import ClipError
from clip_lib.retrieval.zero_shot import label_words

PROMPT_FILE = Path(__file__).with_name("prompt.txt")
"""The instructions; once changed, cached answers to the old ones are not used."""
ANSWERS = 2
"""Most answers to a caption: one, and another if that is rejected."""
PATIENCE = 5
"""Unanswered requests in a row after which the run ends."""
UNANSWERED = "not answered"
_NUMBERED = re.compile(r"(?m)^[*\s]*(\d{1,4})\s*[.):]\**\s*(.*)")


class Enrichment:
    """The captions of a data set, and the answers of a language model to them.

    Attributes:
        foreign: Distinct captions with room for more words, in the order of the table;
            for each, the labels that its answer must not name.
        prompt: The instructions, filled in.
        cache: Every answer so far.
    """

    def __init__(self, dataset, length: int, cache_file, model: str):
        """Read earlier answers; nothing is requested.

        Args:
            dataset: Captions and labels.
            length: Most words of an answer.
            cache_file: Where the answers are, and go; see `Cache`.
            model: Name of the language model.
        """
        names = {name: label_words(name).lower() for name in dataset.class_names}
        text = PROMPT_FILE.read_text(encoding="utf-8").replace("{length}", str(length))
        # Not format(): a label may hold braces.
        self.prompt = text.replace("{labels}", ", ".join(names.values()))
        self.cache, self.foreign = Cache(cache_file, model, self.prompt), {}
        self._length = length
        labels = dataset.records.groupby("caption", sort=False)["label"].agg(set)
        for caption, own in labels.items():
            # A caption of pictures of two labels may not name either.
            foreign = [word for name, word in names.items() if own != {name}]
            if len(clean(caption).split()) < length:
                said = caption.lower()
                self.foreign[caption] = [word for word in foreign if word not in said]

    def limit(self, count: int) -> None:
        """Keep ``count`` captions, spread over the table: it is sorted by label."""
        count, captions = min(count, len(self.foreign)), list(self.foreign.items())
        self.foreign = dict(captions[n * len(captions) // count] for n in range(count))

    def outcome(self, caption: str) -> tuple[str, str]:
        """Return the first accepted answer so far, or else the last, and its fault."""
        if caption not in self.foreign:
            return "", "no room"
        text, fault = "", UNANSWERED
        for answer in self.cache.answers[caption]:
            text, fault = judge(caption, answer, self.foreign[caption], self._length)
            if not fault:
                break
        return text, fault

    def pending(self) -> list[str]:
        """Return the captions for which another request may help."""
        return [
            caption
            for caption in self.foreign
            if len(self.cache.answers[caption]) < ANSWERS and self.outcome(caption)[1]
        ]

    def question(self, captions) -> str:
        """Number captions, one a line, with why an earlier answer was rejected."""
        lines = []
        for number, caption in enumerate(captions, 1):
            fault = self.outcome(caption)[1]
            note = "" if fault == UNANSWERED else f" [refused: {fault}]"
            lines.append(f"{number}. {caption}{note}")
        return "\n".join(lines)

    def run(self, endpoint: Endpoint, workers: int, batch: int) -> None:
        """Request what is pending: in batches, then singly what remains.

        An interruption waits for the requests in flight, whose answers are paid for.

        Args:
            endpoint: Where the language model is.
            workers: Most requests at a time.
            batch: Captions a request.

        Raises:
            ClipError: If the endpoint refuses, or stays silent.
        """
        silent = 0
        for size, title in ((batch, "Enriching"), (1, "Second try")):
            pending = self.pending()
            parts = [pending[n : n + size] for n in range(0, len(pending), size)]
            bar = tqdm(total=len(pending), desc=title, disable=not parts)
            with bar, ThreadPoolExecutor(workers) as pool:
                futures = {pool.submit(self._ask, endpoint, one): one for one in parts}
                try:
                    for future in as_completed(futures):
                        error = future.result()
                        silent = silent + 1 if error else 0
                        if silent == PATIENCE:
                            raise ClipError(
                                f"{endpoint.url}: {PATIENCE} requests in a row failed: "
                                f"{error}; the same command continues."
                            )
                        bar.update(len(futures[future]))
                except BaseException:  # also Ctrl-C
                    pool.shutdown(cancel_futures=True)
                    raise

    def _ask(self, endpoint: Endpoint, captions) -> Unanswered | None:
        try:
            text, *tokens = endpoint.request(self.prompt, self.question(captions))
        except Unanswered as error:
            return error
        answers = zip(captions, answers_of(text, len(captions)), strict=True)
        self.cache.add(dict(answers), *tokens)
        return None

    def rows(self, records) -> list[dict]:
        """Return what became of each row of a table.

        Returns:
            A dict a row: image_path, label, caption, enriched (None if the original is
            kept), and of its answers their number, the last fault and the last refused.
        """
        rows = records[["image_path", "label", "caption"]].to_dict("records")
        for row in rows:
            text, row["reason"] = self.outcome(row["caption"])
            row["enriched"] = None if row["reason"] else text
            row["refused"] = text if row["reason"] else None
            row["answers"] = len(self.cache.answers[row["caption"]])
        return rows

    def totals(self, rows: list[dict]) -> dict:
        """Count rows by outcome, and the tokens of this run and earlier ones."""
        kept = [row["reason"].partition(":")[0] for row in rows if row["reason"]]
        return {
            "captions": len(rows),
            "enriched": len(rows) - len(kept),
            "kept": len(kept),
            "kept_because": dict(Counter(kept).most_common()),
            "tokens": {"sent": self.cache.sent, "received": self.cache.received},
        }


def answers_of(reply: str, count: int) -> list[str]:
    """Extract the answers to ``count`` numbered captions; empty where there is none."""
    # Reasoning models think aloud before they answer.
    text = re.sub(r"(?s)^\s*<think>.*?(</think>|\Z)", "", reply).strip()
    if count == 1 and not _NUMBERED.match(text):
        return [text]
    found = {int(number): answer for number, answer in _NUMBERED.findall(text)}
    return [found.get(number, "").strip() for number in range(1, count + 1)]
