"""What a live session's audio comes through, and what is known of it at this moment.

A `Leg` is the life of one stream of the model. A `Source` is one transport's right to speak;
several may use a leg one after the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from asr.audio import SAMPLE_RATE
from asr.errors import ASRError
from asr.live import Update
from asr.types import Options

State = Literal["connecting", "live", "paused", "over"]


class Stream(Protocol):
    """What `House.open` returns: one stream of a scheduler."""

    behind: float  # seconds of audio that were fed and not yet heard by the model

    def feed(self, audio: np.ndarray) -> None: ...
    def finish(self) -> None: ...
    def close(self) -> None: ...


# Gets "backend:model" (None: the default), what is asked of it, and who wants its updates.
Open = Callable[[str | None, Options, Callable[[Update], None]], Stream]


class House(Protocol):
    """What a session needs of the place it lives in."""

    open: Open
    clock: Callable[[], float]  # wall clock, seconds
    longest: float  # seconds a session may last
    resume: float  # seconds in which a paused session may be continued

    def admit(self, session: Listener) -> None: ...  # raises Busy when every place is taken


@dataclass(frozen=True, slots=True)
class Now:
    """What can still change: everything about a session but its settled entries."""

    state: State
    settling: bool  # nobody speaks any more, the last words are still being recognised
    opening: bool  # the model is being loaded
    transport: str  # how the audio comes
    stable: str
    draft: str
    behind: float  # seconds
    speaking: bool
    heard: float  # seconds since the session's start that audio has been taken for
    trouble: str  # why the model's last pass failed; its audio is kept and will be heard again
    error: ASRError | None  # why the session takes no audio


class Leg:
    """The life of one stream, which starts somewhere in the session's time."""

    def __init__(self, model: str | None, options: Options):
        self.asked = model, options
        self.stream: Stream | None = None
        self.offset: float | None = None  # seconds; None until audio comes
        self.samples = 0
        self.now = Update()
        self.finishing = False
        self.cut = False  # it finishes because its source was lost, perhaps amid a word
        self._again = np.zeros(0, np.float32)

    @property
    def end(self) -> float:
        return self.offset + self.samples / SAMPLE_RATE

    def begin(self, at: float, again: np.ndarray) -> None:
        """Its audio starts at `at` seconds of the session, after some that was heard before: `again`."""
        self.offset, self.samples, self._again = at - len(again) / SAMPLE_RATE, len(again), again

    def feed(self, audio: np.ndarray) -> None:
        if len(self._again):
            self._again, again = self._again[:0], self._again
            self.stream.feed(again)
        self.stream.feed(audio)
        self.samples += len(audio)

    def finish(self, cut: bool = False) -> None:
        if not self.finishing:
            self.finishing, self.cut = True, cut
            self.stream.finish()


class Listener(Protocol):
    """The session, as its sources see it."""

    source: Source | None  # whose audio counts

    def hear(self, source: Source, audio: np.ndarray) -> bool: ...
    def left(self, source: Source) -> None: ...


class Source:
    """One transport's right to speak in a session, until another takes it over."""

    def __init__(self, session: Listener, leg: Leg, transport: str, at: float | None = None):
        self.session, self.leg, self.transport, self.at = session, leg, transport, at
        self.begin: float | None = None  # session time of its first sample, once that has come
        self.skip = 0  # samples to come that were heard already
        self.heir: Source | None = None  # to whom it was handed over

    def feed(self, audio: np.ndarray) -> bool:
        """Take float32 mono 16 kHz, any length; quick. False when this source does not count any more."""
        return self.session.hear(self, audio)

    @property
    def active(self) -> bool:
        return self.session.source is self

    @property
    def displaced(self) -> bool:
        """Somebody else speaks in its place."""
        return self.session.source not in (None, self, self.heir)

    def leave(self) -> None:
        """The transport is gone; whether it comes back will be seen."""
        self.session.left(self)
