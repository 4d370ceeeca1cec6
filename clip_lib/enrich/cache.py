"""Answers on disk: nothing that was answered, and perhaps paid for, is asked again.

One JSON object a line, written as soon as the answer is there. An answer is found by
the hash of model, prompt and caption. It is kept as it came, and judged when read.
"""

import hashlib
import json
import threading
from pathlib import Path

from clip_lib.errors import ClipError


class Cache:
    """The answers of one model to one prompt, in a file that others may share.

    Attributes:
        path: The file; it is made with the first answer.
        sent, received: Tokens of all the requests, of this run and before.
        damaged: Number of lines that could not be read, such as one that was cut.
    """

    def __init__(self, path, model: str, prompt: str):
        """Read what is there.

        Raises:
            ClipError: If the file holds something else.
        """
        self.path = Path(path)
        self.sent = self.received = self.damaged = 0
        self._about = (model, prompt)
        self._answers: dict[str, list[str]] = {}
        self._file = None
        self._lock = threading.Lock()
        try:
            content = self.path.read_bytes() if self.path.exists() else b""
        except OSError as error:
            raise ClipError(
                f"{path}: expected a file of answers ({error.strerror})."
            ) from error
        self._whole = not content or content.endswith(b"\n")
        lines = [line for line in content.split(b"\n") if line.strip()]
        for line in lines:
            self._read(line)
        if lines and self.damaged == len(lines) and self._whole:
            raise ClipError(
                f"{path}: not a file of answers; expected one that `enrich` began."
            )

    def _key(self, caption: str) -> str:
        parts = json.dumps([*self._about, caption]).encode()
        return hashlib.sha256(parts).hexdigest()

    def _read(self, line: bytes) -> None:
        try:
            request = json.loads(line)
            pairs = [(str(one["key"]), one["answer"]) for one in request["answers"]]
            tokens = int(request["sent"]), int(request["received"])
            model, prompt = request["model"], request["prompt"]
            if not all(isinstance(answer, str) for _, answer in pairs):
                raise TypeError("an answer is a text")
        except (ValueError, KeyError, TypeError):
            self.damaged += 1
            return
        for key, answer in pairs:
            self._answers.setdefault(key, []).append(answer)
        if (model, prompt) == (self._about[0], self._prompt_hash()):
            self.sent += tokens[0]
            self.received += tokens[1]

    def _prompt_hash(self) -> str:
        return hashlib.sha256(self._about[1].encode()).hexdigest()

    def answers(self, caption: str) -> list[str]:
        """Return every answer to a caption, the oldest first."""
        return self._answers.get(self._key(caption), [])

    def add(self, answers: dict[str, str], sent: int, received: int) -> None:
        """Keep the answers of one request; any thread may call it.

        Args:
            answers: caption -> answer; empty for a caption that got none.
            sent, received: Tokens of the request.
        """
        items = [
            {"key": self._key(caption), "caption": caption, "answer": answer}
            for caption, answer in answers.items()
        ]
        request = {"model": self._about[0], "prompt": self._prompt_hash()}
        request |= {"sent": sent, "received": received, "answers": items}
        line = json.dumps(request, ensure_ascii=False).encode("utf-8", "replace")
        with self._lock:
            if self._file is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._file = open(self.path, "ab")  # noqa: SIM115  open until close()
            # What a crash cut must not swallow the next line.
            start, self._whole = b"" if self._whole else b"\n", True
            self._file.write(start + line + b"\n")
            self._file.flush()
            self._read(line)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
