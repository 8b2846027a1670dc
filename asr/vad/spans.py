"""Probabilities of speech to spans of speech, and those to stretches a recogniser can take. Pure.

A probability belongs to one frame of 512 samples. All arithmetic is in samples, so no time drifts
however long the recording; and everything is lazy, so a stretch is there as soon as no later
probability can change it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from asr.audio.pcm import SAMPLE_RATE

FRAME = 512  # samples that Silero judges at a time
HOP = FRAME / SAMPLE_RATE  # seconds: 32 ms
THRESHOLD, RELEASE = 0.4, 0.25  # speech begins at the one and lasts above the other
SHORTEST = 3  # frames: a shorter burst is no word
REACH = 10  # frames on either side that tell how quiet a place is


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time, in seconds."""

    start: float
    end: float

    @property
    def duration(self) -> float:
        return self.end - self.start


def speech_spans(
    probabilities: Iterable[float], length: int, *, silence: float = 0.5, pad: float = 0.4
) -> Iterator[Span]:
    """Spans of speech, in time order, of a recording of `length` samples. They may touch, never overlap.

    Speech begins at THRESHOLD and lasts until it has stayed below RELEASE for `silence` seconds. Silero's
    own 0.5 and 0.35 suit subtitles; a recogniser loses more by a word it never gets than by a breath
    too many. 0.4 and 0.25 find 96 % of the speech marked in AMI meetings instead of 93 %, and no more
    of noise and music.

    Each span is widened by `pad` seconds at both ends, or to the middle where two would meet: Silero is
    up to 0.33 s late for a soft onset (on FSDD digits; faster-whisper, too, pads by 0.4 s).
    """
    margin, lowest, last = round(pad * SAMPLE_RATE), 0, None
    for run in chain(_runs(probabilities, silence / HOP), [None]):
        if last is not None:
            begin, end = last[0] * FRAME, last[1] * FRAME
            highest = (end + run[0] * FRAME) // 2 if run else length
            yield _span(max(begin - margin, lowest), min(end + margin, highest))
            lowest = highest
        last = run


def _runs(probabilities: Iterable[float], patience: float) -> Iterator[tuple[int, int]]:
    """Runs of speech as (first, last) frames, `last` not included; `patience` in frames."""
    begin = quiet = None  # where speech began, and where it seems to have ended
    i = -1
    for i, p in enumerate(probabilities):
        if begin is None:
            if p >= THRESHOLD:
                begin, quiet = i, None
        elif p >= RELEASE:
            quiet = None
        elif quiet is None:
            quiet = i
        if begin is not None and quiet is not None and i + 1 - quiet >= patience:
            if quiet - begin >= SHORTEST:
                yield begin, quiet
            begin = None
    end = quiet if quiet is not None else i + 1
    if begin is not None and end - begin >= SHORTEST:
        yield begin, end


def packed(
    spans: Iterable[Span], probabilities: Sequence[float], longest: float = 30.0, gap: float = 3.0
) -> Iterator[Span]:
    """Spans joined and cut to stretches of at most `longest` seconds, which together hold every span.

    Whisper's encoder pads whatever it gets to 30 s, so the number of stretches is what a recording
    costs: spans share one while they fit. But in a long silence Whisper invents text, so none holds
    a silence above `gap` seconds; people who talk with each other seldom pause longer. Talk that does
    not fit is cut where speech is least likely, late in the stretch. `probabilities` may still grow:
    those up to the span at hand are needed.
    """
    most, widest, start, end = _samples(longest), _samples(gap), None, None
    for span in chain(spans, [None]):
        if start is not None and (span is None or _samples(span.start) - end > widest):
            while end - start > most:
                yield _span(start, cut := _cut(start, end, probabilities, most))
                start = cut
            yield _span(start, end)
            start = None
        if span is None:
            return
        start, end = _samples(span.start) if start is None else start, _samples(span.end)
        while end - start > 2 * most:  # whatever follows, this cut stays
            yield _span(start, cut := _cut(start, end, probabilities, most))
            start = cut


def _cut(start: int, end: int, probabilities: Sequence[float], most: int) -> int:
    """The quietest sample to end the stretch that starts at `start`, while speech lasts until `end`.

    Quiet is a low mean probability over the 0.7 s around it: long pauses win over short ones, and
    short ones over none. (Of words strung together without a pause, FSDD's and eSpeak NG's, 15 % of the
    cuts fall 0.1 s or more inside one, by chance 39 %; the energy of the sound finds no better places.)
    A place a second later may be 0.02 less quiet, because full stretches are fewer. Where what is left
    fits one stretch, any place that makes it fit is as good.
    """
    last = end - start <= 2 * most
    earliest = max(end - most, start + most // 3) if last else start + most * 2 // 3
    first, stop = -(-earliest // FRAME), (start + most) // FRAME
    around = np.clip(np.arange(first - REACH, stop + REACH), 0, len(probabilities) - 1)
    shape = np.hanning(2 * REACH + 3)[1:-1]
    noise = np.convolve([probabilities[i] for i in around], shape / shape.sum(), "valid")
    haste = 0.0 if last else 0.02 * HOP
    return (first + int(np.argmin(noise - haste * np.arange(len(noise))))) * FRAME + FRAME // 2


def _samples(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE)


def _span(start: int, end: int) -> Span:
    return Span(start / SAMPLE_RATE, end / SAMPLE_RATE)
