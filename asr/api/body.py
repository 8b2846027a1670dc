"""The body of a request as it comes in: how fast, how much, and what becomes of a rest that nobody wants."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from starlette.requests import Request

from asr.api.errors import Refused
from asr.errors import ASRError, Cancelled, TooLarge

SLOWEST = 1024  # bytes a second, on average, after the first PATIENCE seconds
PATIENCE = 30.0  # without a byte: no network is silent for so long, and who holds sockets open gets no more


async def chunks(request: Request) -> AsyncIterator[bytes]:
    """The chunks of the body. Raises Refused (408) when they come too slowly, Cancelled when they stop."""
    begun, size, more = time.monotonic(), 0, True
    while more:
        try:
            message = await asyncio.wait_for(request.receive(), PATIENCE)
        except asyncio.TimeoutError:
            raise Refused("The upload stopped.", "Send it again.", status=408, code="timeout") from None
        if message["type"] == "http.disconnect":
            raise Cancelled("The client went away while sending.")
        chunk, more = message.get("body", b""), message.get("more_body", False)
        request.state.body_read = not more
        size += len(chunk)
        if time.monotonic() - begun > PATIENCE + size / SLOWEST:
            raise Refused("The upload is too slow.", "Send a smaller file.", status=408, code="timeout")
        yield chunk


async def read(request: Request, most: int, too_long: ASRError) -> bytes:
    """A small body, whole; raises `too_long` as soon as it has more than `most` bytes."""
    found = b""
    async for chunk in request.stream():
        if len(found := found + chunk) > most:
            raise too_long
    return found


def announced(request: Request) -> int:
    length = request.headers.get("content-length", "")
    return int(length) if length.isdecimal() else 0


def too_large(most: int) -> TooLarge:
    return TooLarge(
        f"The file is larger than {most / 2**20:,.0f} MiB.",
        "Send a shorter recording, or a compressed one (Opus, MP3).",
    )


async def linger(request: Request, seconds: float = 5.0) -> None:
    """Read on, and forget, what a refused client still sends: many read an answer only after that.

    Closing a connection with unread bytes resets it, and the refusal would be lost.
    """
    if request.method != "POST" or getattr(request.state, "body_read", False):
        return
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        try:
            message = await asyncio.wait_for(request.receive(), left)
        except asyncio.TimeoutError:
            return
        if not message.get("more_body"):
            return
