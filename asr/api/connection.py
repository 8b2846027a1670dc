"""One WebSocket of live transcription: what a client sends, what it reads."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from typing import TypeVar

import numpy as np
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket

from asr import languages
from asr.api.errors import Refused
from asr.errors import ASRError
from asr.models import Status
from asr.sessions import Sessions
from asr.sessions.journal import Entry, Gap, pack
from asr.sessions.session import Session
from asr.sessions.source import Now, Source
from asr.types import Options

MOST_BYTES = 2**20  # of one message: half a minute at 16 kHz
MOST_TEXT = 16_384
MOST_BEHIND = 30.0  # seconds the model may lag before we stop reading: senders faster than speech wait
QUIET = 60.0  # seconds a new session may stay without audio
LOOK = 0.05  # seconds between two looks for news
NOW = ("state", "settling", "transport", "stable", "draft", "speaking", "trouble")
SAID = ("start", "end", "text", "language", "words", "unsure")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Policy:
    """What differs between the page's socket and the one for programs."""

    admit: Callable[[HTTPConnection], None]  # raises at who may not come in
    spec: Callable[
        [str], str | None
    ]  # which model a name means, None: the default; raises when it may not be had
    status: Callable[[str | None], Status]  # how it stands with that model


class Hall:
    """What all connections share."""

    def __init__(self, sessions: Sessions, policy: Policy):
        self.sessions, self.policy = sessions, policy
        self.sockets = 0
        # Threads of our own: opening a session waits for its model, and must not stop anybody else's.
        self._threads = ThreadPoolExecutor(64, "live-open")

    async def apart(self, work: Callable[..., T], *args) -> T:
        """Do blocking work in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *args)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client wants of the next audio it sends."""

    model: str = "auto"
    language: str = ""
    task: str = "transcribe"
    prompt: str = ""
    hotwords: str = ""

    @classmethod
    def of(cls, values: dict, before: Asked) -> Asked:
        """`values` over `before`; raises Refused."""
        wanted = {k: values.get(k, v) for k, v in asdict(before).items()}
        if not all(isinstance(v, str) and len(v) <= 1000 for v in wanted.values()):
            raise Refused("A parameter is no text or is longer than 1000 characters.", "Shorten it.")
        return cls(**{k: v.strip() for k, v in wanted.items()})

    def options(self) -> Options:
        if self.task not in ("transcribe", "translate"):
            raise Refused(f"There is no task {self.task[:40]!r}.", "Use transcribe or translate.")
        language = languages.code(self.language) if self.language else None
        if self.language and not language:
            raise Refused(
                f"{self.language[:40]!r} is no language we know.", "Use a code as in ISO 639-1: en."
            )
        return Options(language, self.task, prompt=self.prompt or None, hotwords=self.hotwords or None)


