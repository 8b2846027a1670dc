"""Who said which word: the turns of a diarization laid over the words of a transcript. Pure.

    segments = assign(segments, diarization)      # speakers on words; segments split where they change
    segments = renamed(segments, "Speaker 1", "Anna")

A word belongs to whoever speaks longest during it; in a gap between turns, to the nearest turn that is
not too far. Then sentences are evened out: diarization is a little early or late, people change over
where sentences end. (The rule of summed overlap is whisperX's, the majority in a sentence that of
whisper-diarization.) A segment without words is cut by the proportions of its text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from itertools import chain, groupby, islice
from typing import Protocol

import numpy as np

from asr.text.pieces import ends_sentence, possible
from asr.text.wording import words
from asr.types import Segment, Turn, Word

NEAR = 2.0  # seconds to the next turn, beyond which a word in a gap has no speaker
PAUSE = 1.0  # seconds of silence that end a sentence, whatever its punctuation says
SOLID = 4  # words in a row of another speaker: no slip of a boundary, even inside a sentence
SHORTEST = 0.02  # seconds a word is taken to last at least: engines do answer with none


class Diarized(Protocol):
    """What is needed of an `asr.diarize.Diarization`."""

    turns: Sequence[Turn]  # may overlap
    exclusive: Sequence[Turn]  # one speaker at a time


def assign(segments: Sequence[Segment], diarization: Diarized) -> tuple[Segment, ...]:
    """The segments with speakers on them and on their words, split where the speaker changes.

    `Word.overlap` marks words during which somebody else speaks as well. Who is too far from any
    turn keeps speaker None. Text, times and order stay; what speakers there were before goes.
    """
    units = [words(s) for s in segments]
    flat = [u for of_one in units for u in of_one]
    if not flat:
        return tuple(replace(s, speaker=None) for s in segments)
    spans = np.array([_span(u) for u in flat])
    heard = _smoothed(flat, spans, _loudest(spans, _real(diarization.exclusive)))
    marked = zip(flat, heard, _crowded(spans, _real(diarization.turns)).tolist(), strict=True)
    said = (replace(u, speaker=who, overlap=crowd) for u, who, crowd in marked)
    parted = (_split(s, islice(said, len(own))) for s, own in zip(segments, units, strict=True))
    return tuple(chain.from_iterable(parted))


def renamed(segments: Sequence[Segment], old: str | None, new: str) -> tuple[Segment, ...]:
    """`old` is called `new` from now on. Where there is a `new` already, the two become one."""
    return merged(segments, {old}, new)


def merged(segments: Sequence[Segment], speakers: Collection[str], into: str) -> tuple[Segment, ...]:
    """All that `speakers` said was said by `into`. Lines and words stay as they are otherwise."""

    def name(one):
        return replace(one, speaker=into) if one.speaker in speakers else one

    return tuple(replace(name(s), words=tuple(map(name, s.words))) for s in segments)


def names(segments: Sequence[Segment]) -> list[str]:
    """Who speaks, in the order in which they first do."""
    return list(dict.fromkeys(s.speaker for s in segments if s.speaker is not None))


def _real(turns: Sequence[Turn]) -> list[Turn]:
    return [t for t in turns if t.end > t.start]


def _span(word: Word) -> tuple[float, float]:
    start = possible(word.start)
    return start, max(possible(word.end), start + SHORTEST)


def _spoken(spans: np.ndarray, turns: Sequence[Turn]) -> tuple[list[str], np.ndarray]:
    """The speakers, and how many seconds each of them speaks in each span: float64 (spans, speakers).

    By the time a speaker has spoken up to the end of a span, less that up to its start.
    """
    speakers = list(dict.fromkeys(t.speaker for t in turns))
    seconds = np.zeros((len(spans), len(speakers)))
    for k, speaker in enumerate(speakers):
        own = _joined(sorted((t.start, t.end) for t in turns if t.speaker == speaker))
        lengths = own[:, 1] - own[:, 0]
        upto = np.column_stack([np.cumsum(lengths) - lengths, np.cumsum(lengths)])
        at = np.interp(spans, own.ravel(), upto.ravel())
        seconds[:, k] = at[:, 1] - at[:, 0]
    return speakers, seconds


def _joined(intervals: Sequence[tuple[float, float]]) -> np.ndarray:
    """Sorted intervals without overlaps: float64 (n, 2)."""
    joined = [list(intervals[0])]
    for start, end in intervals[1:]:
        if start <= joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], end)
        else:
            joined.append([start, end])
    return np.array(joined)


def _loudest(spans: np.ndarray, turns: Sequence[Turn]) -> list[str | None]:
    """Who speaks longest in each span; in a gap, the nearest turn's speaker unless it is too far."""
    if not turns:
        return [None] * len(spans)
    speakers, seconds = _spoken(spans, turns)
    found: list[str | None] = [speakers[k] for k in seconds.argmax(axis=1)]
    gaps = np.flatnonzero(seconds.max(axis=1) <= 0)
    by_start, by_end = sorted(turns, key=lambda t: t.start), sorted(turns, key=lambda t: t.end)
    after = np.searchsorted([t.start for t in by_start], spans[gaps, 1])
    before = np.searchsorted([t.end for t in by_end], spans[gaps, 0], side="right") - 1
    for i, a, b in zip(gaps.tolist(), after.tolist(), before.tolist(), strict=True):
        near = [(spans[i, 0] - by_end[b].end, by_end[b].speaker)] if b >= 0 else []
        near += [(by_start[a].start - spans[i, 1], by_start[a].speaker)] if a < len(by_start) else []
        distance, speaker = min(near, key=lambda n: n[0])
        found[i] = speaker if distance <= NEAR else None
    return found


def _crowded(spans: np.ndarray, turns: Sequence[Turn]) -> np.ndarray:
    """bool (spans,): whether a second speaker speaks for at least half of it."""
    speakers, seconds = _spoken(spans, turns)
    if len(speakers) < 2:
        return np.zeros(len(spans), bool)
    second = np.partition(seconds, -2, axis=1)[:, -2]
    return second >= 0.5 * (spans[:, 1] - spans[:, 0])


def _smoothed(said: Sequence[Word], spans: np.ndarray, speakers: Sequence[str | None]) -> list[str | None]:
    """Each sentence given to whoever has more than half of its words, but for solid runs of others."""
    found: list[str | None] = []
    for first, last in _sentences(said, spans):
        by = speakers[first:last]
        speaker, count = Counter(by).most_common(1)[0]
        even = speaker is not None and 2 * count > len(by) and ends_sentence(said[last - 1].word)
        for other, run in groupby(by):
            length = len(list(run))
            found += [speaker if even and length < SOLID else other] * length
    return found


def _sentences(said: Sequence[Word], spans: np.ndarray) -> Iterator[tuple[int, int]]:
    """Where each run of words begins and ends that punctuation or a pause closes."""
    pauses = np.append(spans[1:, 0] - spans[:-1, 1] >= PAUSE, True).tolist()
    first = 0
    for i, (word, pause) in enumerate(zip(said, pauses, strict=True), 1):
        if pause or ends_sentence(word.word):
            yield first, i
            first = i


def _split(segment: Segment, said: Iterator[Word]) -> Iterator[Segment]:
    runs = [(speaker, list(run)) for speaker, run in groupby(said, lambda w: w.speaker)]
    if len(runs) < 2:
        speaker, run = runs[0] if runs else (None, [])
        yield replace(segment, speaker=speaker, words=tuple(run) if segment.words else ())
        return
    for speaker, run in runs:
        part = replace(segment.part(run), speaker=speaker)
        yield part if segment.words else replace(part, words=())
