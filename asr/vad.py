"""Where the speech is: Silero's probabilities, spans of speech, and windows for a recogniser.

A probability belongs to one frame of 512 samples, so a time is always a whole number of samples:
offsets are exact however long the recording.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from asr.audio import SAMPLE_RATE
from asr.errors import BackendUnavailable

FRAME = 512  # samples: the 32 ms that Silero judges at a time
CONTEXT = 64  # samples before each frame that it also wants to see
HOP = FRAME / SAMPLE_RATE
VoiceDetector = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time, in seconds."""

    start: float
    end: float

    @property
    def duration(self) -> float:
        return self.end - self.start


@lru_cache(maxsize=1)
def _session():
    """The network, once per process: `run` keeps no state, so threads share it."""
    import onnxruntime

    package = find_spec("faster_whisper")
    if package is None:
        raise BackendUnavailable(
            "The voice detector comes with faster-whisper.", "Install it: pip install faster-whisper"
        )
    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = options.intra_op_num_threads = 1
    options.log_severity_level = 4
    path = Path(package.origin).parent / "assets" / "silero_vad_v6.onnx"
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class Silero:
    """One stream. Call it with audio as it comes: float32 (n,), any n.

    It answers with one probability of speech, float32 (k,), per FRAME that is now complete; the rest
    waits for the next call. How the audio is chopped makes no difference.
    """

    def __init__(self):
        self._h = self._c = np.zeros((1, 1, 128), np.float32)
        self._rest = np.zeros(CONTEXT, np.float32)  # begins with the context of the next frame

    def __call__(self, audio: np.ndarray) -> np.ndarray:
        known = np.concatenate([self._rest, audio], dtype=np.float32)
        count = (len(known) - CONTEXT) // FRAME
        self._rest = known[count * FRAME :]
        heard = [np.zeros(0, np.float32)]
        for first in range(0, count, 1000):
            heard.append(self._run(known[first * FRAME :], min(1000, count - first)))
        return np.concatenate(heard)

    def _run(self, known: np.ndarray, count: int) -> np.ndarray:
        frames = np.lib.stride_tricks.sliding_window_view(known, CONTEXT + FRAME)[::FRAME][:count]
        inputs = {"input": np.ascontiguousarray(frames), "h": self._h, "c": self._c}
        speech, self._h, self._c = _session().run(None, inputs)
        return speech.reshape(-1)


def speech_spans(
    probabilities: np.ndarray,
    *,
    threshold: float = 0.5,
    release: float = 0.35,
    speech: float = 0.1,
    silence: float = 0.1,
    pad: float = 0.3,
) -> list[Span]:
    """Spans of speech in time order; they may touch, they never overlap.

    Speech begins at `threshold` and lasts until it has stayed under `release` for `silence` seconds;
    bursts shorter than `speech` seconds are dropped, and what is left is widened by `pad` seconds on
    both sides, or to the middle where two would meet.
    """
    found, begin, quiet = [], None, None
    for i, p in enumerate(probabilities):
        if begin is None:
            if p >= threshold:
                begin, quiet = i, None
        elif p >= release:
            quiet = None
        else:
            quiet = i if quiet is None else quiet
            if i + 1 - quiet >= silence / HOP:
                found.append((begin, quiet))
                begin = None
    if begin is not None:
        found.append((begin, quiet or len(probabilities)))
    found = [(a, b) for a, b in found if b - a >= speech / HOP]
    return _padded(found, pad, len(probabilities) * HOP)


def _padded(found: list[tuple[int, int]], pad: float, end: float) -> list[Span]:
    spans = []
    for i, (a, b) in enumerate(found):
        before = 0.0 if i == 0 else (found[i - 1][1] + a) / 2 * HOP
        after = end if i == len(found) - 1 else (b + found[i + 1][0]) / 2 * HOP
        spans.append(Span(max(a * HOP - pad, before), min(b * HOP + pad, after)))
    return spans


def windows(
    spans: Sequence[Span], probabilities: np.ndarray, longest: float = 30.0, gap: float = 2.0
) -> list[Span]:
    """Stretches of at most `longest` seconds that together hold every span.

    Spans are packed while they fit and no more than `gap` seconds of silence lie between; a span that is
    too long by itself is cut where speech is least likely.
    """
    packed: list[Span] = []
    for span in (piece for s in spans for piece in _cut(s, probabilities, longest)):
        last = packed[-1] if packed else None
        if last and span.start - last.end <= gap and span.end - last.start <= longest:
            packed[-1] = Span(last.start, span.end)
        else:
            packed.append(span)
    return packed


def _cut(span: Span, probabilities: np.ndarray, longest: float) -> list[Span]:
    pieces = []
    while span.duration > longest:
        first, last = int((span.start + longest / 2) / HOP) + 1, int((span.start + longest) / HOP)
        at = (first + int(np.argmin(probabilities[first:last]))) * HOP
        pieces.append(Span(span.start, at))
        span = Span(at, span.end)
    return [*pieces, span]
