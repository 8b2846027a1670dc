"""A recording replayed as a microphone: in real time through the scheduler, or as fast as possible.

As fast as possible, the stream's clock is simulated: audio comes frame by frame, and the answer to
a pass comes as many seconds later as the model really took for it. So the wall clock delays are
those of real time, measured in less of it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from asr.audio import SAMPLE_RATE
from asr.backends import Backend
from asr.bench.measures import Shown
from asr.live import Update
from asr.live.passes import Pass, hear
from asr.scheduler import Scheduler
from asr.types import Options, Segment
from asr.vad import FRAME

PIECE = 320  # samples: the 20 ms of a WebRTC frame


@dataclass
class Record:
    """Everything one stream showed."""

    shown: list[Shown] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def add(self, update: Update, aware: float, unaware: float) -> None:
        self.segments += update.final
        final = tuple("".join(s.text for s in self.segments).split())
        settled = (*final, *update.stable.split())
        self.shown.append(Shown(aware, unaware, final, settled, tuple(update.draft.split())))
        if update.error:
            self.errors.append(update.error)


def fast(
    live, backend: Backend, audio: np.ndarray, cost: Callable[[float], float] = lambda took: took
) -> Record:
    """Replay through any policy; `cost` makes the seconds that a pass counts of those it took."""
    record, now, answer = Record(), 0.0, None
    for piece in _frames(audio):
        now += 0.0 if piece is None else FRAME / SAMPLE_RATE
        live.finish() if piece is None else live.feed(piece)
        while True:
            if answer and (answer[0] <= now or piece is None):
                ready, job, segments, took = answer
                now, answer = max(now, ready) if piece is None else now, None
                record.add(live.heard(job, segments, took), ready, job.until / SAMPLE_RATE)
            if update := live.listen(greedy=True):
                record.add(update, now, now)
            if answer or live.wants is None:
                break
            answer = _answer(live.take(), backend, now, cost)
            if answer[0] > now and piece is not None:
                break
    return record


def _frames(audio: np.ndarray) -> Iterator[np.ndarray | None]:
    yield from (audio[i : i + FRAME] for i in range(0, len(audio), FRAME))
    yield None


def _answer(job: Pass, backend: Backend, now: float, cost: Callable[[float], float]):
    began = time.perf_counter()
    (segments,) = hear(backend, [job])
    took = cost(time.perf_counter() - began)
    return now + took, job, segments, took


def real(scheduler: Scheduler, options: Options, audio: np.ndarray, late: float = 0.0) -> Record:
    """Replay through the scheduler in real time, `late` seconds from now; returns when all is final."""
    record, done = Record(), threading.Event()
    time.sleep(late)
    began, fed = time.monotonic(), 0

    def shown(update: Update) -> None:
        record.add(update, time.monotonic() - began, fed / SAMPLE_RATE - update.behind)
        if update.done:
            done.set()

    stream = scheduler.open(options, shown)
    for i in range(0, len(audio), PIECE):
        time.sleep(max(0.0, began + (i + PIECE) / SAMPLE_RATE - time.monotonic()))
        fed = min(i + PIECE, len(audio))
        stream.feed(audio[i : i + PIECE])
    stream.finish()
    done.wait()
    return record
