"""Folders, globs, lists and addresses to the recordings there are, without opening any.

calls/            every recording in the folder and below; hidden ones are left out
"2026-*/**/*.wav" a glob
list.jsonl        one JSON object per line, or list.csv with a line of names: the recording is what
                  stands under one of COLUMNS; list.txt: one per line. Paths count from the list's folder
s3://calls/2026/  whatever fsspec opens (s3 needs s3fs, hf is there): a file, a folder or a glob
"""

from __future__ import annotations

import csv
import glob
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from asr.errors import ASRError

COLUMNS = ("audio_filepath", "audio", "path", "file", "wav", "url")  # audio_filepath: NVIDIA NeMo's manifests
STAMPS = ("ETag", "mtime", "LastModified", "last_commit")  # what file systems call it
LISTS = (".jsonl", ".csv", ".txt")
# fmt: off
BARE = frozenset(
    {".aif", ".aiff", ".au", ".caf", ".flac", ".voc", ".wav"}
)
PACKED = frozenset(
    {".aac", ".ac3", ".amr", ".ape", ".gsm", ".m4a", ".m4b", ".mka", ".mp2", ".mp3", ".oga", ".ogg",
     ".opus", ".ra", ".spx", ".weba", ".wma", ".wv"}
)
VIDEO = frozenset(
    {".3gp", ".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv",
     ".rm", ".ts", ".webm", ".wmv"}
)
# fmt: on
# Usual bytes per second: enough to put long recordings first.
RATES = ((BARE, 32_000), (PACKED, 12_000), (VIDEO, 150_000))
SUFFIXES = BARE | PACKED | VIDEO


@dataclass(frozen=True, slots=True)
class Source:
    path: str  # absolute, or an address with ://
    name: str  # what its transcripts are called after, below the folder they are written to
    size: int = 0  # bytes; 0 where nobody could tell: opening it will say why
    stamp: str = ""  # changes when its content does

    @property
    def guess(self) -> float:
        """Seconds that it may last, by its size and kind."""
        suffix = PurePosixPath(self.path).suffix.lower()
        return self.size / next((rate for kind, rate in RATES if suffix in kind), 32_000)


def find(asked: Iterable[str], leave_out: Path | None = None) -> Iterator[Source]:
    """The recordings of all that was asked for; nothing below the folder `leave_out`.

    A folder gives what is called like a recording, everything else what was named. Raises ASRError
    where there is nothing of that name or a list cannot be read.
    """
    for name in asked:
        if "://" in name:
            yield from _remote(name)
        elif os.path.isdir(name):
            yield from _below(os.path.abspath(name), "", str(leave_out.resolve()) if leave_out else None)
        elif os.path.isfile(name):
            is_list = name.lower().endswith(LISTS)
            yield from _listed(Path(name)) if is_list else [_local(name)]
        elif glob.has_magic(name):
            yield from (_local(path) for path in glob.iglob(name, recursive=True) if os.path.isfile(path))
        else:
            raise ASRError(
                f"There is no {name}.", "Name a folder, a recording, a glob or a list of recordings."
            )


def _local(path: str) -> Source:
    path = os.path.abspath(path)
    try:
        state = os.stat(path)
    except OSError:
        return Source(path, os.path.basename(path))
    return Source(path, os.path.basename(path), state.st_size, str(state.st_mtime_ns))


def _below(folder: str, name: str, leave_out: str | None) -> Iterator[Source]:
    """Depth first, in the order of names, so that a run can be compared with the next."""
    if os.path.realpath(folder) == leave_out:
        return
    try:
        entries = sorted(os.scandir(folder), key=lambda e: e.name)
    except OSError as e:
        raise ASRError(
            f"The folder {folder} cannot be read: {e.strerror}.", "Look at its permissions."
        ) from e
    for entry in entries:
        below = f"{name}{entry.name}"
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _below(entry.path, f"{below}/", leave_out)
        elif os.path.splitext(entry.name)[1].lower() in SUFFIXES and entry.is_file():
            state = entry.stat()
            yield Source(entry.path, below, state.st_size, str(state.st_mtime_ns))


def _listed(path: Path) -> Iterator[Source]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = {".jsonl": _from_json, ".csv": _from_csv, ".txt": _from_text}[path.suffix.lower()]
            for where in rows(file):
                yield from _remote(where) if "://" in where else [_local(str(path.parent / where))]
    except (OSError, ValueError, csv.Error) as e:
        raise ASRError(
            f"The list {path} cannot be read: {getattr(e, 'strerror', None) or e}.",
            f"It needs one recording per line, in JSON and CSV under one of: {', '.join(COLUMNS)}.",
        ) from e


def _from_text(file) -> Iterator[str]:
    yield from (line.strip() for line in file if line.strip() and not line.startswith("#"))


def _from_csv(file) -> Iterator[str]:
    yield from map(_column, csv.DictReader(file))


def _from_json(file) -> Iterator[str]:
    yield from (_column(json.loads(line)) for line in file if line.strip())


def _column(row) -> str:
    found = next((row[c] for c in COLUMNS if isinstance(row, dict) and row.get(c)), None)
    if not isinstance(found, str):
        raise ValueError(f"no recording is named in {str(row)[:80]}")
    return found


def _remote(url: str) -> Iterator[Source]:
    """What fsspec finds there: a file, every recording below a folder, or what matches a glob."""
    import fsspec

    try:
        system, path = fsspec.core.url_to_fs(url)
        if glob.has_magic(path):
            found = system.glob(path, detail=True)
        elif system.isfile(path):
            found = {path: system.info(path)}
        else:
            below = system.find(path, detail=True).items()
            found = {p: i for p, i in below if _sounds(p) and "/." not in p.removeprefix(path)}
    except ImportError as e:
        raise ASRError(f"{url} needs another library: {e}.", "Install what it names.") from e
    except (OSError, ValueError) as e:
        raise ASRError(f"{url} cannot be listed: {e}.", "Check the address and your access to it.") from e
    if not found:
        raise ASRError(f"There is no recording at {url}.", "Check the address.")
    top = path if path in found or glob.has_magic(path) else path.rstrip("/") + "/"
    for each, info in sorted(found.items()):
        if info.get("type", "file") == "file":
            name = each.removeprefix(top) if top.endswith("/") else PurePosixPath(each).name
            stamp = next(
                (str(info[k]) for k in ("ETag", "mtime", "LastModified", "last_commit") if info.get(k)), ""
            )
            yield Source(system.unstrip_protocol(each), name, int(info.get("size") or 0), stamp)


def _sounds(path: str) -> bool:
    return PurePosixPath(path).suffix.lower() in SUFFIXES
