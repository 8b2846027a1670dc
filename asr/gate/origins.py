"""Pages of other sites: they may neither write to the page's routes nor read any answer.

Browsers tell where a request comes from in `Origin`, and a script cannot change it. Answers carry no
CORS header unless the owner named the site in ASR_CORS, and then only below /v1.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection
from starlette.responses import Response

from asr.api.errors import Refused
from asr.gate import paths

HOST = r"(\[[0-9a-f:.]+\]|[a-z0-9._-]*)(:\d{0,4}|:[1-6]\d{4})?"
ADDRESS = re.compile(rf"null|([a-z][a-z0-9+.-]*://)?{HOST}", re.I)
METHODS = "GET, POST, DELETE, OPTIONS"
HEADERS = "Authorization, Content-Type"


def check(asking: HTTPConnection) -> None:
    """Raise Refused (400) at a Host or an Origin that is no address: whoever reads it later relies on it."""
    for name in ("host", "x-forwarded-host", "origin"):
        if not ADDRESS.fullmatch(asking.headers.get(name, "")):
            raise Refused(f"The header {name.title()} is no address.", "Send the server's own.")


def admit(asking: HTTPConnection) -> None:
    """Raise Refused (403) at other sites' pages: any page may ask localhost, and open a WebSocket to it."""
    origin = asking.headers.get("origin")
    here = {asking.headers.get(name) for name in ("host", "x-forwarded-host")}
    if origin and urlsplit(origin).netloc not in here:
        raise Refused(
            "This request does not come from Parlance's own page.",
            "Behind a proxy: let it pass the Host header on (nginx: proxy_set_header Host $http_host).",
            status=403,
        )


def allowed(asking: HTTPConnection, cors: str) -> str:
    """The origin that may read the answer; empty: none."""
    origin, sites = asking.headers.get("origin", ""), cors.replace(",", " ").split()
    return origin if origin and paths.is_api(asking.scope["path"]) and {origin, "*"} & set(sites) else ""


def preflight(asking: HTTPConnection, cors: str) -> Response | None:
    """The answer to a browser that asks before it sends; None: this is another question."""
    if asking.scope.get("method") != "OPTIONS" or "access-control-request-method" not in asking.headers:
        return None
    if not allowed(asking, cors):
        return Response("Other sites' pages may not call this server.\n", 403, media_type="text/plain")
    granted = {"Access-Control-Allow-Methods": METHODS, "Access-Control-Allow-Headers": HEADERS}
    return Response(status_code=204, headers={**granted, "Access-Control-Max-Age": "600"})
