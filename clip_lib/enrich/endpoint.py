"""One question to an OpenAI-compatible endpoint, asked until it is answered.

What may pass is asked again: timeouts, cut connections, answers that are not JSON, 429
and 5xx. What will not pass, such as a wrong key, ends the run.
"""

import dataclasses
import datetime
import email.utils
import random
import threading
import urllib.parse
from collections import Counter

from clip_lib.enrich.pace import Pace
from clip_lib.errors import ClipError

TRIES = 4
"""How often one question is asked before it counts as unanswered."""
BACK_OFF = 1.0
"""Seconds before the second try; they double with each."""
MOST_SECONDS = 300.0
"""Longest wait that a server may ask for."""
HOPELESS = (401, 402, 403, 404, 405, 407)
REFUSED = (400, 413, 422)


class EndpointError(ValueError):
    """No question will be answered: the run ends."""


class Unanswered(Exception):
    """This question was not answered; another may be."""


@dataclasses.dataclass(frozen=True)
class Reply:
    """What the model wrote, whether it was cut, and the tokens of the request."""

    text: str
    cut: bool
    sent: int
    received: int


class Endpoint:
    """A chat endpoint.

    Attributes:
        requests: Number of requests sent.
        faults: Number of requests that brought no answer, by cause.
    """

    def __init__(self, url: str, model: str, pace: Pace, key="", timeout=60.0):
        """Prepare a client; nothing is sent.

        Args:
            url: Base address, such as http://localhost:11434/v1.
            model: Name of the model, as the endpoint knows it.
            pace: When a request may leave.
            key: API key; most local servers need none.
            timeout: Longest silence of the server, in seconds.

        Raises:
            ClipError: If ``url`` is no web address, or names a user.
            ModuleNotFoundError: If openai is not installed.
        """
        import openai

        self.url, self.model, self.pace = checked_url(url), model, pace
        self.requests, self.faults = 0, Counter()
        self._lock = threading.Lock()
        self._key = key
        # The client's own retries are off: they would neither be counted nor keep pace.
        self._client = openai.OpenAI(
            base_url=self.url, api_key=key or "none", timeout=timeout, max_retries=0
        )

    def ask(self, instructions: str, question: str) -> Reply:
        """Ask one question, again and again if need be.

        Raises:
            Unanswered: If no try brought an answer.
            EndpointError: If no question can be answered.
            Stopped: If the run ends.
        """
        import openai

        messages = [
            {"role": "system", "content": instructions},
            {"role": "user", "content": question},
        ]
        cause = ""
        for number in range(TRIES):
            if number:
                back_off = BACK_OFF * 2 ** (number - 1)
                self.pace.rest(back_off * random.uniform(0.75, 1.25))
            self.pace.wait()
            with self._lock:
                self.requests += 1
            try:
                return _reply(
                    self._client.chat.completions.create(
                        model=self.model, messages=messages
                    )
                )
            except openai.APIStatusError as error:
                cause = self._count(f"status {error.status_code}")
                cause += f" ({error.message})"
                self._heed(error)
            except openai.APITimeoutError:
                cause = self._count("timeout")
            except openai.APIConnectionError as error:
                cause = self._count("connection")
                cause += f" ({error.__cause__ or error})"
            except (openai.APIError, ValueError) as error:
                # JSON that is cut, bytes that are not text, a page instead of JSON.
                cause = self._count("not a chat answer")
                cause += f" ({error})"
        raise Unanswered(self._clean(cause))

    def _heed(self, error) -> None:
        """Wait as a refusal asks, or give the question up, or the run."""
        status, said = error.status_code, self._clean(str(error))
        hint = "; expected a key in OPENAI_API_KEY or --api-key-file"
        if status in HOPELESS or error.code == "insufficient_quota":
            hint = hint if status in (401, 403) else ""
            raise EndpointError(f"{self.url}, model {self.model}: {said}{hint}.")
        if status in REFUSED:
            raise Unanswered(said)
        if (seconds := retry_after(error.response.headers)) > MOST_SECONDS:
            raise EndpointError(
                f"{self.url}: asks to wait {seconds:.0f} seconds; run again then."
            )
        self.pace.hold(seconds)

    def _count(self, cause: str) -> str:
        with self._lock:
            self.faults[cause] += 1
        return cause

    def _clean(self, message: str) -> str:
        """Shorten what a server said to a line; some repeat the key."""
        line = " ".join(message.split())[:300].rstrip(".")
        return line.replace(self._key, "***") if self._key else line


def checked_url(url: str) -> str:
    """Return a base address, if it is one.

    Raises:
        ClipError: If it is no http(s) address, or holds a user or password.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        sound = parts.scheme in ("http", "https") and parts.hostname and not parts.query
        _ = parts.port
    except ValueError:
        sound = False
    if not sound:
        raise ClipError(
            f"--url {url!r}: expected an address such as http://localhost:11434/v1."
        )
    if parts.username or parts.password:
        raise ClipError(
            "--url holds a user or a password; expected a key in OPENAI_API_KEY or "
            "--api-key-file."
        )
    return url


def retry_after(headers) -> float:
    """Return the seconds that Retry-After asks for, in seconds or as a date, or 0."""
    text = headers.get("retry-after", "").strip()
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        until = email.utils.parsedate_to_datetime(text)
        if until.tzinfo is None:
            until = until.replace(tzinfo=datetime.UTC)
    except ValueError:
        return 0.0
    return max(0.0, (until - datetime.datetime.now(datetime.UTC)).total_seconds())


def _reply(completion) -> Reply:
    """Read an answer; the client checks nothing of what a server sends."""
    try:
        choice = completion.choices[0]
        text = choice.message.content
        cut = choice.finish_reason == "length"
    except (AttributeError, TypeError, IndexError, KeyError) as error:
        raise ClipError(f"no choice in it: {str(completion)[:100]}") from error
    if not isinstance(text, str):
        # A refusal has a field of its own, and no content.
        text = getattr(choice.message, "refusal", None) or ""
    usage = getattr(completion, "usage", None)
    counts = [getattr(usage, f"{part}_tokens", 0) for part in ("prompt", "completion")]
    sent, received = (n if isinstance(n, int) and n > 0 else 0 for n in counts)
    return Reply(str(text), cut, sent, received)
