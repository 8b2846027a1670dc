"""A SQLite file of one process: any thread may use it, kill -9 leaves it whole, its errors are sentences."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock

from asr.errors import ASRError, Busy


class Database:
    """Raises Busy where another process has it, ASRError where the disk or the file is at fault."""

    def __init__(self, path: Path, schema: str):
        self._path, self._lock = path, RLock()
        with self._mended():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=0.5, isolation_level=None, check_same_thread=False)
            # The system lets go of the lock when the process dies; and WAL then works on network disks too.
            self._db.executescript("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL;")
            self._db.executescript("PRAGMA synchronous = NORMAL; PRAGMA cache_size = -65536;")
            self._db.executescript(f"BEGIN IMMEDIATE; {schema} COMMIT;")

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of it or nothing, and nobody else meanwhile."""
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
