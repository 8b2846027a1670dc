"""A decoded recording, in memory or in a file of bare int16 samples that is read piece by piece."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np

from asr.audio.pcm import SAMPLE_RATE, from_pcm16
from asr.errors import ASRError, AudioError


class Recording:
    """int16 mono 16 kHz. Any thread may read, several at once.

    `damage` says what could not be read of the source; it is empty when all was well.
    """

    def __init__(self, source: np.ndarray | BinaryIO, damage: str = ""):
        self._source, self.damage = source, damage
        in_memory = isinstance(source, np.ndarray)
        self._length = len(source) if in_memory else os.fstat(source.fileno()).st_size // 2

    @classmethod
    def open(cls, path: str | Path) -> Recording:
        """The file that an earlier `decode(..., into=path)` kept; closing does not delete it."""
        try:
            return cls(open(path, "rb"))
        except OSError as e:
            raise AudioError(f"The decoded audio in {path} is gone.", "Give the recording again.") from e

    def __len__(self) -> int:
        """Samples."""
        return self._length

    @property
    def duration(self) -> float:
        """Seconds."""
        return self._length / SAMPLE_RATE

    @property
    def path(self) -> Path | None:
        """The file of bare samples it lies in, where that has a name: another process can open it."""
        name = getattr(self._source, "name", None)
        return Path(name) if isinstance(name, (str, Path)) else None

    @property
    def samples(self) -> np.ndarray:
        """All of it: int16 (n,), mapped into memory and read-only where it lies in a file."""
        return self._view(0, self._length)

    def read(self, start: float, stop: float) -> np.ndarray:
        """A copy of the seconds from `start` to `stop`, clipped to what there is: float32 (n,)."""
        first, last = (min(max(round(t * SAMPLE_RATE), 0), self._length) for t in (start, stop))
        return from_pcm16(self._view(first, max(first, last)))

    def blocks(self, seconds: float = 30.0) -> Iterator[np.ndarray]:
        """All of it in order, as float32 pieces of `seconds`; the last one may be shorter."""
        step = max(1, round(seconds * SAMPLE_RATE))
        for first in range(0, self._length, step):
            yield from_pcm16(self._view(first, min(first + step, self._length)))

    def _view(self, first: int, last: int) -> np.ndarray:
        if isinstance(self._source, np.ndarray):
            return self._source[first:last]
        if first == last:
            return np.zeros(0, np.int16)
        # Mapped anew for each piece: the pages of one lasting map would count as our memory once read.
        return np.memmap(self._source, np.int16, "r", 2 * first, last - first)

    def close(self) -> None:
        """Let go of the audio. A temporary file is gone with this."""
        if not isinstance(self._source, np.ndarray):
            self._source.close()

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *_) -> None:
        self.close()


Fill = Callable[[BinaryIO], None]


def written(fill: Fill, into: Path | None) -> BinaryIO:
    """What `fill` writes, opened for reading: in `into`, whole or not at all, or in a file without a name."""
    if into is None:
        file = tempfile.TemporaryFile()  # noqa: SIM115
        with _undone(file.close):
            fill(file)
        return file
    part = tempfile.NamedTemporaryFile(dir=Path(into).parent, suffix=".part", delete=False)  # noqa: SIM115
    with _undone(lambda: (part.close(), os.unlink(part.name))):
        fill(part.file)
        part.close()
        os.replace(part.name, into)
    return open(into, "rb")


def filled(blocks: Iterable[np.ndarray]) -> Fill:
    """For `written`: int16 blocks, one after the other."""

    def fill(file: BinaryIO) -> None:
        for block in blocks:
            file.write(block.tobytes())
        file.flush()

    return fill


@contextmanager
def _undone(undo) -> Iterator[None]:
    """`undo` when anything goes wrong, a full disk or a caller who stops among it."""
    try:
        yield
    except BaseException as e:
        with suppress(OSError):
            undo()
        if isinstance(e, OSError) and e.errno == errno.ENOSPC:
            raise ASRError(
                f"The disk is full: {tempfile.gettempdir()} has no room for the decoded audio.",
                "An hour takes 115 MB. Free some space, or set TMPDIR to a larger disk.",
            ) from e
        raise
