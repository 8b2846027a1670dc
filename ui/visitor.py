"""Who asks: the browser's secret in a header, a body within bounds, and refusals as JSON with a sentence.

A browser makes its secret itself (assets/browser.js) and sends it with every request; the server
keeps nothing but its hash. Other sites cannot send this header without asking us first.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Awaitable, Callable

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from asr import logs
from asr.api.body import read
from asr.api.errors import Refused, sentence
from asr.errors import ASRError, Cancelled, TooLarge
from ui import language

HEADER = "X-Parlance-Browser"
SECRET = range(32, 129)  # characters of a secret: 32 random bytes in hex or base64
Handler = Callable[[Request], Awaitable[Response]]
log = logging.getLogger(__name__)


def owner(request: Request) -> str:
    """SHA-256 in hex of the browser's secret; raises Refused where there is none."""
    return owner_of(request.headers.get(HEADER, ""))


def owner_of(secret: str) -> str:
    """SHA-256 in hex of a browser's secret; raises Refused where it is none."""
    if len(secret) not in SECRET or not secret.isascii() or not secret.isprintable():
        raise Refused(
            "This request does not say which browser it comes from.",
            "Open the page in a browser that may keep data for this site.",
            status=401,
        )
    return hashlib.sha256(secret.encode()).hexdigest()


async def body(request: Request, most: int) -> dict:
    """The JSON object that was sent, read up to `most` bytes; raises TooLarge, Refused."""
    too_long = TooLarge(f"A request has at most {most // 1024} kB.", "Send less at once.")
    sent = await read(request, most, too_long)
    try:
        found = json.loads(sent)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Refused("This request is no JSON object.", "Reload the page.")
    return found


def told(handler: Handler) -> Handler:
    """`handler`, who speaks the language of who asks; its errors become JSON: {"error": {"what", "fix"}}."""

    async def answered(request: Request) -> Response:
        with language.speaking(language.of(request)):
            return await _answered(request)

    async def _answered(request: Request) -> Response:
        try:
            return await handler(request)
        except ClientDisconnect:
            return sentence(Cancelled("The client went away while sending."))
        except Exception as e:
            return sentence(worded(e))

    return answered


def worded(error: Exception) -> ASRError:
    """What to tell who met it, in their language; what nobody foresaw is written down, under the id told."""
    if not isinstance(error, ASRError):
        log.error("a request failed", exc_info=error)
        error = ASRError("Something broke that should not.", logs.seen())
    return language.translated(error)
