"""Audio in, one shape out: mono, 16 kHz; int16 while it is kept, float32 in [-1, 1) when it is read.

Nothing past this room knows about containers, codecs, sample rates, channels or int16.

    with decode("meeting.mp4") as recording:
        first_minute = recording.read(0, 60)
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np

from asr.audio.decoding import decode
from asr.audio.encoding import flac, wav
from asr.audio.pcm import SAMPLE_RATE, Resampler, from_pcm16, to_pcm16
from asr.audio.recording import Recording
from asr.audio.source import Limits

__all__ = [
    "SAMPLE_RATE",
    "Limits",
    "Recording",
    "Resampler",
    "decode",
    "flac",
    "from_pcm16",
    "load_audio",
    "to_pcm16",
    "wav",
]


def load_audio(source: str | Path | BinaryIO | np.ndarray) -> np.ndarray:
    """All of a short recording: float32 (n,). Raises what `decode` raises."""
    with decode(source) as recording:
        return recording.read(0, recording.duration)
