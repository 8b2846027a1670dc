"""Whole recordings to another Parlance: it does all of the work, and tells each segment as it is known.

Nothing is listened to here, and nothing is sent twice. A long recording goes in long pieces that end where
it is quiet, the next one under way while the last is being recognised; after a fault a piece goes on
where its last segment ended.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from urllib.parse import urlsplit

import numpy as np

from asr.audio import SAMPLE_RATE, Recording, flac
from asr.backends.remote.answers import timed
from asr.backends.remote.connection import ODD, Connection, Trouble
from asr.backends.remote.refusals import Answer
from asr.backends.remote.wire import Wire
from asr.types import Options, Segment

LONGEST = 600.0  # seconds sent at a time: 19 MB as bare samples, and many a proxy stops at 25
SMALLEST = 30.0  # seconds: a server that takes less takes no windows either
QUIET = 30.0  # seconds before the end of a piece in which to look for a quiet place
LEAST = 0.1  # seconds worth a request
TENTH = SAMPLE_RATE // 10


@dataclass(slots=True)
class Piece:
    """Some of the recording, in seconds, and what is told of it: segments, then None."""

    at: float  # what comes before is told
    stop: float
    told: asyncio.Queue[Segment | None] = field(default_factory=asyncio.Queue)
    work: asyncio.Task[None] | None = None

    def over(self, work: asyncio.Task[None]) -> None:
        work.cancelled() or work.exception()  # asyncio would complain of an error that nobody waits for
        self.told.put_nowait(None)

    async def segments(self) -> AsyncIterator[Segment]:
        while segment := await self.told.get():
            yield segment
        await self.work  # raises what went wrong


@dataclass(slots=True)
class Hearing:
    """One recording on its way through the server. Its times are the recording's."""

    connection: Connection
    path: str
    wire: Wire
    recording: Recording
    options: Options
    detects: bool  # the server says which language it heard, and can be told
    longest: float = LONGEST  # seconds of a piece; less where the server takes less
    probability: float | None = None  # of the language, where it was told first

    async def tell(self, tell: Callable[[Segment], None]) -> None:
        """All segments, in time order. Raises what `Connection.ask` and `Connection.refused` give."""
        following = self._sent(0.0)
        try:
            while current := following:
                following = None
                async for segment in current.segments():
                    tell(self._settled(segment))
                    following = following or self._sent(current.stop)
                following = following or self._sent(current.stop)
        finally:
            for piece in (current, following):
                if piece:
                    piece.work.cancel()

    def _sent(self, start: float) -> Piece | None:
        """The piece that begins at `start`, on its way; None where nothing is left."""
        if self.recording.duration - start <= LEAST:
            return None
        piece = Piece(start, self._border(start, LONGEST))
        piece.work = asyncio.ensure_future(self._hear(piece))
        piece.work.add_done_callback(piece.over)
        return piece

    async def _hear(self, piece: Piece) -> None:
        while piece.stop - piece.at > LEAST:
            stop = min(piece.stop, self._border(piece.at, self.longest))
            answer = await self.connection.patiently(lambda _, stop=stop: self._asked(piece, stop))
            if answer is None:
                piece.at = stop
            elif answer.status == 413 and self.longest > SMALLEST:  # most often a proxy's limit
                self.longest = max(SMALLEST, self.longest / 2)
            else:
                raise self.connection.refused(answer, self.wire.model or "")

    async def _asked(self, piece: Piece, stop: float) -> Answer | None:
        """Ask once about what is still to tell before `stop`. Raises Trouble."""
        start, seconds = piece.at, stop - piece.at
        if seconds <= LEAST:
            return None

        def hear(event: dict) -> bool:
            if "error" in event:
                raise self._failed(event)
            if event.get("type") == "transcript.text.segment":
                segment = timed(event, seconds).shifted(start)
                piece.at = max(piece.at, segment.end)
                piece.told.put_nowait(segment)
            return event.get("type") == "transcript.text.done"

        file = await asyncio.to_thread(self._file, start, stop)
        form = {**self.wire.form(self.options), "response_format": "verbose_json", "stream": "true"}
        silence = self.connection.patience + seconds  # a server may be as slow as the speech itself
        try:
            return await self.connection.listen(self.path, hear, silence, files={"file": file}, data=form)
        except Trouble as e:
            e.got_on = piece.at > start
            raise

    def _settled(self, segment: Segment) -> Segment:
        """What is told of the language first counts for the whole recording."""
        if self.detects and segment.language and not self.options.language:
            self.probability = segment.language_probability
            self.options = replace(self.options, language=segment.language)
        return replace(segment, language_probability=self.probability)

    def _failed(self, event: dict) -> Exception:
        """What an error amid the events comes to; the server's own may pass."""
        kind = event["error"].get("type") if isinstance(event["error"], dict) else None
        status = 400 if kind == "invalid_request_error" else 500
        error = self.connection.refused(Answer(status, "application/json", json.dumps(event).encode()))
        return error if status == 400 else Trouble(error, ODD)

    def _file(self, start: float, stop: float) -> tuple[str, bytes, str]:
        """Bare samples where the way is short; on a long one half the bytes are worth the work."""
        if not _is_near(self.connection.url):
            return "audio.flac", flac(self.recording.read(start, stop)), "audio/flac"
        samples = self.recording.samples[round(start * SAMPLE_RATE) : round(stop * SAMPLE_RATE)]
        return "audio.pcm", samples.astype("<i2", copy=False).tobytes(), f"audio/pcm;rate={SAMPLE_RATE}"

    def _border(self, start: float, longest: float) -> float:
        """Where a piece from `start` ends: in the quietest half second that is near enough."""
        if self.recording.duration - start <= longest * 1.2:
            return self.recording.duration
        first = start + longest - min(QUIET, longest / 2)
        audio = self.recording.read(first, start + longest)
        loudness = (audio[: len(audio) // TENTH * TENTH].reshape(-1, TENTH) ** 2).sum(axis=1)
        quietest = int(np.convolve(loudness, np.ones(5), "valid").argmin())
        return first + (quietest + 2.5) / 10


def _is_near(url: str) -> bool:
    """Whether the server is on this machine or in its own network, as far as the address tells."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_private
    except ValueError:
        return "." not in host or host.endswith((".local", ".internal"))
