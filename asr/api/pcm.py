"""The audio formats of the Realtime API as a stream: bytes in, float32 mono 16 kHz out.

G.711 is ITU-T G.711: 8 kHz, one byte a sample, mu-law or A-law; the tables below are its
decoding rules. PCM is 16-bit little-endian at 24 kHz. `bare` knows files of samples.
"""

from __future__ import annotations

import numpy as np
from python_multipart.multipart import parse_options_header

from asr.api.errors import Refused
from asr.audio import SAMPLE_RATE, Resampler

RATES = {"audio/pcm": 24_000, "audio/pcmu": 8_000, "audio/pcma": 8_000}
WIDTHS = {"audio/pcm": 2, "audio/pcmu": 1, "audio/pcma": 1}


def _mulaw() -> np.ndarray:
    code = ~np.arange(256, dtype=np.uint8)
    exponent, mantissa = (code >> 4 & 7).astype(np.int32), (code & 15).astype(np.int32)
    size = ((mantissa << 3) + 132 << exponent) - 132
    return np.where(code & 128, -size, size).astype(np.int16)


def _alaw() -> np.ndarray:
    code = np.arange(256, dtype=np.uint8) ^ 0x55
    exponent, mantissa = (code >> 4 & 7).astype(np.int32), (code & 15).astype(np.int32)
    size = np.where(exponent == 0, (mantissa << 4) + 8, (mantissa << 4) + 264 << np.maximum(exponent - 1, 0))
    return np.where(code & 128, size, -size).astype(np.int16)


TABLES = {"audio/pcmu": _mulaw(), "audio/pcma": _alaw()}


def bare(media: str) -> bool:
    """Whether a file of this type is 16-bit little-endian mono samples at 16 kHz, and nothing else.

    Raises Refused for another rate.
    """
    kind, options = parse_options_header(media)
    if kind == b"audio/pcm" and options.get(b"rate") != b"%d" % SAMPLE_RATE:
        raise Refused(
            "Bare samples are taken at 16 kHz only.",
            f"Send them as audio/pcm;rate={SAMPLE_RATE}, or send a WAV file.",
            param="file",
            code="invalid_value",
        )
    return kind == b"audio/pcm"


class Decoder:
    """One stream of bytes. How they are cut into pieces makes no difference, not even within a sample."""

    def __init__(self, format: str):
        self.format = format
        self._half = b""
        self._resample = Resampler(RATES[format])

    def __call__(self, data: bytes) -> np.ndarray:
        """float32 (n,), 16 kHz; what does not make a whole sample waits for the next call."""
        data = self._half + data
        whole = len(data) // WIDTHS[self.format] * WIDTHS[self.format]
        self._half = data[whole:]
        if self.format == "audio/pcm":
            samples = np.frombuffer(data[:whole], "<i2")
        else:
            samples = TABLES[self.format][np.frombuffer(data[:whole], np.uint8)]
        return self._resample(samples)
