"""onnx-asr: Parakeet, Canary and other models in ONNX format, on this machine's CPU or GPU.

Parakeet and its like (transducers, CTC) time every token, so words have times. They take no wish for
a language: Parakeet v3 hears by itself which of its 25 it is, and a language that is given is only
written on what was heard. Canary must be told the language spoken, and translates to English; its
words have no times.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
from onnx_asr.adapters import TextResultsAsrAdapter
from onnx_asr.asr import TimestampedResult
from onnx_asr.models.nemo import NemoConformerAED as Canary
from onnx_asr.models.whisper import WhisperHf, WhisperOrt

from asr.audio import SAMPLE_RATE
from asr.audio.cuts import quiet_pieces
from asr.backends import Ability
from asr.backends.onnx import files, sessions
from asr.backends.onnx.languages import spoken
from asr.backends.onnx.words import words
from asr.errors import BackendUnavailable, Unsupported
from asr.guards import compression_ratio
from asr.text.sentences import sentences
from asr.types import Options, Segment

SHORTEST = 0.1  # seconds; the features are normalised over a window, and one frame has no variance
WINDOW = 30.0  # seconds: most of these models were trained on no more
# Windows to a call: on a CPU one after the other costs less memory and no time.
BATCH = {"cpu": 1, "cuda": 16}

log = logging.getLogger(__name__)


def load(model: str, device: str = "auto") -> Onnx:
    """Load a model by its name, a hub repository with a config.json of onnx-asr, or a directory.

    `device` may say which files to take: "cpu/int8", "cpu/float32", "cuda/float32", "cuda/float16".
    """
    place, precisions = sessions.place_of(device)
    found = files.find(model, precisions)
    opened, place = sessions.open_model(found, place, device)
    if found.non_commercial:
        log.warning("onnx:%s is licensed CC-BY-NC-4.0: it must not be used commercially.", model)
    known = spoken(Path(model).name, opened.asr)
    return Onnx(f"onnx:{model}", opened, known, place)


class Onnx:
    """A loaded model. ONNX Runtime's sessions may be used by several threads at once."""

    def __init__(self, spec: str, model: TextResultsAsrAdapter, languages: frozenset[str], device: str):
        self.spec, self.languages, self.device = spec, languages, device
        self.batch_size, self.window = BATCH[device], WINDOW
        self.model, self.asr = model.with_timestamps(), model.asr
        self._canary = isinstance(self.asr, Canary)
        self._whisper = isinstance(self.asr, (WhisperHf, WhisperOrt))
        if self._canary:
            sessions.stop_at_the_end(self.asr)

    @property
    def can(self) -> frozenset[Ability]:
        if self._whisper:  # its loudest window would change the features of the others
            return frozenset()
        return frozenset({"batch", "translate"} if self._canary else {"batch", "words"})

    def transcribe(self, audio: np.ndarray, options: Options) -> Iterator[Segment]:
        for start, stop in quiet_pieces(audio, self.window):
            for segment in self._heard([audio[start:stop]], [options])[0]:
                yield segment.shifted(start / SAMPLE_RATE)

    def prepare(self, audio: np.ndarray) -> np.ndarray:
        return audio

    def transcribe_batch(
        self, windows: Sequence[np.ndarray], options: Sequence[Options]
    ) -> list[list[Segment]]:
        """Windows that may share a call do: all of Parakeet's, Canary's of one language and task."""
        return self._heard(windows, options)

    def _heard(self, windows: Sequence[np.ndarray], options: Sequence[Options]) -> list[list[Segment]]:
        found: list[list[Segment]] = [[] for _ in windows]
        asked = [self._asked(o) for o in options]
        speaking = [i for i, w in enumerate(windows) if len(w) >= SHORTEST * SAMPLE_RATE]
        for wish, same in groupby(sorted(speaking, key=lambda i: asked[i]), lambda i: asked[i]):
            waiting = list(same)
            while waiting:
                now = waiting[: self.batch_size]
                results = self._recognize([windows[i] for i in now], dict(wish))
                if results is None:
                    continue
                for i, result in zip(now, results, strict=True):
                    found[i] = self._segments(result, len(windows[i]) / SAMPLE_RATE, options[i])
                waiting = waiting[len(now) :]
        return found

    def _recognize(self, windows: list[np.ndarray], wish: dict[str, str]) -> list[TimestampedResult] | None:
        """None where so many do not fit into the GPU's memory; `batch_size` is smaller then."""
        try:
            return self.model.recognize([np.asarray(w, np.float32) for w in windows], **wish)
        except Exception as e:
            if not sessions.out_of_memory(e):
                raise
            if len(windows) == 1:
                raise BackendUnavailable(
                    f"The GPU has not enough memory to run {self.spec} on even one window.",
                    "Choose a smaller model or the device cpu, or free the GPU.",
                ) from e
            self.batch_size = len(windows) // 2
            log.warning("%d windows do not fit into the GPU's memory; going on with half.", len(windows))
            return None

    def _asked(self, options: Options) -> tuple[tuple[str, str], ...]:
        """What the library is told about a window, comparable; raises Unsupported."""
        if not self._canary:
            return (("language", options.language),) if self._whisper and options.language else ()
        language = options.language or (next(iter(self.languages)) if len(self.languages) == 1 else None)
        if language is None:
            raise Unsupported(
                f"{self.spec} does not detect the language.",
                "Say which one is spoken (--language, the page's menu, or ASR_LANGUAGE).",
            )
        target = "en" if options.task == "translate" else language
        return (("language", language), ("target_language", target))

    def _segments(self, result: TimestampedResult, seconds: float, options: Options) -> list[Segment]:
        text = result.text.strip()
        if not text:
            return []
        only = next(iter(self.languages)) if len(self.languages) == 1 else None
        scores = {
            "language": options.language or only,
            "compression_ratio": compression_ratio(text),
        }
        if result.timestamps is None:
            return [Segment(0.0, seconds, f" {text}", **scores)]
        if result.logprobs:
            scores["avg_logprob"] = float(np.mean(result.logprobs))
        timed = [Segment.of(s, **scores) for s in sentences(words(result, seconds))]
        return (
            timed if options.word_timestamps else [Segment(s.start, s.end, s.text, **scores) for s in timed]
        )
