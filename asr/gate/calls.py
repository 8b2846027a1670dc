"""What the page asks of Gradio, in the shape in which the page asks it.

Gradio looks at a call only once it is deep inside: a function that there is not, a file where a text
belongs or half a character end in its own 500. Here such calls end in a sentence before that.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asr.api import errors
from asr.api.errors import Refused

HEART, RUN, JOIN = "/gradio_api/heartbeat/", "/gradio_api/run/predict", "/gradio_api/queue/join"
EVENTS = "/gradio_api/queue/data"
CALLS = (RUN, JOIN, "/gradio_api/cancel", "/gradio_api/reset")
SESSION = re.compile(r"[A-Za-z0-9_-]{1,64}")
PLAIN = (str, int, float, bool, type(None))


def functions(app) -> Mapping:
    """Of a Gradio application, by their numbers; empty for any other."""
    return getattr(getattr(app, "blocks", None), "fns", {})


class Calls:
    def __init__(self, app: ASGIApp, known: Collection[int]):
        """`known`: the numbers of the page's functions."""
        self.app, self.known = app, known

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/gradio_api/"):
            return await self.app(scope, receive, send)
        request = Request(scope, receive)
        try:
            sound = _sessions(request)
            if sound and request.method == "POST" and scope["path"] in CALLS:
                data = await request.body()
                receive, sound = _again(data, receive), self._call(scope["path"], data)
        except ClientDisconnect:
            return
        if not sound:
            answer = errors.sentence(Refused("This is no call of the page's.", "Reload the page."))
            return await answer(scope, receive, send)
        if scope["path"] == EVENTS:
            return await self._events(scope, receive, send)
        await self.app(scope, receive, _mild(send) if scope["path"] == RUN else send)

    async def _events(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A stream for a session that there is not says so in an event, then breaks: here it ends."""
        try:
            await self.app(scope, receive, send)
        except RuntimeError as e:
            if not isinstance(e.__cause__, HTTPException):
                raise
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _call(self, path: str, data: bytes) -> bool:
        """Whether `data` is a call of one of the page's functions, or ends one."""
        try:
            call = json.loads(data)
            json.dumps(call, ensure_ascii=False).encode()  # half a surrogate pair is no text
        except (ValueError, RecursionError):
            return False
        if not isinstance(call, dict) or not _session(call.get("session_hash", "none")):
            return False
        number, values = call.get("fn_index"), call.get("data")
        if path not in (RUN, JOIN):
            return True
        return type(number) is int and number in self.known and isinstance(values, list) and _plain(values)


def _sessions(request: Request) -> bool:
    """Whether the address names its session, if it names one, as a page would."""
    path = request.url.path
    named = [path.removeprefix(HEART)] if path.startswith(HEART) else []
    return all(map(_session, [*named, *request.query_params.getlist("session_hash")]))


def _session(name) -> bool:
    return name is None or (isinstance(name, str) and SESSION.fullmatch(name) is not None)


def _plain(values: list) -> bool:
    """Whether these are what this page's inputs give: no files, which are the server's to open."""
    return all(isinstance(one, PLAIN) for value in values for one in _listed(value))


def _listed(value) -> list:
    return value if isinstance(value, list) else [value]


def _again(data: bytes, receive: Receive) -> Receive:
    given = [{"type": "http.request", "body": data, "more_body": False}]

    async def again() -> Message:
        return given.pop() if given else await receive()

    return again


def _mild(send: Send) -> Send:
    """Gradio says 500 for a value that one of its inputs refuses, too: 422 is what it means."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 500:
            message = {**message, "status": 422}
        await send(message)

    return sent
