"""A language of pure tones, so tests can speak and a tiny backend can hear.

Each word has its own pitch. `say` renders a sentence; `Tones` recognises it by the
loudest frequency in each 20 ms. It is a real acoustic channel: words survive
resampling, int16, MP3 and Opus, so every path is tested end to end with no model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby

import numpy as np

from asr.types import Options, Segment, Word

SAMPLE_RATE = 16_000
WORDS = [
    "and", "so", "my", "fellow", "americans", "ask", "not", "what", "your",
    "country", "can", "do", "for", "you",
]
PITCH = {w: 400 + 100 * i for i, w in enumerate(WORDS)}
HOP = SAMPLE_RATE // 50


def say(sentence: str, word: float = 0.3, gap: float = 0.06) -> np.ndarray:
    t = np.arange(int(word * SAMPLE_RATE)) / SAMPLE_RATE
    rest = silence(gap)
    return np.concatenate(
        [np.r_[0.5 * np.sin(2 * np.pi * PITCH[w] * t), rest] for w in sentence.split()]
    ).astype(np.float32)


def silence(seconds: float) -> np.ndarray:
    return np.zeros(int(seconds * SAMPLE_RATE), np.float32)


def loud(audio: np.ndarray) -> np.ndarray:
    """What Silero is to speech this is to tones: one probability per 512 samples."""
    frames = np.pad(audio, (0, -len(audio) % 512)).reshape(-1, 512)
    return (np.sqrt((frames**2).mean(axis=1)) > 0.05).astype(np.float32)


class Tones:
    """The recogniser. Remembers every call's options, so a test can see what reached it."""

    spec = "tones:pure"
    can = frozenset({"words", "translate", "prompt", "hotwords", "beam", "temperature", "batch", "detect"})
    languages = frozenset({"en"})
    device = "cpu"
    batch_size, window = 8, 30.0

    def __init__(self):
        self.calls: list[Options] = []
        self.batches: list[int] = []

    def transcribe(self, audio: np.ndarray, options: Options) -> Iterator[Segment]:
        self.calls.append(options)
        yield from _hear(audio, options)

    def prepare(self, audio: np.ndarray) -> np.ndarray:
        return audio

    def transcribe_batch(self, windows, options) -> list[list[Segment]]:
        self.calls += options
        self.batches.append(len(windows))
        return [list(_hear(w, o)) for w, o in zip(windows, options, strict=True)]

    def detect(self, windows) -> list[dict[str, float]]:
        return [{"en": 1.0} for _ in windows]


def _hear(audio: np.ndarray, options: Options) -> Iterator[Segment]:
    frames = audio[: len(audio) // HOP * HOP].reshape(-1, HOP)
    spectrum = np.abs(np.fft.rfft(frames * np.hanning(HOP), 4 * HOP))
    hz = spectrum.argmax(axis=1) * SAMPLE_RATE / (4 * HOP)
    on = np.sqrt((frames**2).mean(axis=1)) > 0.05
    heard = [min(PITCH, key=lambda w: abs(PITCH[w] - f)) if o else None for f, o in zip(hz, on, strict=True)]
    words, i = [], 0
    for word, run in groupby(heard):
        n = len(list(run))
        if word and n >= 5:  # shorter than 100 ms is a word cut in half
            words.append(Word(i * 0.02, (i + n) * 0.02, f" {word}", 1.0))
        i += n
    if words:
        segment = Segment.of(words, language="en")
        yield segment if options.word_timestamps else replace(segment, words=())
