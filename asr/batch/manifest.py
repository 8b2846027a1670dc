"""What is known of every recording of an archive: a SQLite file that survives kill -9 at any instant.

A row's way: new -> text (its transcript is in the manifest) -> done (and in its files), or failed.
The columns from `state` on are about one recipe: who asks for another starts them again.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from sqlite3 import Connection

from asr.batch.database import Database
from asr.batch.rows import ROW, SCHEMA, Counts, Piece, Row, name_of, outputs, packed, text_of, unpacked
from asr.batch.sources import Source
from asr.errors import AudioError

SEEN = """
INSERT INTO recording (path, name, size, stamp, guess, seen) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (path) DO UPDATE SET
  state = iif(size = excluded.size AND stamp = excluded.stamp, state, 'changed'),
  size = excluded.size, stamp = excluded.stamp, guess = excluded.guess, seen = excluded.seen
"""
UNNAMED = "SELECT id, name FROM recording WHERE output IS NULL AND id > ? ORDER BY id LIMIT 10000"
COUNTED = """count(*), coalesce(sum(state IN ('done', 'text')), 0), coalesce(sum(state = 'failed'), 0),
  total(iif(state IN ('done', 'text'), seconds, 0)), total(iif(state IS NULL, guess, 0))"""
ANEW = "state = NULL, tries = 0, deaths = 0, seconds = NULL, what = NULL, fix = NULL, result = NULL"


class Manifest:
    """Any thread may call it. One process at a time has it: another one gets Busy."""

    def __init__(self, path: Path):
        self._begun, self.recipe = set(), b""
        self._db = Database(path, SCHEMA)
        with self._db.transaction() as db:
            (self._look,) = db.execute("SELECT coalesce(max(seen), 0) FROM recording").fetchone()

    def close(self) -> None:
        """What was begun and not ended by an error or a kill counts as never begun."""
        with self._db.transaction() as db:
            db.executemany(
                "UPDATE recording SET deaths = deaths - 1 WHERE id = ?", [(i,) for i in self._begun]
            )
        self._db.close()

    def look(self, sources: Iterable[Source], recipe: bytes, again: bool = False) -> None:
        """Take in what there is now; what changed since, or was done by another recipe, is new.

        What failed through no fault of its own is tried again; with `again`, everything that failed.
        """
        self.recipe, self._look = recipe, self._look + 1
        with self._db.transaction() as db:
            db.executemany(
                SEEN,
                ((text_of(s.path), text_of(s.name), s.size, s.stamp, s.guess, self._look) for s in sources),
            )
            here = {"look": self._look, "recipe": recipe, "again": again}
            db.execute(f"UPDATE recording SET content = NULL, {ANEW} WHERE state = 'changed'")
            other = "recipe IS NOT :recipe AND seen = :look"
            db.execute(f"UPDATE recording SET recipe = :recipe, {ANEW} WHERE {other}", here)
            nobodys = "NOT EXISTS (SELECT 1 FROM recording WHERE recording.content = part.content)"
            db.execute(f"DELETE FROM part WHERE recipe != :recipe OR {nobodys}", here)
            worth = "state = 'failed' AND seen = :look AND (:again OR NOT lasting)"
            db.execute(f"UPDATE recording SET {ANEW} WHERE {worth}", here)
            last = 0
            while some := db.execute(UNNAMED, (last,)).fetchall():  # a few at a time: there may be millions
                for last, name in some:
                    _call(db, last, name_of(name))

    def lost(self, complete: Callable[[str], bool]) -> int:
        """How many were done but their files are not `complete` any more; they are to do again."""
        with self._db.transaction() as db:
            sql = "SELECT id, output FROM recording WHERE seen = ? AND state = 'done' ORDER BY output"
            rows = db.execute(sql, (self._look,))
            gone = [(id,) for id, output in rows if not complete(name_of(output))]
            db.executemany("UPDATE recording SET state = NULL WHERE id = ?", gone)
        return len(gone)

    def todo(self, tries: int) -> array:
        """The ids of what has failed `tries` times so far and is not done: long recordings first.

        What the process did not survive comes after everything else.
        """
        with self._db.transaction() as db:
            found = db.execute(
                "SELECT id FROM recording WHERE seen = ? AND state IS NULL AND tries = ? "
                "ORDER BY deaths, guess DESC, id",
                (self._look, tries),
            )
            return array("q", (id for (id,) in found))

    def row(self, id: int) -> Row:
        with self._db.transaction() as db:
            return Row.of(db.execute(f"SELECT {ROW} FROM recording WHERE id = ?", (id,)).fetchone())

    def begun(self, id: int) -> None:
        """Before anything is done with its bytes: so that a death is known."""
        self._begun.add(id)
        self._set(id, "deaths = deaths + 1")

    def read(self, id: int, content: bytes) -> None:
        self._set(id, "content = ?", content)

    def twin(self, id: int, content: bytes) -> Row | None:
        """Another recording of the same content, done by the same recipe."""
        with self._db.transaction() as db:
            same = "content = ? AND id != ? AND state = 'done' AND recipe = ?"
            sql = f"SELECT {ROW} FROM recording WHERE {same}"
            found = db.execute(sql, (content, id, self.recipe)).fetchone()
        return Row.of(found) if found else None

    def keep(self, id: int, piece: Piece) -> None:
        """A piece of it was heard: a process that is killed from now on goes on behind it."""
        with self._db.transaction() as db:
            sql = "INSERT OR REPLACE INTO part SELECT content, ?, ?, ?, ?, ? FROM recording WHERE id = ?"
            upto, language, probability, said = piece
            db.execute(sql, (self.recipe, upto, language, probability, packed(said), id))

    def pieces(self, id: int) -> list[Piece]:
        """What was heard of its content so far, from its beginning, in order."""
        with self._db.transaction() as db:
            sql = (
                "SELECT upto, language, probability, said FROM part JOIN recording USING (content) "
                "WHERE recording.id = ? ORDER BY upto"
            )
            return [(*about, unpacked(said)) for *about, said in db.execute(sql, (id,))]

    def heard(self, id: int, transcript: str, seconds: float) -> None:
        """Its transcript is safe from now on: it will not be heard again."""
        with self._db.transaction() as db:
            db.execute(
                "UPDATE recording SET state = 'text', seconds = ?, result = ? WHERE id = ?",
                (seconds, packed(transcript), id),
            )
            db.execute("DELETE FROM part WHERE content = (SELECT content FROM recording WHERE id = ?)", (id,))

    def written(self, id: int, seconds: float | None = None) -> None:
        self._ended(id, "state = 'done', result = NULL, what = NULL, seconds = coalesce(?, seconds)", seconds)

    def unwritten(self) -> list[tuple[Row, str]]:
        """What was heard, and its text, but perhaps not in its files when the process ended."""
        with self._db.transaction() as db:
            sql = f"SELECT {ROW}, result FROM recording WHERE state = 'text' AND seen = ?"
            rows = db.execute(sql, (self._look,)).fetchall()
        return [(Row.of(row[:-1]), unpacked(row[-1])) for row in rows]

    def interrupted(self) -> list[str]:
        """The outputs of what was being worked on when a process was killed."""
        with self._db.transaction() as db:
            sql = "SELECT output FROM recording WHERE state IS NULL AND deaths > 0 AND seen = ?"
            return [name_of(output) for (output,) in db.execute(sql, (self._look,))]

    def failed(self, id: int, error: Exception, most: int) -> bool:
        """One more try of `most` was in vain; whether it is set aside now."""
        what = getattr(error, "what", None) or f"{type(error).__name__}: {error}"
        aside = self.row(id).tries + 1 >= most
        self._ended(
            id,
            "tries = tries + 1, what = ?, fix = ?, lasting = ?, state = ?",
            what, getattr(error, "fix", ""), isinstance(error, AudioError), "failed" if aside else None,
        )  # fmt: skip
        return aside

    def aside(self) -> Iterator[Row]:
        """What failed and was set aside, among what the last look found."""
        with self._db.transaction() as db:
            sql = f"SELECT {ROW} FROM recording WHERE state = 'failed' AND seen = ? ORDER BY path"
            yield from map(Row.of, db.execute(sql, (self._look,)).fetchall())

    def counts(self) -> Counts:
        with self._db.transaction() as db:
            sql = f"SELECT {COUNTED} FROM recording WHERE seen = ?"
            return Counts(*db.execute(sql, (self._look,)).fetchone())

    def _ended(self, id: int, change: str, *values) -> None:
        self._begun.discard(id)
        self._set(id, f"deaths = 0, {change}", *values)

    def _set(self, id: int, change: str, *values) -> None:
        with self._db.transaction() as db:
            db.execute(f"UPDATE recording SET {change} WHERE id = ?", (*values, id))


def _call(db: Connection, id: int, name: str) -> None:
    """The first name that nobody has yet: talk, talk.mp3, talk.mp3-2. It stays for good."""
    sql = "UPDATE OR IGNORE recording SET output = ? WHERE id = ?"
    next(o for o in outputs(name) if db.execute(sql, (text_of(o), id)).rowcount)
