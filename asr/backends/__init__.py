"""Speech recognisers behind one method.

To add one, drop a file here with `load(model, device) -> Backend`. The file's name is the
backend's name; its imports run only when somebody asks for it. What an engine cannot do
it does not list in `can`, and `check` refuses it before the engine is called: a backend
neither ignores an option nor falls back in silence.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Literal, Protocol

import numpy as np

from asr.audio import Recording
from asr.errors import BackendUnavailable, UnknownModel, Unsupported
from asr.types import Options, Segment, Word

Ability = Literal[
    "words",  # word times: Options.word_timestamps
    "translate",  # speech to English text: Options.task
    "prompt",
    "hotwords",
    "beam",  # Options.beam_size
    "temperature",
    "short",  # Options.encoder_seconds
    "detect",  # the backend is also Detecting
    "batch",  # the backend is also Batching
    "mend",  # what fails by its scores has been tried again before it is told, in a batch too
    "stream",  # the backend is also Streaming
    "whole",  # the backend is also Whole
]


class Backend(Protocol):
    """One loaded model. Shared by all threads; `transcribe` is called from several at once."""

    spec: str  # "backend:model", as `load` took it
    can: frozenset[Ability]
    languages: frozenset[str]  # ISO 639-1 codes it recognises
    device: str  # where it computes: cpu, cuda, or the name of a server

    def transcribe(self, audio: np.ndarray, options: Options) -> Iterator[Segment]:
        """Yield segments in time order, each as soon as it is known.

        `audio` is float32 mono 16 kHz in [-1, 1), any length; times count from its start.
        """
        ...


class Batching(Backend, Protocol):
    """`"batch" in can`: several windows of at most 30 s, each with its own options, in one call."""

    batch_size: int  # how many windows one call takes at best
    window: float  # seconds of audio it hears best in one go, at most 30

    def prepare(self, audio: np.ndarray) -> np.ndarray:
        """What `transcribe_batch` may be given in a window's place: the work on it that needs no engine.

        So that a caller can have it done ahead, in another thread.
        """
        ...

    def transcribe_batch(
        self, windows: Sequence[np.ndarray], options: Sequence[Options]
    ) -> list[list[Segment]]:
        """One list of segments per window, times counting from the window's start."""
        ...


class Detecting(Backend, Protocol):
    """`"detect" in can`: says which language is spoken."""

    def detect(self, windows: Sequence[np.ndarray]) -> list[dict[str, float]]:
        """Per window of at most 30 s: ISO 639-1 code -> probability, summing to about 1."""
        ...


class Whole(Backend, Protocol):
    """`"whole" in can`: transcribes recordings as they are, and finds the speech in them itself."""

    def hear(self, recording: Recording, options: Options) -> Iterator[Segment]:
        """What `asr.pipeline.transcribe` gives, for the task transcribe."""
        ...


class Stream(Protocol):
    """One stream a native streaming engine is listening to. Times count from its start.

    When a call raises, the audio fed last counts as not taken: it is fed again, with what came after it.
    """

    timed: bool  # its words have times of their own, not a share of the utterance's
    language: str | None  # ISO 639-1, of what it told last; None where it does not say

    def feed(self, audio: np.ndarray) -> list[Word]:
        """Take more audio; return the hypothesis for everything since the last `finish`."""
        ...

    def finish(self) -> list[Word]:
        """The utterance is over: its final words. The stream is ready for the next one."""
        ...

    def close(self) -> None:
        """Nothing more is fed: let go of what it holds. Never amid another call."""
        ...


class Streaming(Backend, Protocol):
    """`"stream" in can`: recognises natively while audio arrives."""

    def stream(self, options: Options) -> Stream: ...


# spec -> since when (time.monotonic) its backend has been waiting for a server that is waking up
waking: dict[str, float] = {}


def available() -> list[str]:
    """The names of the backends there are."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__))


def load(spec: str, device: str = "auto") -> Backend:
    """Load `"backend:model"`, say `"faster_whisper:small"`; takes seconds, may download.

    `device` is "auto", "cpu" or "cuda", with an optional compute type: "cuda/int8_float16".
    Raises UnknownModel or BackendUnavailable.
    """
    name, _, model = spec.partition(":")
    if name not in available():
        raise UnknownModel(
            f"There is no backend {name!r}.", f"Write backend:model with one of: {', '.join(available())}."
        )
    try:
        module = import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as e:
        raise BackendUnavailable(
            f"The backend {name!r} needs the library {e.name!r}.", f"Install it: pip install {e.name}"
        ) from e
    return module.load(model, device)


def check(backend: Backend, options: Options) -> None:
    """Raise Unsupported if `options` asks for what `backend` cannot do."""
    asked: dict[Ability, bool] = {
        "words": options.word_timestamps,
        "translate": options.task == "translate",
        "prompt": options.prompt is not None,
        "hotwords": options.hotwords is not None,
        "beam": options.beam_size is not None,
        "temperature": options.temperature is not None,
        "short": options.encoder_seconds is not None,
    }
    for ability, wanted in asked.items():
        if wanted and ability not in backend.can:
            raise Unsupported(
                f"{backend.spec} cannot do {ability!r}.", "Choose another model, or leave that option out."
            )
    if options.language and options.language not in backend.languages:
        known = ", ".join(sorted(backend.languages)[:8])
        raise Unsupported(
            f"{backend.spec} does not know the language {options.language!r}.", f"It knows: {known}."
        )
