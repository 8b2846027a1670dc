"""Voice detection: Silero on a stream as it comes, and the stretches of speech of a recording.

Speech is found while the recording is being read: the first stretch of ten hours is there in a moment.

    for stretch in stretches(recording, Silero()):
        backend.transcribe(recording.read(stretch.start, stretch.end), options)
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from threading import Lock

import numpy as np

from asr.audio import SAMPLE_RATE, Recording
from asr.errors import BackendUnavailable
from asr.vad.spans import FRAME, HOP, Span, packed, speech_spans

BLOCK = 1000  # frames heard in one go: 32 s of a recording

VoiceDetector = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, slots=True)
class Stretch(Span):
    """Speech that belongs together, with the probabilities of its frames: float32 (n,)."""

    probabilities: np.ndarray = field(repr=False, compare=False)

    def speech(self, start: float, end: float) -> float:
        """Expected seconds of speech between two times of the recording."""
        first = round(self.start * SAMPLE_RATE) // FRAME  # the recording's frame that is ours at 0
        a, b = (max(0, round(t / HOP) - first) for t in (start, end))
        return float(self.probabilities[a:b].sum()) * HOP


_loading = Lock()


@lru_cache(maxsize=1)
def _network():
    """Silero v6, once per process. It keeps no state between calls, so all threads share it."""
    import onnxruntime

    package = find_spec("faster_whisper")  # found, not imported: that would load CTranslate2 as well
    if package is None:
        raise BackendUnavailable("Silero comes with faster-whisper.", "Do: pip install faster-whisper")
    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = options.intra_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4
    path = Path(package.origin).parent / "assets" / "silero_vad_v6.onnx"
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class Silero:
    """One stream. Call it with audio as it comes: float32 (n,), any n.

    It answers with one probability of speech, float32 (k,), per FRAME that is complete by now; the
    rest waits for the next call. How the audio is chopped makes no difference.
    """

    CONTEXT = 64  # samples before a frame that the network wants to see too

    def __init__(self):
        with _loading:
            self._network = _network()
        self._h = self._c = np.zeros((1, 1, 128), np.float32)
        self._rest = np.zeros(self.CONTEXT, np.float32)  # the context of the next frame, then its beginning

    def __call__(self, audio: np.ndarray) -> np.ndarray:
        known = np.concatenate([self._rest, audio], dtype=np.float32)
        count = (len(known) - self.CONTEXT) // FRAME
        self._rest = known[count * FRAME :].copy()
        parts = [self._hear(known, i, min(i + BLOCK, count)) for i in range(0, count, BLOCK)]
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    def _hear(self, known: np.ndarray, first: int, last: int) -> np.ndarray:
        known = known[first * FRAME : last * FRAME + self.CONTEXT]
        frames = np.lib.stride_tricks.sliding_window_view(known, self.CONTEXT + FRAME)[::FRAME]
        inputs = {"input": np.ascontiguousarray(frames), "h": self._h, "c": self._c}
        speech, self._h, self._c = self._network.run(None, inputs)
        return speech.reshape(-1)


def stretches(
    recording: Recording, detector: VoiceDetector, longest: float = 30.0, gap: float = 3.0
) -> Iterator[Stretch]:
    """The speech of a recording in time order, each stretch as soon as no later audio can change it.

    None is longer than `longest` seconds or holds a silence above `gap` seconds: see `asr.vad.spans.packed`.
    """
    heard = array("f")

    def listen() -> Iterator[float]:
        for block in recording.blocks(BLOCK * HOP):
            whole = np.pad(block, (0, -len(block) % FRAME))
            fresh = detector(_audible(whole)).tolist()
            heard.extend(fresh)
            yield from fresh

    for span in packed(speech_spans(listen(), len(recording)), heard, longest, gap):
        first, last = round(span.start * SAMPLE_RATE) // FRAME, -(-round(span.end * SAMPLE_RATE) // FRAME)
        yield Stretch(span.start, span.end, np.array(heard[first:last], np.float32))


def _audible(block: np.ndarray) -> np.ndarray:
    """Whole frames of a recording as Silero hears them best: louder if quiet, on a bed of faint noise.

    Silero goes deaf below about -55 dBFS; Whisper, which scales what it gets, does not. And after
    digital silence, which noise gates and synthesizers leave, Silero misses up to one short word in
    fifteen (FSDD digits); with noise 30 dB below the speech, one in a hundred.
    """
    frames = block.reshape(-1, FRAME)
    loud = max(1e-9, np.percentile(np.sqrt((frames**2).mean(axis=1)), 98))  # a slammed door is 2 % of 32 s
    gain = np.clip(10 ** (-35 / 20) / loud, 1, 100)
    return np.float32(gain) * (block + np.float32(0.03 * loud) * _noise()[: len(block)])


@lru_cache(maxsize=1)
def _noise() -> np.ndarray:
    return np.random.default_rng(0).standard_normal(BLOCK * FRAME, np.float32)
