"""Where the speech is: Silero's probabilities, spans of speech, and stretches for a recogniser.

One probability belongs to one frame of 512 samples, and every time is counted in samples, so
nothing drifts however long the recording. Speech is found while the recording is being read:
the first stretch of ten hours is known after a moment.

    for stretch in stretches(recording, Silero()):
        backend.transcribe(recording.read(stretch.start, stretch.end), options)
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from threading import Lock

import numpy as np

from asr.audio import SAMPLE_RATE, Recording
from asr.errors import BackendUnavailable

FRAME = 512  # samples that Silero judges at a time
HOP = FRAME / SAMPLE_RATE  # seconds: 32 ms
THRESHOLD, RELEASE = 0.4, 0.25  # speech begins at the one and lasts above the other: see speech_spans
SHORTEST = 3  # frames: a shorter burst is no word
BLOCK = 1000  # frames heard in one go: 32 s of a recording

VoiceDetector = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time, in seconds."""

    start: float
    end: float

    @property
    def duration(self) -> float:
        return self.end - self.start


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


def speech_spans(probabilities: np.ndarray, *, silence: float = 0.5, pad: float = 0.4) -> list[Span]:
    """Spans of speech in time order. They may touch; they never overlap.

    Speech begins at THRESHOLD and lasts until it has stayed below RELEASE for `silence` seconds. Silero's
    own 0.5 and 0.35 suit subtitles; a recogniser loses more by a word it never gets than by a breath
    too many. 0.4 and 0.25 find 96 % of the speech marked in AMI meetings instead of 93 %, and no more
    of noise and music.

    Each span is widened by `pad` seconds at both ends, or to the middle where two would meet: Silero is
    up to 0.33 s late for a soft onset (on FSDD digits; faster-whisper, too, pads by 0.4 s).
    """
    found = _spans(probabilities.tolist(), len(probabilities) * FRAME, silence, pad)
    return [Span(start / SAMPLE_RATE, end / SAMPLE_RATE) for start, end in found]


def windows(
    spans: Sequence[Span], probabilities: np.ndarray, longest: float = 30.0, gap: float = 3.0
) -> list[Span]:
    """Spans joined and cut to stretches of at most `longest` seconds, which together hold every span.

    Whisper's encoder pads whatever it gets to 30 s, so the number of stretches is what a recording
    costs: spans share one while they fit. But in a long silence Whisper invents text, so none holds
    a silence above `gap` seconds; people who talk with each other seldom pause longer. Talk that does
    not fit is cut where speech is least likely, late in the stretch.
    """
    pairs = ((round(s.start * SAMPLE_RATE), round(s.end * SAMPLE_RATE)) for s in spans)
    found = _windows(pairs, probabilities, round(longest * SAMPLE_RATE), round(gap * SAMPLE_RATE))
    return [Span(start / SAMPLE_RATE, end / SAMPLE_RATE) for start, end in found]


def stretches(
    recording: Recording, detector: VoiceDetector, longest: float = 30.0, gap: float = 3.0
) -> Iterator[Stretch]:
    """The `windows` of a recording in time order, each as soon as no later audio can change it."""
    heard = array("f")

    def listen() -> Iterator[float]:
        for block in recording.blocks(BLOCK * HOP):
            whole = np.pad(block, (0, -len(block) % FRAME))
            fresh = detector(_audible(whole)).tolist()
            heard.extend(fresh)
            yield from fresh

    spans = _spans(listen(), len(recording), silence=0.5, pad=0.4)
    for start, end in _windows(spans, heard, round(longest * SAMPLE_RATE), round(gap * SAMPLE_RATE)):
        frames = np.array(heard[start // FRAME : -(-end // FRAME)], np.float32)
        yield Stretch(start / SAMPLE_RATE, end / SAMPLE_RATE, frames)


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


def _runs(probabilities: Iterable[float], silence: float) -> Iterator[tuple[int, int]]:
    """Runs of speech as (first, last) frames, `last` not included."""
    patience = silence / HOP
    begin = quiet = None  # where speech began, and where it seems to have ended
    i = -1
    for i, p in enumerate(probabilities):
        if begin is None:
            if p >= THRESHOLD:
                begin, quiet = i, None
        elif p >= RELEASE:
            quiet = None
        elif quiet is None:
            quiet = i
        if begin is not None and quiet is not None and i + 1 - quiet >= patience:
            if quiet - begin >= SHORTEST:
                yield begin, quiet
            begin = None
    end = quiet if quiet is not None else i + 1
    if begin is not None and end - begin >= SHORTEST:
        yield begin, end


def _spans(
    probabilities: Iterable[float], length: int, silence: float, pad: float
) -> Iterator[tuple[int, int]]:
    """Runs widened by `pad` seconds, as samples of a recording of `length` samples."""
    margin, lowest, last = round(pad * SAMPLE_RATE), 0, None
    for run in chain(_runs(probabilities, silence), [None]):
        if last is not None:
            begin, end = last[0] * FRAME, last[1] * FRAME
            highest = (end + run[0] * FRAME) // 2 if run else length
            yield max(begin - margin, lowest), min(end + margin, highest)
            lowest = highest
        last = run


def _windows(
    spans: Iterable[tuple[int, int]], probabilities: Sequence[float], longest: int, gap: int
) -> Iterator[tuple[int, int]]:
    """Spans that are at most `gap` apart joined, and cut to at most `longest` samples."""
    start = end = None
    for span in chain(spans, [None]):
        if start is not None and (span is None or span[0] - end > gap):
            while end - start > longest:
                yield start, (cut := _cut(start, end, probabilities, longest))
                start = cut
            yield start, end
            start = None
        if span is None:
            return
        start, end = span[0] if start is None else start, span[1]
        while end - start > 2 * longest:  # certain already: whatever follows, this cut stays
            yield start, (cut := _cut(start, end, probabilities, longest))
            start = cut


def _cut(start: int, end: int, probabilities: Sequence[float], longest: int) -> int:
    """The quietest place to end the window that starts at `start`, while speech lasts until `end`.

    Quiet is a low mean probability over the 0.7 s around it: long pauses win over short ones, and
    short ones over none. A place a second later may be 0.02 less quiet, because full windows are
    fewer. Where what is left fits one window, any place that makes it fit is as good.
    """
    last = end - start <= 2 * longest
    earliest = max(end - longest, start + longest // 3) if last else start + longest * 2 // 3
    first, stop = -(-earliest // FRAME), (start + longest) // FRAME
    reach = 10
    near = np.array(probabilities[max(0, first - reach) : stop + reach], np.float32)
    near = np.pad(near, (reach - min(reach, first), stop - first + 2 * reach - len(near)), "edge")
    shape = np.hanning(2 * reach + 3)[1:-1]
    noise = np.convolve(near, shape / shape.sum(), "valid")
    haste = 0.0 if last else 0.02 * HOP
    return (first + int(np.argmin(noise - haste * np.arange(len(noise))))) * FRAME + FRAME // 2
