"""From the tokens Whisper wrote to segments: words put on the clock, cut at sentences or at timestamps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ctranslate2 import StorageView
from faster_whisper import WhisperModel
from faster_whisper.tokenizer import Tokenizer

from asr.types import Segment, Word

TICK = 0.02  # seconds from one timestamp token to the next
WORTH = 1.0  # seconds of unheard audio at a window's end that deserve to be heard
PROGRESS = 0.2  # seconds that must have been heard before, lest we go on for ever
EDGE = 0.5  # seconds before a cut in which a word may not be whole
APART = 6000  # frames of 10 ms, more than any window is long
PREPENDED, APPENDED = "\"'“¿([{-", "\"'.。,，!！?？:：”)]}、"  # punctuation that clings to a word


@dataclass(frozen=True, slots=True)
class Piece:
    """Text tokens between two timestamps; times in seconds from the window's start."""

    start: float
    end: float
    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Heard:
    """What Whisper wrote for one window, timestamps included, and its scores."""

    tokens: tuple[int, ...]
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    temperature: float


def cut(
    tokens: Sequence[int], first_timestamp: int, length: float, unfinished: bool
) -> tuple[list[Piece], float | None]:
    """The pieces that `tokens` make in a window of `length` seconds, and where to go on listening.

    Whisper closes a window with one timestamp when nothing follows it, and with two when it
    heard something begin that it did not write down: from there the rest must be heard again.
    In an `unfinished` window (its audio goes on, or the tokens ran out) text without an end is
    heard again as well. None means that all was heard.
    """
    pieces: list[Piece] = []
    text: list[int] = []
    start = 0.0
    for token in tokens:
        if token < first_timestamp:
            text.append(token)
            continue
        time = min((token - first_timestamp) * TICK, length)
        if text:
            pieces.append(Piece(start, time, tuple(text)))
            text = []
        start = time
    if text and unfinished and start >= PROGRESS:
        return pieces, start
    if text:
        return [*pieces, Piece(start, length, tuple(text))], None
    begun = pieces and min(tokens[-2:]) >= first_timestamp
    return pieces, start if begun and start >= PROGRESS and length - start >= WORTH else None


def words(
    model: WhisperModel,
    encoded: StorageView,
    tokenizer: Tokenizer,
    windows: Sequence[Sequence[Piece]],
    frames: Sequence[int],
) -> list[list[tuple[Word, ...]]]:
    """The words of every piece of every window, found by attention and dynamic time warping.

    `frames` says how long each window is, in frames of 10 ms. A window without pieces costs little.
    """
    # Each window gets its own stretch of a made-up time line: faster-whisper shortens words that
    # begin too early after a pause, and judges the pause by the end of the window before.
    stock = [
        [
            {"seek": at, "start": at / 100 + p.start, "end": at / 100 + p.end, "tokens": list(p.tokens)}
            for p in pieces or [Piece(0.0, 0.0, ())]
        ]
        for at, pieces in zip(range(APART, APART * (len(windows) + 1), APART), windows, strict=True)
    ]
    model.add_word_timestamps(stock, tokenizer, encoded, list(frames), PREPENDED, APPENDED, 0.0)
    return [
        _on_the_clock([s for s in segments if s["tokens"]], n / 100)
        for segments, n in zip(stock, frames, strict=True)
    ]


def _on_the_clock(segments: Sequence[dict], length: float) -> list[tuple[Word, ...]]:
    """Each segment's words, in order and inside their window, none ending before it begins."""
    told, now = [], 0.0
    for segment in segments:
        spoken = []
        for word in segment["words"]:
            start, end = (float(word[key]) - segment["seek"] / 100 for key in ("start", "end"))
            start = round(min(max(start, now), length), 2)
            now = round(min(max(end, start), length), 2)
            spoken.append(Word(start, now, word["word"], float(word["probability"])))
        told.append(tuple(spoken))
    return told


def settled(
    spoken: Sequence[Word], length: float, more: bool, ran_out: bool
) -> tuple[Sequence[Word], float | None]:
    """The words that stay of a window of `length` seconds, and where to go on listening.

    With `more` audio after the window its last words may be cut in half, and where the tokens
    `ran_out` the last one is: from there the rest is heard again. None means that all was heard.
    """
    stay = sum(w.end <= length - EDGE for w in spoken) if more else len(spoken)
    stay -= ran_out and stay == len(spoken)
    if stay == len(spoken) or stay < 1 or spoken[stay].start < PROGRESS:
        return spoken, None
    return spoken[:stay], spoken[stay].start


def spread(
    pieces: Sequence[Piece], timed: Sequence[tuple[Word, ...]], tokenizer: Tokenizer
) -> Iterator[Segment]:
    """A segment for each piece that has text, on the clock of its words if it has any."""
    for piece, spoken in zip(pieces, timed, strict=True):
        segment = Segment(piece.start, piece.end, tokenizer.decode(piece.tokens))
        segment = Segment.of(spoken) if spoken else segment
        if segment.text.strip():
            yield segment
