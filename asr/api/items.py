"""One item of a realtime session: audio on its way to the scheduler, and its words on their way back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from uuid import uuid4

import numpy as np

from asr.api.schema import language_of
from asr.api.server import Server
from asr.api.settings import Transcription
from asr.audio import SAMPLE_RATE
from asr.errors import ASRError, Busy
from asr.live import Update
from asr.scheduler import LiveStream
from asr.types import Options


def name(kind: str) -> str:
    """A new id, as OpenAI's look: item_..., sess_..., event_..."""
    return f"{kind}_{uuid4().hex[:21]}"


class Item:
    """A turn. It exists before its first sample, so that its stream is ready when somebody speaks."""

    def __init__(self, silent: bool):
        """`silent`: the session wants no transcription."""
        self.id = name("item")
        self.silent = self.done = silent
        self.samples = 0
        self.over = False  # committed: no more audio comes
        self.error: ASRError | None = None
        self.language: str | None = None
        self.told = 0  # characters of `text` that the client knows
        self._stream: LiveStream | None = None
        self._waiting: list[np.ndarray] = []  # audio that came before the stream
        self._final = self._settled = ""

    @property
    def text(self) -> str:
        """What is settled: it only grows."""
        return self._settled.strip()

    @property
    def transcript(self) -> str:
        """The final text."""
        return self._final.strip()

    @property
    def seconds(self) -> float:
        return self.samples / SAMPLE_RATE

    @property
    def behind(self) -> float:
        """Seconds of audio the model has not heard yet."""
        return sum(map(len, self._waiting)) / SAMPLE_RATE + (self._stream.behind if self._stream else 0.0)

    def shown(self) -> dict:
        """As conversation.item.added and .done show it."""
        content = [{"type": "input_audio", "transcript": None}]
        about = {"object": "realtime.item", "type": "message", "role": "user", "status": "completed"}
        return {"id": self.id, **about, "content": content}

    def feed(self, audio: np.ndarray) -> None:
        self.samples += len(audio)
        if self._stream:
            self._stream.feed(audio)
        elif not self.done:
            self._waiting.append(audio)

    def commit(self) -> None:
        self.over = True
        if self._stream:
            self._stream.finish()

    def connect(self, stream: LiveStream) -> None:
        """Here is the stream: it gets what has been waiting for it."""
        self._stream = stream
        for audio in self._waiting:
            stream.feed(audio)
        self._waiting = []
        if self.over:
            stream.finish()

    def take(self, update: Update) -> None:
        self._final += "".join(s.text for s in update.final)
        self.language = next((s.language for s in update.final if s.language), self.language)
        settled = self._final + update.stable
        if settled.startswith(self._settled):
            self._settled = settled
        self.done = self.done or update.done
        if update.done and update.error:
            self.error = ASRError(update.error)

    def fail(self, error: ASRError) -> None:
        self.error, self.done, self._waiting = error, True, []

    def close(self) -> None:
        self.done, self._waiting = True, []
        if self._stream:
            self._stream.close()


async def opened(
    server: Server, asked: Transcription, patience: float, on_update: Callable[[Update], None]
) -> LiveStream:
    """A stream of the model that was asked for, when it is loaded and has a place. Raises ASRError."""
    backend = await server.names.backend(asked.model)
    options = Options(
        language=language_of(asked.language, asked.languages),
        prompt=asked.prompt or None,
        hotwords=", ".join(asked.keywords) or None,
    )
    until = time.monotonic() + patience
    while True:
        try:
            return server.schedulers.get(backend).open(options, on_update)
        except Busy:
            if time.monotonic() >= until:
                raise
            await asyncio.sleep(0.1)
