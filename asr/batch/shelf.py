"""Where the transcripts of an archive stand: files beside each other, each whole or not there."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from asr.errors import ASRError
from asr.formats import SUFFIX, from_json
from asr.formats.writing import write, write_whole
from asr.types import Transcript


@dataclass(frozen=True, slots=True)
class Shelf:
    """A folder, and the formats that every recording gets there. `output` is a file without its suffix."""

    folder: Path
    formats: tuple[str, ...]

    def file(self, output: str, name: str) -> Path:
        return self.folder / f"{output}{SUFFIX[name]}"

    def put(self, output: str, transcript: Transcript) -> None:
        """Raises ASRError where the disk refuses."""
        write(transcript, self.folder, output, self.formats)

    def complete(self, output: str) -> bool:
        """Whether all files of a recording that was done are there; a new format is made from its JSON."""
        missing = [f for f in self.formats if not self.file(output, f).exists()]
        if missing and (kept := self._kept(output)):
            write(kept, self.folder, output, missing)
            return True
        return not missing

    def copy(self, output: str, to: str) -> bool:
        """Give another recording the same files; False where they are gone."""
        if not self.complete(output):
            return False
        for name in self.formats:
            write_whole(self.file(to, name), self.file(output, name).read_bytes())
        return True

    def sweep(self, outputs: Iterable[str]) -> None:
        """Delete the half-written files that a killed process left beside these."""
        for folder in {self.file(output, "txt").parent for output in outputs}:
            for part in folder.glob(".*.part"):
                part.unlink(missing_ok=True)

    def _kept(self, output: str) -> Transcript | None:
        with suppress(OSError, ASRError):
            return from_json(self.file(output, "json").read_text(encoding="utf-8"))
        return None
