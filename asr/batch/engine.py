"""An engine in a process of its own: what it does with the recordings that it is sent.

Whoever shares out the work (`shares`) asks first what recordings are, then to hear those that are no other's
twin. So a recording that comes over the network is fetched once, and nothing is heard twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import BinaryIO, Protocol

from asr.audio import Limits, Recording, decode
from asr.batch.archive import read
from asr.batch.filling import Hall, Heard, Part
from asr.batch.rows import Row
from asr.batch.together import together
from asr.errors import ASRError

Looked = tuple[int, bytes | None, Exception | None]  # a recording's id, and its content or why there is none


class Worker(Protocol):
    """An Engine from afar. Both raise Died where its process is gone; the next call has another one."""

    def look(self, rows: Sequence[Row]) -> list[Looked]: ...

    def hear(
        self, rows: Sequence[Row], others: Sequence[int], known: Mapping[Row, Part]
    ) -> Iterator[Heard | Part]: ...


class Died(Exception):
    """An engine's process has ended, of itself or with its machine."""


class Engine:
    def __init__(self, hall: Callable[[], Hall], longest: float):
        self.hall, self.longest = hall(), longest
        self.opened: dict[int, tuple[BinaryIO, ExitStack]] = {}  # by a recording's id

    def look(self, rows: Sequence[Row]) -> list[Looked]:
        """The content of recordings, which stay open."""
        found: list[Looked] = []
        for row in rows:
            try:
                found.append((row.id, self._look(row), None))
            except Exception as e:  # this recording's affair
                found.append((row.id, None, _plain(e)))
        return found

    def _look(self, row: Row) -> bytes:
        with ExitStack() as files:
            file, content = read(row, files)
            self.opened[row.id] = file, files.pop_all()
            return content

    def hear(
        self, rows: Sequence[Row], others: Sequence[int], known: Mapping[Row, Part]
    ) -> Iterator[Heard | Part]:
        """What was looked at, transcribed from where it is known on; `others` are let go."""
        for id in others:
            if id in self.opened:
                self.opened.pop(id)[1].close()
        recordings = ((row, partial(self._open, row)) for row in rows)
        for found in together(recordings, replace(self.hall, known=known.get)):
            broken = isinstance(found, Heard) and found.error
            yield replace(found, error=_plain(found.error)) if broken else found

    def _open(self, row: Row) -> Recording:
        if row.id not in self.opened:  # whoever looked at it has died since: we are in its place
            self._look(row)
        file, files = self.opened.pop(row.id)
        with files:
            return decode(file, Limits(seconds=self.longest, bytes=1 << 60))


def _plain(error: Exception) -> ASRError:
    """An error that any process can read."""
    return error if isinstance(error, ASRError) else ASRError(f"{type(error).__name__}: {error}")
