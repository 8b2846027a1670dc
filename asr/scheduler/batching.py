"""How many windows one call to the model should hold, learnt from the calls it made.

A call of n windows takes about `fixed + n * each` seconds. On a GPU `fixed` is nearly all of it: the
more windows the better. On a CPU it may be next to nothing: then a big batch is no faster than as
many calls, and everybody in it waits for the last one.
"""

from __future__ import annotations

import math

WASTE = 0.2  # of a call's time may be its fixed cost
FADE = 0.98  # what a call counts after the next one: the machine's other work comes and goes


class Batching:
    """Linear regression of seconds on windows, old calls fading."""

    def __init__(self, most: int):
        self.most = most
        self._calls = self._n = self._t = self._nn = self._nt = 0.0

    def learn(self, windows: int, seconds: float) -> None:
        """Take what a call of `windows` took."""
        seen = (1.0, windows, seconds, windows**2, windows * seconds)
        sums = (self._calls, self._n, self._t, self._nn, self._nt)
        self._calls, self._n, self._t, self._nn, self._nt = (
            FADE * total + x for total, x in zip(sums, seen, strict=True)
        )

    @property
    def size(self) -> int:
        """So many windows that the fixed cost is at most WASTE of the call; `most` while nothing is known.

        When calls have been of one size for long, the others are forgotten: then `most` is tried again.
        """
        spread = self._nn * self._calls - self._n**2
        if spread <= 0.05 * self._calls**2:
            return self.most
        each = (self._nt * self._calls - self._n * self._t) / spread
        fixed = (self._t - each * self._n) / self._calls
        if each <= 0:
            return self.most
        return max(1, min(self.most, math.ceil(fixed * (1 - WASTE) / WASTE / each)))
