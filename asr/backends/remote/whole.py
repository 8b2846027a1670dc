"""Whole recordings to another Parlance: it does all of the work, and tells each segment as it is known.

Nothing is listened to here, and nothing is sent twice: a long recording goes in long pieces that end
where it is quiet, and after a fault the next request begins where the last segment ended.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import ip_address
from urllib.parse import urlsplit

import numpy as np

from asr.audio import SAMPLE_RATE, Recording, flac
from asr.backends.remote.answers import timed
from asr.backends.remote.connection import ODD, Connection, Trouble
from asr.backends.remote.refusals import Answer
from asr.backends.remote.wire import Wire
from asr.types import Options, Segment

PIECE, LONGEST = 600.0, 750.0  # seconds sent at a time, and at most: 24 MB as bare samples
SMALLEST = 30.0  # seconds: a server that takes less takes no windows either
QUIET = 30.0  # seconds before the end of a piece in which to look for a quiet place
LEAST = 0.1  # seconds worth a request
TENTH = SAMPLE_RATE // 10


@dataclass(slots=True)
class Hearing:
    """One recording on its way through the server. Its times are the recording's."""

    connection: Connection
    path: str
    wire: Wire
    recording: Recording
    options: Options
    detects: bool  # the server says which language it heard, and can be told
    at: float = 0.0  # everything before it has been told
    piece: float = PIECE
    probability: float | None = None  # of the language, where the first piece told it

    async def tell(self, tell: Callable[[Segment], None]) -> None:
        """All segments, in time order. Raises what `Connection.ask` and `Connection.refused` give."""
        while self.recording.duration - self.at > LEAST:
            stop = await asyncio.to_thread(self._border)
            answer = await self.connection.patiently(lambda left, stop=stop: self._asked(stop, tell))
            if answer is None:
                self.at = stop
            elif answer.status == 413 and self.piece > SMALLEST:  # most often a proxy's limit
                self.piece = max(SMALLEST, self.piece / 2)
            else:
                raise self.connection.refused(answer, self.wire.model or "")

    async def _asked(self, stop: float, tell: Callable[[Segment], None]) -> Answer | None:
        """Ask about all that is still to tell before `stop`. Raises Trouble."""
        start, seconds = self.at, stop - self.at
        if seconds <= LEAST:
            return None

        def hear(event: dict) -> bool:
            if "error" in event:
                raise self._failed(event)
            if event.get("type") == "transcript.text.segment":
                segment = self._settled(timed(event, seconds).shifted(start))
                self.at = max(self.at, segment.end)
                tell(segment)
            return event.get("type") == "transcript.text.done"

        file = await asyncio.to_thread(self._file, start, stop)
        form = {**self.wire.form(self.options), "response_format": "verbose_json", "stream": "true"}
        silence = self.connection.patience + seconds  # a server may be as slow as the speech itself
        try:
            return await self.connection.listen(self.path, hear, silence, files={"file": file}, data=form)
        except Trouble as e:
            e.got_on = self.at > start
            raise

    def _settled(self, segment: Segment) -> Segment:
        """What the first piece tells of the language counts for the whole recording."""
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

    def _border(self) -> float:
        """Where the next piece ends: in the quietest half second that is near enough."""
        if self.recording.duration - self.at <= self.piece * LONGEST / PIECE:
            return self.recording.duration
        first = self.at + self.piece - min(QUIET, self.piece / 2)
        audio = self.recording.read(first, self.at + self.piece)
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
