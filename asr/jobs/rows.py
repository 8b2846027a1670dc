"""Jobs as rows: who owns them, what they are waiting for, how far they are."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields

from asr.errors import ASRError, Cancelled, Conflict, UnknownJob
from asr.jobs.database import Database
from asr.jobs.job import Job, Stage, Wishes

TRIES = 3  # of one stage, each of which ended with the server
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
        sql = (
            f"SELECT {_COLUMNS} FROM jobs WHERE owner = ifnull(?, owner) AND state = ifnull(?, state)"
            " ORDER BY created DESC, rowid DESC"
        )
        return [_job(row) for row in self.rows(sql, owner, state)]

    def served(self) -> dict[str, float]:
        """When each owner last got a turn."""
        return dict(map(tuple, self.rows("SELECT owner, max(began) FROM jobs GROUP BY owner")))

    def rename(self, id: str, name: str) -> None:
        """Give it another name, cut to what a file name may have."""
        self._set(self.job(id).id, name=file_name(re.sub(r"[/\\]", "-", name)))

    # ---- waiting and working ----

    def submit(self, id: str, wishes: Wishes, stages: tuple[Stage, ...] = ()) -> Job:
        """Let it wait for its turn: for what is left to do, or for these stages (again).

        Raises Conflict while it waits or is worked on.
        """
        with self.writing() as db:
            job = self.job(id)
            if job.state in ("waiting", "working"):
                raise Conflict(
                    "This recording is being worked on already.", "Wait for it, or cancel it first."
                )
            if job.wishes.words != wishes.words:
                db.execute(
                    "DELETE FROM segments WHERE job = ?", (id,)
                )  # they are no beginning of the new text
            todo = json.dumps(stages or job.stages or wishes.stages)
            values = {"state": "waiting", "stages": todo, "wishes": json.dumps(asdict(wishes))}
            fresh = {"queued": time.time(), "progress": 0, "took": 0, "tries": 0, "what": "", "fix": ""}
            update(db, id, **values, **fresh)
        return self.job(id)

    def claim(self, id: str) -> bool:
        """Take it from those who wait; False when it waits no more."""
        claimed = "state = 'working', began = ?, tries = tries + 1"
        sql = f"UPDATE jobs SET {claimed} WHERE id = ? AND state = 'waiting'"
        with self.writing() as db:
            return db.execute(sql, (time.time(), id)).rowcount == 1

    def note(self, id: str, **facts) -> None:
        """What the present stage has found out: progress in [0, 1], duration, model, bytes, damage."""
        with self.working(id) as db:
            update(db, id, **facts)

    def end(self, id: str, state: str, error: ASRError | None = None, took: float = 0.0) -> None:
        """It is done or failed, or waits again (a server that stops); not when it was cancelled meanwhile."""
        facts = {"state": state} | ({"what": error.what, "fix": error.fix} if error else {})
        with self.writing() as db:
            db.execute("UPDATE jobs SET took = took + ? WHERE id = ?", (took, id))
            if self.rows("SELECT 1 FROM jobs WHERE id = ? AND state = 'working'", id):
                update(db, id, tries=0, **facts)

    def cancel(self, id: str) -> None:
        """Whoever works on it cannot save anything any more."""
        sql = "UPDATE jobs SET state = 'cancelled' WHERE id = ? AND state IN ('waiting', 'working')"
        with self.writing() as db:
            db.execute(sql, (id,))

    def recover(self) -> list[Job]:
        """What a server that was killed had begun waits again, but for what keeps killing it."""
        begun = self.jobs(state="working")
        for job in begun:
            if job.tries < TRIES:
                self._set(job.id, state="waiting")
            else:
                what = (
                    f"The server stopped {job.tries} times while it worked on this recording ({job.stage})."
                )
                self.end(job.id, "failed", ASRError(what, "Is its memory full? Try a smaller model."))
        return begun

    @contextmanager
    def working(self, id: str) -> Iterator[sqlite3.Connection]:
        """A transaction for whoever works on it. Raises Cancelled when nobody shall any more."""
        with self.writing() as db:
            sql = "SELECT 1 FROM jobs WHERE id = ? AND state IN ('working', 'uploading')"
            if not db.execute(sql, (id,)).fetchone():
                raise Cancelled("The work was cancelled.")
            yield db

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
