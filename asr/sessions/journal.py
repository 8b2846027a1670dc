"""What a live session said, kept on disk while it is said: one JSON object per line.

Lines are only ever added, so a server killed at any instant leaves every line but perhaps
the last one whole; that one is skipped when the file is read again.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import time
from collections.abc import Container
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from asr.types import Segment, Word

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Gap:
    """Between these seconds nothing was heard: a pause, or a lost connection."""

    start: float
    end: float


Entry = Segment | Gap


class Journal:
    """One session's entries, in memory and in its file. Nothing is created before `begin`."""

    def __init__(self, folder: Path, session: str):
        self.path = folder / f"{session}.jsonl"
        self.entries: list[Entry] = []  # entry i has the sequence number i + 1
        self.started: float | None = None  # wall clock of second 0
        self.over = False
        self.failed: OSError | None = None  # why lines are missing in the file
        self._unwritten: list[str] = []  # those lines; they go with the next one

    def begin(self, started: float) -> None:
        self.started = started
        self._write("session", started=started)

    def add(self, entry: Entry) -> None:
        self.entries.append(entry)
        self._write("gap" if isinstance(entry, Gap) else "segment", **pack(entry))

    def end(self) -> None:
        self.over = True
        if self.started is not None:
            self._write("over")

    def load(self) -> bool:
        """Fill this journal from its file; False when there is none."""
        if not self.path.exists():
            return False
        for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
            with suppress(ValueError, TypeError, KeyError, AttributeError):  # torn by a crash
                self._take(json.loads(line))
        return self.started is not None

    def _take(self, line: dict) -> None:
        kind = line.pop("type")
        if kind == "session":
            self.started = line["started"]
        elif kind == "over":
            self.over = True
        else:
            self.entries.append(unpack(kind, line))

    def delete(self) -> None:
        self.path.unlink(missing_ok=True)

    def _write(self, kind: str, **fields) -> None:
        """Append one line and hand it to the operating system. A full disk must not stop recognition."""
        # ASCII: no odd line ends
        self._unwritten.append(json.dumps({"type": kind, **fields}, separators=(",", ":")))
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Other people's words: for the owner of the server only.
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                while self._unwritten:
                    _append(file, self._unwritten[0].encode())
                    del self._unwritten[0]
                self.failed = None
            finally:
                os.close(file)
        except OSError as e:
            log.error("a live session's text cannot be written: %s", e)
            self.failed = e


def _append(file: int, line: bytes) -> None:
    """Write the line, and the end of one that was torn before. Raises OSError where it does not fit."""
    size = os.fstat(file).st_size
    torn = b"\n" if size and os.pread(file, 1, size - 1) != b"\n" else b""
    whole = torn + line + b"\n"
    if (written := os.write(file, whole)) < len(whole):  # a disk takes as much as it has room for
        os.ftruncate(file, size)
        raise OSError(errno.ENOSPC, f"of {len(whole)} bytes it took {written}")


def pack(entry: Entry) -> dict:
    """An entry as JSON can hold it, without the fields that say nothing."""
    fields = _said(asdict(entry))
    if "words" in fields:
        fields["words"] = [_said(w) for w in fields["words"]]
    return fields


def unpack(kind: str, fields: dict) -> Entry:
    """What `pack` packed; `kind` is "gap" or "segment"."""
    if kind == "gap":
        return Gap(**fields)
    words = tuple(Word(**w) for w in fields.get("words", ()))
    return Segment(**{**fields, "words": words, "tokens": tuple(fields.get("tokens", ()))})


def _said(fields: dict) -> dict:
    # NumPy's numbers are numbers too, but make an array of it when they are compared with a tuple.
    return {
        k: v for k, v in fields.items() if not (v is None or v is False or (isinstance(v, tuple) and not v))
    }


def expire(folder: Path, hours: float, spare: Container[str]) -> None:
    """Delete the text and sound nobody has written to for `hours`, but for the sessions to `spare`."""
    oldest = time.time() - hours * 3600
    for path in [*folder.glob("*.jsonl"), *folder.glob("*.pcm")]:
        with suppress(FileNotFoundError):
            if path.stem not in spare and path.stat().st_mtime < oldest:
                path.unlink()
