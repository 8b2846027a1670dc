"""The last stretch of a stream's audio, addressed by sample number since the stream began."""

from __future__ import annotations

from collections import deque

import numpy as np

from asr.audio import SAMPLE_RATE
from asr.vad.spans import FRAME

HOP = SAMPLE_RATE // 100  # 10 ms, the grain of `quietest`


class Tape:
    """Frames of FRAME samples: added at the end, forgotten at the beginning."""

    def __init__(self):
        self._frames: deque[tuple[np.ndarray, bool]] = deque()
        self.start = self.end = 0

    def add(self, frame: np.ndarray, voiced: bool) -> None:
        self._frames.append((frame, voiced))
        self.end += len(frame)

    def forget(self, before: int) -> None:
        """Drop what lies wholly before sample `before`."""
        while self._frames and self.start + len(self._frames[0][0]) <= before:
            self.start += len(self._frames.popleft()[0])

    def read(self, start: int, stop: int) -> np.ndarray:
        """float32 (stop - start,), clipped to what is still there."""
        start, stop = max(start, self.start), min(stop, self.end)
        if start >= stop:
            return np.zeros(0, np.float32)
        first, last = (start - self.start) // FRAME, (stop - 1 - self.start) // FRAME
        frames = [self._frames[i][0] for i in range(first, last + 1)]
        at = start - self.start - first * FRAME
        return np.concatenate(frames)[at : at + stop - start]

    def voiced(self, start: int, stop: int) -> float:
        """Seconds of speech between two samples, by the voice detector's frames."""
        return len(self._voiced(start, stop)) * FRAME / SAMPLE_RATE

    def spoken(self, start: int, stop: int) -> tuple[int, int]:
        """The same stretch without the silence at both ends; as it is when there is no speech in it."""
        voiced = self._voiced(start, stop)
        if not voiced:
            return start, stop
        first, last = (self.start + i * FRAME for i in (voiced[0], voiced[-1] + 1))
        return max(start, first), min(stop, last)

    def _voiced(self, start: int, stop: int) -> list[int]:
        first, last = max(start - self.start, 0) // FRAME, -(-(stop - self.start) // FRAME)
        return [i for i in range(first, min(last, len(self._frames))) if self._frames[i][1]]

    def quietest(self, start: int, stop: int) -> tuple[int, float]:
        """The quietest 30 ms between two samples: their middle, and their loudness (rms)."""
        audio = self.read(start, stop)
        hops = audio[: len(audio) // HOP * HOP].reshape(-1, HOP)
        if len(hops) < 3:
            return (max(start, self.start) + min(stop, self.end)) // 2, 0.0
        power = np.convolve((hops**2).mean(axis=1), np.ones(3) / 3, "valid")
        # Of equally quiet places the middle one: silence is cut far from the words on both sides.
        low = np.flatnonzero(power <= power.min() * 1.1 + 1e-10)
        best = int(low[len(low) // 2])
        return max(start, self.start) + (best + 1) * HOP + HOP // 2, float(np.sqrt(power[best]))
