"""Jobs as rows: who owns them, what they are waiting for, how far they are."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from dataclasses import asdict, fields

from asr.errors import ASRError, Conflict, UnknownJob
from asr.jobs.database import Database
from asr.jobs.job import Job, Stage, Wishes

_ID = re.compile(r"[A-Za-z0-9_-]{22}")
_COLUMNS = ", ".join(f.name for f in fields(Job))


class Rows(Database):
    """Everything about jobs but their texts and their files."""

    def job(self, id: str, owner: str | None = None) -> Job:
        """Raises UnknownJob; with `owner`, also where it is somebody else's."""
        found = self.rows(f"SELECT {_COLUMNS} FROM jobs WHERE id = ?", id) if _ID.fullmatch(id) else []
        if not found or owner not in (None, found[0]["owner"]):
            raise UnknownJob(
                "There is no such recording.", "Was it deleted? My recordings has all there are."
            )
        return _job(found[0])

    def jobs(self, owner: str | None = None, state: str | None = None) -> list[Job]:
        """The newest first; of one owner, or of all."""
        return [
            _job(row)
            for row in self.rows(
                f"SELECT {_COLUMNS} FROM jobs WHERE owner = ifnull(?, owner) AND state = ifnull(?, state)"
                " ORDER BY created DESC, rowid DESC",
                owner,
                state,
            )
        ]

    def rename(self, id: str, name: str) -> None:
        """Give it another name, cut to what a file name may have."""
        self.job(id)
        self._set(id, name=file_name(name))

    # ---- waiting and working ----

    def submit(self, id: str, wishes: Wishes, stages: tuple[Stage, ...] | None = None) -> Job:
        """Let it wait for its turn: for all its stages, or for these again with other wishes.

        Raises Conflict while it is worked on, or as long as its file has not come.
        """
        job = self.job(id)
        if job.state in ("waiting", "working"):
            raise Conflict("This recording is being worked on already.", "Wait for it, or cancel it first.")
        self._set(
            id,
            state="waiting",
            stages=json.dumps(stages or job.stages or wishes.stages),
            wishes=json.dumps(asdict(wishes)),
            queued=time.time(),
            progress=0,
            took=0,
            what="",
            fix="",
        )
        return self.job(id)

    def claim(self, id: str) -> bool:
        """Take it from those who wait; False when it waits no more."""
        with self.writing() as db:
            done = db.execute(
                "UPDATE jobs SET state = 'working', began = ? WHERE id = ? AND state = 'waiting'",
                (time.time(), id),
            )
            return done.rowcount == 1

    def note(self, id: str, progress: float, **facts) -> None:
        """How far the present stage is, in [0, 1], and what it found out: duration, model, bytes, damage."""
        self._set(id, progress=min(1.0, max(0.0, progress)), **facts)

    def end(self, id: str, state: str, error: ASRError | None = None, took: float = 0.0) -> None:
        """It is done, failed or cancelled, or shall wait again (a server that stops)."""
        facts = {"what": error.what, "fix": error.fix} if error else {}
        with self.writing() as db:
            update(db, id, state=state, **facts)
            db.execute("UPDATE jobs SET took = took + ? WHERE id = ?", (took, id))

    def recover(self) -> int:
        """What a server that was killed had begun waits for its turn again; returns how many."""
        with self.writing() as db:
            return db.execute("UPDATE jobs SET state = 'waiting' WHERE state = 'working'").rowcount

    def _set(self, id: str, **values) -> None:
        with self.writing() as db:
            update(db, id, **values)


def file_name(name: str) -> str:
    """The last part of a path, without what breaks lines or hides letters, at most 200 characters long."""
    last = re.split(r"[/\\]", name)[-1]
    return "".join(c for c in last if c.isprintable()).strip()[-200:] or "Recording"


def update(db: sqlite3.Connection, id: str, **values) -> None:
    """Set these columns; their names come from our own code only."""
    names = ", ".join(f"{name} = ?" for name in values)
    db.execute(f"UPDATE jobs SET {names} WHERE id = ?", (*values.values(), id))


def _job(row: sqlite3.Row) -> Job:
    values = dict(row)
    known = {f.name for f in fields(Wishes)}
    wishes = {k: v for k, v in json.loads(values.pop("wishes")).items() if k in known}
    return Job(**values | {"stages": tuple(json.loads(values["stages"])), "wishes": Wishes(**wishes)})
