"""A transcription as server-sent events: text as it is recognised, speakers when they are known, the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, aclosing
from typing import TypeVar

import anyio
from fastapi.responses import StreamingResponse

from asr.api import answers, errors, speakers
from asr.api.schema import Transcription
from asr.api.server import Server
from asr.audio import Recording
from asr.formats import diarized_segment
from asr.types import Segment, Transcript

T = TypeVar("T")
BEAT = 15.0  # seconds; proxies commonly hang up after 60 without a byte
WAIT = b": still at work\n\n"  # a comment, which clients skip
END = object()


async def told(
    server: Server,
    ask: Transcription,
    recording: Recording,
    segments: AsyncIterator[Segment],
    known: speakers.Known,
) -> AsyncIterator[bytes]:
    """transcript.text.delta as segments come, then transcript.text.done; or an error, and no more.

    With verbose_json each segment follows its delta, whole. Speakers are known when all was heard: with
    diarized_json every transcript.text.segment comes then.
    """
    heard: list[Segment] = []
    text = ""
    logprobs = bool(ask.include)
    try:
        while True:
            async with aclosing(_alive(anext(segments, END))) as waiting:
                async for segment in waiting:
                    if segment is None:
                        yield WAIT
            if segment is END:
                break
            before, text = text, text + segment.text
            heard.append(segment)
            yield answers.sse(answers.delta(before, text, segment, logprobs))
            if ask.response_format == "verbose_json":
                yield answers.sse(answers.timed(len(heard) - 1, segment))
        if ask.response_format == "diarized_json":
            work = speakers.told_apart(server, recording, tuple(heard), known)
            async with aclosing(_alive(work)) as waiting:
                async for found in waiting:
                    if found is None:
                        yield WAIT
                    else:
                        heard = list(found)
            for i, segment in enumerate(heard):
                yield answers.sse(diarized_segment(i, segment))
        yield answers.sse(answers.done(Transcript(tuple(heard), recording.duration), logprobs))
    except Exception as e:  # the status is sent already: SDKs raise what stands under `error`
        yield answers.sse({"error": errors.described(e)})


async def _alive(work: Awaitable[T]) -> AsyncIterator[T | None]:
    """None every BEAT seconds while `work` goes on, then what it returns. Closing this stops it."""
    scope = anyio.CancelScope()  # not task.cancel(): threads that work for us are waited for

    async def stoppable() -> T | None:
        with scope:
            return await work

    task = asyncio.ensure_future(stoppable())
    try:
        while not (await asyncio.wait({task}, timeout=BEAT))[0]:
            yield None
        yield task.result()
    finally:
        scope.cancel()
        with anyio.CancelScope(shield=True):
            await asyncio.gather(task, return_exceptions=True)


class Stream(StreamingResponse):
    """Server-sent events that let go of what they hold when they end, however they end."""

    def __init__(self, events: AsyncIterator[bytes], stack: AsyncExitStack):
        super().__init__(
            events,
            media_type="text/event-stream",
            headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
        )
        self._events, self._stack = events, stack

    async def __call__(self, scope, receive, send) -> None:
        async with self._stack:
            try:
                await super().__call__(scope, receive, send)
            finally:
                await self._events.aclose()
