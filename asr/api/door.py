"""The API as one application under /v1, with health and metrics beside it: everybody enters and leaves here.

Keys are asked for, every answer is counted and gets an X-Request-ID, and whatever goes wrong
leaves in OpenAI's shape.
"""

from __future__ import annotations

import logging
import time
from typing import Annotated
from uuid import uuid4

import anyio
from fastapi import Depends, FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asr import logs
from asr.api import body, errors, hub, keys, openapi, page, realtime, rest
from asr.api.errors import Refused
from asr.api.metrics import MEDIA_TYPE
from asr.api.server import Server
from asr.errors import ASRError

log = logging.getLogger(__name__)
_BEARER = HTTPBearer(
    auto_error=False, description="A key of ASR_API_KEYS; none from this machine when there are no keys."
)
_METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
ABOUT = """Speech to text, called like OpenAI's audio API: any OpenAI client works with
`base_url` set to this server's `/v1`. Live transcription is a WebSocket at `/v1/realtime`,
as in OpenAI's Realtime API (transcription sessions)."""


def routes(server: Server) -> list[BaseRoute]:
    """All there is, to be put into a Starlette, FastAPI or Gradio application."""
    return [
        Mount("/v1", application(server)),
        Route("/healthz", _alive(server)),
        Route("/healthz/ready", _ready(server)),
        Route("/metrics", _metrics(server)),
    ]


def application(server: Server) -> FastAPI:
    def allowed(
        request: Request, _: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]
    ) -> None:
        keys.admit(request, server.config)

    api = FastAPI(title="Parlance", version="1", description=ABOUT, docs_url=None, redoc_url=None)
    for rooms in (rest, hub):
        api.include_router(rooms.router(server), dependencies=[Depends(allowed)])
    api.include_router(realtime.router(server))
    api.add_exception_handler(ASRError, _failed)
    api.add_exception_handler(HTTPException, _unheard_of)
    api.add_middleware(_Counted, server=server)
    api.openapi = lambda: openapi.described(api, hub.Ask)
    api.add_route("/docs", lambda request: HTMLResponse(page.html(api.openapi())), include_in_schema=False)
    return api


async def _failed(request: Request, error: Exception) -> Response:
    await body.linger(request)
    return errors.response(error)


async def _unheard_of(request: Request, error: HTTPException) -> Response:
    """No such path, or not with this method."""
    await body.linger(request)
    allowed = [method for method in _METHODS if _served(request, method)]
    says = f"There is no {request.method} {request.url.path}."
    fix = f"It takes {' and '.join(allowed)}." if allowed else "GET /v1/docs lists what there is."
    answer = errors.response(Refused(says, fix, status=error.status_code))
    if allowed:
        answer.headers["Allow"] = ", ".join(allowed)
    return answer


def _served(request: Request, method: str) -> bool:
    scope = {**request.scope, "method": method}
    return any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)


class _Counted:
    """Outermost: counts and times each request, names it, and answers 500 for what nobody foresaw."""

    def __init__(self, app: ASGIApp, server: Server):
        self.app, self.metrics = app, server.metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        begun, name, status = time.monotonic(), logs.about.get() or f"req_{uuid4().hex}", 499

        async def named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", name.encode())]
            await send(message)

        try:
            await self.app(scope, receive, named)
        except Exception as e:
            if status != 499:
                raise
            log.exception("Request %s failed.", name)
            await errors.response(e)(scope, receive, named)
        finally:
            endpoint = getattr(scope.get("route"), "path", "other")
            self.metrics.requests.labels(endpoint, status).inc()
            self.metrics.seconds.labels(endpoint).observe(time.monotonic() - begun)


def _alive(server: Server):
    async def healthz(request: Request) -> Response:
        return JSONResponse({"status": "ok", **server.names.state()})

    return healthz


def _ready(server: Server):
    async def ready(request: Request) -> Response:
        state = server.names.state()
        return JSONResponse(state, 200 if state["ready"] else 503)

    return ready


def _metrics(server: Server):
    async def metrics(request: Request) -> Response:
        try:
            keys.admit(request, server.config)
        except Refused as e:
            return errors.response(e)
        server.metrics.places.set(server.places.taken)
        server.metrics.sessions.set(server.calls.taken)
        state = server.names.state()
        server.metrics.models.clear()
        server.metrics.models.labels(state["model"] or "").set(state["ready"])
        return Response(await anyio.to_thread.run_sync(server.metrics.text), media_type=MEDIA_TYPE)

    return metrics
