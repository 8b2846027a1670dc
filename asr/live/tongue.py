"""Which language a stream is in, as the evidence grows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from asr.types import Segment

SHARE = 0.8  # of the sure speech that must be in one language


class Tongue:
    """The language of one stream: chosen by its user, or locked after `enough` seconds of sure speech."""

    def __init__(self, chosen: str | None, enough: float):
        self.known = chosen  # what the model is told; None: it shall find out
        self.latest = chosen  # what was heard last
        self._enough = enough
        self._seconds: Counter[str] = Counter()  # each second counts by its probability

    def hear(self, segments: Sequence[Segment], seconds: float) -> None:
        """Take an answer that brought `seconds` of speech that were new."""
        named = [s for s in segments if s.language]
        if self.known or not named:
            return
        self.latest, sure = named[-1].language, named[-1].language_probability
        sure = 1.0 if sure is None else sure  # servers name it without saying how sure they are
        self._seconds[self.latest] += sure * seconds
        best, of_it = self._seconds.most_common(1)[0]
        if of_it >= max(self._enough, SHARE * sum(self._seconds.values())):
            self.known = self.latest = best
