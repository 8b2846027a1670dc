"""A live session's time, counted from its first sample, and where each piece of audio lies in it.

What was not heard is a `Gap`, and the words after it keep their true times. Audio that goes on where
we stopped goes on in the middle of the word: on another transport, whose delay is found in the sound
itself, or on another stream, which hears the word that was cut once more.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from asr.audio import SAMPLE_RATE
from asr.sessions.journal import Gap, Journal
from asr.sessions.seam import offset
from asr.sessions.source import Leg, Source
from asr.sessions.torn import Torn, tear
from asr.types import Segment

TAIL, ALIKE = 2 * SAMPLE_RATE, SAMPLE_RATE  # samples kept for a seam; that both sides of it must have
SEAM = 0.5  # seconds missing that are no gap worth a mark: hardly a word


class Timeline:
    """One session's, which guards it with its lock."""

    def __init__(self, journal: Journal, clock: Callable[[], float]):
        self._journal, self._clock = journal, clock
        self.heard = max((e.end for e in journal.entries), default=0.0)  # seconds
        self._tail = np.zeros(0, np.float32)  # of what was heard
        self.torn: Torn | None = None  # the word that a lost source left unfinished

    @property
    def elapsed(self) -> float:
        """Seconds on the clock since the session's start; 0 before it."""
        return 0.0 if self._journal.started is None else self._clock() - self._journal.started

    @property
    def samples(self) -> int:
        return round(self.heard * SAMPLE_RATE)

    def goes_on(self, at: float | None) -> bool:
        """Whether audio that starts at `at` seconds, None: now, starts where we stopped, or before."""
        return (self.elapsed if at is None else at) - self.heard <= SEAM

    def meets(self, piece: np.ndarray) -> int | None:
        """The sample at which `piece`, a second or two of the same sounds, ends.

        None when that cannot be told: silence is like any other, a hum fits everywhere.
        """
        begins = offset(piece, self._tail, ALIKE)
        return None if begins is None else self.samples - len(self._tail) + begins + len(piece)

    def place(self, source: Source, seconds: float) -> None:
        """Find where the source's first piece, of `seconds`, lies."""
        if self._journal.started is None:
            self._journal.begin(self._clock() - seconds)
        leg, elapsed = source.leg, self.elapsed
        if source.at is not None:
            source.begin = min(source.at, max(elapsed, self.heard))
            source.skip = round(max(0.0, self.heard - source.begin) * SAMPLE_RATE)
        elif leg.offset is None and elapsed - seconds - self.heard > SEAM:
            source.begin = elapsed - seconds
        else:
            source.begin = self.heard
        if leg.offset is None:
            self._begin(leg, source.begin if source.begin - self.heard > SEAM else self.heard)

    def _begin(self, leg: Leg, at: float) -> None:
        """The leg's audio starts here: after a gap, or where we stopped, with the word that was cut there."""
        again = self._tail[:0]
        if at > self.heard:
            self.settle_torn()
            self._journal.add(Gap(self.heard, at))
            self._tail = self._tail[:0]
        elif self.torn:
            again = self._tail[-round((self.heard - self.torn.since) * SAMPLE_RATE) :]
            self.torn = None
        leg.begin(at, again)

    def took(self, leg: Leg, audio: np.ndarray) -> None:
        """`audio` was fed to the leg."""
        self.heard = leg.end
        self._tail = np.concatenate([self._tail, audio])[-TAIL:]

    def settle(self, leg: Leg, segment: Segment) -> None:
        """Write down what the leg heard, but for a word that is cut and can be heard again."""
        whole, torn = tear(segment, leg.end) if leg.cut and leg.end == self.heard else (segment, None)
        if torn and (self.heard - torn.since) * SAMPLE_RATE <= len(self._tail):
            segment, self.torn = whole, torn
        if segment:
            self._journal.add(segment)

    def settle_torn(self) -> None:
        """Nobody goes on with the word that was cut: it stays as it was heard."""
        if self.torn:
            self._journal.add(self.torn.half)
            self.torn = None
