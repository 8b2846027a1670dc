"""The bytes of a recording: from a path or a stream, no more of them than allowed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from asr.errors import AudioError, TooLarge


@dataclass(frozen=True, slots=True)
class Limits:
    """What `decode` accepts, and what it may cost."""

    bytes: int = 2 * 1024**3  # of the file
    seconds: float = 12 * 3600.0  # of the audio in it
    memory: int = 2**30  # bytes of address space for the decoder
    patience: float = 3600.0  # seconds that decoding may take

    @classmethod
    def of(cls, config, bytes: int | None = None) -> Limits:
        """Those of an `asr.config.Config`; `bytes` where its limit for uploads does not count."""
        most = config.max_upload_mb * 2**20 if bytes is None else bytes
        hours, minutes = config.max_audio_hours, config.decoding_minutes
        return cls(most, hours * 3600, config.decoding_mb * 2**20, minutes * 60)


@contextmanager
def opened(source: str | Path | BinaryIO, most: int) -> Iterator[BinaryIO]:
    """`source` as a stream that can be wound back, at its start, of 1 to `most` bytes."""
    try:
        file = source if hasattr(source, "read") else open(source, "rb")  # noqa: SIM115
    except (OSError, ValueError) as e:
        raise AudioError(f"{source} cannot be opened: {getattr(e, 'strerror', e)}.", "Check the path.") from e
    try:
        if _seekable(file):
            file.seek(0, os.SEEK_END)
            _check(file.tell(), most)
            file.seek(0)
            yield file
        else:
            with tempfile.TemporaryFile() as copy:
                _copy(file, copy, most)
                yield copy
    finally:
        if file is not source:
            file.close()


def _seekable(file: BinaryIO) -> bool:
    # Before Python 3.11 a SpooledTemporaryFile, which uploads are, could seek but not say so.
    return file.seekable() if hasattr(file, "seekable") else hasattr(file, "seek")


def _copy(stream: BinaryIO, copy: BinaryIO, most: int) -> None:
    """A pipe cannot be wound back, and many recordings have their index at the end."""
    size = 0
    while piece := stream.read(1 << 20):
        size += len(piece)
        _check(size, most)
        copy.write(piece)
    _check(size, most)
    copy.seek(0)


def _check(size: int, most: int) -> None:
    if size == 0:
        raise AudioError("The file is empty.", "Record or upload it again; it did not arrive.")
    if size > most:
        raise TooLarge(
            f"The file is larger than the {most / 2**20:.4g} MiB allowed here.",
            "Send only the sound (M4A or MP3 are small), or raise ASR_MAX_UPLOAD_MB.",
        )
