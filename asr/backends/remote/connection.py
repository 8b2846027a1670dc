"""HTTP to one server: bounded in time and size, patient with a server that sleeps, silent about the token."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass
from functools import cache
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar
from urllib.parse import urlsplit

import anyio
import httpx

from asr.backends import waking
from asr.backends.remote.address import address, token
from asr.backends.remote.answers import Garbled, event_of
from asr.backends.remote.refusals import Answer, refusal, retry_after
from asr.config import Config
from asr.errors import ASRError, BackendUnavailable

AGAIN = (429, 502, 503, 504)
LARGEST = 4 << 20  # bytes of an answer; half a minute of speech in JSON takes a few thousand
TRY = 120.0  # seconds for one attempt: Hugging Face's image gives up then, too
LOST = 5  # attempts at a server that cannot be reached, in ten seconds or so; a sleeping one answers 503
ODD = 3  # attempts at an answer that breaks off, that nobody can read, or that is the server's own error
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0
AWAKE = 60.0  # seconds after an answer for which a server that answers 503 is busy, not asleep
Result = TypeVar("Result")
Item = TypeVar("Item")

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Trouble(Exception):
    """An attempt failed in a way that may pass."""

    error: ASRError
    attempts: float = float("inf")  # at most so many in a row
    pause: float = 0.0  # seconds the server asks for
    asleep: bool = False
    got_on: bool = False  # part of the answer is here, and need not be asked for again


class Connection:
    """Requests to the server that the owner configured. `spec` names the model whose state is told."""

    def __init__(self, config: Config, spec: str):
        self.url, self._token = address(config), token(config)
        self.host = urlsplit(self.url).netloc
        self.at_once, self.patience = max(1, config.endpoint_at_once), config.endpoint_patience
        self.spec = spec
        self._awake = float("-inf")
        # A compressed answer could be a thousand times as large as what we count while it comes in.
        self.headers = {"Accept-Encoding": "identity", "User-Agent": "parlance"}
        if self._token:
            self.headers["Authorization"] = f"Bearer {self._token}"
        self._client = httpx.AsyncClient(headers=self.headers, follow_redirects=False)
        self._places = asyncio.Semaphore(self.at_once)

    def run(self, work: Coroutine[None, None, Result]) -> Result:
        """Do `work` in the connections' thread; what interrupts the waiting stops the requests."""
        future = asyncio.run_coroutine_threadsafe(work, _loop())
        try:
            return future.result()
        finally:
            future.cancel()

    def begin(self, work: Coroutine[None, None, None]) -> None:
        """As `run`, but nobody waits for it."""
        asyncio.run_coroutine_threadsafe(work, _loop())

    def each(self, work: Callable[[Callable[[Item], None]], Coroutine[None, None, None]]) -> Iterator[Item]:
        """What `work` tells, as soon as it tells it; closing this stops the requests."""
        told: SimpleQueue[tuple[Item] | None] = SimpleQueue()
        future = asyncio.run_coroutine_threadsafe(work(lambda item: told.put((item,))), _loop())
        future.add_done_callback(lambda _: told.put(None))
        try:
            while item := told.get():
                yield item[0]
            future.result()
        finally:
            future.cancel()

    def refused(self, answer: Answer, model: str = "") -> ASRError:
        return refusal(answer, self.host, self._token, model)

    async def ask(
        self, method: str, path: str, read: Callable[[Answer], Result], **request
    ) -> tuple[Answer, Result | None]:
        """The answer, and what `read` makes of it where the status is 200; any other status is the caller's.

        Tries again where that may help. Raises BackendUnavailable. `read` raises Garbled for what it
        cannot read.
        """
        return await self.patiently(lambda left: self._attempt(method, path, read, min(left, TRY), request))

    async def patiently(self, tried: Callable[[float], Awaitable[Result]]) -> Result:
        """What `tried` returns; after Trouble it is called again, and told how many seconds are left.

        With growing pauses, `endpoint_patience` seconds in all since it last got on.
        """
        began, attempt, same, before = time.monotonic(), 0, 0, None
        try:
            while True:
                try:
                    return await tried(self.patience - (time.monotonic() - began))
                except Trouble as e:
                    trouble = e
                if trouble.got_on:
                    began, attempt, same = time.monotonic(), 0, 0
                attempt, elapsed = attempt + 1, time.monotonic() - began
                same = same + 1 if trouble.attempts == before else 1
                pause = min(FIRST_PAUSE * 2**attempt, LONGEST_PAUSE) * random.uniform(0.5, 1.0)
                before, pause = trouble.attempts, max(pause, trouble.pause)
                if same >= trouble.attempts or elapsed + pause > self.patience:
                    raise trouble.error
                if trouble.asleep:
                    waking.setdefault(self.spec, began)
                    log.warning("The endpoint %s is waking up (%.0f s).", self.host, elapsed)
                await asyncio.sleep(pause)
        finally:
            waking.pop(self.spec, None)

    async def _attempt(self, method, path, read, seconds: float, request: dict):
        try:
            with anyio.fail_after(seconds):
                async with self._places:
                    answer = await self._send(method, path, request)
        except TimeoutError:
            raise self.silent(seconds) from None
        except httpx.RequestError as e:
            raise self._lost(e) from None
        if self.final(answer).status != 200:
            return answer, None
        try:
            found = read(answer)
            if method == "POST":  # what stands before a sleeping server may well answer a GET
                self._awake = time.monotonic()
            return answer, found
        except Garbled as e:
            raise self.garbled(e) from None

    async def _send(self, method: str, path: str, request: dict) -> Answer:
        async with self._client.stream(method, path, timeout=None, **request) as response:
            return await _read(response)

    async def listen(
        self, path: str, hear: Callable[[dict], bool], silence: float, **request
    ) -> Answer | None:
        """Post once, and let `hear` have each event of the answer; it says which one is the last.

        Returns None then, or an answer whose status is not 200. No two events may be more than `silence`
        seconds apart. Raises Trouble.
        """
        try:
            with anyio.fail_after(silence) as scope:
                wait = httpx.Timeout(self.patience)  # for the next byte: a server at work sends comments
                async with self._client.stream("POST", path, timeout=wait, **request) as response:
                    if response.status_code != 200:
                        return self.final(await _read(response))
                    self._awake = time.monotonic()
                    async for event in _events(response):
                        scope.deadline = anyio.current_time() + silence
                        if hear(event):
                            return None
        except (TimeoutError, httpx.TimeoutException):
            raise self.silent(silence) from None
        except httpx.RequestError as e:
            raise self._lost(e) from None
        except Garbled as e:
            raise self.garbled(e) from None
        raise self.broken("before its end")

    def final(self, answer: Answer) -> Answer:
        """The answer, where asking again would bring the same; raises Trouble."""
        if answer.status in AGAIN:
            raise self._not_now(answer)
        if answer.status >= 500:
            raise Trouble(self.refused(answer), ODD)
        return answer

    def garbled(self, error: Garbled) -> Trouble:
        what = f"{self.host} answered with something that is no transcript ({error})."
        fix = "Is ASR_ENDPOINT_URL the address of a transcription API? Its log may say more."
        return Trouble(BackendUnavailable(what, fix), ODD)

    def silent(self, seconds: float) -> Trouble:
        what = f"{self.host} did not answer within {seconds:.0f} s."
        return Trouble(BackendUnavailable(what, "Is it overloaded? Try again in a minute."))

    def _not_now(self, answer: Answer) -> Trouble:
        pause = retry_after(answer)
        if answer.status == 429:
            later = f" It asks us to wait {pause:.0f} s." if pause else ""
            error = BackendUnavailable(
                f"{self.host} takes no more requests now (429).{later}",
                "Wait, raise the limit of your account, or lower ASR_ENDPOINT_AT_ONCE.",
            )
            return Trouble(error, pause=pause)
        if time.monotonic() - self._awake < AWAKE:
            error = BackendUnavailable(f"{self.host} is busy ({answer.status}).", "Try again in a minute.")
            return Trouble(error, pause=pause)
        error = BackendUnavailable(
            f"The endpoint {self.host} is still waking up after {self.patience:.0f} s ({answer.status}).",
            "Try again in a few minutes; if it never wakes up, its own log says why.",
        )
        return Trouble(error, pause=pause, asleep=True)

    def _lost(self, error: httpx.RequestError) -> Trouble:
        if isinstance(error, httpx.ConnectError):
            return self.unreachable(error)
        return self.broken(type(error).__name__)

    def unreachable(self, error: Exception) -> Trouble:
        what = f"{self.host} cannot be reached: {str(error)[:200]}."
        fix = "Is ASR_ENDPOINT_URL right, and is that server running?"
        return Trouble(BackendUnavailable(what, fix), LOST)

    def broken(self, how: str) -> Trouble:
        what = f"{self.host} broke off its answer ({how})."
        return Trouble(BackendUnavailable(what, "Try again; its log says why."), ODD)


async def _read(response: httpx.Response) -> Answer:
    body = bytearray()
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > LARGEST:
            break
    headers = response.headers
    media = headers.get("content-type", "").partition(";")[0].strip().lower()
    return Answer(response.status_code, media, bytes(body[:LARGEST]), headers.get("retry-after", ""))


async def _events(response: httpx.Response) -> AsyncIterator[dict]:
    """Server-sent events that hold JSON objects, as they come in. Raises Garbled."""
    rest = b""
    async for piece in response.aiter_bytes():
        *lines, rest = (rest + piece).split(b"\n")
        if len(rest) > LARGEST:
            raise Garbled("an event without end")
        for line in lines:
            if line.startswith(b"data:") and line[5:].strip() != b"[DONE]":
                yield event_of(line[5:])


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """The loop in which all requests run, in a thread of its own that ends with the process."""
    loop = asyncio.new_event_loop()
    Thread(target=loop.run_forever, name="endpoint", daemon=True).start()
    return loop
