"""One process at a time works on the recordings in a folder; another one waits until it is gone."""

from __future__ import annotations

import os
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: whoever starts two servers there has to know
    fcntl = None


class Lock:
    """Held until `release`, or until the process ends, however it ends."""

    def __init__(self, path: Path):
        self.path, self._file = path, -1

    def take(self) -> bool:
        """False where somebody else has it. Never waits."""
        if self._file < 0:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if fcntl:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError:
            return False

    def release(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
