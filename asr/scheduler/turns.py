"""One model, one call at a time: live speech first, recordings whenever it leaves room."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import numpy as np

from asr.audio import Recording
from asr.backends import Ability, Backend
from asr.held import held
from asr.types import Options, Segment

SHARE = 4  # when live speech leaves no room, recordings wait this many times as long as their calls take
PATIENCE = 1.0  # seconds a recording waits for room at the least


class Turns:
    """Who may call the model now. Recordings' calls take turns among themselves in the order they came."""

    def __init__(self):
        self._free = threading.Condition()
        self._busy = False
        self._live = 0  # live calls waiting
        self._files: deque[float] = deque()  # since when each recording's call has waited
        self._file_seconds = 0.0  # what the last of them took
        self.file_calls = 0
        self.file_wait = 0.0  # seconds the last recording's call waited

    @contextmanager
    def live(self) -> Iterator[None]:
        with self._free:
            self._live += 1
            self._free.wait_for(lambda: not self._busy and not self._overdue())
            self._live -= 1
            self._busy = True
        try:
            yield
        finally:
            self._release()

    @contextmanager
    def file(self) -> Iterator[None]:
        since = time.monotonic()
        with self._free:
            self._files.append(since)
            try:
                while self._busy or self._files[0] != since or (self._live and not self._overdue()):
                    self._free.wait(PATIENCE / 4)
                self._busy = True
            finally:  # also when whoever waits is interrupted: a place nobody takes would stop everybody
                self._files.remove(since)
                self._free.notify_all()
            self.file_calls, self.file_wait = self.file_calls + 1, time.monotonic() - since
        began = time.monotonic()
        try:
            yield
        finally:
            self._file_seconds = time.monotonic() - began
            self._release()

    def _overdue(self) -> bool:
        """A recording has waited long enough: live speech lets it go first, once."""
        patience = max(PATIENCE, SHARE * self._file_seconds)
        return bool(self._files) and time.monotonic() - self._files[0] >= patience

    def _release(self) -> None:
        with self._free:
            self._busy = False
            self._free.notify_all()


class Shared:
    """The model as recordings use it: a Backend whose every call waits for its turn.

    `room` says for how many seconds the model may be given away at a time. Batches are cut to that,
    by what the last window took, so nobody who starts to speak waits for a whole batch.
    """

    def __init__(self, backend: Backend, turns: Turns, room: Callable[[], float]):
        self.spec, self.device, self.languages = backend.spec, backend.device, backend.languages
        self.batch_size = getattr(backend, "batch_size", 1)
        self.window = getattr(backend, "window", None)
        self._backend, self._turns, self._room = backend, turns, room
        self._each = math.inf  # seconds that a window took

    def transcribe(self, audio: np.ndarray, options: Options) -> Iterator[Segment]:
        segments = iter(self._backend.transcribe(audio, options))
        while True:
            with self._turns.file():
                segment = next(segments, None)
            if segment is None:
                return
            yield segment

    @property
    def can(self) -> frozenset[Ability]:
        """While somebody may speak, recordings go elsewhere in windows, too: between those is room."""
        return self._backend.can - ({"stream"} if self._room() == math.inf else {"stream", "whole"})

    def hear(self, recording: Recording, options: Options) -> Iterator[Segment]:
        return self._backend.hear(recording, options)  # the work is done elsewhere, and has its turns there

    def held(self) -> AbstractContextManager[None]:
        return held(self._backend)

    def prepare(self, audio: np.ndarray) -> np.ndarray:
        return self._backend.prepare(audio)  # needs no engine, so no turn either

    def transcribe_batch(
        self, windows: Sequence[np.ndarray], options: Sequence[Options]
    ) -> list[list[Segment]]:
        return [answer for part in self._parts(windows, options) for answer in part]

    def _parts(self, windows, options) -> Iterator[list[list[Segment]]]:
        at = 0
        while at < len(windows):
            with self._turns.file():
                room, began = self._room(), time.monotonic()
                size = self.batch_size if room == math.inf else max(1, int(room / self._each))
                part = slice(at, at + min(size, self.batch_size))
                answers = self._backend.transcribe_batch(windows[part], options[part])
                self._each = max(1e-6, time.monotonic() - began) / len(answers)
            at += len(answers)
            yield answers

    def detect(self, windows: Sequence[np.ndarray]) -> list[dict[str, float]]:
        with self._turns.file():
            return self._backend.detect(windows)
