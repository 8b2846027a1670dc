"""What browsers can play."""

from __future__ import annotations

from pathlib import Path

# What current browsers play; where one of them does not, the player says so.
PLAYED = {".aac", ".flac", ".m4a", ".m4b", ".m4v", ".mov", ".mp3", ".mp4", ".ogg", ".opus", ".wav", ".webm"}


def played(file: Path) -> bool:
    """Whether a browser can be expected to play it."""
    return file.suffix.lower() in PLAYED
