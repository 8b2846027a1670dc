"""The file that jobs are kept in: SQLite, written ahead, and really forgetting what is deleted."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from asr.errors import ASRError, ConfigError

SCHEMA = 1
TABLES = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, name TEXT NOT NULL, suffix TEXT NOT NULL,
    bytes INTEGER NOT NULL, created REAL NOT NULL, state TEXT NOT NULL, stages TEXT NOT NULL,
    wishes TEXT NOT NULL, progress REAL NOT NULL DEFAULT 0, queued REAL NOT NULL DEFAULT 0,
    began REAL NOT NULL DEFAULT 0, took REAL NOT NULL DEFAULT 0,
    tries INTEGER NOT NULL DEFAULT 0, duration REAL NOT NULL DEFAULT 0,
    damage TEXT NOT NULL DEFAULT '', model TEXT NOT NULL DEFAULT '', timed TEXT NOT NULL DEFAULT '',
    says TEXT NOT NULL DEFAULT '',
    what TEXT NOT NULL DEFAULT '', fix TEXT NOT NULL DEFAULT '',
    version INTEGER NOT NULL DEFAULT 0, revision INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS jobs_owner ON jobs (owner, created);
CREATE TABLE IF NOT EXISTS segments (
    job TEXT NOT NULL REFERENCES jobs ON DELETE CASCADE, n INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (job, n));
CREATE TABLE IF NOT EXISTS versions (
    job TEXT NOT NULL REFERENCES jobs ON DELETE CASCADE, version INTEGER NOT NULL, stage TEXT NOT NULL,
    made REAL NOT NULL, model TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (job, version));
CREATE TABLE IF NOT EXISTS edits (
    job TEXT NOT NULL REFERENCES jobs ON DELETE CASCADE, version INTEGER NOT NULL, n INTEGER NOT NULL,
    operation TEXT NOT NULL, undone INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (job, version, n));
CREATE TABLE IF NOT EXISTS diarizations (
    job TEXT NOT NULL REFERENCES jobs ON DELETE CASCADE, version INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (job, version));
CREATE TABLE IF NOT EXISTS keys (name TEXT PRIMARY KEY, value BLOB NOT NULL);
"""


class Database:
    """One connection for all threads of this process, one statement or transaction at a time."""

    def __init__(self, path: Path):
        self.path = path
        self._lock = threading.RLock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)  # other people's words: for the owner of the server only
            self._db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
            self._db.row_factory = sqlite3.Row
            self._prepare()
        except (OSError, sqlite3.Error) as e:
            raise ConfigError(
                f"The recordings cannot be kept in {path}: {e}.",
                "Set ASR_DATA_DIR to a folder that can be written.",
            ) from None

    def _prepare(self) -> None:
        # Written ahead: readers never wait, and what was committed survives a kill of the process.
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "secure_delete=ON"):
            self._db.execute(f"PRAGMA {pragma}")
        found = self._db.execute("PRAGMA user_version").fetchone()[0]
        if found > SCHEMA:
            raise ConfigError(
                f"{self.path} was written by a newer Parlance.",
                "Update Parlance, or set another ASR_DATA_DIR.",
            )
        self._db.executescript(TABLES)
        self._db.execute(f"PRAGMA user_version={SCHEMA}")

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def rows(self, sql: str, *values) -> list[sqlite3.Row]:
        """What a SELECT finds."""
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction, all of it or nothing; inside another one, part of that.

        Raises ASRError where the disk is full.
        """
        with self._lock:
            if self._db.in_transaction:
                yield self._db
                return
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield self._db
                self._db.execute("COMMIT")
            except BaseException as e:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                if isinstance(e, sqlite3.OperationalError):
                    raise _full(self.path, e) from e
                raise

    def forget(self) -> None:
        """Overwrite what was deleted: it is zeroed in the file, and the log that still has it is emptied."""
        with self._lock:
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _full(path: Path, error: sqlite3.OperationalError) -> ASRError:
    if "full" in str(error):
        what = f"The disk with {path.parent} is full."
        return ASRError(what, "What was recognised before is kept. Delete recordings or free some space.")
    return ASRError(
        f"{path.name} cannot be written: {error}.", f"Look at the disk and the rights of {path.parent}."
    )
