"""How fast an archive goes, when it will be done, and what it has cost."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

RECENT = 60.0  # seconds of the clock that "now" means


class Pace:
    """Counts seconds of audio against the clock. `left`: a guess of what is to do."""

    def __init__(self, left: float = 0.0, clock: Callable[[], float] = time.monotonic):
        self._clock, self._began = clock, clock()
        self.seconds = 0.0  # of audio that is done
        self._left, self._guessed, self._known = left, 0.0, 0.0
        self._before = 0.0  # seconds of audio that earlier runs did of what is to do
        self._marks: deque[tuple[float, float]] = deque([(self._began, 0.0)])

    @property
    def spent(self) -> float:
        """Seconds by the clock."""
        return self._clock() - self._began

    def advanced(self, seconds: float) -> None:
        """So much more audio is done, of recordings that may not be finished."""
        self.seconds += seconds
        now = self._clock()
        self._marks.append((now, self.seconds))
        while len(self._marks) > 2 and now - self._marks[1][0] > RECENT:
            self._marks.popleft()

    def finished(self, guess: float, seconds: float | None) -> None:
        """A recording guessed at `guess` seconds is out of the way; `seconds` is what it really lasted."""
        self._left -= guess
        if seconds:
            self._guessed, self._known = self._guessed + guess, self._known + seconds

    def resumed(self, seconds: float) -> None:
        """So much of a recording was done by an earlier run."""
        self._before += seconds

    @property
    def now(self) -> float:
        """Times real time, lately."""
        since, before = self._marks[0]
        return (self.seconds - before) / max(1e-3, self._clock() - since)

    @property
    def overall(self) -> float:
        """Times real time, from the beginning."""
        return self.seconds / max(1e-3, self.spent)

    @property
    def audio_left(self) -> float:
        """Seconds of audio to do: the guess, corrected by how guesses turned out so far."""
        ratio = self._known / self._guessed if self._guessed else 1.0
        return max(0.0, self._left * ratio - (self._before + self.seconds - self._known))

    @property
    def time_left(self) -> float | None:
        """Seconds by the clock; None while nothing is known."""
        return self.audio_left / self.overall if self.seconds else None

    def cost(self, per_hour: float) -> float:
        """Of the time so far, at so much per hour of this machine."""
        return per_hour * self.spent / 3600
