"""What a live session said, kept on disk while it is said: one JSON object per line.

Lines are only ever added, so a server killed at any instant leaves every line but perhaps
the last one whole; that one is skipped when the file is read again.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Container
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from asr.types import Segment, Word


@dataclass(frozen=True, slots=True)
class Gap:
    """Between these seconds nothing was heard: a pause, or a lost connection."""

    start: float
    end: float


Entry = Segment | Gap


class Journal:
    """One session's file. Nothing is created before the first line is written."""

    def __init__(self, folder: Path, session: str):
        self.path = folder / f"{session}.jsonl"

    def write(self, kind: str, **fields) -> None:
        """Append one line and hand it to the operating system; raises OSError."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps({"type": kind, **fields}, separators=(",", ":"))  # ASCII: no odd line ends
        # Other people's words: for the owner of the server only.
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            size = os.fstat(file).st_size
            torn = b"\n" if size and os.pread(file, 1, size - 1) != b"\n" else b""
            os.write(file, torn + line.encode() + b"\n")
        finally:
            os.close(file)

    def read(self) -> list[dict]:
        """The lines so far, each a dict with its "type"; empty when there is no such file."""
        if not self.path.exists():
            return []
        found = []
        for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
            with suppress(json.JSONDecodeError):  # torn by a crash
                found.append(json.loads(line))
        return found

    def delete(self) -> None:
        self.path.unlink(missing_ok=True)


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
    return {k: v for k, v in fields.items() if v is not None and v is not False and v != ()}


def expire(folder: Path, hours: float, spare: Container[str]) -> None:
    """Delete the journals nobody has written to for `hours`, but for the sessions to `spare`."""
    oldest = time.time() - hours * 3600
    for path in folder.glob("*.jsonl"):
        with suppress(FileNotFoundError):
            if path.stem not in spare and path.stat().st_mtime < oldest:
                path.unlink()
