"""What browsers can play, and what a recording is called without its suffix."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from asr.batch.sources import SUFFIXES

# What current browsers play; where one of them does not, the player says so.
PLAYED = {".aac", ".flac", ".m4a", ".m4b", ".m4v", ".mov", ".mp3", ".mp4", ".ogg", ".opus", ".wav", ".webm"}


def played(file: Path) -> bool:
    """Whether a browser can be expected to play it."""
    return file.suffix.lower() in PLAYED


def title(name: str) -> str:
    """The name without what says that it is a recording: "Board v1.2" has nothing of that, "a.b.mp3" has."""
    bare = Path(name)
    return bare.stem if bare.suffix.lower() in SUFFIXES | PLAYED else name


def titles(names: Iterable[str]) -> list[str]:
    """The titles of several, no two the same: "Anna", "Anna 2"."""
    found: list[str] = []
    for bare in map(title, names):
        called, n = bare, 1
        while called in found:
            n += 1
            called = f"{bare} {n}"
        found.append(called)
    return found
