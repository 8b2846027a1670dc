"""Any server with OpenAI's audio API: OpenAI, vLLM, speaches, a Hugging Face endpoint, another Parlance.

`remote:MODEL`, or `remote:auto` for the model that ASR_ENDPOINT_MODEL names or the server has. The
address and the token are the owner's (ASR_ENDPOINT_URL, ASR_ENDPOINT_TOKEN); no caller can name others.

The server hears windows of at most 30 s, several at once, and never the whole recording: no
upload limit is met, times are ours, and a window that fails is asked again alone. Another Parlance
does all of this itself: it gets recordings as they are (`whole`), and windows for live speech. Where the
owner wishes it and the server can, live speech goes through its Realtime API instead (`realtime`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace

import anyio
import numpy as np

from asr import languages
from asr.audio import SAMPLE_RATE, Recording
from asr.audio.cuts import quiet_pieces
from asr.backends import Ability
from asr.backends.remote.answers import Heard
from asr.backends.remote.connection import Connection
from asr.backends.remote.realtime import Realtime, offered, session_of
from asr.backends.remote.survey import PATH, Found, post, survey
from asr.backends.remote.whole import Hearing
from asr.backends.remote.wire import Wire
from asr.config import Config
from asr.errors import BackendUnavailable
from asr.types import Options, Segment

LONGEST, SHORTEST = 30, 0.1  # seconds of a window: what Whisper hears at once, and what OpenAI takes at least
GRACE = 5.0  # seconds beyond its patience after which the first acquaintance is broken off


def load(model: str, device: str = "auto") -> Remote:
    """Get to know the server of the configuration; `device` is that server's own affair.

    Waits for it to wake up, ASR_ENDPOINT_PATIENCE seconds at most. Raises BackendUnavailable,
    UnknownModel or ConfigError, each with what to do.
    """
    config = Config.from_env()
    connection = Connection(config, f"remote:{model}")
    named = model if model not in ("", "auto") else config.endpoint_model
    found = connection.run(_surveyed(connection, named))
    if config.endpoint_stream:
        session = session_of(found.wires["transcribe"], Options())
        found = replace(found, streams=connection.run(offered(connection, found.base, session)))
    return Remote(connection, found)


class Remote:
    """A server that has been asked what it can do, and keeps being listened to about that."""

    def __init__(self, connection: Connection, found: Found):
        self.spec, self.device = connection.spec, connection.host
        self.batch_size, self.window = connection.at_once, found.window
        model = found.wires["transcribe"].model or ""
        self.languages = frozenset({"en"} if model.endswith(".en") else languages.NAMES)
        self._connection, self._found, self._wires = connection, found, dict(found.wires)

    @property
    def can(self) -> frozenset[Ability]:
        wire = self._wires["transcribe"]
        # A server without a choice of models (Hugging Face's image) takes everything for English
        # unless it is told otherwise: its word about the language is worth nothing.
        detects = self._found.names_languages and wire.model is not None
        yes: dict[Ability, bool] = {
            "batch": True,
            "mend": self._found.mends,
            "whole": self._found.whole,
            "stream": self._found.streams,
            "words": wire.words,
            "prompt": "prompt" not in wire.refused,
            "temperature": "temperature" not in wire.refused,
            "hotwords": bool(wire.hotwords),
            "translate": "translate" in self._wires,
            "detect": detects and "language" not in wire.refused,
        }
        return frozenset(ability for ability, it_can in yes.items() if it_can)

    def transcribe(self, audio: np.ndarray, options: Options) -> Iterator[Segment]:
        for start, stop in quiet_pieces(audio, LONGEST):
            for segment in self.transcribe_batch([audio[start:stop]], [options])[0]:
                yield segment.shifted(start / SAMPLE_RATE)

    def prepare(self, audio: np.ndarray) -> np.ndarray:
        return audio  # what else there is to do depends on what the server takes by then

    def transcribe_batch(
        self, windows: Sequence[np.ndarray], options: Sequence[Options]
    ) -> list[list[Segment]]:
        """As many at once as ASR_ENDPOINT_AT_ONCE allows; the first that fails ends the others."""
        asked = zip(windows, options, strict=True)
        return [list(h.segments) for h in self._connection.run(_together([self._hear(*a) for a in asked]))]

    def hear(self, recording: Recording, options: Options) -> Iterator[Segment]:
        path, wire = self._found.base + PATH["transcribe"], self._wires["transcribe"]
        hearing = Hearing(self._connection, path, wire, recording, options, "detect" in self.can)
        return self._connection.each(hearing.tell)

    def stream(self, options: Options) -> Realtime:
        """Raises Unsupported for an option that the Realtime API has not."""
        return Realtime(self._connection, self._found.base, session_of(self._wires["transcribe"], options))

    def detect(self, windows: Sequence[np.ndarray]) -> list[dict[str, float]]:
        """What the server calls the language of each window, as it does not say how sure it is.

        Nothing for a window in which it heard nothing.
        """
        found = self._connection.run(_together([self._hear(window, Options()) for window in windows]))
        named = [h.language for h in found]
        return [{language: 1.0} if language else {} for language in named]

    async def _hear(self, audio: np.ndarray, options: Options) -> Heard:
        seconds = len(audio) / SAMPLE_RATE
        if not len(audio):
            return Heard((), options.language, False, False)
        audio = np.pad(audio, (0, max(0, round(SHORTEST * SAMPLE_RATE) - len(audio))))
        wire, told = await self._asked(audio, options, seconds)
        if told.segments and not told.words and options.word_timestamps and options.task == "transcribe":
            wire = replace(wire, words=False)  # it takes the wish for word times, and gives none
        self._wires[options.task] = wire
        if told.language is None and options.language:
            told = replace(told, segments=tuple(replace(s, language=options.language) for s in told.segments))
        if not options.word_timestamps:
            told = replace(told, segments=tuple(replace(s, words=()) for s in told.segments))
        return told

    async def _asked(self, audio: np.ndarray, options: Options, seconds: float) -> tuple[Wire, Heard]:
        """The answer, and the form in which it was got: what the server refuses to know is left out."""
        wire, path = self._wires[options.task], self._found.base + PATH[options.task]
        while True:
            answer, told = await post(self._connection, path, wire, audio, options, seconds)
            if told is not None:
                return wire, told
            simpler = wire.without(answer, options)
            if simpler is None or simpler == wire:
                raise self._connection.refused(answer, wire.model or "")
            wire = self._wires[options.task] = simpler


async def _surveyed(connection: Connection, model: str) -> Found:
    try:
        with anyio.fail_after(connection.patience + GRACE):
            return await survey(connection, model)
    except TimeoutError:
        what = f"{connection.host} answered too slowly for {connection.patience:.0f} s."
        raise BackendUnavailable(what, "Try again in a minute; its own log says why.") from None


async def _together(asked: list) -> list:
    tasks = [asyncio.ensure_future(one) for one in asked]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
