"""What is known of every recording of an archive: a SQLite file that survives kill -9 at any instant.

A row's way: new -> text (its transcript is in the manifest) -> done (and in its files), or failed.
The columns from `state` on are about one recipe: who asks for another starts them again.
"""

from __future__ import annotations

import os
import sqlite3
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path, PurePosixPath
from threading import RLock

from asr.batch.sources import Source
from asr.errors import ASRError, AudioError, Busy

SCHEMA = """
CREATE TABLE IF NOT EXISTS recording (
  id INTEGER PRIMARY KEY,
  path NOT NULL UNIQUE,                 -- text; bytes where a name is no UTF-8
  name NOT NULL,
  size INTEGER NOT NULL,
  stamp TEXT NOT NULL,
  guess REAL NOT NULL,                  -- seconds
  seen INTEGER NOT NULL,                -- the look that found it last
  content BLOB,                         -- hash of its bytes, once they were read
  output UNIQUE COLLATE NOCASE,         -- its files without suffix, below the folder
  recipe BLOB,                          -- hash of what was asked
  state TEXT,                           -- NULL, text, done, failed
  tries INTEGER NOT NULL DEFAULT 0,     -- that failed
  deaths INTEGER NOT NULL DEFAULT 0,    -- that the process did not survive
  seconds REAL,                         -- that it really lasts
  what TEXT, fix TEXT,                  -- why it failed
  lasting INTEGER,                      -- whether the recording itself is at fault
  result BLOB                           -- its transcript, in the state text
);
CREATE INDEX IF NOT EXISTS by_content ON recording (content) WHERE content IS NOT NULL;
"""
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


@dataclass(frozen=True, slots=True)
class Row:
    id: int
    path: str
    output: str
    content: bytes | None
    guess: float
    tries: int
    seconds: float | None
    what: str | None
    fix: str | None

    @classmethod
    def of(cls, values: tuple) -> Row:
        id, path, output, *rest = values
        return cls(id, _name(path), _name(output), *rest)


