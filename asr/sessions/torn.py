"""A word that a lost connection cut in two is heard again, as a whole, when somebody comes back.

What was heard of it is not settled yet: half a word is often another word, and with its other half
heard later it would stand in the transcript twice. It is settled as it is when nobody goes on with it.
"""

from __future__ import annotations

from dataclasses import dataclass

from asr.types import Segment

EDGE = 0.3  # seconds before the end of the sound in which a word may be cut: engines are 0.1 s wrong
REACH = 0.3  # seconds before the word that are heard again with it: onsets are soft


@dataclass(frozen=True, slots=True)
class Torn:
    """The last word before a loss, in the session's time."""

    half: Segment
    since: float  # seconds; from here on it is heard again


def tear(segment: Segment, end: float) -> tuple[Segment | None, Torn | None]:
    """The whole words of a segment, and the one that the `end` of the sound may have cut.

    Where words have no times nobody can say how much of the sound belongs to the last one.
    """
    if not segment.words or segment.words[-1].end < end - EDGE:
        return segment, None
    *whole, last = segment.words
    since = last.start - REACH
    if whole:
        since = max(since, (whole[-1].end + last.start) / 2)
    return segment.part(whole) if whole else None, Torn(segment.part([last]), max(0.0, since))
