"""What people change in a transcript: operations in the order they were made, each of which can be undone.

They belong to the version that they were made on, and are saved as they come.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from asr.edits import replayed
from asr.errors import Conflict
from asr.jobs.texts import Texts, dumps, turns
from asr.speakers import assign
from asr.types import Transcript

if TYPE_CHECKING:
    from asr.diarize.answer import Diarization

LONGEST = 2**24  # characters of an operation as JSON; one with all turns of a day has some millions


class Changes(Texts):
    """An operation is a plain dict; what it means is decided elsewhere."""

    def edits(self, id: str) -> list[dict]:
        """The operations on the newest version that count, in the order they were made."""
        return self._operations(id, undone=False)

    def undone(self, id: str) -> list[dict]:
        """The operations that `redo` would bring back, the next one first."""
        return self._operations(id, undone=True)

    def edit(self, id: str, operation: dict, revision: int) -> int:
        """Add an operation; returns the new revision. What was undone before can then not be redone.

        Raises Conflict where `revision` is not the newest: somebody changed it meanwhile.
        """
        body = dumps(operation)
        if len(body) > LONGEST:
            raise Conflict("This change is too large to be saved.", "Make it in smaller steps.")
        with self._editing(id, revision) as (db, version):
            db.execute("DELETE FROM edits WHERE job = ? AND version = ? AND undone", (id, version))
            sql = "SELECT ifnull(max(n), 0) + 1 FROM edits WHERE job = ? AND version = ?"
            (n,) = db.execute(sql, (id, version)).fetchone()
            db.execute("INSERT INTO edits VALUES (?, ?, ?, ?, 0)", (id, version, n, body))
        return revision + 1

    def undo(self, id: str, revision: int) -> int:
        """Take the last operation back; returns the new revision. Raises Conflict."""
        return self._turn(id, revision, "undo", "max", 0)

    def redo(self, id: str, revision: int) -> int:
        """Bring back the operation undone last; returns the new revision. Raises Conflict."""
        return self._turn(id, revision, "redo", "min", 1)

    def edited(self, id: str) -> Transcript:
        """The newest version as people have corrected it."""
        with self.writing():  # so that both are of one moment
            return replayed(self.transcript(id), [_bare(o) for o in self.edits(id)])

    def continued(self, id: str) -> Transcript:
        """What has been heard, with the edits that people made meanwhile in the beginning of it."""
        heard, begun = self.so_far(id), self.transcript(id)
        known = len(begun.segments)
        if not self.partial(id) or heard.segments[:known] != begun.segments:
            return heard
        return replace(heard, segments=self.edited(id).segments + heard.segments[known:])

    def name_speakers(self, id: str, diarization: Diarization, **facts) -> None:
        """Give the words their speakers; the stage "diarize" is done with that.

        A text that had speakers before, or was edited, gets an edit that can be undone like any other.
        """
        with self.working(id):
            if self.edits(id) or self.diarization(id):
                self.edit(id, {"op": "speakers", **turns(diarization)}, self.job(id).revision)
                self.skip(id, "diarize", **facts)
            else:
                text = self.transcript(id)
                spoken = replace(text, segments=assign(text.segments, diarization))
                self.keep(id, "diarize", spoken, diarization, **facts)

    def _turn(self, id: str, revision: int, what: str, which: str, undone: int) -> int:
        with self._editing(id, revision) as (db, version):
            sql = f"SELECT {which}(n) FROM edits WHERE job = ? AND version = ? AND undone = ?"
            (n,) = db.execute(sql, (id, version, undone)).fetchone()
            if n is None:
                raise Conflict(f"There is nothing to {what}.")
            sql = "UPDATE edits SET undone = ? WHERE job = ? AND version = ? AND n = ?"
            db.execute(sql, (1 - undone, id, version, n))
        return revision + 1

    def _operations(self, id: str, undone: bool) -> list[dict]:
        version = self.job(id).version
        sql = "SELECT operation FROM edits WHERE job = ? AND version = ? AND undone = ? ORDER BY n"
        return [json.loads(row["operation"]) for row in self.rows(sql, id, version, int(undone))]

    @contextmanager
    def _editing(self, id: str, revision: int) -> Iterator[tuple[sqlite3.Connection, int]]:
        """A transaction on the newest version, after which its revision is one higher."""
        with self.writing() as db:
            job = self.job(id)
            if job.revision != revision:
                raise Conflict(
                    "Somebody changed this transcript meanwhile.", "Reload the page and try again."
                )
            if not job.version:
                raise Conflict(
                    "There is no text yet that could be changed.", "Wait until it has been recognised."
                )
            if job.state in ("waiting", "working") and {"transcribe", "align"} & set(job.stages):
                raise Conflict("This recording is being transcribed again.", "Wait until that is done.")
            yield db, job.version
            db.execute("UPDATE jobs SET revision = revision + 1 WHERE id = ?", (id,))


def _bare(operation: dict) -> dict:
    """Without the name that a page gave it, by which it knows whether it has come."""
    return {k: v for k, v in operation.items() if k != "id"}
