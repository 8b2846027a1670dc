"""A live session's sound on disk, because whoever spoke wished it kept: bare int16 mono 16 kHz.

Each sample lies where it was heard in the session's time; what was not heard is silence.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np

from asr.audio import to_pcm16

log = logging.getLogger(__name__)


class Kept:
    """Nothing is created before the first `write`."""

    def __init__(self, path: Path):
        self.path = path
        self.failed: OSError | None = None  # why some of it is missing

    @property
    def size(self) -> int:
        """Bytes; 0 where nothing was kept."""
        return self.path.stat().st_size if self.path.exists() else 0

    def write(self, at: int, audio: np.ndarray) -> None:
        """float32 from sample number `at` on. A full disk must not stop recognition."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o600)  # for the owner of the server only
            try:
                os.pwrite(file, to_pcm16(audio).tobytes(), 2 * at)
            finally:
                os.close(file)
        except OSError as e:
            log.error("a live session's sound cannot be written: %s", e)
            self.failed = e

    def delete(self) -> None:
        self.path.unlink(missing_ok=True)
