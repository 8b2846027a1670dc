"""How much work the API takes on at once.

A request holds a place from its first byte to its last; when all places are taken the next
one is told to come back (503 with Retry-After, which SDKs obey). Of those inside, only
`at_once` are recognised at a time; the others wait for their turn. Short recordings have as many
turns of their own: somebody waits for the answer, and must not wait for an hour of somebody else's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import anyio
from starlette.requests import Request

from asr.errors import Busy, Cancelled

SHORT = 2**20  # bytes: half a minute as WAV, some minutes compressed
T = TypeVar("T")


class Places:
    def __init__(self, at_once: int, waiting: int, admit: Callable[[], None] = lambda: None):
        """`admit` raises what is told to who comes when there can be no more."""
        self._admit = admit
        self.at_once, self.size = at_once, at_once + waiting
        self.taken = 0
        self._long, self._short = asyncio.Semaphore(at_once), asyncio.Semaphore(at_once)

    def turn_for(self, size: int) -> asyncio.Semaphore:
        """What an upload of so many bytes has to hold while it is recognised."""
        return self._short if size <= SHORT else self._long

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold one place; raises Busy at once when there is none."""
        if self.taken >= self.size:
            raise Busy("Every place is taken.", "Try again in a few seconds.")
        self._admit()
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1


async def unless_gone(request: Request, work: Awaitable[T]) -> T:
    """What `work` returns; when the client hangs up first, `work` is cancelled and Cancelled raised.

    The request's body must have been read: after it, the next message can only be the goodbye.
    """
    with anyio.CancelScope() as scope:  # not task.cancel(): threads that work for us are waited for
        leaving = asyncio.ensure_future(_goodbye(request, scope))
        try:
            return await work
        finally:
            leaving.cancel()
    raise Cancelled("The client went away.")


async def _goodbye(request: Request, scope: anyio.CancelScope) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
