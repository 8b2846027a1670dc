"""What every request passes first, the page's and the API's: one ASGI application around all others.

    app_kwargs={"routes": routes, "lifespan": gate.closed(config, routes)}   # before the port is open
    gate.tighten(page.server.config, config)                                 # what uvicorn bounds

In this order: addresses that nobody needs do not exist, other sites' pages stay outside, one address
or API key gets so many requests and sockets, the page asks for its password, and a body that is
larger or slower than it may be is cut off. docs/security.md says against whom.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import asynccontextmanager, suppress

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from asr import logs
from asr.api import body, errors, keys
from asr.api.errors import Refused
from asr.config import Config
from asr.gate import calls, headers, origins, owner, pages, paths
from asr.gate.calls import Calls
from asr.gate.diary import Entry
from asr.gate.flow import Body, Messages, impatient
from asr.gate.login import Login
from asr.gate.rates import Places, Rate, neighbourhood

MESSAGE = 2**24  # bytes of one WebSocket message: OpenAI's clients may send 15 MiB of audio in one
LINGERING = 30  # seconds until a connection that asks nothing is closed
log = logging.getLogger(__name__)


class Gate:
    def __init__(self, app: ASGIApp, config: Config, ours: frozenset[str]):
        """`ours`: the first part of every path that is not Gradio's."""
        self.app, self.config, self.ours = app, config, ours
        guarded = config.password, config.data_dir, bool(config.embed), config.login_days
        self.login = Login(*guarded) if config.password else None
        self.addresses = Rate.per_minute(config.requests_per_minute)
        self.keys = Rate.per_minute(config.key_requests_per_minute)
        self.sockets = Places(config.sockets_per_address)
        self.dress = headers.wardrobe(config)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        entry = Entry(scope, send)
        try:
            await self._served(scope, receive, entry.send)
        except Exception as e:
            await _broken(scope, receive, entry, e)
        finally:
            entry.close()

    async def _served(self, scope: Scope, receive: Receive, send: Send) -> None:
        asking = HTTPConnection(scope)
        send = self.dress(asking, send)
        if answer := origins.preflight(asking, self.config.cors):
            return await answer(scope, receive, send)
        sent = Body(receive, send, paths.most(scope["path"], self.config.max_upload_mb * 2**20))
        try:
            answer = await self._admitted(asking, sent.receive)
        except Refused as e:
            answer = pages.refusal(asking, e) if pages.read(asking) else refusal(scope["path"], e)
        except ClientDisconnect:  # or who was too slow
            answer = refusal(scope["path"], sent.trouble or Refused("The client went away."))
        if answer:
            return await _answered(answer, scope, sent, send)
        if scope["type"] == "websocket":
            return await self._socket(scope, receive, send)
        await sent.serve(self.app, scope, lambda e: refusal(scope["path"], e))

    async def _admitted(self, asking: HTTPConnection, receive: Receive) -> Response | None:
        """None: it may pass. Raises Refused; a response is the login's."""
        path, method = asking.scope["path"], asking.scope.get("method", "")
        if not paths.known(path, self.ours):
            raise Refused("There is no such address here.", "The page is at /.", status=404)
        origins.check(asking)
        if method not in ("GET", "HEAD", "OPTIONS") and not paths.is_api(path):
            origins.admit(asking)
        if not paths.is_asset(path):
            self._count(asking)
        if paths.needs_no_password(path):
            return None
        answer = await self.login.admit(asking, receive) if self.login else None
        if answer is None:
            owner.mark(asking, self.config)
        return answer

    def _count(self, asking: HTTPConnection) -> None:
        if (key := keys.held(asking, self.config)) is not None:
            self.keys.take(key)
        else:
            self.addresses.take(neighbourhood(asking))

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with self.sockets.taken(neighbourhood(HTTPConnection(scope))):
                await self.app(scope, Messages(receive), send)
        except Refused as e:
            await refusal(scope["path"], e)(scope, receive, send)


def closed(config: Config, routes: Sequence[BaseRoute]) -> Callable:
    """A lifespan for the application: when it starts, the gate is in place before anybody can ask."""
    doors = {"login", "logout"} if config.password else set()
    ours = doors.union(getattr(route, "path", "/").split("/")[1] for route in routes)

    @asynccontextmanager
    async def lifespan(app: Starlette):
        app.debug = False  # Gradio's is on: it shows our code to whoever makes it fail
        inside = Calls(app.build_middleware_stack(), calls.functions(app))
        app.middleware_stack = Gate(inside, config, frozenset(ours))
        yield

    return lifespan


def tighten(server, config: Config) -> None:
    """Bound what happens before there is a request; `server` is a uvicorn.Config that serves already."""
    server.ws_max_size = MESSAGE
    server.limit_concurrency = config.connections or None
    server.http_protocol_class = impatient(server.http_protocol_class, LINGERING)


def refusal(path: str, error: Refused) -> Response:
    """In the words of whom it is for: OpenAI's below /v1, otherwise what and fix."""
    return errors.response(error) if paths.is_api(path) else errors.sentence(error)


async def _broken(scope: Scope, receive: Receive, entry: Entry, error: Exception) -> None:
    """Nobody foresaw it: our log names its kind and place (uvicorn's would quote it), and the answer ends."""
    log.error("A request failed.", exc_info=error)
    if scope["type"] == "websocket" and entry.status == 101:
        with suppress(Exception):  # it may be closed
            await entry.send({"type": "websocket.close", "code": 1011})
    elif not entry.status:
        said = Refused("Something broke that should not.", logs.seen(), status=500)
        await refusal(scope["path"], said)(scope, receive, entry.send)


async def _answered(answer: Response, scope: Scope, sent: Body, send: Send) -> None:
    if scope["type"] == "http" and not sent.over and body.announced(request := Request(scope, sent.receive)):
        await body.linger(request)
    await answer(scope, sent.receive, send)  # before a socket is accepted, this is its handshake's answer
