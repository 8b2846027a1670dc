"""One speaker's stream as the scheduler drives it: who may do what from which thread."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import uuid4

import numpy as np

from asr import logs
from asr.audio import SAMPLE_RATE
from asr.errors import ASRError
from asr.live import LiveTranscriber, Update
from asr.live.passes import Pass, Rank
from asr.types import Segment

RETRY, LONGEST_RETRY = 0.5, 15.0  # seconds before a failed pass is tried again
TOO_SLOW = (
    "The model is more than {:.3g} minutes behind, so this ends here. "
    "Start again with a smaller model, or when fewer people are speaking."
)
BROKEN = "Something went wrong in this stream, so it ends here. Start again. {}"

log = logging.getLogger(__name__)


class LiveStream:
    """One speaker. `on_update` is called from the scheduler's threads, one call at a time, in order."""

    def __init__(
        self, live: LiveTranscriber, on_update: Callable[[Update], None], wake, forget, most_behind: float
    ):
        self._live, self._on_update, self._wake, self._forget = live, on_update, wake, forget
        self._most_behind = most_behind  # seconds of unheard audio at which it is given up, and says so
        self._lock = threading.RLock()  # re-entrant: `on_update` may close its own stream
        self._closed = False
        self._reached = 0  # the sample that the model has come to
        self._retry = 0.0  # seconds until a failed pass was or is tried again
        self.not_before = 0.0
        self.wanted_since: float | None = None
        self.served = time.monotonic()

    def feed(self, audio: np.ndarray) -> None:
        """Queue more audio: float32 mono 16 kHz (n,). Takes microseconds, from any thread."""
        self._live.feed(audio)
        self._wake()

    def finish(self) -> None:
        """No more audio: the rest becomes final, and the last update has `done` set."""
        self._live.finish()
        self._wake()

    def close(self) -> None:
        """Nobody listens any more: drop everything. No update comes after this returns."""
        with self._lock:
            self._closed = True
            self._live.close()
        self._forget(self)

    @property
    def behind(self) -> float:
        """Seconds of audio that were fed and not yet heard by the model; from any thread, without waiting."""
        return max(0, self._live.fed - self._reached) / SAMPLE_RATE

    @property
    def speaking(self) -> bool:
        return self._live.speaking

    # -- for the scheduler

    def listen(self) -> None:
        """The ears' work: voice detection on what was fed since."""
        with self._lock, self._no_harm():
            if self._closed:
                return
            if self._live.behind > self._most_behind:
                self._give_up(TOO_SLOW.format(self._most_behind / 60))
            elif update := self._live.listen(greedy=True):
                self._tell(update)
            if self._closed or self._live.wants is None:
                self.wanted_since = None
            elif self.wanted_since is None:
                self.wanted_since = time.monotonic()

    def wants(self, now: float) -> Rank | None:
        with self._lock:
            return None if self._closed or now < self.not_before else self._live.wants

    def take(self) -> Pass | None:
        with self._lock:
            if self._closed or self._live.wants is None:
                return None
            self.served, self.wanted_since = time.monotonic(), None
            return self._live.take()

    def answer(self, job: Pass, segments: list[Segment] | Exception, took: float) -> None:
        with self._lock, self._no_harm():
            if self._closed:
                self._live.missed(job, "")
                return self._live.close()
            if isinstance(segments, Exception):
                self._retry = min(max(RETRY, 2 * self._retry), LONGEST_RETRY)
                self.not_before = time.monotonic() + self._retry
                self._tell(self._live.missed(job, _sentence(segments)))
            else:
                self._retry = self.not_before = 0.0
                self._tell(self._live.heard(job, segments, took))

    @contextmanager
    def _no_harm(self) -> Iterator[None]:
        """What goes wrong in one stream ends that stream, with the words it has, and no other."""
        try:
            yield
            self._reached = self._live.reached
        except Exception:
            logs.about.set(f"live_{uuid4().hex[:12]}")
            log.exception("a live stream broke")
            self._give_up(BROKEN.format(logs.seen()))
            logs.about.set("")

    def _give_up(self, why: str) -> None:
        self._tell(self._live.given_up(why))

    def _tell(self, update: Update) -> None:
        try:
            self._on_update(update)
        except Exception:
            log.exception("a listener failed on an update; the stream goes on")
        if update.done:
            self.close()


def _sentence(error: Exception) -> str:
    if isinstance(error, ASRError):
        return str(error)
    return f"The model failed on the last piece of speech ({type(error).__name__}); it will hear it again."
