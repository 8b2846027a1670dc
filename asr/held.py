"""A model that makes room when nobody uses it, and is there again when somebody does.

Who uses a model holds it: every call does for its while, and for longer whoever says so, as live streams
and recordings do:

    with held(backend):
        ...

A model that nobody has held for so long is let go, with its memory; the next call loads it again and waits
for that. Nothing is lost meanwhile: live audio is kept and heard then.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from threading import Lock
from typing import Literal

import numpy as np

from asr.audio import Recording
from asr.backends import Backend, Stream
from asr.types import Options, Segment


class Held:
    """A Backend around one that comes and goes; it tells what that one is even while it is away."""

    def __init__(
        self, engine: Backend, load: Callable[[], Backend], clock: Callable[[], float] = time.monotonic
    ):
        self._engine, self._load, self._clock = engine, load, clock
        self._users, self._used = 0, clock()
        self._lock, self._loading = Lock(), Lock()
        self._look(engine)

    def _look(self, engine: Backend) -> None:
        self.spec, self.can, self.languages = engine.spec, engine.can, engine.languages
        self.device = engine.device
        if "batch" in engine.can:
            self.batch_size, self.window = engine.batch_size, engine.window

    @property
    def state(self) -> Literal["ready", "loading", "resting"]:
        if self._engine:
            return "ready"
        return "loading" if self._loading.locked() else "resting"

    @property
    def users(self) -> int:
        """How many hold it now."""
        return self._users

    @contextmanager
    def held(self) -> Iterator[None]:
        with self._lock:
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                self._used = self._clock()

    def rest(self, after: float) -> bool:
        """Let go of the engine if nobody has held it for `after` seconds; whether it was."""
        with self._lock:
            if not self._engine or self._users or self._clock() - self._used < after:
                return False
            self._look(self._engine)
            self._engine = None
        _give_back()
        return True

    def wake(self) -> None:
        """Load the engine if it is away. Raises what loading raises."""
        with self.held():
            self._awake()

    def _awake(self) -> Backend:
        """The engine, loaded if need be; by whoever holds it, so it stays. Raises what loading raises."""
        if engine := self._engine:
            return engine
        with self._loading:
            if not self._engine:
                self._engine = self._load()
            return self._engine

    def transcribe(self, audio: np.ndarray, options: Options) -> Iterator[Segment]:
        with self.held():
            yield from self._awake().transcribe(audio, options)

    def hear(self, recording: Recording, options: Options) -> Iterator[Segment]:
        with self.held():
            yield from self._awake().hear(recording, options)

    def prepare(self, audio: np.ndarray) -> np.ndarray:
        with self.held():
            return self._awake().prepare(audio)

    def transcribe_batch(
        self, windows: Sequence[np.ndarray], options: Sequence[Options]
    ) -> list[list[Segment]]:
        with self.held():
            return self._awake().transcribe_batch(windows, options)

    def detect(self, windows: Sequence[np.ndarray]) -> list[dict[str, float]]:
        with self.held():
            return self._awake().detect(windows)

    def stream(self, options: Options) -> Stream:
        with self.held():
            return self._awake().stream(options)


def held(backend: Backend) -> AbstractContextManager[None]:
    """Keeps it from being let go for the while, if it can be."""
    return getattr(backend, "held", nullcontext)()


def _give_back() -> None:
    """Memory that is free in our heap is still ours; glibc gives it to the system when it is told to."""
    gc.collect()
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # musl has none
            ctypes.CDLL(None).malloc_trim(0)
