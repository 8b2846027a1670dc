"""Two well-known ways to transcribe live, to compare ours with. Both speak `LiveTranscriber`'s language.

`Chunked` is the guide's way: windows of 4 s, each overlapping the next by 1 s, of which 0.5 s is
stripped on both sides. `LocalAgreement` is whisper_streaming's (Macháček et al. 2023): the whole
buffer is heard once a second, words that two hypotheses agree on are confirmed, and a buffer of
more than 15 s is cut after the last confirmed word. Neither has a voice detector.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from asr.audio import SAMPLE_RATE
from asr.backends import Backend, check
from asr.live import LiveTranscriber, Update
from asr.live.agreement import agreed, echo, words_of
from asr.live.pace import NORMAL, Pace
from asr.live.passes import Pass, Rank
from asr.types import Options, Segment, Word


class Buffered:
    """What the two have in common: a buffer, and one pass at a time over the whole of it."""

    def __init__(
        self, backend: Backend, options: Options, *, pace: Pace = NORMAL, vad: Callable | None = None
    ):
        check(backend, options)
        self._options = pace.options(options, backend)
        self._inbox: list[np.ndarray] = []
        self._buffer = np.zeros(0, np.float32)
        self._start = self._heard = 0  # samples; the buffer begins at the first
        self._ended = self._done = False
        self._pending: Pass | None = None

    def feed(self, audio: np.ndarray) -> None:
        self._inbox.append(audio)

    def finish(self) -> None:
        self._ended = True

    def close(self) -> None:
        """There is nothing to let go of."""

    def listen(self, greedy: bool = False) -> Update | None:
        while self._inbox:
            self._buffer = np.concatenate([self._buffer, self._inbox.pop(0)])
        if self._ended and not self._done and self._pending is None and self.wants is None:
            return self._update(self._rest())
        return None

    @property
    def wants(self) -> Rank | None:
        if self._pending is not None or self._heard >= self._clock:
            return None
        return Rank.DRAFT if self._ended or self._due else None

    def take(self) -> Pass:
        audio = self._window()
        until = self._start + len(audio)
        self._pending = Pass(audio, self._options, self._start, until, Rank.DRAFT, self._start)
        return self._pending

    def missed(self, job: Pass, error: str) -> Update:
        self._pending = None
        return Update(error=error)

    def given_up(self, error: str) -> Update:
        return Update(done=True, error=error)

    def heard(self, job: Pass, segments: Sequence[Segment], took: float = 0.0) -> Update:
        self._pending, self._heard = None, job.until
        shifted = [s.shifted(job.origin / SAMPLE_RATE) for s in segments]
        return self._update(self._confirm(words_of(shifted), job))

    def _update(self, words: Sequence[Word]) -> Update:
        self._done = self._ended and self._heard >= self._clock and not self._draft
        final = (Segment.of(words),) if words else ()
        return Update(final, "", "".join(w.word for w in self._draft), self.behind, True, self._done)

    def _forget(self, before: int) -> None:
        self._buffer, self._start = self._buffer[before - self._start :], before

    @property
    def _clock(self) -> int:
        return self._start + len(self._buffer)

    @property
    def speaking(self) -> bool:
        return True

    @property
    def fed(self) -> int:
        return self._clock + sum(map(len, self._inbox))

    @property
    def reached(self) -> int:
        return self._heard

    @property
    def behind(self) -> float:
        return (self.fed - self.reached) / SAMPLE_RATE


class Chunked(Buffered):
    WINDOW, STRIP = 4 * SAMPLE_RATE, SAMPLE_RATE // 2
    _draft: tuple[Word, ...] = ()

    @property
    def _due(self) -> bool:
        return len(self._buffer) >= self.WINDOW

    def _window(self) -> np.ndarray:
        return self._buffer[: self.WINDOW]

    def _confirm(self, words: Sequence[Word], job: Pass) -> Sequence[Word]:
        last = self._ended and job.until >= self._clock
        begin = (job.start + self.STRIP) / SAMPLE_RATE if job.start else 0.0
        end = np.inf if last else (job.until - self.STRIP) / SAMPLE_RATE
        if not last:
            self._forget(job.until - 2 * self.STRIP)
            self._heard = self._start
        return [w for w in words if begin <= (w.start + w.end) / 2 < end]

    def _rest(self) -> Sequence[Word]:
        return ()


class LocalAgreement(Buffered):
    STEP, LONGEST, NEAR = SAMPLE_RATE, 15 * SAMPLE_RATE, 1.0

    def __init__(self, *args, **settings):
        super().__init__(*args, **settings)
        self._confirmed: list[Word] = []
        self._draft: list[Word] = []

    @property
    def _due(self) -> bool:
        return self._clock - self._heard >= self.STEP

    def _window(self) -> np.ndarray:
        return self._buffer[: 2 * self.LONGEST]

    def _confirm(self, words: Sequence[Word], job: Pass) -> Sequence[Word]:
        until = self._confirmed[-1].end if self._confirmed else 0.0
        fresh = [w for w in words if w.start > until - 0.1]
        fresh = fresh[echo(self._confirmed[-5:], fresh, until + self.NEAR) :]
        full = len(self._buffer) >= 2 * self.LONGEST  # and nothing to agree on: a model hears no more
        count = len(fresh) if full else agreed(self._draft, fresh)
        new, self._draft = fresh[:count], fresh[count:]
        self._confirmed += new
        if len(self._buffer) > self.LONGEST and self._confirmed:
            self._forget(max(self._start, round(self._confirmed[-1].end * SAMPLE_RATE)))
        return new if not (self._ended and self._heard >= self._clock) else [*new, *self._rest()]

    def _rest(self) -> Sequence[Word]:
        rest, self._draft = self._draft, []
        return rest


POLICIES: dict[str, Callable] = {
    "ours": LiveTranscriber,
    "chunked": Chunked,
    "localagreement": LocalAgreement,
}
