"""One line for each request, with an id that the answer carries too."""

from __future__ import annotations

import logging
import time
from uuid import uuid4

from starlette.datastructures import MutableHeaders
from starlette.types import Message, Scope, Send

from asr import logs
from asr.gate import paths

log = logging.getLogger(__name__)


class Entry:
    """From the first byte of a request to the last of its answer."""

    def __init__(self, scope: Scope, send: Send):
        self.scope, self._send, self.begun, self.status = scope, send, time.monotonic(), 0
        self.path = scope["path"]  # mounted applications may change it
        self.id = uuid4().hex
        logs.request.set(self.id)

    async def send(self, message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            self.status = message["status"]
            headers = MutableHeaders(raw=list(message.get("headers", ())))
            headers.setdefault("X-Request-ID", f"req_{self.id}")
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
        route = known or f"/{paths.first(path)[:20]}/..."
        facts = {"method": self.scope.get("method", "WS"), "route": route, "status": self.status}
        log.info("request", extra=facts | {"ms": round(1000 * (time.monotonic() - self.begun))})