ROW = ", ".join(Row.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class Counts:
    """Of what the last look found."""

    total: int
    done: int
    failed: int
    seconds: float  # of what is done
    left: float  # guessed seconds of what is neither done nor failed


class Manifest:
    """Any thread may call it. One process at a time has it: another one gets Busy."""

    def __init__(self, path: Path):
        self._path, self._lock, self._begun, self.recipe = path, RLock(), set(), b""
        with self._mended():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=0.5, isolation_level=None, check_same_thread=False)
            # The system lets go of the lock when the process dies; and WAL then works on network disks too.
            self._db.executescript("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL;")
            self._db.executescript("PRAGMA synchronous = NORMAL; PRAGMA cache_size = -65536;")
            self._db.executescript(f"BEGIN IMMEDIATE; {SCHEMA} COMMIT;")
            (self._look,) = self._db.execute("SELECT coalesce(max(seen), 0) FROM recording").fetchone()

    def close(self) -> None:
        """What was begun and not ended by an error or a kill counts as never begun."""
        with self._transaction() as db:
            db.executemany(
                "UPDATE recording SET deaths = deaths - 1 WHERE id = ?", [(i,) for i in self._begun]
            )
        self._db.close()

    def look(self, sources: Iterable[Source], recipe: bytes, again: bool = False) -> None:
        """Take in what there is now; what changed since, or was done by another recipe, is new.

        What failed through no fault of its own is tried again; with `again`, everything that failed.
        """
        self.recipe, self._look = recipe, self._look + 1
        with self._transaction() as db:
            db.executemany(
                SEEN,
                ((_text(s.path), _text(s.name), s.size, s.stamp, s.guess, self._look) for s in sources),
            )
            here = {"look": self._look, "recipe": recipe, "again": again}
            db.execute(f"UPDATE recording SET content = NULL, {ANEW} WHERE state = 'changed'")
            other = "recipe IS NOT :recipe AND seen = :look"
            db.execute(f"UPDATE recording SET recipe = :recipe, {ANEW} WHERE {other}", here)
            worth = "state = 'failed' AND seen = :look AND (:again OR NOT lasting)"
            db.execute(f"UPDATE recording SET {ANEW} WHERE {worth}", here)
            last = 0
            while some := db.execute(UNNAMED, (last,)).fetchall():  # a few at a time: there may be millions
                for last, name in some:
                    self._call(last, _name(name))

    def _call(self, id: int, name: str) -> None:
        """The first name that nobody has yet: talk, talk.mp3, talk.mp3-2. It stays for good."""
        sql = "UPDATE OR IGNORE recording SET output = ? WHERE id = ?"
        next(o for o in outputs(name) if self._db.execute(sql, (_text(o), id)).rowcount)

    def lost(self, complete: Callable[[str], bool]) -> int:
        """How many were done but their files are not `complete` any more; they are to do again."""
        with self._transaction() as db:
            sql = "SELECT id, output FROM recording WHERE seen = ? AND state = 'done' ORDER BY output"
            rows = db.execute(sql, (self._look,))
            gone = [(id,) for id, output in rows if not complete(_name(output))]
            db.executemany("UPDATE recording SET state = NULL WHERE id = ?", gone)
        return len(gone)

    def todo(self, tries: int) -> array:
        """The ids of what has failed `tries` times so far and is not done: long recordings first.

        What the process did not survive comes after everything else.
        """
        with self._transaction() as db:
            found = db.execute(
                "SELECT id FROM recording WHERE seen = ? AND state IS NULL AND tries = ? "
                "ORDER BY deaths, guess DESC, id",
                (self._look, tries),
            )
            return array("q", (id for (id,) in found))

    def row(self, id: int) -> Row:
        with self._transaction() as db:
            return Row.of(db.execute(f"SELECT {ROW} FROM recording WHERE id = ?", (id,)).fetchone())

    def begun(self, id: int) -> None:
        """Before anything is done with its bytes: so that a death is known."""
        self._begun.add(id)
        self._set(id, "deaths = deaths + 1")

    def read(self, id: int, content: bytes) -> None:
        self._set(id, "content = ?", content)

    def twin(self, id: int, content: bytes) -> Row | None:
        """Another recording of the same content, done by the same recipe."""
        with self._transaction() as db:
            same = "content = ? AND id != ? AND state = 'done' AND recipe = ?"
            sql = f"SELECT {ROW} FROM recording WHERE {same}"
            found = db.execute(sql, (content, id, self.recipe)).fetchone()
        return Row.of(found) if found else None

    def heard(self, id: int, transcript: str, seconds: float) -> None:
        """Its transcript is safe from now on: it will not be heard again."""
        self._set(
            id, "state = 'text', seconds = ?, result = ?", seconds, zlib.compress(transcript.encode(), 1)
        )

    def written(self, id: int, seconds: float | None = None) -> None:
        self._ended(id, "state = 'done', result = NULL, what = NULL, seconds = coalesce(?, seconds)", seconds)

    def unwritten(self) -> list[tuple[Row, str]]:
        """What was heard, and its text, but perhaps not in its files when the process ended."""
        with self._transaction() as db:
            sql = f"SELECT {ROW}, result FROM recording WHERE state = 'text' AND seen = ?"
            rows = db.execute(sql, (self._look,)).fetchall()
        return [(Row.of(row[:-1]), zlib.decompress(row[-1]).decode()) for row in rows]

    def interrupted(self) -> list[str]:
        """The outputs of what was being worked on when a process was killed."""
        with self._transaction() as db:
            sql = "SELECT output FROM recording WHERE state IS NULL AND deaths > 0 AND seen = ?"
            return [_name(output) for (output,) in db.execute(sql, (self._look,))]

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
        with self._transaction() as db:
            sql = f"SELECT {ROW} FROM recording WHERE state = 'failed' AND seen = ? ORDER BY path"
            yield from map(Row.of, db.execute(sql, (self._look,)).fetchall())

    def counts(self) -> Counts:
        with self._transaction() as db:
            sql = f"SELECT {COUNTED} FROM recording WHERE seen = ?"
            return Counts(*db.execute(sql, (self._look,)).fetchone())

    def _ended(self, id: int, change: str, *values) -> None:
        self._begun.discard(id)
        self._set(id, f"deaths = 0, {change}", *values)

    def _set(self, id: int, change: str, *values) -> None:
        with self._transaction() as db:
            db.execute(f"UPDATE recording SET {change} WHERE id = ?", (*values, id))

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._mended():
            self._db.execute("BEGIN")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    @contextmanager
    def _mended(self) -> Iterator[None]:
        """SQLite's errors and the disk's as ours."""
        try:
            yield
        except sqlite3.OperationalError as e:
            if "locked" in str(e):
                raise Busy(f"Somebody else is working with {self._path}.", "Let it finish, or end it.") from e
            fix = "Free some space, or choose another folder."
            raise ASRError(f"{self._path} cannot be used: {e}.", fix) from e
        except OSError as e:
            raise ASRError(f"{self._path} cannot be made: {e.strerror}.", "Choose another folder.") from e
        except sqlite3.DatabaseError as e:
            fix = "Move it away: everything will be done again."
            raise ASRError(f"{self._path} is damaged: {e}.", fix) from e


def outputs(name: str) -> Iterator[str]:
    """What the transcripts of a recording may be called, better ones first: no way out of the folder."""
    parts = [part for part in PurePosixPath(name).parts if part not in ("/", "..", ".")]
    whole = PurePosixPath(*parts) if parts else PurePosixPath("recording")
    yield str(whole.with_suffix(""))
    yield str(whole)
    yield from (f"{whole}-{n}" for n in count(2))


def _text(name: str) -> str | bytes:
    try:
        name.encode()
        return name
    except UnicodeEncodeError:
        return os.fsencode(name)


def _name(stored: str | bytes) -> str:
    return os.fsdecode(stored) if isinstance(stored, bytes) else stored
