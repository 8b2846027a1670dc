"""The editor: a page of its own for each recording, where people read, hear, correct and take away.

    GET  /recordings/{id}                     the page, in the reader's language; it asks for the rest
    GET  /recordings/{id}/document            the text; ?since=7 what changed since revision 7
    POST /recordings/{id}/edits               {"revision": 7, "since": 7, "operations": [...]}
    POST /recordings/{id}/speakers            {"rung": "auto", "exact": 3}: find the speakers again
    GET  /recordings/{id}/audio?key=          for <audio>; &as=wav the decoded sound
    GET  /recordings/{id}/export/{format}?key=&speakers=1&times=0     &version=1 an earlier text

Operations are those of `asr.edits`, and {"op": "undo"}, {"op": "redo"}. Each carries an "id" that the
page made: one that comes again, because its answer got lost, is not done again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from urllib.parse import quote

from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from asr import edits, locales
from asr.api.errors import Refused
from asr.diarize import RUNGS, Count
from asr.errors import Conflict, UnknownJob, Unsupported
from asr.formats import FORMATS, MEDIA_TYPE, SUFFIX, export
from asr.jobs import Job
from asr.jobs.worker import Worker
from asr.types import Transcript
from ui import language, sound, visitor
from ui.edited import Desk, Edited, bare, lines, news, progress, retelling, shown
from ui.files import played, title
from ui.theme import ASSETS

PAGE = ASSETS / "editor"
SPOKEN = ("editor", "live", "player", "recordings", "report", "rung", "shelf")  # what its scripts say
MOST_BYTES = 2**20  # of a request
MOST_AT_ONCE = 200  # operations
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self';"
    " connect-src 'self'; base-uri 'none'; form-action 'none'"
)
Admit = Callable[[HTTPConnection], None]


class Fresh(StaticFiles):
    """Files that a browser asks about before it uses its copy: all of a page is of one version."""

    def file_response(self, *args, **kwargs) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        return response


def routes(worker: Worker, admit: Admit) -> list[BaseRoute]:
    """`admit` raises at requests from other people's pages."""
    editor = Editor(worker, admit)
    here, get, post = "/recordings/{id}", ["GET"], ["POST"]
    return [
        Mount("/editor", Fresh(directory=PAGE)),
        Route(here, page, methods=get),
        Route(f"{here}/document", visitor.told(editor.document), methods=get),
        Route(f"{here}/edits", visitor.told(editor.edit), methods=post),
        Route(f"{here}/speakers", visitor.told(editor.speakers), methods=post),
        Route(f"{here}/audio", visitor.told(editor.audio), methods=get),
        Route(f"{here}/export/{{format}}", visitor.told(editor.export), methods=get),
    ]


async def page(request: Request) -> Response:
    """The same for every recording, in the reader's language: what it shows it asks for itself."""
    spoken = language.of(request)
    with language.speaking(spoken):
        text = language.filled((PAGE / "page.html").read_text(encoding="utf-8"))
    text = text.replace('lang="en"', f'lang="{locales.tag(spoken)}"', 1)
    text = text.replace("</head>", f"{language.words(spoken, *SPOKEN)}</head>", 1)
    headers = {
        "Content-Security-Policy": POLICY,
        "Cache-Control": "no-cache",
        "Vary": "Accept-Language",
        "Referrer-Policy": "no-referrer",
    }
    return HTMLResponse(text, headers=headers)


