"""What the manifest's file holds: its tables, and how their rows are read and written."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import PurePosixPath

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
CREATE TABLE IF NOT EXISTS part (       -- of recordings that are being heard, piece by piece
  content BLOB NOT NULL,
  recipe BLOB NOT NULL,
  upto REAL NOT NULL,                   -- seconds of the recording
  language TEXT, probability REAL,      -- that was detected
  said BLOB NOT NULL,                   -- the segments since the part before
  PRIMARY KEY (content, upto)
);
"""

# Upto which second, the language that was detected and its probability, the segments since the piece before.
Piece = tuple[float, str | None, float | None, str]


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
        return cls(id, name_of(path), name_of(output), *rest)


ROW = ", ".join(Row.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class Counts:
    """Of what the last look found."""

    total: int
    done: int
    failed: int
    seconds: float  # of what is done
    left: float  # guessed seconds of what is neither done nor failed


def outputs(name: str) -> Iterator[str]:
    """What the transcripts of a recording may be called, better ones first: no way out of the folder."""
    parts = [part for part in PurePosixPath(name).parts if part not in ("/", "..", ".")]
    whole = PurePosixPath(*parts) if parts else PurePosixPath("recording")
    yield str(whole.with_suffix(""))
    yield str(whole)
    yield from (f"{whole}-{n}" for n in count(2))


def packed(text: str) -> bytes:
    return zlib.compress(text.encode(), 1)


def unpacked(stored: bytes) -> str:
    return zlib.decompress(stored).decode()


def text_of(name: str) -> str | bytes:
    """A file's name as SQLite can keep it: not every name is Unicode."""
    try:
        name.encode()
        return name
    except UnicodeEncodeError:
        return os.fsencode(name)


def name_of(stored: str | bytes) -> str:
    return os.fsdecode(stored) if isinstance(stored, bytes) else stored
