"""What was heard: segments as they come, and a version of the transcript for each stage.

Segments are added one by one while a recording is transcribed, so a process killed at any instant
leaves all that it had saved. A finished stage makes a new version; nothing of an older one is lost.
"""

from __future__ import annotations

import json
import sqlite3
import time
from typing import TYPE_CHECKING

from asr.errors import Conflict
from asr.jobs.rows import Rows, update
from asr.journal import pack, unpack
from asr.types import Segment, Transcript, Turn

if TYPE_CHECKING:
    from asr.diarize.answer import Diarization

TURNS = ("turns", "exclusive")


class Texts(Rows):
    """The words and their versions."""

    # ---- while a recording is transcribed ----

    def hear(self, id: str, n: int, segment: Segment) -> None:
        """Save segment number `n` of the transcription that is going on."""
        with self.writing() as db:
            db.execute("INSERT OR REPLACE INTO segments VALUES (?, ?, ?)", (id, n, dumps(pack(segment))))

    def heard(self, id: str) -> list[Segment]:
        """The segments of the transcription that is going on, or that did not come to its end."""
        found = self.rows("SELECT body FROM segments WHERE job = ? ORDER BY n", id)
        return [unpack("segment", json.loads(row["body"])) for row in found]

    # ---- versions ----

    def transcript(self, id: str) -> Transcript:
        """The newest version, without edits; before there is one, what has been heard so far."""
        job = self.job(id)
        return self.version(id, job.version) if job.version else self.so_far(id)

    def so_far(self, id: str) -> Transcript:
        """What the transcription that is going on has heard."""
        job = self.job(id)
        return Transcript(tuple(self.heard(id)), job.duration, job.wishes.task)

    def version(self, id: str, version: int) -> Transcript:
        """An older one, too: a later stage never overwrites what it was given."""
        found = self.rows("SELECT body FROM versions WHERE job = ? AND version = ?", id, version)
        if not found:
            raise Conflict("There is no such version of this transcript.", "Reload the page.")
        body = json.loads(found[0]["body"])
        segments = tuple(unpack("segment", s) for s in body["segments"])
        return Transcript(segments, body["duration"], body["task"])

    def versions(self, id: str) -> list[dict]:
        """The oldest first: version, stage, made (wall clock), model."""
        sql = "SELECT version, stage, made, model FROM versions WHERE job = ? ORDER BY version"
        return [dict(row) for row in self.rows(sql, id)]

    def keep(
        self, id: str, stage: str, transcript: Transcript, diarization: Diarization | None = None, **facts
    ) -> None:
        """Save what a stage made as the newest version; the stage is done with that."""
        body = {"duration": transcript.duration, "task": transcript.task}
        text = dumps(body | {"segments": [pack(s) for s in transcript.segments]})
        with self.writing() as db:
            (version,) = db.execute("SELECT version + 1 FROM jobs WHERE id = ?", (id,)).fetchone()
            model = facts.get("model", "")
            db.execute(
                "INSERT INTO versions VALUES (?, ?, ?, ?, ?, ?)",
                (id, version, stage, time.time(), model, text),
            )
            if stage == "transcribe":
                db.execute("DELETE FROM segments WHERE job = ?", (id,))
            if diarization is not None:
                db.execute(
                    "INSERT OR REPLACE INTO diarizations VALUES (?, ?)", (id, dumps(_packed(diarization)))
                )
            update(db, id, version=version, **facts)
            db.execute("UPDATE jobs SET revision = revision + 1 WHERE id = ?", (id,))
            _pass(db, id, stage)

    def skip(self, id: str, stage: str, **facts) -> None:
        """The stage is done and made no version."""
        with self.writing() as db:
            _pass(db, id, stage)
            if facts:
                update(db, id, **facts)

    def diarization(self, id: str) -> Diarization | None:
        """Who spoke when, as it was found last; None where nobody was looked for."""
        found = self.rows("SELECT body FROM diarizations WHERE job = ?", id)
        if not found:
            return None
        from asr.diarize.answer import Diarization

        body = json.loads(found[0]["body"])
        turns = {name: tuple(Turn(*t) for t in body[name]) for name in TURNS}
        return Diarization(**body | turns)


def dumps(value) -> str:
    """Compact JSON in ASCII: whatever a model or a person wrote, it can be stored."""
    return json.dumps(value, separators=(",", ":"))


def _pass(db: sqlite3.Connection, id: str, stage: str) -> None:
    """The stage is none of those still to be done."""
    (stages,) = db.execute("SELECT stages FROM jobs WHERE id = ?", (id,)).fetchone()
    update(db, id, stages=dumps([s for s in json.loads(stages) if s != stage]), progress=0)


def _packed(diarization: Diarization) -> dict:
    turns = {name: [[t.start, t.end, t.speaker] for t in getattr(diarization, name)] for name in TURNS}
    return {"by": diarization.by, "says": diarization.says} | turns
