"""Transcripts onto the disk: a name for each recording, and a file that is whole or not there."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from asr.errors import ASRError
from asr.formats import SUFFIX, export
from asr.types import Transcript


def names(files: Sequence[str]) -> dict[str, str]:
    """A name without suffix for each file's transcripts, no two alike, not even where case is ignored.

    `talk.mp3` gives `talk`. Beside a `talk.wav` they are `talk.mp3` and `talk.wav`; beside
    another `talk.mp3` from elsewhere, `talk.mp3` and `talk.mp3-2`.
    """
    stems = Counter(_stem(f).casefold() for f in files)
    taken: set[str] = set()
    chosen = {}
    for file in files:
        base = _stem(file) if stems[_stem(file).casefold()] == 1 else Path(file).name
        name, n = base, 1
        while name.casefold() in taken:
            n += 1
            name = f"{base}-{n}"
        taken.add(name.casefold())
        chosen[file] = name
    return chosen


def unwritable(folder: Path) -> str:
    """Why nothing can be written into `folder`, which is made if it is not there; "" where all is well."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as e:
        return "this is a file, and a directory is needed" if folder.is_file() else f"{e.strerror}"


def write(transcript: Transcript, folder: Path, name: str, formats: Sequence[str]) -> list[Path]:
    """Write every format as `folder/name.suffix`; the paths. Raises ASRError where the disk refuses."""
    return [write_whole(folder / f"{name}{SUFFIX[f]}", export(transcript, f)) for f in formats]


def _stem(file: str) -> str:
    return "stdin" if file == "-" else Path(file).stem


def write_whole(path: Path, content: bytes) -> Path:
    """Beside its place first, then moved into it: nobody ever reads half a file."""
    part = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, part = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
        with os.fdopen(descriptor, "wb") as f:
            f.write(content)
        os.chmod(part, 0o666 & ~_umask())  # mkstemp makes files that only their owner may read
        os.replace(part, path)
    except OSError as e:
        raise ASRError(f"{path} cannot be written: {e.strerror}.", "Choose another folder with -o.") from e
    finally:
        if part:
            with suppress(FileNotFoundError):
                os.unlink(part)
    return path


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
