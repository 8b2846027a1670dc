"""Many streams and one model on a simulated clock: how many it can serve if a call takes so long.

What the model hears is real, what its calls take is given: FIXED + windows * EACH seconds. So a busy
machine measures what an idle one would, and one machine what another would. Voice detection counts nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from asr.audio import SAMPLE_RATE
from asr.bench.replay import PIECE, Record
from asr.live import LiveTranscriber, Update
from asr.live.passes import Pass
from asr.scheduler import STRAIN, in_turn
from asr.scheduler.batching import Batching
from asr.types import Segment

Hear = Callable[[Sequence[Pass]], list[list[Segment]]]


@dataclass
class Speaker:
    """One stream: what it hears, from `late` seconds on, and what it showed."""

    live: LiveTranscriber
    audio: np.ndarray
    late: float
    record: Record = field(default_factory=Record)
    fed: int = 0  # samples
    served: float = 0.0
    wanted_since: float | None = None
    done: bool = False

    def go_on(self, now: float) -> None:
        """Hear what was said until `now`."""
        until = min(len(self.audio), max(0, int((now - self.late) * SAMPLE_RATE)))
        if until > self.fed:
            self.live.feed(self.audio[self.fed : until])
            self.fed = until
            if until == len(self.audio):
                self.live.finish()
        self.show(self.live.listen(greedy=True), now)
        if self.live.wants is None:
            self.wanted_since = None
        elif self.wanted_since is None:
            self.wanted_since = now

    def take(self, now: float) -> Pass:
        self.served, self.wanted_since = now, None
        return self.live.take()

    def show(self, update: Update | None, now: float) -> None:
        if update:
            self.record.add(update, now - self.late, self.fed / SAMPLE_RATE - update.behind)
            self.done = self.done or update.done


class Crowd:
    def __init__(self, speakers: Sequence[Speaker], hear: Hear, most: int, cost: tuple[float, float]):
        self.speakers, self._hear, self._cost = speakers, hear, cost
        self._batching = Batching(most)
        self.now, self.calls, self.windows, self.busy = 0.0, 0, 0, 0.0

    def run(self) -> None:
        """Until everything that was said is final."""
        call = None
        while not all(s.done for s in self.speakers):
            self.now += PIECE / SAMPLE_RATE
            for speaker in self.speakers:
                speaker.go_on(self.now)
            while call is None or call[0] <= self.now:
                then = self._answer(*call) if call else self.now
                call = self._call(then)
                if call is None:
                    break

    def _call(self, now: float):
        """The next call: when it will be over, who asked, and for what."""
        waiting = [(s.live.wants, s.served, s) for s in self.speakers if s.live.wants is not None]
        strained = any(s.wanted_since is not None and now - s.wanted_since > STRAIN for *_, s in waiting)
        chosen = in_turn(waiting, strained)[: self._batching.size]
        if not chosen:
            return None
        took = self._cost[0] + len(chosen) * self._cost[1]
        self._batching.learn(len(chosen), took)
        self.calls, self.windows, self.busy = self.calls + 1, self.windows + len(chosen), self.busy + took
        return now + took, took, [(s, s.take(now)) for s in chosen]

    def _answer(self, now: float, took: float, asked: Sequence[tuple[Speaker, Pass]]) -> float:
        for (speaker, job), heard in zip(asked, self._hear([job for _, job in asked]), strict=True):
            speaker.show(speaker.live.heard(job, heard, took), now)
            speaker.show(speaker.live.listen(greedy=True), now)
        return now


def remembering(hear: Hear) -> Hear:
    """`hear`, which is asked once about the same stretch of what all streams hear alike."""
    known: dict[tuple, list[Segment]] = {}

    def one(job: Pass) -> list[Segment]:
        key = (job.start, job.until, job.options)
        if key not in known:
            (known[key],) = hear([job])
        return known[key]

    return lambda jobs: [one(job) for job in jobs]
