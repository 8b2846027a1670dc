"""How much and how fast: bodies, WebSocket messages, and connections on which nobody asks anything."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asr.api.body import SLOWEST
from asr.api.errors import Refused

STALLED = 60.0  # seconds without a byte of a body; the API's own limit is shorter, its answer better
MESSAGES, AT_ONCE = 2000, 10_000  # WebSocket messages a second, and how many may come in a burst


class Body:
    """A request's body, bounded: what is too large or too slow ends as if the client had gone.

    Then whatever the application answers is replaced: it could only say that the client went.
    """

    def __init__(self, receive: Receive, send: Send, most: int):
        self._receive, self._send, self.most = receive, send, most
        self.size, self.begun, self.over, self.answered = 0, time.monotonic(), False, False
        self.trouble: Refused | None = None

    async def serve(self, app: ASGIApp, scope: Scope, refusal: Callable[[Refused], Response]) -> None:
        announced = dict(scope["headers"]).get(b"content-length", b"")
        if announced.isdigit() and int(announced) > self.most:
            self.trouble = _too_large(self.most)
        try:
            if not self.trouble:
                await app(scope, self.receive, self.send)
        except Exception:
            if not self.trouble:
                raise
        if self.trouble and not self.answered:
            await refusal(self.trouble)(scope, self._receive, self._send)

    async def receive(self) -> Message:
        if self.over:  # the next message can only be the goodbye, and that may take hours
            return await self._receive()
        if self.trouble:
            return {"type": "http.disconnect"}
        try:
            message = await asyncio.wait_for(self._receive(), STALLED)
        except asyncio.TimeoutError:
            return self._end(Refused("The upload stopped.", "Send it again.", status=408))
        self.size += len(message.get("body", b""))
        self.over = not message.get("more_body", False)
        if self.size > self.most:
            return self._end(_too_large(self.most))
        if time.monotonic() - self.begun > STALLED + self.size / SLOWEST:
            return self._end(Refused("The upload is too slow.", "Send less at once.", status=408))
        return message

    async def send(self, message: Message) -> None:
        if self.trouble and not self.answered:
            return
        self.answered = True
        await self._send(message)

    def _end(self, trouble: Refused) -> Message:
        self.trouble, self.over = trouble, False
        return {"type": "http.disconnect"}


class Messages:
    """A WebSocket's `receive`: who floods it is read more slowly, and nobody is cut off."""

    def __init__(self, receive: Receive):
        self._receive, self._full = receive, time.monotonic()

    async def __call__(self) -> Message:
        message, now = await self._receive(), time.monotonic()
        self._full = max(self._full, now) + 1 / MESSAGES
        if (wait := self._full - now - AT_ONCE / MESSAGES) > 0:
            await asyncio.sleep(wait)
        return message


def impatient(protocol: type, patience: float) -> type:
    """uvicorn's HTTP protocol, which closes connections on which no request has begun for `patience` seconds.

    uvicorn waits for ever for the end of a request's headers (Slowloris sends them a byte at a time).
    """

    class Impatient(protocol):
        def connection_made(self, transport) -> None:
            super().connection_made(transport)
            self._seen = self.cycle
            self.loop.call_later(patience, self._look)

        def _look(self) -> None:
            if self.transport.is_closing() or self.transport.get_protocol() is not self:
                return  # gone, or a WebSocket by now
            idle = self.cycle is None or self.cycle.response_complete
            if idle and self.cycle is self._seen:
                self.transport.close()
                return
            self._seen = self.cycle
            self.loop.call_later(patience, self._look)

    return Impatient


def _too_large(most: int) -> Refused:
    return Refused(f"A request has at most {most / 2**20:,.0f} MiB here.", "Send less at once.", status=413)
