"""The thread in which every model is loaded, one after the other.

CTranslate2 keeps OpenMP's workers of the thread that made a model; when that thread has ended, the
model decodes at a third to a half of its speed (measured with 4.8.5 on two cores). So it never ends.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Lock, Thread

from asr.backends import Backend


class Loader:
    def __init__(self):
        self._jobs: SimpleQueue = SimpleQueue()
        self._thread: Thread | None = None
        self._lock = Lock()

    def call(self, load: Callable[[str, str], Backend], *args: str) -> Backend:
        """`load(*args)`, done there; waits for it, and for what was asked before."""
        with self._lock:
            if self._thread is None:
                self._thread = Thread(target=self._work, name="model-loader", daemon=True)
                self._thread.start()
        done: Future[Backend] = Future()
        self._jobs.put((done, load, args))
        return done.result()

    def _work(self) -> None:
        while True:
            _do(*self._jobs.get())  # a function of its own: what it made is not kept here until the next one


def _do(done: Future[Backend], load: Callable[[str, str], Backend], args: tuple[str, ...]) -> None:
    try:
        done.set_result(load(*args))
    except BaseException as e:
        done.set_exception(e)


LOADER = Loader()
