"""Cache answers on disk, so that none is requested, and paid for, twice.

One JSON object a line for each request, appended as soon as its reply arrives. Answers
are kept as they came and judged when read.
"""

import hashlib
import json
import threading
from collections import defaultdict
from pathlib import Path

from clip_lib.errors import ClipError


class Cache:
    """The answers of one model to one prompt, in a file that others may share.

    Attributes:
        path: The file; the first answer creates it.
        answers: caption -> its answers, the oldest first.
        sent, received: Tokens of all the requests, of this run and earlier ones.
    """

    def __init__(self, path, model: str, prompt: str):
        """Read the file, if there is one; skip a line that a crash cut short.

        Raises:
            ClipError: If it holds something else.
        """
        self.path, self.sent, self.received = Path(path), 0, 0
        digest = hashlib.sha256(prompt.encode()).hexdigest()
        self._about = {"model": model, "prompt": digest}
        self.answers: dict[str, list[str]] = defaultdict(list)
        self._lock = threading.Lock()
        content = self.path.read_bytes() if self.path.exists() else b""
        lines = [line for line in content.split(b"\n") if line]
        sound = [self._read(line) for line in lines]
        # A first answer that a crash cut short may be all there is.
        if lines and not (any(sound) or lines[0].startswith(b"{")):
            raise ClipError(f"{path}: not a cache of `enrich`; rename or remove it.")

    def _read(self, line: bytes) -> bool:
        """Take a line in, if it is for this model and prompt; return if it is sound."""
        try:
            request = json.loads(line)
            if {name: request[name] for name in self._about} == self._about:
                self.sent += request["sent"]
                self.received += request["received"]
                for one in request["answers"]:
                    self.answers[one["caption"]].append(one["answer"])
        except (ValueError, KeyError, TypeError):
            return False
        return True

    def add(self, answers: dict[str, str], sent: int, received: int) -> None:
        """Append the answers of one request by caption; any thread may call it."""
        items = [{"caption": one, "answer": text} for one, text in answers.items()]
        request = {**self._about, "sent": sent, "received": received, "answers": items}
        line = json.dumps(request, ensure_ascii=False).encode()
        with self._lock:
            with open(self.path, "ab") as file:
                # First a line break: a line that a crash cut short ends there.
                file.write(b"\n" + line)
            self._read(line)
