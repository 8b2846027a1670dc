"""A session of OpenAI's Realtime API, GA form, on the owner's server: audio out, text in.

It is a transcription session without turn detection: who feeds it says where an utterance ends. Names and
fields are those of OpenAI's reference, which `asr.api.realtime` serves, too.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from contextlib import suppress

import anyio
import httpx
import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException

from asr import languages
from asr.audio import SAMPLE_RATE, Resampler, to_pcm16
from asr.backends.remote.answers import Garbled, event_of
from asr.backends.remote.connection import ODD, Connection, Trouble
from asr.backends.remote.refusals import Answer
from asr.errors import ASRError

RATE = 24_000  # samples a second: the API has no other for PCM
LARGEST = 1 << 20  # bytes of a message; half a minute of speech as text takes a few thousand
FAREWELL = 1.0  # seconds to say goodbye in
_ITEM = "conversation.item.input_audio_transcription."
# The library's own logger tells headers, and so the token, to whoever debugs.
_quiet = logging.getLogger(f"{__name__}.socket")
_quiet.setLevel(logging.WARNING)


class _Straight(connect):
    """Follows no redirect: the token is for the configured address only."""

    def process_redirect(self, exc: Exception) -> Exception:
        return exc


class Talk:
    """An open session. Its methods raise Trouble, or an ASRError where trying again brings the same."""

    def __init__(self, connection: Connection, socket: ClientConnection):
        self.said = ""  # of the utterance that is being spoken
        self.language: str | None = None  # ISO 639-1, of the last utterance, where the server tells it
        self.lost: ASRError | Trouble | None = None  # why nothing more can come
        self._connection, self._socket = connection, socket
        self._awaited: dict[str, asyncio.Future[dict]] = {}
        self._resample = Resampler(SAMPLE_RATE, RATE)
        self._reader = asyncio.ensure_future(self._read())

    async def begin(self, session: dict) -> None:
        await self._until("session.created")
        await self._until("session.updated", {"type": "session.update", "session": session})

    async def append(self, audio: np.ndarray) -> None:
        """float32 (n,) at 16 kHz."""
        samples = to_pcm16(self._resample(to_pcm16(audio)))
        data = base64.b64encode(samples.astype("<i2", copy=False).tobytes()).decode()
        await self._send({"type": "input_audio_buffer.append", "audio": data})

    async def commit(self) -> str:
        """The utterance is over: its text."""
        event = await self._until(f"{_ITEM}completed", {"type": "input_audio_buffer.commit"})
        self.said = ""
        return event["transcript"]

    async def close(self) -> None:
        self._reader.cancel()
        with suppress(WebSocketException, OSError, TimeoutError), anyio.move_on_after(2 * FAREWELL):
            await self._socket.close()

    async def _until(self, kind: str, message: dict | None = None) -> dict:
        """The next event of a kind, after `message` is sent."""
        if self.lost:
            raise self.lost
        self._awaited[kind] = future = asyncio.get_running_loop().create_future()
        try:
            if message:
                await self._send(message)
            return await future
        finally:
            del self._awaited[kind]
            future.cancel()

    async def _send(self, message: dict) -> None:
        try:
            await self._socket.send(json.dumps(message))
        except WebSocketException:
            raise self._connection.broken("the socket closed") from None

    async def _read(self) -> None:
        try:
            async for message in self._socket:
                self._take(event_of(message))
            self._end(self._connection.broken("the socket closed"))
        except WebSocketException:
            self._end(self._connection.broken("the socket broke"))
        except Garbled as e:
            self._end(self._connection.garbled(e))

    def _take(self, event: dict) -> None:
        kind = event.get("type")
        if kind in ("error", f"{_ITEM}failed"):
            return self._end(self._failed(event, kind))
        if kind == f"{_ITEM}delta" and isinstance(event.get("delta"), str):
            self.said += event["delta"]
        if kind == f"{_ITEM}completed":
            if not isinstance(event.get("transcript"), str):
                raise Garbled("a completed turn without text")
            self.language = _language(event) or self.language
        if (future := self._awaited.get(kind)) and not future.done():
            future.set_result(event)

    def _end(self, why: ASRError | Trouble) -> None:
        """What is waited for now will not come."""
        self.lost = self.lost or why
        for future in self._awaited.values():
            if not future.done():
                future.set_exception(self.lost)

    def _failed(self, event: dict, kind: str) -> ASRError | Trouble:
        """What was wrong with our request will be wrong again; the server's own faults may pass."""
        about = event.get("error")
        about = about if isinstance(about, dict) else {}
        ours = kind == "error" and about.get("type") == "invalid_request_error"
        passes = about.get("code") in ("session_expired", "rate_limit_exceeded")
        error = self._connection.refused(_answer(400 if ours else 500, json.dumps(event).encode()))
        return error if ours and not passes else Trouble(error, ODD)


async def opened(connection: Connection, base: str, session: dict, seconds: float) -> Talk:
    """A new session at the server, as `session` wants it, within `seconds`. Raises as Talk does."""
    url = f"{base.replace('http', 'ws', 1)}/realtime?intent=transcription"
    trust = {"ssl": httpx.create_ssl_context()} if url.startswith("wss") else {}
    try:
        with anyio.fail_after(seconds):
            socket = await _Straight(
                url,
                additional_headers=connection.headers,
                user_agent_header=None,
                compression=None,
                max_size=LARGEST,
                open_timeout=None,
                close_timeout=FAREWELL,
                logger=_quiet,
                **trust,
            )
            talk = Talk(connection, socket)
            try:
                await talk.begin(session)
            except BaseException:
                await talk.close()
                raise
            return talk
    except TimeoutError:
        raise connection.silent(seconds) from None
    except InvalidStatus as e:
        answer = _answer(e.response.status_code, e.response.body or b"", e.response.headers)
        raise connection.refused(connection.final(answer)) from None
    except WebSocketException as e:
        raise connection.broken(type(e).__name__) from None
    except OSError as e:
        raise connection.unreachable(e) from None


def _answer(status: int, body: bytes, headers=()) -> Answer:
    headers = dict(headers.raw_items()) if headers else {}
    named = {name.lower(): value for name, value in headers.items()}
    media = named.get("content-type", "application/json").partition(";")[0].strip().lower()
    return Answer(status, media, body, named.get("retry-after", ""))


def _language(event: dict) -> str | None:
    """What another Parlance says of it."""
    with suppress(KeyError, IndexError, TypeError):
        code = event["languages"][0]["code"]
        return languages.code(code) if isinstance(code, str) else None
    return None