class Editor:
    """The handlers. Whatever reads or writes the store does it in a thread."""

    def __init__(self, worker: Worker, admit: Admit):
        self.worker, self.store, self.admit = worker, worker.store, admit
        self.desk = Desk(worker.store)

    async def document(self, request: Request) -> Response:
        return await self._answer(request, partial(self._document, dict(request.query_params)))

    async def edit(self, request: Request) -> Response:
        self.admit(request)
        asked = await visitor.body(request, MOST_BYTES)
        return await self._answer(request, partial(self._edit, asked))

    async def speakers(self, request: Request) -> Response:
        self.admit(request)
        asked = await visitor.body(request, 4096)
        return await self._answer(request, partial(self._speakers, asked))

    async def audio(self, request: Request) -> Response:
        job = await asyncio.to_thread(self._opened, request)
        source, decoded = self.store.source(job), self.store.audio(job)
        if played(source) and source.exists() and request.query_params.get("as") != "wav":
            return sound.original(source)
        if not decoded.exists():
            raise Conflict("This recording is not decoded yet.", "Wait a moment, then try again.")
        return sound.wav(decoded, request.headers.get("range", ""))

    async def export(self, request: Request) -> Response:
        job, name = await asyncio.to_thread(self._opened, request), request.path_params["format"]
        if name not in FORMATS:
            raise Refused(f"There is no format {name[:40]!r}.", f"There are: {', '.join(FORMATS)}.")
        wanted = {what: request.query_params.get(what, "0") == "1" for what in ("speakers", "times")}
        made = await asyncio.to_thread(lambda: export(self._text(job, request.query_params), name, **wanted))
        file = quote(f"{title(job.name)}{SUFFIX[name]}", safe="")
        headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{file}", "Cache-Control": "no-store"}
        return Response(made, media_type=MEDIA_TYPE[name], headers=headers)

    async def _answer(self, request: Request, work: Callable[[Job], dict]) -> Response:
        """What `work` makes of the job, if it is this browser's."""
        self.admit(request)
        owner, id = visitor.owner(request), request.path_params["id"]
        made = await asyncio.to_thread(lambda: work(self.store.job(id, owner)))
        return JSONResponse(made, headers={"Cache-Control": "no-store"})

    def _opened(self, request: Request) -> Job:
        """The job that the key in a link opens."""
        job = self.store.job(request.path_params["id"])
        if not self.store.opens(job.id, request.query_params.get("key", "")):
            raise UnknownJob("There is no such recording.", "Open it from My recordings.")
        return job

    # ---- in a thread ----

    def _document(self, asked: dict, job: Job) -> dict:
        """All of it; what the page has already (up to `since`, or so many `lines`) is left out."""
        now = self.desk.now(job.id)
        if not job.version and asked.get("version") == "0":
            more = {"more": lines(now, _number(asked, "lines")), "ahead": self.worker.ahead(job.id)}
            return progress(now.job) | more
        then = self.desk.then(job.id, _number(asked, "since")) if "since" in asked else None
        if retelling(now.job):
            return self._whole(now)
        return news(then, now) if then and then.job.version == now.job.version else self._whole(now)

    def _text(self, job: Job, asked: Mapping) -> Transcript:
        """As it was corrected; or an earlier version as it was made."""
        version = _number(asked, "version")
        return self.store.version(job.id, version) if version else self.desk.now(job.id).transcript

    def _whole(self, now: Edited) -> dict:
        job = now.job
        rungs = [rung for rung in RUNGS if rung != "none"]
        here = {"key": self.store.key(job.id), "rungs": rungs, "ahead": self.worker.ahead(job.id)}
        return shown(now) | here

    def _edit(self, asked: dict, job: Job) -> dict:
        operations, revision = asked.get("operations"), asked.get("revision")
        if (
            not isinstance(operations, list)
            or not isinstance(revision, int)
            or len(operations) > MOST_AT_ONCE
        ):
            raise Refused("This edit cannot be understood.", "Reload the page.")
        new = self._new(job.id, operations)
        revision += len(operations) - len(new)
        try:
            for operation in new:
                revision = self._one(job.id, operation, revision)
        except Conflict:
            if self._new(job.id, operations):  # not the same request, which came twice at once
                raise
        then = self.desk.then(job.id, since) if isinstance(since := asked.get("since"), int) else None
        now = self.desk.now(job.id)
        return news(then, now) if then and then.job.version == now.job.version else self._whole(now)

    def _new(self, id: str, operations: Sequence) -> Sequence[dict]:
        """Those operations that we have not got yet: those at the beginning may have come before."""
        if not all(
            isinstance(o, dict) and isinstance(o.get("id"), str) and len(o["id"]) <= 40 for o in operations
        ):
            raise Refused("This edit cannot be understood.", "Reload the page.")
        known = {o.get("id") for o in self.store.edits(id)}
        first = next((i for i, o in enumerate(operations) if o["id"] not in known), len(operations))
        return operations[first:]

    def _one(self, id: str, operation: dict, revision: int) -> int:
        """Does one operation; returns the revision after it. Raises Conflict, Unsupported."""
        if operation.get("op") in ("undo", "redo"):
            return getattr(self.store, operation["op"])(id, revision)
        if operation.get("op") == "speakers":
            raise Unsupported("Speakers are found by the server.", "Reload the page.")
        edits.apply(self.desk.now(id).transcript, bare(operation))  # what cannot be replayed must not be kept
        return self.store.edit(id, operation, revision)

    def _speakers(self, asked: dict, job: Job) -> dict:
        rung, counts = asked.get("rung"), {n: asked.get(n) for n in ("exact", "low", "high")}
        if rung not in RUNGS or not all(n is None or type(n) is int for n in counts.values()):
            raise Refused("This way of finding speakers is not known.", "Reload the page.")
        Count(**counts)  # raises where they mean nothing
        return progress(self.worker.submit(job.id, replace(job.wishes, rung=rung, **counts), ("diarize",)))


def _number(asked: Mapping, name: str) -> int:
    text = asked.get(name, "0")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
