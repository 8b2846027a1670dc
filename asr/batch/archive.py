"""An archive's run: everything that is not done is heard, written, and done; nothing twice."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from threading import Lock
from typing import BinaryIO

from asr.audio import Limits, Recording, decode
from asr.batch.filling import Hall, Heard, Part
from asr.batch.manifest import Manifest
from asr.batch.rows import Row
from asr.batch.shelf import Shelf
from asr.batch.together import together
from asr.errors import ASRError
from asr.formats import from_json, to_json
from asr.types import Transcript

BLOCK = 1 << 20  # bytes


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is asked for: all that changes the text. Results of another recipe are not ours."""

    model: str
    language: str | None = None
    task: str = "transcribe"
    prompt: str | None = None
    hotwords: str | None = None
    words: bool = False
    share: bool = False
    stages: str = ""  # alignment and speakers

    @property
    def key(self) -> bytes:
        return hashlib.blake2b(json.dumps(asdict(self)).encode(), digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class Event:
    """A recording is out of the way: heard, copied from one of the same content, or failed."""

    row: Row
    how: str  # heard, copied, again (it failed, and will be tried again), aside (it failed for good)
    seconds: float | None = None  # that it lasts
    error: Exception | None = None
    damage: str = ""


@dataclass(frozen=True, slots=True)
class Archive:
    """Recordings that `Manifest.look` has found, and where their transcripts go."""

    manifest: Manifest
    shelf: Shelf
    longest: float = 12 * 3600.0  # seconds
    tries: int = 2
    resumed: Callable[[float], None] = lambda seconds: None  # is told what an earlier run did of a recording

    def unfinished(self) -> Iterator[Event]:
        """First: write what a killed process had heard, clear what it left about, see what is lost."""
        unwritten = self.manifest.unwritten()
        self.shelf.sweep([row.output for row, _ in unwritten] + self.manifest.interrupted())
        for row, text in unwritten:
            self.shelf.put(row.output, from_json(text))
            self.manifest.written(row.id)
            yield Event(row, "heard", row.seconds)
        self.manifest.lost(self.shelf.complete)

    def run(self, hall: Hall) -> Iterator[Event]:
        """Hear all that is to do, long recordings first, and what failed again after all others.

        Raises ASRError where nothing can go on: the disk is full, the engine broke. What was yielded is safe.
        """
        desk = Desk(self)
        for tries in range(self.tries):
            rows = map(self.manifest.row, self.manifest.todo(tries))
            recordings = ((row, partial(desk.open, row)) for row in rows)
            for found in together(recordings, replace(hall, known=desk.known)):
                if isinstance(found, Part):
                    desk.keep(found)
                else:
                    yield from desk.close(found)


class Desk:
    """Recordings come and go. Two of the same content: the first is heard, the other waits for its text."""

    def __init__(self, archive: Archive):
        self.archive, self.manifest, self.shelf = archive, archive.manifest, archive.shelf
        self._lock = Lock()
        self._waiting: dict[bytes, list[int]] = {}  # content -> who is being heard, and who else has it
        self._copied: dict[int, float | None] = {}
        self._begun: set[int] = set()  # of these something was heard in this run

    def open(self, row: Row) -> Recording | None:
        """The decoded recording; None where another one of the same content was heard or is being heard."""
        self.manifest.begun(row.id)
        with ExitStack() as open_files:
            file, content = read(row, open_files)
            return (
                decode(file, Limits(sys.maxsize, self.archive.longest)) if self.claim(row, content) else None
            )

    def claim(self, row: Row, content: bytes) -> bool:
        """Whether it is to be heard; otherwise it has copies of its twin's files, or will have them."""
        with self._lock:
            self.manifest.read(row.id, content)
            first, *_ = self._waiting.setdefault(content, [row.id])
            if first != row.id:
                self._waiting[content].append(row.id)
                return False
        twin = self.manifest.twin(row.id, content)
        if twin and self.shelf.copy(twin.output, row.output):
            self._copied[row.id] = twin.seconds
            return False
        return True

    def known(self, row: Row) -> Part | None:
        """What was heard of it before this run, or before an engine died."""
        pieces = self.manifest.pieces(row.id)
        if not pieces:
            return None
        segments = tuple(s for *_, said in pieces for s in from_json(said).segments)
        upto, language, probability, _ = pieces[-1]
        if row.id not in self._begun:
            self.archive.resumed(upto)
            self._begun.add(row.id)
        return Part(row, segments, upto, language, probability)

    def keep(self, part: Part) -> None:
        """From now on a kill costs only what comes after it."""
        self._begun.add(part.key.id)
        said = to_json(Transcript(part.segments, part.upto))
        self.manifest.keep(part.key.id, (part.upto, part.language, part.probability, said))

    def close(self, heard: Heard) -> Iterator[Event]:
        """A recording is through; so are those that waited for it."""
        row = self.manifest.row(heard.key.id)
        if heard.error:
            yield from self._failed(row, heard.error)
        elif heard.transcript:
            seconds = heard.transcript.duration
            self.manifest.heard(row.id, to_json(heard.transcript), seconds)
            self.shelf.put(row.output, heard.transcript)
            self.manifest.written(row.id)
            yield Event(row, "heard", seconds, damage=heard.damage)
            yield from self._copies(row, seconds)
        elif row.id in self._copied:
            seconds = self._copied.pop(row.id)
            self.manifest.written(row.id, seconds)
            yield Event(row, "copied", seconds)
            yield from self._copies(row, seconds)

    def _copies(self, row: Row, seconds: float | None) -> Iterator[Event]:
        for other in self._released(row):
            self.shelf.copy(row.output, other.output)
            self.manifest.written(other.id, seconds)
            yield Event(other, "copied", seconds)

    def _failed(self, row: Row, error: Exception) -> Iterator[Event]:
        for each in (row, *self._released(row)):
            aside = self.manifest.failed(each.id, error, self.archive.tries)
            yield Event(each, "aside" if aside else "again", error=error)

    def _released(self, row: Row) -> list[Row]:
        with self._lock:
            if self._waiting.get(row.content, [None])[0] != row.id:
                return []
            _, *others = self._waiting.pop(row.content)
        return [self.manifest.row(id) for id in others]


def read(row: Row, open_files: ExitStack) -> tuple[BinaryIO, bytes]:
    """A recording's bytes as a file, and their hash; what has an address is fetched to the disk meanwhile."""
    file = open_files.enter_context(_opened(row.path))
    if row.content and "://" not in row.path:
        return file, row.content  # neither its size nor its time has changed since
    if "://" in row.path:
        file = open_files.enter_context(_copied(file))
    hashed = hashlib.blake2b(digest_size=16)
    while block := file.read(BLOCK):
        hashed.update(block)
    file.seek(0)
    return file, hashed.digest()


@contextmanager
def _copied(stream: BinaryIO) -> Iterator[BinaryIO]:
    with tempfile.TemporaryFile() as file:
        shutil.copyfileobj(stream, file, BLOCK)
        file.seek(0)
        yield file


def _opened(path: str) -> BinaryIO:
    try:
        if "://" not in path:
            return open(path, "rb")
        import fsspec

        return fsspec.open(path, "rb").open()
    except OSError as e:
        why = e.strerror or f"{type(e).__name__}: {e}"
        raise ASRError(f"It cannot be opened: {why}.", "Check that it is there and may be read.") from e
