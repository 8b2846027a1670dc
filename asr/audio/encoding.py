"""Audio out: samples as the bytes of a file, for whoever wants files."""

from __future__ import annotations

import wave
from io import BytesIO

import av
import numpy as np

from asr.audio.pcm import SAMPLE_RATE, to_pcm16


def flac(audio: np.ndarray) -> bytes:
    """float32 (n,) as a FLAC file: lossless, about half of a WAV."""
    file = BytesIO()
    with av.open(file, "w", "flac") as container:
        stream = container.add_stream("flac", rate=SAMPLE_RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(to_pcm16(audio)[None], "s16", "mono")
        frame.sample_rate = SAMPLE_RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def wav(audio: np.ndarray) -> bytes:
    """float32 (n,) as a WAV file of 16 bits."""
    file = BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(SAMPLE_RATE)
        out.writeframes(to_pcm16(audio).tobytes())
    return file.getvalue()
