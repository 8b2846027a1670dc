"""A made-up voice, and ears that hear its words exactly: what is lost or invented shows to the word.

Each word is a vowel that glides, which Silero takes for speech, under a faint tone that says which word it
is. The tones lie between 4.6 and 6.6 kHz, so they survive resampling, Opus and MP3.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import groupby

import numpy as np

from asr.audio import SAMPLE_RATE
from asr.types import Segment, Word

WORDS = (
    "alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf",
    "hotel", "india", "juliett", "kilo", "lima", "mike", "november",
)  # fmt: skip
PITCH = np.array([4600 + 150 * i for i in range(len(WORDS))])  # Hz
LENGTH, GAP = 0.3, 0.06  # seconds of a word, and after it
VOWEL, MARK = 0.35, 0.05  # amplitudes
HUM = 180  # Hz, the voice's own pitch
HOP = SAMPLE_RATE // 50  # samples that are heard at a time
FAINTEST = 1.5  # of a tone in the spectrum of one hop; MARK gives about 4
SHORTEST = 5  # hops: what is shorter than 100 ms is a word cut in half


def say(sentence: str) -> np.ndarray:
    """float32 mono 16 kHz (n,); every word is one of WORDS."""
    rest = silence(GAP)
    return np.concatenate([piece for word in sentence.split() for piece in (_word(word), rest)])


def silence(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * SAMPLE_RATE), np.float32)


def hear(audio: np.ndarray) -> Iterator[Segment]:
    """At most one segment, with its words' times."""
    frames = audio[: len(audio) // HOP * HOP].reshape(-1, HOP)
    spectrum = np.abs(np.fft.rfft(frames * np.hanning(HOP), 4 * HOP))
    spectrum[:, : 4 * HOP * 4500 // SAMPLE_RATE] = 0
    hz = spectrum.argmax(axis=1) * SAMPLE_RATE / (4 * HOP)
    nearest = np.abs(hz[:, None] - PITCH).argmin(axis=1)
    loud = spectrum.max(axis=1) > FAINTEST
    heard = [WORDS[i] if there else None for i, there in zip(nearest, loud, strict=True)]
    words, at = [], 0
    for word, run in groupby(heard):
        count = len(list(run))
        if word and count >= SHORTEST:
            words.append(Word(at * HOP / SAMPLE_RATE, (at + count) * HOP / SAMPLE_RATE, f" {word}", 1.0))
        at += count
    if words:
        yield Segment.of(words, language="en")


@lru_cache(maxsize=len(WORDS))
def _word(word: str) -> np.ndarray:
    t = np.linspace(0, 1, round(LENGTH * SAMPLE_RATE))
    hum = HUM * (1.15 - 0.3 * t)
    # Centre and width of each formant, in Hz, and how loud it is.
    formants = (
        (300 + 450 * np.sin(np.pi * t), 80, 1.0),
        (1000 + 1100 * t, 110, 0.6),
        (2500 + 200 * np.sin(np.pi * t), 160, 0.3),
        (3500 + 0 * t, 200, 0.15),
    )
    vowel, phase = np.zeros_like(t), 2 * np.pi * np.cumsum(hum) / SAMPLE_RATE
    for k in range(1, 4200 // HUM):
        loud = 0.01 + sum(a / (1 + ((k * hum - centre) / width) ** 2) for centre, width, a in formants)
        vowel += loud * np.sin(k * phase)
    mark = np.sin(2 * np.pi * PITCH[WORDS.index(word)] * np.arange(len(t)) / SAMPLE_RATE)
    swell = np.minimum(1, np.minimum(t, 1 - t) / 0.08)
    return (swell * (VOWEL * vowel / np.abs(vowel).max() + MARK * mark)).astype(np.float32)
