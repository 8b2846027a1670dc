"""The field's measures of live transcription, from what was shown and when.

Aware times are on the wall clock: what a user waits. Unaware times are on the audio's clock: how
much audio the model had heard, as if it took no time. A word's delay counts from its gold end.

- first seen: the word stands at its place for the first time; confirmed: it is settled there.
- ttfs (time to final segment): an utterance's final text - the end of its last word.
- erasure (Arivazhagan et al. 2020): words taken back / final words; in settled text it must be 0.
- upwr (Shangguan et al. 2020): words of partial results that changed / final words.
- invented: final words at least NEAR seconds from any gold word, per minute without gold words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile

from asr.bench.words import Gold, align, plain
from asr.live.agreement import words_of
from asr.types import Segment

NEAR = 0.5
UTTERANCE = 0.6  # seconds of silence between two gold words that make two utterances
History = Sequence[Sequence[str]]  # the final, the settled and all words of one moment
When = Callable[[History, int, str], bool]  # does this word stand at its place in that moment?


@dataclass(frozen=True, slots=True)
class Shown:
    """What stood on the page after an update. The settled text begins with the final one."""

    aware: float  # seconds since the stream began, on the wall clock
    unaware: float  # seconds of audio the model had heard
    final: tuple[str, ...]  # words
    settled: tuple[str, ...]
    draft: tuple[str, ...]

    @property
    def everything(self) -> tuple[str, ...]:
        return self.settled + self.draft


class Track:
    """What was shown, set against what was really said, word by word."""

    def __init__(self, shown: Sequence[Shown], segments: Sequence[Segment], gold: Sequence[Gold]):
        self.gold = [Gold(g.start, g.end, word) for g in gold for word in plain(g.word)]
        self.words = [w for s in segments for w in plain(s.text)]
        self.found = align([g.word for g in self.gold], self.words)
        self._shown = shown
        self._history = [[plain(" ".join(p)) for p in (s.final, s.settled, s.everything)] for s in shown]

    def late(self, when: When, wanted: Callable[[int], bool] = lambda i: True) -> list[tuple[float, float]]:
        """(aware, unaware) seconds from the end of each `wanted` gold word to the moment `when` says."""
        found = []
        for i, j in self.found.pairs:
            at = next((k for k, words in enumerate(self._history) if when(words, j, self.words[j])), None)
            if at is not None and wanted(i):
                shown, end = self._shown[at], self.gold[i].end
                found.append((shown.aware - end, shown.unaware - end))
        return found

    def last(self, i: int) -> bool:
        """Whether gold word `i` ends an utterance."""
        return i + 1 == len(self.gold) or self.gold[i + 1].start - self.gold[i].end >= UTTERANCE


def measure(
    shown: Sequence[Shown], segments: Sequence[Segment], gold: Sequence[Gold], seconds: float
) -> dict:
    """Every measure that needs no second recognition, in seconds; None where there is nothing to measure."""
    track = Track(shown, segments, gold)
    raw, count = [s.everything for s in shown], max(1, len(track.words))
    return {
        "words": len(track.words),
        "wer": track.found.errors / len(track.gold) if gold else None,
        "substituted": track.found.substituted,
        "deleted": track.found.deleted,
        "inserted": track.found.inserted,
        "first_seen": _clocks(track.late(first_seen)),
        "confirmed": _clocks(track.late(confirmed)),
        "ttfs": _clocks(track.late(final, track.last)),
        "erasure": _erased(raw) / count,
        "erasure_settled": _erased([s.settled for s in shown]) / count,
        "upwr": _changed(raw) / count,
        "invented_per_minute": _invented(segments, gold, seconds),
    }


def first_seen(words: History, place: int, word: str) -> bool:
    said = words[2]
    return place < len(said) and said[place] == word


def confirmed(words: History, place: int, word: str) -> bool:
    return place < len(words[1])


def final(words: History, place: int, word: str) -> bool:
    return place < len(words[0])


def _clocks(late: Sequence[tuple[float, float]]) -> dict:
    return {"aware": summary([a for a, _ in late]), "unaware": summary([u for _, u in late])}


def _erased(history: Sequence[tuple[str, ...]]) -> int:
    same = (
        sum(1 for _ in takewhile(lambda p: p[0] == p[1], zip(a, b, strict=False)))
        for a, b in pairwise(history)
    )
    return sum(len(a) - n for a, n in zip(history, same, strict=False))


def _changed(history: Sequence[tuple[str, ...]]) -> int:
    return sum(
        sum(1 for i, word in enumerate(a) if i >= len(b) or b[i] != word) for a, b in pairwise(history)
    )


def _invented(segments: Sequence[Segment], gold: Sequence[Gold], seconds: float) -> float | None:
    spoken = _spans(gold)
    minutes = (seconds - sum(b - a for a, b in spoken)) / 60
    middles = ((w.start + w.end) / 2 for w in words_of(segments))
    lonely = sum(not any(a <= middle <= b for a, b in spoken) for middle in middles)
    return lonely / minutes if minutes > 0.01 else None


def _spans(gold: Sequence[Gold]) -> list[tuple[float, float]]:
    spans: list[tuple[float, float]] = []
    for g in gold:
        if spans and g.start - NEAR <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(spans[-1][1], g.end + NEAR))
        else:
            spans.append((max(0.0, g.start - NEAR), g.end + NEAR))
    return spans


def summary(values: Sequence[float]) -> dict | None:
    """Mean and percentiles (nearest rank), or None when there are no values."""
    if not values:
        return None
    ranked = sorted(values)
    at = {f"p{p}": ranked[max(0, -(-p * len(ranked) // 100) - 1)] for p in (50, 90, 95, 99)}
    return {"mean": sum(ranked) / len(ranked), **at, "count": len(ranked)}
