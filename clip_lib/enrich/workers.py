"""Several tasks at a time, which an interruption need not wait for."""

import queue
import threading
from collections.abc import Callable, Iterator


def each(work: Callable, tasks, workers: int, stop: threading.Event) -> Iterator:
    """Run tasks on threads; give each with what came of it, as soon as it is done.

    Args:
        work: Takes a task.
        tasks: Any number of them.
        workers: Most tasks at a time.
        stop: Set when the caller has enough: no further task is begun.

    Yields:
        (task, result, None), or (task, None, the exception that ended it).
    """
    tasks = list(tasks)
    waiting, done = queue.SimpleQueue(), queue.SimpleQueue()
    for task in tasks:
        waiting.put(task)

    def run():
        while not stop.is_set():
            try:
                task = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                done.put((task, work(task), None))
            except BaseException as error:  # the caller judges it
                done.put((task, None, error))

    try:
        for _ in range(min(workers, len(tasks))):
            # Daemons: a request under way does not keep an interrupted run alive.
            threading.Thread(target=run, daemon=True).start()
        for _ in tasks:
            yield _next(done)
    except BaseException:  # Ctrl-C, or a caller that closes this generator
        stop.set()
        raise


def _next(done: queue.SimpleQueue):
    while True:
        try:
            # On Windows, Ctrl-C does not interrupt a wait without an end.
            return done.get(timeout=0.5)
        except queue.Empty:
            pass
