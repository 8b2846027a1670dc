"""What every answer tells the browser not to do.

Gradio's scripts need inline scripts and eval (it compiles the `js=` of its events), so the policy
cannot forbid these on its page; it forbids everything that leaves this server. Pages of ours that
need less say so themselves, and keep what they say.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import Message, Send

from asr.config import Config
from asr.gate import origins

POLICY = {
    "default-src": "'self'",
    "script-src": "'self' 'unsafe-inline' 'unsafe-eval'",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data: blob:",
    "media-src": "'self' data: blob:",
    "font-src": "'self' data:",
    "connect-src": "'self' data: blob:",
    "worker-src": "'self' blob:",
    "object-src": "'none'",
    "base-uri": "'self'",
    "form-action": "'self'",
}
ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=(), payment=(), usb=()",
}
UNLESS_SAID = {"Referrer-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin"}


def wardrobe(config: Config) -> Callable[[HTTPConnection, Send], Send]:
    """dress(asking, send) is a `send` whose answers carry the headers."""
    hosts = config.embed.replace(",", " ").split()
    frames = " ".join(["frame-ancestors 'self'", *hosts])
    policy = "; ".join([*(f"{what} {whence}" for what, whence in POLICY.items()), frames])

    def put(headers: MutableHeaders) -> None:
        for name, value in UNLESS_SAID.items():
            headers.setdefault(name, value)
        headers.update(ALWAYS)
        own = headers.get("content-security-policy")
        headers["Content-Security-Policy"] = policy if not own else f"{own}; {frames}"
        if not hosts:
            headers["X-Frame-Options"] = "SAMEORIGIN"  # for browsers that know no frame-ancestors

    def dress(asking: HTTPConnection, send: Send) -> Send:
        async def dressed(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = MutableHeaders(raw=list(message.get("headers", ())))
                _open_to(origins.allowed(asking, config.cors), headers)
                put(headers)
                message = {**message, "headers": headers.raw}
            await send(message)

        return dressed

    return dress


def _open_to(origin: str, headers: MutableHeaders) -> None:
    """Gradio allows every origin on a public host; here only who was named may read."""
    for name in [name for name in headers if name.startswith("access-control-allow-")]:
        if name in ("access-control-allow-origin", "access-control-allow-credentials") or not origin:
            del headers[name]
    if origin:
        headers["Access-Control-Allow-Origin"] = origin
        headers.add_vary_header("Origin")
