"""Words against the voice: times trimmed to where somebody speaks, segments cut at pauses.

Engines know the order of words better than their edges: attention lets a word reach into the
silence before or after it. The voice detector knows the edges. (On strings of spoken digits it
takes the mean error of Whisper's word starts from 144 to 46 ms, and of word ends from 399 to 69.)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from math import ceil

import numpy as np

from asr.types import Segment
from asr.vad import Stretch
from asr.vad.spans import HOP, RELEASE

PAUSE = 1.0  # seconds between two words that make two segments of them


def spoken(segment: Segment, stretch: Stretch) -> Iterator[Segment]:
    """The segment as it was said in `stretch`: without silence at the edges of its words, cut at pauses."""
    words = [replace(w, **_voiced(w.start, w.end, stretch)) for w in segment.words]
    if not words:
        yield replace(segment, **_voiced(segment.start, segment.end, stretch))
        return
    ends = [i for i, (a, b) in enumerate(pairwise(words), 1) if b.start - a.end >= PAUSE]
    for first, last in pairwise([0, *ends, len(words)]):
        part = segment.part(words[first:last])
        yield part if ends else replace(part, tokens=segment.tokens)


def _voiced(start: float, end: float, stretch: Stretch) -> dict[str, float]:
    """From the first to the last sound of a voice between two times; these themselves where there is none."""
    first = max(0, int((start - stretch.start) / HOP))
    heard = np.flatnonzero(stretch.probabilities[first : ceil((end - stretch.start) / HOP)] >= RELEASE)
    if not len(heard):
        return {"start": start, "end": end}
    begun, ended = (stretch.start + float(first + i) * HOP for i in (heard[0] - 1, heard[-1] + 1))
    return {"start": max(start, begun), "end": min(end, ended)}
