"""Samples as numbers: int16 and float32, one rate and another, many channels and one."""

from __future__ import annotations

from collections.abc import Iterator

import av
import numpy as np

from asr.errors import AudioError

SAMPLE_RATE = 16_000
RATES = range(1_000, 1_000_001)  # samples per second that a recording may have: DSD comes as 352,800
LOUDEST = 1e4  # times full scale: float samples beyond this are no sound, and overflow an int32


def from_pcm16(samples: np.ndarray) -> np.ndarray:
    """int16 (n,) or (channels, n), as WAV and WebRTC deliver them, to float32 (n,) in [-1, 1)."""
    mono = samples.mean(axis=0, dtype=np.float32) if samples.ndim == 2 else samples.astype(np.float32)
    return mono / np.float32(32768)


def to_pcm16(audio: np.ndarray) -> np.ndarray:
    """float (n,) to int16 (n,); what is louder than full scale is clipped, never wrapped."""
    return np.clip(np.rint(audio * 32768), -32768, 32767).astype(np.int16)


class Resampler:
    """The pieces of one live stream, int16 mono (n,) at `rate`, to float32 mono at `to`.

    Keeps its place between pieces, so they come out without seams, some milliseconds late.
    Raises AudioError for a rate no recording has.
    """

    def __init__(self, rate: int, to: int = SAMPLE_RATE):
        if rate not in RATES:
            raise AudioError(f"Nothing records {rate} samples per second.", "Send 16000, 24000 or 48000.")
        self._rate = rate
        self._resampler = av.AudioResampler("s16", "mono", to) if rate != to else None

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        if self._resampler is None or not len(samples):
            return from_pcm16(samples)
        frame = av.AudioFrame.from_ndarray(samples[None], "s16", "mono")
        frame.sample_rate = self._rate
        pieces = [out.to_ndarray()[0] for out in self._resampler.resample(frame)]
        return from_pcm16(np.concatenate(pieces) if pieces else samples[:0])


class Mixer:
    """Decoded frames of any format to int16 mono 16 kHz (n,); starts anew where the format changes."""

    def __init__(self):
        self._resampler, self._shape = None, None

    def mix(self, frame: av.AudioFrame) -> Iterator[np.ndarray]:
        frame.pts = None
        _tame(frame)
        if (frame.format.name, frame.layout, frame.sample_rate) != self._shape:
            yield from self.flush()
            self._shape = frame.format.name, frame.layout, frame.sample_rate
        # FFmpeg knows how loud each loudspeaker's channel belongs; where it cannot, all count the same.
        yield from self._resample(frame if frame.layout.nb_channels <= 8 else _averaged(frame))

    def flush(self) -> Iterator[np.ndarray]:
        """What is still on its way through the resampler."""
        if self._shape:
            yield from self._resample(None)
        self._resampler, self._shape = None, None

    def _resample(self, frame: av.AudioFrame | None) -> Iterator[np.ndarray]:
        self._resampler = self._resampler or av.AudioResampler("s16", "mono", SAMPLE_RATE)
        for out in self._resampler.resample(frame):
            if out is not None:  # a resampler with nothing to do hands the flush back
                yield out.to_ndarray()[0]


class Splitter:
    """Decoded frames to int16 16 kHz (n, channels): each channel for itself, in one format to the end.

    Raises AudioError where the format changes on the way: who would be who is not known then.
    """

    def __init__(self):
        self._resampler, self._shape = None, None

    def mix(self, frame: av.AudioFrame) -> Iterator[np.ndarray]:
        frame.pts = None
        _tame(frame)
        shape = frame.format.name, frame.layout, frame.sample_rate
        if self._shape not in (None, shape):
            raise AudioError("Its channels change on the way.", "Export it again as WAV or FLAC.")
        self._resampler = self._resampler or av.AudioResampler("s16p", frame.layout, SAMPLE_RATE)
        self._shape = shape
        yield from self._resample(frame)

    def flush(self) -> Iterator[np.ndarray]:
        """What is still on its way through the resampler."""
        if self._resampler:
            yield from self._resample(None)
        self._resampler = None

    def _resample(self, frame: av.AudioFrame | None) -> Iterator[np.ndarray]:
        for out in self._resampler.resample(frame):
            if out is not None:
                yield out.to_ndarray().T


def _tame(frame: av.AudioFrame) -> None:
    """Float formats can hold NaN, infinity and 1e30, which would spoil whatever the resampler makes."""
    kind = {"flt": np.float32, "dbl": np.float64}.get(frame.format.packed.name)
    for plane in frame.planes if kind else ():
        values = np.frombuffer(plane, kind)
        if not np.abs(values).max(initial=0) <= LOUDEST:
            np.clip(np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0), -LOUDEST, LOUDEST, out=values)


def _averaged(frame: av.AudioFrame) -> av.AudioFrame:
    """The mean of all channels, as a mono frame of floats."""
    values = frame.to_ndarray()
    if not frame.format.is_planar:
        values = values.reshape(-1, frame.layout.nb_channels).T
    mean = values.mean(axis=0)
    if values.dtype.kind == "u":
        mean -= 128
    scale = 1.0 if values.dtype.kind == "f" else 2.0 ** (8 * values.dtype.itemsize - 1)
    mono = av.AudioFrame.from_ndarray((mean / scale).astype(np.float32)[None], "flt", "mono")
    mono.sample_rate = frame.sample_rate
    return mono
