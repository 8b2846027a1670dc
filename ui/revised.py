"""Which words of a transcript were not in an earlier one of the same sound. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from difflib import SequenceMatcher

from asr.text.wording import same, words
from asr.types import Segment, Transcript

NEAR = 1.0  # seconds by which two recognisers' times of one word may differ


def revised(now: Transcript, before: Transcript) -> frozenset[tuple[float, str]]:
    """The words of `now` that `before` had not there: (start, word). Case and punctuation do not count."""
    old = sorted((w for s in before.segments for w in words(s)), key=lambda w: w.start)
    starts, fresh = [w.start for w in old], set()
    for line in now.segments:
        said = words(line)
        around = old[bisect_left(starts, line.start - NEAR) : bisect_right(starts, line.end + NEAR)]
        keys = [[same(w.word) for w in some] for some in (around, said)]
        for tag, _, _, i, j in SequenceMatcher(None, *keys, autojunk=False).get_opcodes():
            if tag != "equal":
                fresh |= {(w.start, w.word) for w in said[i:j]}
    return frozenset(fresh)


def retold(heard: list[Segment], before: Transcript) -> Transcript:
    """What a transcription that is going on has heard, and after that what there was before."""
    end = heard[-1].end if heard else 0.0
    rest = tuple(s for s in before.segments if s.end > end + NEAR / 2)
    return Transcript(tuple(heard) + rest, before.duration, before.task)
