"""OpenAI's Realtime API (GA form), transcription sessions: a WebSocket at /v1/realtime.

    client: session.update · input_audio_buffer.append · .commit · .clear
    server: session.created · session.updated · error
            input_audio_buffer.speech_started · .speech_stopped · .committed · .cleared
            conversation.item.added · .done
            conversation.item.input_audio_transcription.delta · .completed · .failed

The names and fields are those of OpenAI's reference as its Python SDK 3.54 has them. Here is the
transport; what the events mean is in `asr.api.call`.
"""

from __future__ import annotations

import asyncio
import json
import time
from math import inf

import anyio
from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect

from asr.api import errors, keys
from asr.api.call import Call
from asr.api.errors import Refused
from asr.api.server import Server
from asr.api.settings import Session, updated
from asr.errors import ASRError

UNREAD = 2000  # events a client may leave unread
MESSAGE = 16 * 2**20  # characters in one message; OpenAI takes 15 MiB of audio
_JSON = "Send one JSON object per text message."


def router(server: Server) -> APIRouter:
    routes = APIRouter()

    @routes.websocket("/realtime")
    async def realtime(socket: WebSocket) -> None:
        try:
            keys.admit(socket, server.config)
            session = await _wanted(server, socket)
            async with server.calls.place():
                await _talk(server, socket, session)
        except ASRError as e:
            await socket.send_denial_response(errors.response(e))

    return routes


async def _wanted(server: Server, socket: WebSocket) -> Session:
    """The session that the address asks for. Raises Refused."""
    intent, model = socket.query_params.get("intent", "transcription"), socket.query_params.get("model")
    if intent != "transcription":
        raise Refused(
            "This server transcribes; it holds no conversations.",
            "Use ?intent=transcription.",
            param="intent",
        )
    if model:
        await anyio.to_thread.run_sync(server.names.spec, model)
        return updated(Session(), {"audio": {"input": {"transcription": {"model": model}}}})
    return Session()


async def _talk(server: Server, socket: WebSocket, session: Session) -> None:
    # Browsers send their key as a subprotocol and expect the other one back.
    offered = [p.strip() for p in socket.headers.get("sec-websocket-protocol", "").split(",")]
    await socket.accept("realtime" if "realtime" in offered else None)
    outbox: asyncio.Queue[dict | None] = asyncio.Queue()
    lasting = server.config.live_hours * 3600
    idle = server.config.realtime_idle_minutes * 60 or inf
    call = Call(server, session, outbox.put_nowait, int(time.time() + lasting))
    writer = asyncio.ensure_future(_write(socket, outbox))
    reader = asyncio.ensure_future(_read(socket, call, time.monotonic() + lasting, idle))
    try:
        await asyncio.wait({writer, reader}, return_when=asyncio.FIRST_COMPLETED)
        outbox.put_nowait(None)
        await asyncio.wait({writer}, timeout=5)
    finally:
        call.close()
        for task in (reader, writer):
            task.cancel()
        await asyncio.gather(reader, writer, return_exceptions=True)


async def _read(socket: WebSocket, call: Call, until: float, idle: float) -> None:
    """Handle messages until the client leaves, sends nothing for `idle` seconds or has had its time."""
    while True:
        try:
            message = await asyncio.wait_for(socket.receive(), min(idle, max(0.1, until - time.monotonic())))
        except asyncio.TimeoutError:
            why = f"Nothing came for {idle:.0f} seconds."
            if time.monotonic() >= until:
                why = "The session has lasted as long as it may."
            await call.finish()
            return call.tell_error(Refused(why, "Connect again.", code="session_expired"))
        if message["type"] == "websocket.disconnect":
            return
        try:
            event = _parsed(message.get("text"))
        except Refused as e:
            call.tell_error(e)
        else:
            await call.hear(event)


async def _write(socket: WebSocket, outbox: asyncio.Queue[dict | None]) -> None:
    """Send what is in `outbox`, then close. Ends early when the client does not read."""
    try:
        while (event := await outbox.get()) is not None:
            if outbox.qsize() > UNREAD:
                break
            await socket.send_text(json.dumps(event))
        await socket.close(1000)
    except (WebSocketDisconnect, RuntimeError):  # it left first
        pass


def _parsed(text: str | None) -> dict:
    if text is None:
        raise Refused("This message is binary.", _JSON, code="invalid_json")
    if len(text) > MESSAGE:
        raise Refused(f"The message is longer than {MESSAGE} characters.", "Send audio in smaller pieces.")
    try:
        event = json.loads(text)
    except (ValueError, RecursionError):
        raise Refused("This message is not JSON.", _JSON, code="invalid_json") from None
    if not isinstance(event, dict):
        raise Refused("This message is no JSON object.", _JSON, code="invalid_json")
    return event
