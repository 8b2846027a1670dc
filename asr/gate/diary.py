"""A line for each request, with an id that the answer carries too.

Who runs the server wants to see calls of the API, logins and what broke. The page asks many times a
minute, and each stranger's scan fills a log: such lines are for ASR_LOG_LEVEL=debug.
"""

from __future__ import annotations

import logging
import time
from uuid import uuid4

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import Message, Scope, Send

from asr import logs
from asr.gate import paths

MARK = "parlance.request"
log = logging.getLogger(__name__)


def id_of(asking: HTTPConnection) -> str:
    """The request's id, also where it is worked on outside its own context; empty: it passed no gate."""
    return asking.scope.get(MARK, "")


class Entry:
    """From the first byte of a request to the last of its answer."""

    def __init__(self, scope: Scope, send: Send):
        self.scope, self._send, self.begun, self.status = scope, send, time.monotonic(), 0
        self.path = scope["path"]  # mounted applications may change it
        self.id = scope[MARK] = f"req_{uuid4().hex}"
        logs.about.set(self.id)

    async def send(self, message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            self.status = message["status"]
            headers = MutableHeaders(raw=list(message.get("headers", ())))
            headers.setdefault("X-Request-ID", self.id)
            message = {**message, "headers": headers.raw}
        elif message["type"] == "websocket.accept":
            self.status = 101
        await self._send(message)

    def close(self) -> None:
        """Write the line. The route is told, not the path: ids in it open things."""
        path = self.path
        if paths.is_asset(path) or paths.first(path) == "healthz":
            return
        known = getattr(self.scope.get("route"), "path", path if path in paths.GRADIO else "")
        mounted = "/v1" if paths.is_api(path) and not known.startswith("/v1") else ""
        route = f"{mounted}{known}" if known else f"/{paths.first(path)[:20]}/..."
        facts = {"method": self.scope.get("method", "WS"), "route": route, "status": self.status}
        facts["ms"] = round(1000 * (time.monotonic() - self.begun))
        log.log(self._level(), "request", extra=facts)

    def _level(self) -> int:
        if self.status >= 500:
            return logging.WARNING
        signs_in = paths.first(self.path) == "login" and self.scope.get("method") == "POST"
        wanted = paths.is_api(self.path) or signs_in
        return logging.INFO if wanted and self.status != 404 else logging.DEBUG
