"""A live session whose sound was kept becomes a recording, which is transcribed again with more time.

    POST /live/session/{session}/recording     {"language": "en", "hotwords": "..."} -> {"id"}

The live text is the recording's first version and stays one; the sound moves, nothing is kept twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from asr import languages
from asr.errors import Conflict
from asr.jobs import Job, Wishes, Worker
from asr.sessions import Sessions
from ui import visitor
from ui.sound import HEAD, header

PIECE = 2**20  # bytes copied at a time


def routes(sessions: Sessions, worker: Worker, admit: Callable[[HTTPConnection], None]) -> list[BaseRoute]:
    """`admit` raises at requests from other people's pages."""

    async def take(request: Request) -> Response:
        admit(request)
        owner, asked = visitor.owner(request), await visitor.body(request, 4096)
        language = languages.code(str(asked.get("language") or "")) or ""
        wishes = Wishes(language=language, hotwords=str(asked.get("hotwords") or "")[:500], rung="auto")
        id = request.path_params["session"]
        job = await asyncio.to_thread(recorded, sessions, worker, id, owner, wishes)
        return JSONResponse({"id": job.id}, headers={"Cache-Control": "no-store"})

    return [Route("/live/session/{session}/recording", visitor.told(take), methods=["POST"])]


def recorded(sessions: Sessions, worker: Worker, id: str, owner: str, wishes: Wishes) -> Job:
    """The session as a recording of this owner, waiting for its turn. Raises Conflict, QuotaExceeded."""
    session, store = sessions.get(id), worker.store
    if session.busy or session.state == "live":
        raise Conflict("Somebody is still speaking.", "Press Stop, and wait for the last words.")
    if not session.kept.size:
        raise Conflict("The sound of this session was not kept.", "Switch that on before you speak.")
    began = datetime.fromtimestamp(session.journal.started or sessions.clock())
    job = store.expect(owner, f"Live {began:%Y-%m-%d %H.%M}.wav", HEAD + session.kept.size)
    at = store.receive(job, 0, header(session.kept.size))
    with open(session.kept.path, "rb") as sound:
        while piece := sound.read(PIECE):
            at = store.receive(job, at, piece)
    store.keep(job.id, "live", session.transcript(), duration=session.heard)
    job = worker.submit(job.id, wishes)
    session.keeping = False
    session.kept.delete()
    return job
