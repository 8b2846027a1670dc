"""ZeroGPU: a Space without a GPU of its own borrows one for recordings, for some seconds at a time.

What is decorated with `spaces.GPU` runs in a process of its own that has the GPU while the loan lasts;
arguments and results are pickled. A long recording takes several loans, each for a portion of it, so
that no loan is longer than a visitor may have. Live sessions stay on the CPU, or at the endpoint.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from asr import backends, catalogue, pipeline
from asr.audio import SAMPLE_RATE, Recording
from asr.backends import Backend
from asr.config import Config, on_zerogpu
from asr.errors import ASRError, BackendUnavailable, Busy
from asr.types import Options, Segment

MODEL = "faster_whisper:large-v3-turbo"  # when nobody says; what a GPU gets everywhere
# Estimates, not measured on ZeroGPU. Too long a loan waits longer in Hugging Face's queue; too short a
# one ends the work. A second of an H200 should do far more than so many seconds of audio.
START, SPEED = 20.0, 30.0
PORTION = 1200.0  # seconds of audio to a loan: a minute of GPU
BORDER = 2.0  # seconds before a portion's end in which a word may have been cut
LEAST = 0.1  # seconds of audio worth a loan
ABILITIES = frozenset({"words", "translate", "prompt", "hotwords", "beam", "temperature", "batch", "detect"})

log = logging.getLogger(__name__)
Heard = list[Segment] | ASRError
Lend = Callable[[np.ndarray, str, str, Options], Heard]


@dataclass(frozen=True, slots=True)
class Borrowed:
    """A Whisper as the stages of a job see it; it is loaded where the GPU is."""

    spec: str
    can: frozenset[str]
    languages: frozenset[str]
    device: str = "cuda"

    def transcribe(self, audio: np.ndarray, options: Options) -> Iterator[Segment]:
        raise BackendUnavailable(f"{self.spec} runs on a borrowed GPU only.", "Send a recording.")


def parts(get: Callable[[str | None], Backend], config: Config) -> tuple:
    """What `jobs.Tools` takes for its model and its transcribe, here: borrowed ones on ZeroGPU."""
    if not on_zerogpu():
        return get, pipeline.transcribe
    try:
        import spaces  # Hugging Face installs it; it has to be there before the page is launched
    except ImportError:
        log.warning("ZeroGPU is on, but its package `spaces` is missing: recordings stay on the CPU.")
        return get, pipeline.transcribe
    return at_work(get, config, spaces.GPU(heard, duration=lasting))


def at_work(get: Callable[[str | None], Backend], config: Config, lend: Lend) -> tuple:
    """`get` for what is no Whisper of ours or an endpoint's, `lend` for what a GPU is borrowed for."""

    def model(spec: str | None) -> Backend:
        named = spec or (config.model if config.model != "auto" else "" if config.endpoint_url else MODEL)
        return (named and standing(named)) or get(spec)

    def transcribe(recording: Recording, backend: Backend, options: Options) -> Iterator[Segment]:
        if not isinstance(backend, Borrowed):
            return pipeline.transcribe(recording, backend, options)
        backends.check(backend, options)
        return portions(recording, backend, options, lend)

    return model, transcribe


def standing(spec: str) -> Borrowed | None:
    """The model with this name, as far as its card tells; None for another engine's."""
    card = catalogue.card(spec)
    if not card or card.library != "faster_whisper":
        return None
    cut = "turbo" in card.spec or "distil" in card.spec or len(card.languages) == 1
    return Borrowed(card.spec, ABILITIES - {"translate"} if cut else ABILITIES, card.languages)


def portions(recording: Recording, backend: Borrowed, options: Options, lend: Lend) -> Iterator[Segment]:
    """The segments of the whole, loan after loan, each beginning where the last certain word ended."""
    at, end = 0.0, recording.duration
    while end - at > LEAST:
        stop = min(at + PORTION, end)
        audio = recording.samples[round(at * SAMPLE_RATE) : round(stop * SAMPLE_RATE)]
        found = [s.shifted(at) for s in _lent(lend, np.array(audio), backend, options)]
        if stop < end and len(found) > 1 and found[-1].end > stop - BORDER:
            stop = found.pop().start  # what may have been cut is heard again, whole
        yield from found
        if found and not options.language:
            options = replace(options, language=found[0].language)
        at = stop


def lasting(audio: np.ndarray, spec: str, device: str, options: Options) -> int:
    """Seconds of GPU to ask for."""
    return round(START + len(audio) / SAMPLE_RATE / SPEED)


def heard(audio: np.ndarray, spec: str, device: str, options: Options) -> Heard:
    """In the process that has the GPU. Errors are returned: of what is raised only the name comes back."""
    try:
        return list(pipeline.transcribe(Recording(audio), _loaded(spec, device), options))
    except ASRError as e:
        return e


@cache
def _loaded(spec: str, device: str) -> Backend:
    """A process may serve several loans."""
    return backends.load(spec, device)


def _lent(lend: Lend, audio: np.ndarray, backend: Borrowed, options: Options) -> list[Segment]:
    try:
        found = lend(audio, backend.spec, backend.device, options)
    except Exception as e:
        if type(e).__module__ != "gradio.exceptions":
            raise
        raise Busy(
            f"Hugging Face lends no GPU now. It says: {getattr(e, 'message', e)}",
            "Try again later; or duplicate this Space, on hardware of its own if it should never wait.",
        ) from e
    if isinstance(found, ASRError):
        raise found
    return found
