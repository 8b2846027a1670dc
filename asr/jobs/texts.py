"""What was heard: segments as they come, and a version of the transcript for each stage.

Segments are added one by one while a recording is transcribed, so a process killed at any instant
leaves all that it had saved. A finished stage makes a new version; nothing of an older one is lost.
"""

from __future__ import annotations

import json
import sqlite3
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from asr.errors import Conflict
from asr.jobs.job import STAGES
from asr.jobs.rows import Rows, update
from asr.sessions.journal import pack, unpack
from asr.types import Segment, Transcript, Turn

if TYPE_CHECKING:
    from asr.diarize.answer import Diarization

PART = "part"  # of a transcription
TURNS = ("turns", "exclusive")


class Texts(Rows):
    """The words and their versions."""

    # ---- while a recording is transcribed ----

    def hear(self, id: str, n: int, segment: Segment) -> None:
        """Save segment number `n` of the transcription that is going on."""
        with self.working(id) as db:
            db.execute("INSERT OR REPLACE INTO segments VALUES (?, ?, ?)", (id, n, dumps(pack(segment))))

    def heard(self, id: str, first: int = 0) -> list[Segment]:
        """From number `first` on: of the transcription that is going on, or did not come to its end."""
        found = self.rows("SELECT body FROM segments WHERE job = ? AND n >= ? ORDER BY n", id, first)
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
        with self.working(id) as db:
            self._version(db, id, stage, transcript, diarization, **facts)
            if stage == "transcribe":
                db.execute("DELETE FROM segments WHERE job = ?", (id,))
            _pass(db, id, stage)

    def keep_part(self, id: str) -> None:
        """What an unfinished transcription has heard becomes a version, so that it can be read and edited."""
        with self.writing() as db:
            heard, job = self.so_far(id), self.job(id)
            before = self.transcript(id) if self.partial(id) else Transcript((), 0.0)
            if len(heard.segments) > len(before.segments) and (not job.version or self.partial(id)):
                self._version(db, id, PART, heard, model=job.model)

    def partial(self, id: str) -> bool:
        """Whether the newest version is one that `keep_part` made."""
        version = self.job(id).version
        return bool(
            self.rows("SELECT 1 FROM versions WHERE (job, version, stage) = (?, ?, ?)", id, version, PART)
        )

    def also(self, id: str, stage: str) -> None:
        """There is one stage more to be done."""
        with self.working(id) as db:
            todo = {*self.job(id).stages, stage}
            update(db, id, stages=dumps([s for s in STAGES if s in todo]))

    def _version(self, db, id: str, stage: str, transcript: Transcript, diarization=None, **facts) -> None:
        body = {"duration": transcript.duration, "task": transcript.task}
        text = dumps(body | {"segments": [pack(s) for s in transcript.segments]})
        job = self.job(id)
        row = id, job.version + 1, stage, time.time(), facts.get("model", job.model), text
        db.execute("INSERT INTO versions VALUES (?, ?, ?, ?, ?, ?)", row)
        if diarization is not None:
            packed = dumps(asdict(diarization) | turns(diarization))
            db.execute("INSERT INTO diarizations VALUES (?, ?, ?)", (id, job.version + 1, packed))
        update(db, id, version=job.version + 1, revision=job.revision + 1, **facts)

    def skip(self, id: str, stage: str, **facts) -> None:
        """The stage is done and made no version."""
        with self.working(id) as db:
            _pass(db, id, stage)
            if facts:
                update(db, id, **facts)

    def diarization(self, id: str) -> Diarization | None:
        """Who spoke when, for the newest version; None where nobody was looked for."""
        sql = "SELECT body FROM diarizations WHERE job = ? AND version = ?"
        found = self.rows(sql, id, self.job(id).version)
        if not found:
            return None
        from asr.diarize.answer import Diarization

        body = json.loads(found[0]["body"])
        return Diarization(**body | {name: tuple(Turn(*t) for t in body[name]) for name in TURNS})


def dumps(value) -> str:
    """Compact JSON in ASCII: whatever a model or a person wrote, it can be stored."""
    return json.dumps(value, separators=(",", ":"))


def _pass(db: sqlite3.Connection, id: str, stage: str) -> None:
    """The stage is none of those still to be done."""
    (stages,) = db.execute("SELECT stages FROM jobs WHERE id = ?", (id,)).fetchone()
    update(db, id, stages=dumps([s for s in json.loads(stages) if s != stage]), progress=0, tries=1)


def turns(diarization: Diarization) -> dict[str, list]:
    """Both lists of turns as JSON can hold them: [start, end, speaker]."""
    return {
        name: [[round(t.start, 3), round(t.end, 3), t.speaker] for t in getattr(diarization, name)]
        for name in TURNS
    }