class Connection:
    """One WebSocket and the session it speaks in, or only reads."""

    def __init__(self, hall: Hall, socket: WebSocket, session: Session, asked: Asked, resample, after: int):
        self.hall, self.socket, self.session = hall, socket, session
        self.asked, self.resample, self.seq = asked, resample, max(after, 0)
        self.source: Source | None = None
        self._half = b""  # of a sample that was cut in two

    async def serve(self) -> None:
        """Until the client goes, the session is over, or an ASRError says why not."""
        tasks = [asyncio.create_task(work) for work in (self._read(), self._write())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self.source:
                self.source.leave()

    # -- what the client sends

    async def _read(self) -> None:
        while True:
            message = await self.socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if (data := message.get("bytes")) is not None:
                await self._hear(data)
            else:
                await self._obey(message["text"])

    async def _hear(self, data: bytes) -> None:
        if len(data) > MOST_BYTES:
            raise Refused(f"A message has {len(data)} bytes.", f"Send at most {MOST_BYTES}.", status=413)
        if self.session.journal.over:
            return  # the farewell is on its way
        if not self.source:
            await self._start(None)
        data = self._half + data
        whole = len(data) // 2 * 2
        self._half = data[whole:]
        first = self.source.begin is None
        if not self.source.feed(self.resample(np.frombuffer(data[:whole], "<i2"))):
            self._lost()
        elif first and self.source.begin is not None:
            await self.socket.send_text(event("started", at=round(self.source.begin, 4)))
        while self.session.behind > MOST_BEHIND:
            await asyncio.sleep(0.1)

    def _lost(self) -> None:
        """Our audio is not taken any more. Why?"""
        if self.source.displaced:
            raise _displaced()
        if self.session.error and not self.session.journal.over:
            raise self.session.error
        if not self.source.heir:  # else another transport of the same client speaks
            self.source = None  # we were silent for long: the next piece starts again

    async def _obey(self, text: str) -> None:
        try:
            order = json.loads(text) if len(text) <= MOST_TEXT else None
            kind = order["type"]
        except (ValueError, TypeError, KeyError, RecursionError):
            kind = None
        if kind == "start":
            at = order.get("at")
            if not (at is None or (isinstance(at, (int, float)) and 0 <= at < 1e9)):
                raise Refused("`at` is no number of seconds.", "Send the time your audio starts at.")
            self.asked = Asked.of(order, self.asked)
            self.session.keeping = order.get("keep") is True
            await self._start(at)
        elif kind == "pause":
            self.source = None
            self.session.pause()
        elif kind == "end":
            self.source = None
            self.session.end()
        else:
            raise Refused(
                "This message is none we know.",
                'Send PCM16 as binary, or {"type": "start"}, {"type": "pause"} or {"type": "end"} as text.',
            )

    async def _start(self, at: float | None) -> None:
        options, self._half = self.asked.options(), b""
        spec = await self.hall.apart(self.hall.policy.spec, self.asked.model)
        self.source = await self.hall.apart(self.session.take, spec, options, at)

    # -- what the client reads

    async def _write(self) -> None:
        loop, news = asyncio.get_running_loop(), asyncio.Event()
        unwatch = self.session.watch(partial(_wake, loop, news))
        try:
            await self._greet()
            last, since = None, loop.time()
            while True:
                news.clear()
                if self.source and self.source.displaced:
                    raise _displaced()
                entries, now = self.session.after(self.seq)
                for entry in entries:
                    self.seq += 1
                    await self.socket.send_text(_entry(self.seq, entry))
                loading = self.hall.policy.status(self.session.model).says if now.opening else ""
                if (now, loading) != last:
                    await self.socket.send_text(_now(now, loading))
                    last = now, loading
                if now.state == "over" and not now.settling:
                    await self.socket.close(1000)
                    return
                if now.state != "connecting" or self.session.busy:
                    since = loop.time()
                elif loop.time() - since > QUIET:
                    raise Refused("No audio came.", "Connect again when there is some.", status=408)
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(news.wait(), 1.0)  # behind and heard change by themselves
                await asyncio.sleep(LOOK)
        finally:
            unwatch()

    async def _greet(self) -> None:
        house = self.hall.sessions
        await self.socket.send_text(
            event(
                "session",
                session=self.session.id,
                state=self.session.state,
                seq=len(self.session.journal.entries),
                heard=round(self.session.heard, 4),
                longest=house.longest,
                resume=house.resume,
                keep=house.keep * 3600,
            )
        )


def _displaced() -> Refused:
    return Refused("This session goes on over another connection.", "Read along there.", status=409)


def _wake(loop: asyncio.AbstractEventLoop, news: asyncio.Event) -> None:
    with suppress(RuntimeError):  # the server is going down
        loop.call_soon_threadsafe(news.set)


def _entry(seq: int, entry: Entry) -> str:
    if isinstance(entry, Gap):
        return event("gap", seq=seq, start=entry.start, end=entry.end)
    fields = {k: v for k, v in pack(entry).items() if k in SAID}
    return event("settled", seq=seq, **fields)


def _now(now: Now, loading: str) -> str:
    fields = {k: getattr(now, k) for k in NOW} | {k: round(getattr(now, k), 2) for k in ("behind", "heard")}
    return event("now", **fields, loading=loading, error=described(now.error) if now.error else None)


def event(kind: str, **fields) -> str:
    return json.dumps({"type": kind, **fields})


def described(error: ASRError) -> dict:
    return {"status": error.status, "what": error.what, "fix": error.fix}
