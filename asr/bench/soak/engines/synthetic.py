"""The engine `synthetic:voice`: exact ears for the made-up voice, and whatever fault is on at the moment.

The soak's child puts this folder behind `asr.backends`, so that the app finds the engine by its name
like any other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from asr.bench.soak import voice
from asr.bench.soak.trouble import meet
from asr.types import Options, Segment


def load(model: str, device: str = "auto") -> Synthetic:
    return Synthetic(f"synthetic:{model}")


class Synthetic:
    can = frozenset({"words", "batch"})
    languages = frozenset({"en"})
    device = "cpu"
    batch_size, window = 8, 30.0

    def __init__(self, spec: str):
        self.spec = spec

    def transcribe(self, audio: np.ndarray, options: Options) -> Iterator[Segment]:
        meet()
        yield from voice.hear(audio)

    def prepare(self, audio: np.ndarray) -> np.ndarray:
        return audio

    def transcribe_batch(
        self, windows: Sequence[np.ndarray], options: Sequence[Options]
    ) -> list[list[Segment]]:
        meet()
        return [list(voice.hear(window)) for window in windows]
