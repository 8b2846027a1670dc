"""Which addresses there are, and how much may be sent to them.

Gradio brings far more than this page uses: files, uploads, a proxy, an API, components, recordings of
the screen, editing by a language model. Only what is listed here exists; so what a later version
adds is closed until somebody opens it.
"""

from __future__ import annotations

import re

OURS_OPEN = ("login", "logout", "healthz", "metrics", "v1")  # these ask for no password, or for a key
GRADIO = {
    "/",
    "/theme.css",
    "/robots.txt",
    "/favicon.ico",
    "/gradio_api/theme.css",
    "/gradio_api/startup-events",
    "/gradio_api/queue/join",
    "/gradio_api/queue/data",
    "/gradio_api/run/predict",
    "/gradio_api/cancel",
    "/gradio_api/reset",
}
GRADIO_FOLDERS = ("/assets/", "/static/", "/gradio_api/heartbeat/")
ASSETS = ("/assets/", "/static/", "/parlance/", "/editor/")
UPLOADS = re.compile(r"/v1/(audio|models)/.+|/recordings/[^/]+/upload")
LONGEST = 255  # bytes of one part of a path: file systems know no longer name
SMALL = 2**21  # bytes of a request that carries no recording


def first(path: str) -> str:
    return path.split("/")[1] if path.startswith("/") else ""


def known(path: str, ours: frozenset[str]) -> bool:
    """Whether anything may be found there. `path` is decoded, as the routes will see it."""
    if "\0" in path or any(len(part.encode()) > LONGEST for part in path.split("/")):
        return False
    return path in GRADIO or path.startswith(GRADIO_FOLDERS) or (path != "/" and first(path) in ours - {""})


def is_api(path: str) -> bool:
    return first(path) == "v1"


def is_asset(path: str) -> bool:
    """The same for everybody, and many of them on one page."""
    return path.startswith(ASSETS)


def needs_no_password(path: str) -> bool:
    return first(path) in OURS_OPEN[2:] or path in ("/gradio_api/startup-events", "/parlance/logo.svg")


def most(path: str, upload: int) -> int:
    """Bytes that a request's body may have; an upload's own route refuses less, in better words."""
    return upload + SMALL if UPLOADS.fullmatch(path) else SMALL
