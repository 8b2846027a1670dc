"""One model, many streams: fair, newest wins, finals first, batched, never silent.

Two threads. The ears run every stream's voice detector; the model's thread asks, whenever it is
free, which streams want a pass, and hears as many of them in one call as the backend takes.
A stream's pass is made only when its turn comes, so it always holds the newest audio and no stale
work can queue up. Finals go before everything else; otherwise it is the turn of the stream whose last
turn was longest ago, whether it speaks or has just fallen silent.

Overload shows and loses nothing. Each stream's turn comes later, so it hears more at a time;
every `Update` says how many seconds it is behind. While passes wait longer than STRAIN seconds, drafts
are heard only when nobody waits for a final text.

A pass that fails reaches its stream as an `Update` whose `error` is a sentence. The audio is kept
and heard again after a pause that doubles each time; the other streams of the batch are not hurt.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import TypeVar

from asr.backends import Backend
from asr.errors import Busy
from asr.held import held
from asr.live import LiveTranscriber, Update
from asr.live.pace import NORMAL, Pace
from asr.live.passes import Pass, Rank, hear
from asr.scheduler.batching import Batching
from asr.scheduler.stream import LiveStream
from asr.scheduler.turns import Shared, Turns
from asr.types import Options, Segment
from asr.vad import Silero, VoiceDetector

QUIET = 1.0  # seconds a recording may have the model at a time while streams are open and nobody speaks
BEAT = 0.02  # seconds between two rounds of the ears: WebRTC brings a piece every 20 ms
STRAIN = 4.0  # seconds of waiting at which drafts stand back
IDLE = 0.5  # seconds after which the model looks for failed passes to try again
COUNTED = ("opened", "refused", "passes", "windows", "finals", "drafts", "errors")

Waits = TypeVar("Waits")

log = logging.getLogger(__name__)


class Scheduler:
    """Owns one loaded model; close it to end its threads."""

    def __init__(
        self,
        backend: Backend,
        *,
        max_streams: int = 16,
        most_behind: float = 600.0,
        batching: bool = True,
        policy: Callable[..., LiveTranscriber] = LiveTranscriber,
        pace: Pace = NORMAL,
        vad: Callable[[], VoiceDetector] = Silero,
        admit: Callable[[], None] = lambda: None,
    ):
        """`admit` raises what is told to whoever opens a stream when there can be no more.

        A stream of which more than `most_behind` seconds are unheard ends, and says so.
        """
        self.admit, self.most_behind = admit, most_behind
        self.backend, self.max_streams = backend, max_streams
        self._new = partial(policy, backend, pace=pace, vad=vad)
        self._batching = Batching(backend.batch_size if batching and "batch" in backend.can else 1)
        self._streams: list[LiveStream] = []
        self._hold = ExitStack()  # on the model, while there are streams
        self._lock = threading.Lock()
        self._turns = Turns()
        self.files: Backend = Shared(backend, self._turns, self._room)
        self._news, self._work = threading.Event(), threading.Event()
        self._closed = self._strained = False
        self._counts = dict.fromkeys(COUNTED, 0)
        self._recent: dict[str, deque[float]] = {k: deque(maxlen=200) for k in ("wait", "batch", "took")}
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._ears, self._model)]
        for thread in self._threads:
            thread.start()

    def open(self, options: Options, on_update: Callable[[Update], None]) -> LiveStream:
        """A new stream. Raises Busy when every place is taken, and Unsupported as `check` does."""
        self.admit()
        with self._lock:
            if self._closed:
                raise Busy("The server is shutting down.", "Try again in a minute.")
            if len(self._streams) >= self.max_streams:
                self._counts["refused"] += 1
                raise Busy(
                    f"All {self.max_streams} places for live speech are taken.",
                    "Try again in a few minutes, or let the server's owner allow more.",
                )
            live = self._new(options)
            stream = LiveStream(live, on_update, self._news.set, self._forget, self.most_behind)
            if not self._streams:
                self._hold.enter_context(held(self.backend))
            self._streams.append(stream)
            self._counts["opened"] += 1
            return stream

    def stats(self) -> dict[str, float]:
        """Counts since the start; means and maxima of the last 200 passes, in seconds or windows."""
        streams = list(self._streams)
        found: dict[str, float] = {**self._counts, "streams": len(streams), "finals_only": self._strained}
        for name, values in self._recent.items():
            values = list(values) or [0]
            found[f"{name}_mean"], found[f"{name}_max"] = sum(values) / len(values), max(values)
        found["behind_max"] = max((s.behind for s in streams), default=0.0)
        found["file_calls"], found["file_wait"] = self._turns.file_calls, self._turns.file_wait
        return found

    def close(self) -> None:
        """End the threads and drop the streams. The model itself stays loaded."""
        self._closed = True
        self._news.set()
        self._work.set()
        for stream in list(self._streams):
            stream.close()
        for thread in self._threads:
            thread.join(timeout=10)

    def _room(self) -> float:
        """For how many seconds a recording may have the model at a time."""
        if not (streams := list(self._streams)):
            return math.inf
        return 0.0 if any(s.speaking for s in streams) else QUIET

    def _forget(self, stream: LiveStream) -> None:
        with self._lock:
            if stream in self._streams:
                self._streams.remove(stream)
                if not self._streams:
                    self._hold.close()

    # -- the ears' thread

    def _ears(self) -> None:
        while not self._closed:
            self._news.wait()
            self._news.clear()
            began = time.monotonic()
            self._listen()
            self._work.set()
            time.sleep(max(BEAT, time.monotonic() - began))  # at most half a core, however many streams

    def _listen(self) -> None:
        for stream in list(self._streams):  # not in the loop above: its variable would keep the last stream
            stream.listen()

    # -- the model's thread

    def _model(self) -> None:
        while not self._closed:
            self._work.clear()
            if not self._hear_next():
                self._work.wait(IDLE)

    def _hear_next(self) -> bool:
        """One call to the model; False when nobody wants one."""
        if not self._next():
            return False
        with self._turns.live():
            began, jobs = time.monotonic(), []
            for stream in self._next():  # again: while waiting for the turn somebody may have finished
                waited = began - (stream.wanted_since or began)
                if job := stream.take():
                    jobs.append((stream, job))
                    self._recent["wait"].append(waited)
            answers = self._answers([job for _, job in jobs])
            took = time.monotonic() - began
        self._count([job for _, job in jobs], answers, took)
        for (stream, job), answer in zip(jobs, answers, strict=True):
            stream.answer(job, answer, took)
        self._news.set()  # streams whose utterance just ended have more to listen to
        return bool(jobs)

    def _next(self) -> list[LiveStream]:
        """The streams of the next call, most urgent first."""
        now = time.monotonic()
        waiting = [(rank, s.served, s) for s in list(self._streams) if (rank := s.wants(now)) is not None]
        self._strained = any(s.wanted_since and now - s.wanted_since > STRAIN for _, _, s in waiting)
        return in_turn(waiting, self._strained)[: self._batching.size]

    def _answers(self, jobs: Sequence[Pass]) -> list[list[Segment] | Exception]:
        if len(jobs) > 1 and any(job.stream for job in jobs):  # an engine's stream is fed no audio twice
            with ThreadPoolExecutor(len(jobs)) as pool:
                return [answer for found in pool.map(self._answers, [[j] for j in jobs]) for answer in found]
        try:
            return hear(self.backend, jobs) if jobs else []
        except Exception as e:
            if len(jobs) > 1:  # find out whose it is
                return [answer for job in jobs for answer in self._answers([job])]
            log.warning("a pass failed: %s", type(e).__name__, exc_info=True)
            return [e]

    def _count(self, jobs: Sequence[Pass], answers: Sequence, took: float) -> None:
        if not jobs:
            return
        self._recent["batch"].append(len(jobs))
        self._recent["took"].append(took)
        self._batching.learn(len(jobs), took)
        self._counts["passes"] += 1
        self._counts["windows"] += len(jobs)
        self._counts["finals"] += sum(j.rank is Rank.FINAL for j in jobs)
        self._counts["drafts"] += sum(j.rank is Rank.DRAFT for j in jobs)
        self._counts["errors"] += sum(isinstance(a, Exception) for a in answers)


def in_turn(waiting: Sequence[tuple[Rank, float, Waits]], strained: bool) -> list[Waits]:
    """Who waits, for what and since when it was served: in the order in which the model hears them.

    Who falls silent does not go before who speaks on: a gap between two words is silence, too, and
    there are so many of them that under load the others would hardly be heard.
    """
    if strained:  # drafts, too, where nothing else is left to do
        waiting = [w for w in waiting if w[0] is not Rank.DRAFT] or waiting
    return [who for *_, who in sorted(waiting, key=lambda w: (w[0] is not Rank.FINAL, w[1]))]


class Schedulers:
    """One Scheduler per loaded backend, shared by everybody in this process."""

    def __init__(self, **settings):
        """`settings` go to every Scheduler."""
        self._settings, self._lock = settings, threading.Lock()
        self._by_backend: dict[int, Scheduler] = {}

    def get(self, backend: Backend) -> Scheduler:
        with self._lock:
            if id(backend) not in self._by_backend:
                self._by_backend[id(backend)] = Scheduler(backend, **self._settings)
            return self._by_backend[id(backend)]

    def all(self) -> list[Scheduler]:
        with self._lock:
            return list(self._by_backend.values())

    def close(self) -> None:
        for scheduler in self.all():
            scheduler.close()
