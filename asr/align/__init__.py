"""When each word was said: forced alignment by whisperX, for engines that give no word times.

    segments, says = align(recording, segments, "en")

An acoustic model hears letters, and the letters of a text that is known are laid along what it hears. Done
segment by segment, so hours of audio take the memory of one. Words that cannot be laid (the model heard
nothing for them, or does not know their letters) stand between their neighbours: `Word.interpolated`.
The recogniser's probabilities stay; how well a sound fits a letter is another thing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import groupby

from asr.align.aligner import Aligner, Times
from asr.align.kept import borrowed
from asr.audio import Recording
from asr.config import Config
from asr.errors import ASRError
from asr.text.wording import words
from asr.types import Segment, Word

MARGIN = 0.3  # seconds around a segment in which its words are looked for, where no other one is
LONGEST = 60.0  # seconds of a segment: what laying letters takes grows with the square of it


def align(
    recording: Recording,
    segments: Sequence[Segment],
    language: str | None,
    *,
    config: Config | None = None,
    progress: Callable[[float], None] | None = None,
) -> tuple[tuple[Segment, ...], str]:
    """The segments with timed words, and a sentence about what could not be done; "" when all was.

    `language` is ISO 639-1. The model is `config.align_model`, or whisperX's for the language; it may be
    downloaded. Without a model the segments come back as they were. `progress` is told how much is done,
    in [0, 1]; what it raises comes through.
    """
    if not any(s.text.strip() for s in segments):
        return tuple(segments), ""
    config = config or Config()
    with ExitStack() as stack:
        try:
            aligner = stack.enter_context(borrowed(language, config.align_model, config.device))
        except ASRError as e:
            return tuple(segments), f"Words were not aligned. {e}"
        return _aligned(aligner, recording, segments, progress or (lambda _: None))


def _aligned(
    aligner: Aligner, recording: Recording, segments: Sequence[Segment], progress: Callable[[float], None]
) -> tuple[tuple[Segment, ...], str]:
    done, missed = [], 0
    for segment, low, high in _windows(segments, recording.duration):
        heard = _heard(aligner, recording, segment, low, high)
        done.append(_timed(segment, heard) if any(heard) else replace(segment, words=words(segment)))
        missed += bool(segment.text.strip()) and not any(heard)
        progress(len(done) / len(segments))
    says = f"{missed} of {len(done)} segments could not be aligned: the times of their words are guessed."
    return tuple(done), " ".join(filter(None, [aligner.says, says if missed else ""]))


def _windows(segments: Sequence[Segment], duration: float) -> Iterator[tuple[Segment, float, float]]:
    """Each segment, and from when to when it is listened to."""
    for i, s in enumerate(segments):
        before = segments[i - 1].end if i else 0.0
        after = segments[i + 1].start if i + 1 < len(segments) else duration
        yield s, max(min(before, s.start), s.start - MARGIN), min(max(after, s.end), s.end + MARGIN)


def _heard(aligner: Aligner, recording: Recording, segment: Segment, low: float, high: float) -> Times:
    text = "".join(w.word for w in words(segment))
    if not text.strip() or not 0 < high - low <= LONGEST + 2 * MARGIN:
        return []
    low = max(0.0, low)
    times = aligner.letters(recording.read(low, high), text)
    return [t and (low + t[0], low + t[1]) for t in times]


def _timed(segment: Segment, letters: Times) -> Segment:
    """The segment with its words where their letters are; at least one of them was heard."""
    placed, i = [], 0
    for word in words(segment):
        heard = [t for t in letters[i : i + len(word.word)] if t]
        i += len(word.word)
        times = {"start": heard[0][0], "end": heard[-1][1]} if heard else {}
        placed.append(replace(word, **times, interpolated=not heard))
    said = tuple(_filled(placed, segment.start, segment.end))
    return replace(segment, start=said[0].start, end=said[-1].end, words=said)


def _filled(placed: Sequence[Word], first: float, last: float) -> Iterator[Word]:
    """The words, those that were not heard sharing the time between their neighbours by their length."""
    at = min(first, next(w.start for w in placed if not w.interpolated))
    runs = [(unheard, list(run)) for unheard, run in groupby(placed, lambda w: w.interpolated)]
    for i, (unheard, run) in enumerate(runs):
        if not unheard:
            yield from run
            at = run[-1].end
            continue
        until = runs[i + 1][1][0].start if i + 1 < len(runs) else max(at, last)
        share = (until - at) / sum(len(w.word) for w in run)
        for word in run:
            start, at = at, at + share * len(word.word)
            yield replace(word, start=start, end=at)
