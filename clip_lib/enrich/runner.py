"""Every caption asked, and asked once more if its answer is refused."""

import contextlib
import dataclasses

from tqdm import tqdm

from clip_lib.enrich.cache import Cache
from clip_lib.enrich.checks import Verdict, foreign_labels, judge
from clip_lib.enrich.endpoint import Endpoint, EndpointError, Unanswered
from clip_lib.enrich.prompt import answers_of, question
from clip_lib.enrich.words import model_words
from clip_lib.enrich.workers import each

ANSWERS = 2
"""Most answers to a caption: one, and another one if it is refused."""
PATIENCE = 10
"""Questions in a row without an answer after which the run ends..."""
FIRST_PATIENCE = 3
"""...and if there has been no answer at all."""


@dataclasses.dataclass(frozen=True)
class Question:
    """A caption, and what is asked of its answer.

    Attributes:
        caption: The original.
        foreign: Labels that an answer must not name.
        length: Most words of an answer.
    """

    caption: str
    foreign: tuple[str, ...]
    length: int

    @property
    def has_room(self) -> bool:
        """Whether an answer can be longer and still be read to its end."""
        return len(model_words(self.caption)) < self.length

    def outcome(self, cache: Cache) -> tuple[Verdict, int]:
        """Return what became of the caption so far, and the number of its answers.

        The first accepted answer counts, or else the last refused one.
        """
        if not self.has_room:
            words = f"{len(model_words(self.caption))} words, the model reads "
            return Verdict("", "no room", f"{words}{self.length}"), 0
        answers = cache.answers(self.caption)
        verdict = Verdict("", "not answered")
        for answer in answers:
            verdict = judge(self.caption, answer, self.foreign, self.length)
            if verdict.accepted:
                break
        return verdict, len(answers)

    def is_open(self, cache: Cache) -> bool:
        """Whether asking may still help."""
        verdict, answers = self.outcome(cache)
        return self.has_room and not verdict.accepted and answers < ANSWERS


def questions_of(records, class_names, length: int) -> list[Question]:
    """Make one question of each different caption, in the order of the table.

    Args:
        records: Table with the columns caption and label.
        class_names: Every label of the data.
        length: Most words of an answer.
    """
    labels: dict[str, list[str]] = {}
    for row in records.itertuples():
        labels.setdefault(row.caption, []).append(row.label)
    return [
        Question(caption, foreign_labels(caption, own, class_names), length)
        for caption, own in labels.items()
    ]


@dataclasses.dataclass
class Asking:
    """Asks questions of an endpoint.

    Attributes:
        endpoint: Who answers.
        cache: Where the answers go, and where earlier ones are.
        instructions: The prompt, filled in.
        workers: Most requests at a time.
        batch: Captions a request.
        price: Cost of a million tokens sent, and of a million received.
        sent, received: Tokens of this run.
        unmetered: Number of answers without a count of tokens.
    """

    endpoint: Endpoint
    cache: Cache
    instructions: str
    workers: int = 4
    batch: int = 5
    price: tuple[float, float] = (0.0, 0.0)
    sent: int = 0
    received: int = 0
    unmetered: int = 0
    _silent: int = 0
    _heard: bool = False

    def ask_all(self, questions) -> None:
        """Ask what is still open, in batches, and then, alone, what was refused.

        The answers are in the cache. A caption without one has met a fault of the
        network: it stays open.

        Raises:
            EndpointError: If the endpoint will not answer, or does not for long.
        """
        for size, saying in ((self.batch, "Enriching"), (1, "Asking again")):
            pending = [one for one in questions if one.is_open(self.cache)]
            if not pending:
                break
            batches = [pending[n : n + size] for n in range(0, len(pending), size)]
            stop = self.endpoint.pace.stop
            done = each(self._ask, batches, self.workers, stop)
            bar = tqdm(total=len(pending), desc=saying, unit="caption")
            # Closed before it is exhausted, it stops the other workers.
            with contextlib.closing(done), bar:
                for asked, reply, error in done:
                    self._take(reply, error)
                    bar.set_postfix_str(self.spent(), refresh=False)
                    bar.update(len(asked))

    def spent(self) -> str:
        """Say what this run took: tokens, and their cost if there are prices."""
        tokens = f"{self.sent} + {self.received} tokens"
        cost = self.cost(self.sent, self.received)
        return f"{tokens}, cost {cost:.4f}" if any(self.price) else tokens

    def cost(self, sent: int, received: int) -> float:
        """Return the cost of tokens."""
        return (sent * self.price[0] + received * self.price[1]) / 1e6

    def _ask(self, questions):
        refusals = {}
        for one in questions:
            verdict, answers = one.outcome(self.cache)
            if answers:
                refusals[one.caption] = verdict.reason
        captions = [one.caption for one in questions]
        reply = self.endpoint.ask(self.instructions, question(captions, refusals))
        # Kept here, on the thread that received it: an interruption, which meets the
        # main thread, loses nothing that was paid for.
        answers = answers_of(reply.text, len(questions), reply.cut)
        pairs = dict(zip(captions, answers, strict=True))
        self.cache.add(pairs, reply.sent, reply.received)
        return reply

    def _take(self, reply, error) -> None:
        """Count what one request took, or bear that there is no answer."""
        if isinstance(error, Unanswered):
            self._silent += 1
            if self._silent >= (PATIENCE if self._heard else FIRST_PATIENCE):
                raise EndpointError(
                    f"{self.endpoint.url}: {self._silent} questions in a row without "
                    f"an answer, the last one because of: {error}."
                )
            return
        if error is not None:
            raise error
        self._silent, self._heard = 0, True
        self.sent += reply.sent
        self.received += reply.received
        self.unmetered += not reply.sent
