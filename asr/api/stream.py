"""Live transcription over one WebSocket: PCM16 in, JSON events out. docs/live.md describes it.

    WS      PATH?model=&language=&task=&prompt=&hotwords=&rate=16000&session=&after=0
    GET     PATH/{session}?format=json      the transcript so far, in any of FORMATS
    DELETE  PATH/{session}                  forget it

The events of a session are numbered; who comes back names the session and the last number
it has. A connection that is lost leaves the session paused, never its text behind.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from typing import TypeVar

import numpy as np
from starlette.datastructures import QueryParams
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from asr import languages
from asr.api.errors import Refused
from asr.audio import SAMPLE_RATE, Resampler
from asr.errors import ASRError, Busy
from asr.formats import FORMATS, MEDIA_TYPE, SUFFIX
from asr.journal import Entry, Gap, pack
from asr.models import Status
from asr.session import Now, Session, Source
from asr.sessions import Sessions
from asr.types import Options

CLOSE = 4000  # our close codes are this plus the HTTP status of the error
MOST_SOCKETS = 256
MOST_BYTES = 2**20  # of one message: half a minute at 16 kHz
MOST_TEXT = 16_384
MOST_BEHIND = 30.0  # seconds the model may lag before we stop reading: senders faster than speech wait
QUIET = 60.0  # seconds a new session may stay without audio
LOOK = 0.05  # seconds between two looks for news
NOW = ("state", "settling", "transport", "stable", "draft", "speaking", "trouble")
SAID = ("start", "end", "text", "language", "words", "unsure")

DISPLACED = Refused("This session goes on over another connection.", "Read along there.", status=409)

T = TypeVar("T")


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


@dataclass(frozen=True, slots=True)
class Policy:
    """What differs between the page's socket and the one for programs."""

    admit: Callable[[HTTPConnection], None]  # raises at who may not come in
    spec: Callable[
        [str], str | None
    ]  # which model a name means, None: the default; raises when it may not be had
    status: Callable[[str | None], Status]  # how it stands with that model


def routes(sessions: Sessions, policy: Policy, path: str = "/v1/stream") -> list[BaseRoute]:
    """The live routes at and below `path`."""
    hall = Hall(sessions, policy)
    return [
        WebSocketRoute(path, hall.socket),
        Route(f"{path}/{{session}}", hall.transcript, methods=["GET"]),
        Route(f"{path}/{{session}}", hall.forget, methods=["DELETE"]),
    ]


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

    async def socket(self, socket: WebSocket) -> None:
        await socket.accept()
        self.sockets += 1
        with suppress(WebSocketDisconnect):
            try:
                await (await self._seat(socket)).serve()
            except ASRError as e:
                await socket.send_text(_json("error", **_described(e)))
                await socket.close(CLOSE + e.status, e.what[:100])
            finally:
                self.sockets -= 1

    async def _seat(self, socket: WebSocket) -> Connection:
        self.policy.admit(socket)
        if self.sockets > MOST_SOCKETS:
            raise Busy("Too many connections are open.", "Try again in a minute.")
        query = socket.query_params
        rate, after = _number(query, "rate", SAMPLE_RATE), _number(query, "after", 0)
        asked = Asked.of(dict(query), Asked())
        asked.options()
        if id := query.get("session"):
            session = await self.apart(self.sessions.get, id)
        else:
            session = self.sessions.new()
        return Connection(self, socket, session, asked, Resampler(rate), after)

    async def transcript(self, request: Request) -> Response:
        format = request.query_params.get("format", "json")
        try:
            self.policy.admit(request)
            if format not in FORMATS:
                raise Refused(f"There is no format {format[:40]!r}.", f"There are: {', '.join(FORMATS)}.")
            session = await self.apart(self.sessions.get, request.path_params["session"])
        except ASRError as e:
            return _refusal(e)
        text = await self.apart(lambda: FORMATS[format](session.transcript()))
        began = datetime.fromtimestamp(session.journal.started or self.sessions.clock())
        headers = {
            "Content-Disposition": f'attachment; filename="live-{began:%Y-%m-%d-%H%M}{SUFFIX[format]}"',
            "Cache-Control": "no-store",
        }
        return Response(text, media_type=MEDIA_TYPE[format], headers=headers)

    async def forget(self, request: Request) -> Response:
        try:
            self.policy.admit(request)
            await self.apart(self.sessions.delete, request.path_params["session"])
        except ASRError as e:
            return _refusal(e)
        return Response(status_code=204)


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
            await self.socket.send_text(_json("started", at=round(self.source.begin, 4)))
        while self.session.behind > MOST_BEHIND:
            await asyncio.sleep(0.1)

    def _lost(self) -> None:
        """Our audio is not taken any more. Why?"""
        if self.source.displaced:
            raise DISPLACED
        if self.session.error and not self.session.journal.over:
            raise self.session.error
        if not self.source.heir:  # else another transport of the same client speaks
            self.source = None  # we were silent for long: the next piece starts again

    async def _obey(self, text: str) -> None:
        try:
            order = json.loads(text) if len(text) <= MOST_TEXT else None
            kind = order["type"]
        except (ValueError, TypeError, KeyError):
            kind = None
        if kind == "start":
            at = order.get("at")
            if not (at is None or (isinstance(at, (int, float)) and 0 <= at < 1e9)):
                raise Refused("`at` is no number of seconds.", "Send the time your audio starts at.")
            self.asked = Asked.of(order, self.asked)
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
                    raise DISPLACED
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
            _json(
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


def _wake(loop: asyncio.AbstractEventLoop, news: asyncio.Event) -> None:
    with suppress(RuntimeError):  # the server is going down
        loop.call_soon_threadsafe(news.set)


def _entry(seq: int, entry: Entry) -> str:
    if isinstance(entry, Gap):
        return _json("gap", seq=seq, start=entry.start, end=entry.end)
    fields = {k: v for k, v in pack(entry).items() if k in SAID}
    return _json("settled", seq=seq, **fields)


def _now(now: Now, loading: str) -> str:
    fields = {k: getattr(now, k) for k in NOW} | {k: round(getattr(now, k), 2) for k in ("behind", "heard")}
    return _json("now", **fields, loading=loading, error=_described(now.error) if now.error else None)


def _json(kind: str, **fields) -> str:
    return json.dumps({"type": kind, **fields})


def _described(error: ASRError) -> dict:
    return {"status": error.status, "what": error.what, "fix": error.fix}


def _refusal(error: ASRError) -> Response:
    return JSONResponse({"error": {"message": str(error), **_described(error)}}, error.status)


def _number(query: QueryParams, name: str, otherwise: int) -> int:
    text = query.get(name, str(otherwise))
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise Refused(f"{name}={text[:40]!r} is no whole number.", f"Leave it out for {otherwise}.")
    return int(text)
