"""The page's side of jobs: recordings that come in pieces, the list of one's own, what is done with each.

    POST   /recordings                    {"name": "a.mp3", "size": 123}: one that is coming -> {"id"}
    GET    /recordings                    my recordings, as a piece of HTML
    GET    /recordings/{id}/upload        how many bytes of it have come: {"have": 100}
    PUT    /recordings/{id}/upload?at=100 the bytes from there on; may be sent again after a failure
    POST   /recordings/{id}/again         what is left to do; {"stages": ["diarize"]}: only this, again
    POST   /recordings/{id}/cancel, /name {"name": "..."}
    DELETE /recordings/{id}

Whose they are the browser's secret tells (ui/visitor.py): others' recordings do not exist.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import gradio as gr
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from asr.api.errors import Refused
from asr.config import Config
from asr.errors import Conflict, TooLarge
from asr.jobs import STAGES, Job, Worker
from asr.models import Models
from ui import shelf, visitor

PIECE = 2**20  # bytes that are written at a time
MOST = 4096  # bytes of a request that carries no recording
FRESH = {"Cache-Control": "no-store"}


def tab(page: gr.Blocks, models: Models, config: Config) -> None:
    """Draw the list; assets/recordings.js fills it."""
    with gr.Column(elem_classes="card"):
        gr.HTML(shelf.shelf(config.keep_hours), padding=False)


def routes(worker: Worker, config: Config, admit: Callable[[HTTPConnection], None]) -> list[BaseRoute]:
    """`admit` raises at requests from other people's pages."""
    desk = Desk(worker, config, admit)
    here = "/recordings/{id}"
    table = [
        ("GET", "/recordings", desk.mine),
        ("POST", "/recordings", desk.expect),
        ("GET", f"{here}/upload", desk.have),
        ("PUT", f"{here}/upload", desk.take),
        ("POST", f"{here}/again", desk.again),
        ("POST", f"{here}/cancel", desk.cancel),
        ("POST", f"{here}/name", desk.rename),
        ("DELETE", here, desk.delete),
    ]
    return [Route(path, visitor.told(handler), methods=[method]) for method, path, handler in table]


class Desk:
    """The handlers. What reads or writes a disk does it in a thread."""

    def __init__(self, worker: Worker, config: Config, admit: Callable[[HTTPConnection], None]):
        self.worker, self.store, self.config, self.admit = worker, worker.store, config, admit

    async def mine(self, request: Request) -> Response:
        self.admit(request)
        return HTMLResponse(await asyncio.to_thread(self._mine, visitor.owner(request)), headers=FRESH)

    def _mine(self, owner: str) -> str:
        return shelf.listed(self.store.jobs(owner), self.store.key, self.worker.ahead)

    async def expect(self, request: Request) -> Response:
        self.admit(request)
        owner, asked = visitor.owner(request), await visitor.body(request, MOST)
        name, size, most = asked.get("name"), asked.get("size"), self.config.max_upload_mb * 2**20
        if not isinstance(name, str) or type(size) is not int or not 0 < size < 2**53:
            raise Refused("A recording has a name and some bytes.", "Reload the page.")
        if size > most:
            raise TooLarge(
                f"It has {size / 2**20:.4g} MiB; this server takes {most / 2**20:.4g}.",
                "Send only the sound (M4A or MP3 are small), or raise ASR_MAX_UPLOAD_MB.",
            )
        job = await asyncio.to_thread(self.store.expect, owner, name, size)
        return JSONResponse({"id": job.id, "have": 0}, headers=FRESH)

    async def have(self, request: Request) -> Response:
        job = await self._job(request)
        return JSONResponse({"have": self.store.arrived(job)}, headers=FRESH)

    async def take(self, request: Request) -> Response:
        """Write what comes, no more than was announced, without a gap."""
        job, at = await self._job(request), request.query_params.get("at", "")
        have = self.store.arrived(job)
        if job.state != "uploading" or not _whole(at) or int(at) > have:
            raise Conflict(
                "These are not the bytes that are missing.", "Reload the page, then send it again."
            )
        at, piece = int(at), b""
        async for chunk in request.stream():
            piece += chunk
            if at + len(piece) > job.bytes:
                raise TooLarge("There is more of it than was announced.", "Send it again.")
            if len(piece) >= PIECE:
                at, piece = await asyncio.to_thread(self.store.receive, job, at, piece), b""
        await asyncio.to_thread(self.store.receive, job, at, piece)
        return JSONResponse({"have": self.store.arrived(job)}, headers=FRESH)

    async def again(self, request: Request) -> Response:
        job, asked = await self._job(request), await visitor.body(request, MOST)
        stages = asked.get("stages", [])
        if not isinstance(stages, list) or not set(map(str, stages)) <= set(STAGES[1:]):
            raise Refused("This cannot be done with a recording.", "Reload the page.")
        await asyncio.to_thread(self.worker.submit, job.id, job.wishes, tuple(stages))
        return JSONResponse({}, headers=FRESH)

    async def cancel(self, request: Request) -> Response:
        return await self._done(request, self.worker.cancel)

    async def delete(self, request: Request) -> Response:
        return await self._done(request, self.worker.delete)

    async def rename(self, request: Request) -> Response:
        asked = await visitor.body(request, MOST)
        if not isinstance(asked.get("name"), str) or not asked["name"].strip():
            raise Refused("A recording needs a name.", "Type one.")
        return await self._done(request, partial(self.store.rename, name=asked["name"]))

    async def _done(self, request: Request, work: Callable[[str], None]) -> Response:
        job = await self._job(request)
        await asyncio.to_thread(work, job.id)
        return JSONResponse({}, headers=FRESH)

    async def _job(self, request: Request) -> Job:
        """The recording that is asked for, if it is this browser's."""
        self.admit(request)
        return await asyncio.to_thread(self.store.job, request.path_params["id"], visitor.owner(request))


def _whole(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 16
