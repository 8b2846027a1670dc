"""Live transcription over one WebSocket: PCM16 in, JSON events out. docs/live.md describes it.

    WS      PATH?model=&language=&task=&prompt=&hotwords=&rate=16000&session=&after=0
    GET     PATH/{session}?format=json      the transcript so far, in any of FORMATS
    DELETE  PATH/{session}                  forget it

The events of a session are numbered; who comes back names the session and the last number
it has. A connection that is lost leaves the session paused, never its text behind.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from functools import partial

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from asr.api.connection import Asked, Connection, Hall, Policy, described, event
from asr.api.errors import Refused
from asr.audio import SAMPLE_RATE, Resampler
from asr.errors import ASRError, Busy
from asr.formats import FORMATS, MEDIA_TYPE, SUFFIX
from asr.sessions import Sessions

CLOSE = 4000  # our close codes are this plus the HTTP status of the error
MOST_SOCKETS = 256

__all__ = ["Policy", "routes"]


def routes(sessions: Sessions, policy: Policy, path: str = "/v1/stream") -> list[BaseRoute]:
    """The live routes at and below `path`."""
    hall = Hall(sessions, policy)
    return [
        WebSocketRoute(path, partial(_socket, hall)),
        Route(f"{path}/{{session}}", partial(_transcript, hall), methods=["GET"]),
        Route(f"{path}/{{session}}", partial(_forget, hall), methods=["DELETE"]),
    ]


async def _socket(hall: Hall, socket: WebSocket) -> None:
    await socket.accept()
    hall.sockets += 1
    with suppress(WebSocketDisconnect):
        try:
            connection = await _seat(hall, socket)
            await connection.serve()
        except ASRError as e:
            await socket.send_text(event("error", **described(e)))
            await socket.close(CLOSE + e.status, e.what[:100])
        finally:
            hall.sockets -= 1


async def _seat(hall: Hall, socket: WebSocket) -> Connection:
    hall.policy.admit(socket)
    if hall.sockets > MOST_SOCKETS:
        raise Busy("Too many connections are open.", "Try again in a minute.")
    query = socket.query_params
    rate, after = _number(query, "rate", SAMPLE_RATE), _number(query, "after", 0)
    asked = Asked.of(dict(query), Asked())
    asked.options()
    id = query.get("session")
    session = await hall.apart(hall.sessions.get, id) if id else hall.sessions.new()
    return Connection(hall, socket, session, asked, Resampler(rate), after)


async def _transcript(hall: Hall, request: Request) -> Response:
    format = request.query_params.get("format", "json")
    try:
        hall.policy.admit(request)
        if format not in FORMATS:
            raise Refused(f"There is no format {format[:40]!r}.", f"There are: {', '.join(FORMATS)}.")
        session = await hall.apart(hall.sessions.get, request.path_params["session"])
    except ASRError as e:
        return _refusal(e)
    text = await hall.apart(lambda: FORMATS[format](session.transcript()))
    began = datetime.fromtimestamp(session.journal.started or hall.sessions.clock())
    headers = {
        "Content-Disposition": f'attachment; filename="live-{began:%Y-%m-%d-%H%M}{SUFFIX[format]}"',
        "Cache-Control": "no-store",
    }
    return Response(text, media_type=MEDIA_TYPE[format], headers=headers)


async def _forget(hall: Hall, request: Request) -> Response:
    try:
        hall.policy.admit(request)
        await hall.apart(hall.sessions.delete, request.path_params["session"])
    except ASRError as e:
        return _refusal(e)
    return Response(status_code=204)


def _refusal(error: ASRError) -> Response:
    return JSONResponse({"error": {"message": str(error), **described(error)}}, error.status)


def _number(query: QueryParams, name: str, otherwise: int) -> int:
    text = query.get(name, str(otherwise))
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise Refused(f"{name}={text[:40]!r} is no whole number.", f"Leave it out for {otherwise}.")
    return int(text)
