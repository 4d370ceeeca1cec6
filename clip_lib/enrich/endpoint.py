"""Send requests to an OpenAI-compatible chat endpoint.

The openai client itself repeats what may succeed later (timeouts, lost connections,
429, 5xx): it backs off, and honours Retry-After.
"""

import json
import os

from clip_lib.errors import ClipError

RETRIES = 4
"""How often the client repeats a request."""
HOPELESS = (401, 403, 404)
"""Statuses of a wrong key, model or address, which end the run."""


class Unanswered(Exception):
    """This request brought no answer; another may."""


class Endpoint:
    """A chat endpoint; threads may share it."""

    def __init__(self, url: str, model: str):
        """Prepare a client; nothing is sent.

        Args:
            url: Base address, such as http://localhost:11434/v1.
            model: Name of the model, as the endpoint knows it.

        Raises:
            ClipError: If OPENAI_API_KEY is malformed.
        """
        import openai

        self.url, self.model = url, model
        self._key = os.environ.get("OPENAI_API_KEY", "").strip()
        if not all("!" <= character <= "~" for character in self._key):
            raise ClipError("OPENAI_API_KEY: expected the key alone, on one line.")
        # Most local servers need no key, but the client wants one.
        self._client = openai.OpenAI(
            base_url=url,
            api_key=self._key or "none",
            timeout=60,
            max_retries=RETRIES,
        )

    def request(self, instructions: str, question: str) -> tuple[str, int, int]:
        """Return the answer to one question, and the tokens sent and received.

        Raises:
            Unanswered: If no retry brought an answer.
            ClipError: If none can be answered: see `HOPELESS`.
        """
        import openai

        roles = {"system": instructions, "user": question}
        messages = [{"role": role, "content": text} for role, text in roles.items()]
        ask = self._client.chat.completions.create
        try:
            return _reply(ask(model=self.model, messages=messages))
        except (openai.APIError, json.JSONDecodeError, UnicodeDecodeError) as error:
            said = self._clean(error)
            if getattr(error, "status_code", 0) in HOPELESS:
                about = f"{self.url}, model {self.model}, key in OPENAI_API_KEY"
                raise ClipError(f"{about}: {said}.") from error
            raise Unanswered(said) from error

    def _clean(self, error: Exception) -> str:
        """Put an error on one line without the key, which some servers repeat."""
        line = " ".join(f"{error} {error.__cause__ or ''}".split())
        line = line.replace(self._key, "***") if self._key else line
        return line[:300].rstrip(".")


def _reply(completion) -> tuple[str, int, int]:
    """Read a completion; the client validates nothing that a server sends."""
    try:
        choice = completion.choices[0]
        # A refusal has a field of its own, and no content.
        text = choice.message.content or getattr(choice.message, "refusal", None) or ""
        if choice.finish_reason == "length":
            text = text[: text.rfind("\n") + 1]  # The last line is incomplete.
    except (AttributeError, TypeError, IndexError) as error:
        raise Unanswered(f"not a chat answer: {str(completion)[:100]!r}") from error
    usage = getattr(completion, "usage", None)
    sent, received = (
        getattr(usage, f"{part}_tokens", None) or 0 for part in ("prompt", "completion")
    )
    # Lone surrogates, which JSON can escape, could not be written as UTF-8.
    return (str(text).encode("utf-8", "replace").decode(), sent, received)
