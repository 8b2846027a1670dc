"""`chunking_strategy`: a voice detector that a client has set, for the pipeline to cut by."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from asr.api.schema import VoiceDetection
from asr.audio import SAMPLE_RATE
from asr.vad import FRAME, VoiceDetector
from asr.vad.spans import RELEASE, THRESHOLD


class Chunking:
    """`detector` with another threshold, with silences that are too short filled in, and with a prefix.

    How likely speech is stays as it was wherever it can: the pipeline cuts long talk by it.
    """

    def __init__(self, detector: VoiceDetector, asked: VoiceDetection):
        self._detector, self._threshold = detector, asked.threshold
        self._prefix = _frames(asked.prefix_padding_ms)
        self._patience = _frames(asked.silence_duration_ms)
        self._left = 0  # frames for which silence still counts as speech

    def __call__(self, audio: np.ndarray) -> np.ndarray:
        likely = self._detector(audio).astype(np.float32)
        speech = np.zeros(len(likely), bool)
        for i, p in enumerate(likely):
            if p >= self._threshold:
                first = i if self._left else max(0, i - self._prefix)
                speech[first : i + 1] = True
                self._left = self._patience
            elif self._left:
                speech[i] = True
                self._left -= 1
        return np.where(speech, np.maximum(likely, THRESHOLD), np.minimum(likely, RELEASE - 0.01)).astype(
            np.float32
        )


def detector(vad: Callable[[], VoiceDetector], asked: object) -> Callable[[], VoiceDetector]:
    """`vad` as the request wants it; unchanged for "auto" and for nothing."""
    if isinstance(asked, VoiceDetection):
        return lambda: Chunking(vad(), asked)
    return vad


def _frames(milliseconds: int) -> int:
    return round(milliseconds / 1000 * SAMPLE_RATE / FRAME)
