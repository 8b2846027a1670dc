"""What a recogniser is given at a time: windows of a recording, and the way back from them.

A recogniser that pays for 30 s whatever it is given (Whisper) gets windows filled from several
stretches of speech, without the silence between them; `Window.placed` puts what was heard back
where it was said.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from asr.audio import Recording
from asr.types import Segment
from asr.vad import Stretch, VoiceDetector, stretches

LONGEST = 30.0  # seconds: Whisper's window


@dataclass(frozen=True, slots=True)
class Window:
    """Stretches of speech in time order, at most LONGEST seconds together, to be heard in one go."""

    stretches: tuple[Stretch, ...]

    @property
    def speech(self) -> float:
        """Expected seconds of speech in it."""
        return sum(s.speech(s.start, s.end) for s in self.stretches)

    def audio(self, recording: Recording) -> np.ndarray:
        """float32 (n,): one stretch after the other."""
        return np.concatenate([recording.read(s.start, s.end) for s in self.stretches])

    def placed(self, segment: Segment) -> Iterator[tuple[Stretch, Segment]]:
        """What was heard in `audio`, where it was said; cut apart where it goes over a join."""
        runs = [(i, tuple(run)) for i, run in groupby(segment.words, lambda w: self._holding(w.start, w.end))]
        for i, words in runs or [(self._holding(segment.start, segment.end), ())]:
            part = segment if len(runs) < 2 else segment.part(words)
            stretch = self.stretches[i]
            origin = sum(s.duration for s in self.stretches[:i])
            yield stretch, clipped(part.shifted(stretch.start - origin), stretch.start, stretch.end)

    def _holding(self, start: float, end: float) -> int:
        """The stretch that the middle of something heard falls into."""
        ends = np.cumsum([s.duration for s in self.stretches])
        return min(int(np.searchsorted(ends, (start + end) / 2)), len(ends) - 1)


def windows(
    recording: Recording, detector: VoiceDetector, join: bool, longest: float = LONGEST
) -> Iterator[Window]:
    """The windows of `recording` in time order, as soon as they are certain; with `join`, well filled."""
    waiting: list[Stretch] = []
    for stretch in stretches(recording, detector, longest):
        if waiting and (not join or sum(s.duration for s in waiting) + stretch.duration > longest):
            yield Window(tuple(waiting))
            waiting = []
        waiting.append(stretch)
    if waiting:
        yield Window(tuple(waiting))


def clipped(segment: Segment, start: float, end: float) -> Segment:
    """The segment and its words with all times between `start` and `end`, in seconds."""

    def inside(time: float) -> float:
        return min(max(time, start), end)

    words = tuple(replace(w, start=inside(w.start), end=inside(w.end)) for w in segment.words)
    return replace(segment, start=inside(segment.start), end=inside(segment.end), words=words)
