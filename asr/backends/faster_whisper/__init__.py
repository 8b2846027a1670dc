"""faster-whisper: Whisper on CTranslate2, on this machine's CPU or GPU."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import TypeVar

import numpy as np
from faster_whisper import WhisperModel

from asr.audio import SAMPLE_RATE
from asr.backends import Ability
from asr.backends.faster_whisper import weights
from asr.backends.faster_whisper.decode import Decoder, Job
from asr.backends.faster_whisper.device import batch_size, open_model, out_of_memory
from asr.errors import BackendUnavailable
from asr.types import Options, Segment

Item, Done = TypeVar("Item"), TypeVar("Done")

log = logging.getLogger(__name__)


def load(model: str, device: str = "auto") -> FasterWhisper:
    """Load a name that faster-whisper knows, a hub repository in CTranslate2 format, or a directory."""
    folder = weights.find(model)
    opened = open_model(folder, device)
    name = weights.REPOSITORIES.get(model, model)
    can, languages = _knows(Path(name).name, folder, opened)
    return FasterWhisper(f"faster_whisper:{model}", opened, can, languages, batch_size(opened, folder))


class FasterWhisper:
    """A loaded Whisper. Windows are audio (n,) or what `prepare` made of it."""

    def __init__(
        self,
        spec: str,
        model: WhisperModel,
        can: frozenset[Ability],
        languages: frozenset[str],
        batch_size: int,
    ):
        self.spec, self.can, self.languages, self.batch_size = spec, can, languages, batch_size
        self.device = model.model.device
        self.decoder = Decoder(model, english_only=languages == {"en"})
        self.window = self.decoder.frames / 100

    def prepare(self, audio: np.ndarray) -> np.ndarray:
        """The features of a window: the part of its decoding that needs no engine."""
        return self.decoder.features(audio)

    def transcribe(self, audio: np.ndarray, options: Options) -> Iterator[Segment]:
        """Window after window, each beginning where the last finished segment ended."""
        at, seconds = 0.0, len(audio) / SAMPLE_RATE
        before, probability = self.decoder.before(options), None
        while seconds - at >= 0.01:
            window = audio[round(at * SAMPLE_RATE) : round((at + self.window) * SAMPLE_RATE)]
            job = Job(0, self.prepare(window), options, before, at, at + self.window < seconds)
            found, rest = self._alone(job)
            for segment in found:
                probability = probability or segment.language_probability
                options = replace(options, language=segment.language)
                yield replace(segment, language_probability=probability)
            at += self.window if rest is None else rest

    def transcribe_batch(
        self, windows: Sequence[np.ndarray], options: Sequence[Options]
    ) -> list[list[Segment]]:
        """Windows that may share a call do; what one of them left unheard at its end is heard after it."""
        found: list[list[Segment]] = [[] for _ in windows]
        jobs = [
            Job(i, self._features(w), o, self.decoder.before(o))
            for i, (w, o) in enumerate(zip(windows, options, strict=True))
        ]
        while jobs := [job for job in jobs if job.length]:
            rests = []
            for _, same in groupby(sorted(jobs, key=lambda j: j.shared), lambda j: j.shared):
                for job, (segments, rest) in self._fitting(list(same), self.decoder.decode):
                    found[job.index] += segments
                    if rest is not None:
                        rests.append(job.rest(rest))
            jobs = rests
        return found

    def detect(self, windows: Sequence[np.ndarray]) -> list[dict[str, float]]:
        features = [self._features(w) for w in windows]
        return [languages for _, languages in self._fitting(features, self.decoder.detect)]

    def _features(self, window: np.ndarray) -> np.ndarray:
        return window if window.ndim == 2 else self.prepare(window)

    def _alone(self, job: Job) -> tuple[list[Segment], float | None]:
        def climb(jobs: Sequence[Job]):
            if jobs[0].options.temperature is not None:
                return self.decoder.decode(jobs)
            return [self.decoder.climb(jobs[0])]

        ((_, done),) = self._fitting([job], climb)
        return done

    def _fitting(
        self, items: Sequence[Item], work: Callable[[Sequence[Item]], Iterable[Done]]
    ) -> Iterator[tuple[Item, Done]]:
        """`work` on as many items at a time as the device's memory holds."""
        while items:
            now = items[: self.batch_size]
            try:
                done = list(work(now))
            except RuntimeError as e:
                if not out_of_memory(e):
                    raise
                self._shrink(len(now))
                continue
            yield from zip(now, done, strict=True)
            items = items[len(now) :]

    def _shrink(self, tried: int) -> None:
        if tried == 1:
            raise BackendUnavailable(
                f"The GPU has not enough memory to run {self.spec} on even one window.",
                "Choose a smaller model or the device cuda/int8_float16, or free the GPU.",
            )
        self.batch_size = min(self.batch_size, tried // 2 if tried > 4 else 1)
        log.warning("%d windows do not fit into the GPU's memory; going on with %d.", tried, self.batch_size)


def _knows(name: str, folder: Path, model: WhisperModel) -> tuple[frozenset[Ability], frozenset[str]]:
    """What a model can do and the languages it recognises, by what it was trained for.

    Distil-Whisper's own models know English only, though they have Whisper's whole vocabulary;
    they and turbo lost translation with the decoder layers that were cut off.
    """
    can = {"words", "translate", "prompt", "hotwords", "beam", "temperature", "short", "detect", "batch"}
    distil = {Path(r).name for r in weights.REPOSITORIES.values()} | set(weights.REPOSITORIES)
    if not model.model.is_multilingual or ("distil" in name and name in distil):
        return frozenset(can - {"translate", "detect"}), frozenset({"en"})
    if "turbo" in name.lower() or "distil" in name.lower() or _is_pruned(folder, model):
        can.remove("translate")
    known = {code for code in model.supported_languages if model.hf_tokenizer.token_to_id(f"<|{code}|>")}
    return frozenset(can), frozenset(known)


def _is_pruned(folder: Path, model: WhisperModel) -> bool:
    """Whether this is large-v3, alone in having 128 mels, with most of its 32 decoder layers gone."""
    heads = json.loads((folder / "config.json").read_text()).get("alignment_heads") or [[31, 0]]
    return model.model.n_mels == 128 and max(layer for layer, _ in heads) < 4
