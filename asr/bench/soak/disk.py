"""A disk for the server's data that can be full: a tmpfs, made as large as what is on it, and large again."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOM = 8 * 2**30  # bytes when it is not full; they are taken only when they are used
LEFT = 8192  # bytes that a full disk still takes: a line that is cut in two is worse than none


class Disk:
    """Only root may mount it."""

    def __init__(self, folder: Path):
        """Raises OSError where this process may not mount."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._mount("tmpfs", "-t", "tmpfs", "-o", f"size={ROOM}")

    def fill(self) -> None:
        there = os.statvfs(self.folder)
        used = (there.f_blocks - there.f_bfree) * there.f_frsize
        self._mount("tmpfs", "-o", f"remount,size={used + LEFT}")

    def free(self) -> None:
        self._mount("tmpfs", "-o", f"remount,size={ROOM}")

    def close(self) -> None:
        subprocess.run(["umount", "--lazy", self.folder], capture_output=True)

    def _mount(self, *how: str) -> None:
        try:
            subprocess.run(["mount", *how, self.folder], check=True, capture_output=True, text=True)
        except (FileNotFoundError, subprocess.CalledProcessError) as e:
            raise OSError(getattr(e, "stderr", "") or str(e)) from e
