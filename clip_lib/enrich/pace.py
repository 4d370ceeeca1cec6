"""When the next request may leave: a rate, and the waits that a server asks for."""

import threading
import time


class Stopped(Exception):
    """The run ends: no further request leaves."""


class Pace:
    """Lets requests leave one by one; threads share it.

    Attributes:
        stop: Set it, and whoever waits here gives up with `Stopped`.
    """

    def __init__(self, per_minute: float = 0):
        """Allow ``per_minute`` requests a minute, evenly spread; 0 for no limit."""
        self.stop = threading.Event()
        self._interval = 60 / per_minute if per_minute else 0.0
        self._lock = threading.Lock()
        self._ready = 0.0

    def wait(self) -> None:
        """Wait for one's turn.

        Raises:
            Stopped: If ``stop`` is set.
        """
        while True:
            with self._lock:
                now = time.monotonic()
                left = self._ready - now
                if left <= 0 and not self.stop.is_set():
                    self._ready = now + self._interval
                    return
            self.rest(left)

    def hold(self, seconds: float) -> None:
        """Let no request of any thread leave for a while."""
        with self._lock:
            self._ready = max(self._ready, time.monotonic() + seconds)

    def rest(self, seconds: float) -> None:
        """Let this thread alone wait.

        Raises:
            Stopped: If ``stop`` is set, at once.
        """
        if self.stop.wait(max(0.0, seconds)):
            raise Stopped
