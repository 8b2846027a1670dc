"""Whisper by Hugging Face's transformers, on this machine's CPU or GPU: any Whisper of the hub, unconverted.

The engine that others are compared with; faster-whisper is faster with the same weights.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np
import torch

from asr.audio import SAMPLE_RATE
from asr.audio.cuts import quiet_pieces
from asr.backends import Ability
from asr.backends.transformers import device as places
from asr.backends.transformers import files
from asr.backends.transformers.decode import LADDER, Decoder, Heard
from asr.errors import BackendUnavailable
from asr.guards import failed, silent
from asr.text.sentences import sentences
from asr.types import Options, Segment

BATCH = {"cpu": 4, "cuda": 16}  # windows to a call at most; a full GPU lowers it
PROGRESS = 1.0  # seconds that must have been heard before the rest of a window is heard again

log = logging.getLogger(__name__)
Job = tuple[int, np.ndarray, Options, float]  # a window's number, what is left of it, and where that starts


def load(model: str, device: str = "auto") -> Transformers:
    """Load a hub repository ("openai/whisper-small") or a directory.

    `device` may say how to compute: "cpu/float32", "cpu/bfloat16", "cuda/float16", "cuda/bfloat16".
    """
    place, kind = places.place_of(device)
    folder = files.find(model)
    return Transformers(f"transformers:{model}", Decoder(folder, places.open_model(folder, place, kind)))


class Transformers:
    """A loaded Whisper. Threads share it: no call leaves anything behind on the model."""

    def __init__(self, spec: str, decoder: Decoder):
        self.spec, self.decoder, self.device = spec, decoder, decoder.model.device.type
        self.batch_size, self.window = BATCH[self.device], decoder.window
        self.languages = decoder.languages

    @property
    def can(self) -> frozenset[Ability]:
        can: set[Ability] = {"prompt", "hotwords", "beam", "temperature", "batch"}
        if self.decoder.heads:
            can.add("words")
        if self.decoder.multilingual:
            can |= {"detect", "translate"} if self.decoder.translates else {"detect"}
        return frozenset(can)

    def prepare(self, audio: np.ndarray) -> np.ndarray:
        return audio  # its features are padded to 30 s: to keep many waiting would cost memory

    def transcribe(self, audio: np.ndarray, options: Options) -> Iterator[Segment]:
        """One window after the other, hotter where the scores fail, unless a temperature is asked for."""
        for start, stop in quiet_pieces(audio, self.window):
            for segment in self._alone(audio[start:stop], options):
                options = replace(options, language=segment.language)
                yield segment.shifted(start / SAMPLE_RATE)

    def transcribe_batch(
        self, windows: Sequence[np.ndarray], options: Sequence[Options]
    ) -> list[list[Segment]]:
        """Windows that may share a call do; what the model had no room to write is heard after it."""
        found: list[list[Segment]] = [[] for _ in windows]
        jobs: list[Job] = [(i, w, o, 0.0) for i, (w, o) in enumerate(zip(windows, options, strict=True))]
        while jobs := [job for job in jobs if len(job[1]) >= 0.01 * SAMPLE_RATE]:
            rests = []
            order = sorted(jobs, key=lambda job: _shared(job[2]))
            for _, same in groupby(order, lambda job: _shared(job[2])):
                for job, heard in self._fitting(list(same)):
                    segments, rest = self._segments(heard, job[2])
                    found[job[0]] += [segment.shifted(job[3]) for segment in segments]
                    if rest is not None:
                        begin = round(rest * SAMPLE_RATE)
                        rests.append((job[0], job[1][begin:], job[2], job[3] + rest))
            jobs = rests
        return found

    def detect(self, windows: Sequence[np.ndarray]) -> list[dict[str, float]]:
        found: list[dict[str, float]] = []
        while len(found) < len(windows):
            now = windows[len(found) : len(found) + self.batch_size]
            encoded = self._trying(len(now), self.decoder.encode, now)
            if encoded is not None:
                found += self.decoder.detect(encoded)
        return found

    def _alone(self, audio: np.ndarray, options: Options) -> list[Segment]:
        best: list[Segment] = []
        for temperature in LADDER if options.temperature is None else (options.temperature,):
            (tried,) = self.transcribe_batch([audio], [replace(options, temperature=temperature)])
            better = not best or (tried and tried[0].avg_logprob > best[0].avg_logprob)
            best = tried if better else best
            if not tried or not any(map(failed, tried)) or any(map(silent, tried)):
                return tried
        return best

    def _fitting(self, jobs: list[Job]) -> Iterator[tuple[Job, Heard]]:
        """The windows that share a call, as many at a time as the device's memory holds."""
        while jobs:
            now = jobs[: self.batch_size]
            windows, options = [w for _, w, _, _ in now], [o for _, _, o, _ in now]
            if (heard := self._trying(len(now), self.decoder.decode, windows, options)) is not None:
                yield from zip(now, heard, strict=True)
                jobs = jobs[len(now) :]

    def _trying(self, size: int, work, *given):
        """What `work` makes of `given`; None where the GPU is too full, and `batch_size` is smaller then."""
        try:
            return work(*given)
        except torch.OutOfMemoryError as e:
            if size == 1:
                raise BackendUnavailable(
                    f"The GPU has not enough memory to run {self.spec} on even one window.",
                    "Choose a smaller model or the device cpu, or free the GPU.",
                ) from e
            self.batch_size = size // 2
            log.warning("%d windows do not fit into the GPU's memory; going on with half.", size)
            return None

    def _segments(self, heard: Heard, options: Options) -> tuple[list[Segment], float | None]:
        """A window's sentences, and where to go on listening (None: all was heard)."""
        if not heard.text.strip():
            return [], None
        if not heard.words:
            return [Segment(0.0, heard.seconds, heard.text, **heard.scores)], None
        words, rest = heard.words, None
        if not heard.ended and len(words) > 1 and words[-1].start >= PROGRESS:
            words, rest = words[:-1], words[-1].start
        timed = [Segment.of(sentence, **heard.scores) for sentence in sentences(words)]
        if not options.word_timestamps:
            timed = [replace(segment, words=()) for segment in timed]
        return timed, rest


def _shared(options: Options) -> tuple:
    """What windows must have in common to share a call; comparable."""
    wishes = (options.prompt, options.hotwords, options.beam_size, options.temperature)
    return (options.task, *((wish is not None, wish or "") for wish in wishes))
