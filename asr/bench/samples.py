"""Recordings with their true texts: of a folder, a list, or the Open ASR Leaderboard's sets on the hub."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from asr.errors import ASRError, BackendUnavailable, ConfigError

SHORT = "hf-audio/open-asr-leaderboard"
LONG = "hf-audio/asr-leaderboard-longform"
# Name here -> dataset, configuration and split there: as the leaderboard's scripts have them, but for
# TED-LIUM, which it dropped in May 2026 for its licence, and rev16, which is distil-whisper's.
HUB: dict[str, tuple[str, str | None, str]] = {
    "ami": (SHORT, "ami", "test"),
    "earnings22": (SHORT, "earnings22", "test"),
    "gigaspeech": (SHORT, "gigaspeech", "test"),
    "librispeech-clean": (SHORT, "librispeech", "test.clean"),
    "librispeech-other": (SHORT, "librispeech", "test.other"),
    "spgispeech": (SHORT, "spgispeech", "test"),
    "tedlium": ("hf-audio/esb-datasets-test-only-sorted", "tedlium", "test"),
    "voxpopuli": (SHORT, "voxpopuli", "test"),
    "earnings21-long": (LONG, "earnings21", "test"),
    "earnings22-long": (LONG, "earnings22", "test"),
    "rev16-long": ("distil-whisper/rev16", "whisper_subset", "test"),
    "tedlium-long": ("distil-whisper/tedlium-long-form", None, "test"),
}
ANY = "hf:"  # any other dataset: hf:OWNER/NAME:CONFIGURATION:SPLIT, or hf:/a/folder
# The columns that the leaderboard reads.
TEXTS = ("text", "sentence", "normalized_text", "transcript", "transcription")
AUDIOS = ("audio_filepath", "audio", "path", "file", "wav")


@dataclass(frozen=True, slots=True)
class Sample:
    id: str
    audio: Path | BytesIO
    text: str


def samples(name: str) -> Iterator[Sample]:
    """A folder (NAME.txt beside NAME.wav), a .jsonl or .csv list with a text column, or a name of HUB.

    Raises ASRError where there is none, BackendUnavailable where the hub or its library cannot be had.
    """
    path = Path(name)
    if path.is_dir():
        found = sorted(p for p in path.rglob("*.txt") if _recording(p))
        if not found:
            raise ASRError(f"No recording in {path} has its text in a .txt beside it.", "Put it there.")
        yield from (Sample(str(p.relative_to(path)), _recording(p), p.read_text("utf-8")) for p in found)
    elif path.suffix in (".jsonl", ".csv") and path.is_file():
        yield from _listed(path)
    elif name in HUB:
        yield from _streamed(*HUB[name])
    elif name.startswith(ANY):
        dataset, configuration, split, *_ = [*name.removeprefix(ANY).split(":"), "", ""]
        yield from _streamed(dataset, configuration or None, split or "test")
    else:
        fix = f"Name a folder, a list, hf:OWNER/NAME:CONFIGURATION:SPLIT, or one of: {', '.join(HUB)}."
        raise ConfigError(f"There is no set {name!r}.", fix)


def _recording(text: Path) -> Path | None:
    kinds = (".wav", ".flac", ".mp3", ".m4a", ".ogg", ".opus")
    return next((p for kind in kinds if (p := text.with_suffix(kind)).exists()), None)


def _listed(path: Path) -> Iterator[Sample]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file) if path.suffix == ".csv" else map(json.loads, filter(str.strip, file))
            for row in rows:
                where, text = (next(row[c] for c in names if row.get(c)) for names in (AUDIOS, TEXTS))
                yield Sample(where, path.parent / where, text)
    except (OSError, ValueError, RuntimeError, AttributeError, TypeError) as e:
        fix = f"Each line needs one of {', '.join(AUDIOS)} and one of {', '.join(TEXTS)}."
        raise ASRError(f"The list {path} cannot be read: {e}.", fix) from e


def _streamed(dataset: str, configuration: str | None, split: str) -> Iterator[Sample]:
    """Row after row as it comes; nothing of it is kept on the disk."""
    try:
        from datasets import Audio, load_dataset
        from datasets.exceptions import DatasetsError
    except ModuleNotFoundError as e:
        raise BackendUnavailable("The hub's sets need datasets.", "Do: pip install datasets==5.0.1") from e
    try:
        rows = load_dataset(dataset, configuration, split=split, streaming=True)
        for i, row in enumerate(rows.cast_column("audio", Audio(decode=False))):
            text = next((row[c] for c in TEXTS if row.get(c) is not None), None)
            if text is None or not row["audio"]:
                raise ValueError(f"row {i} has {', '.join(row)}, and none of {', '.join(TEXTS)}")
            sound = row["audio"]
            audio = BytesIO(sound["bytes"]) if sound["bytes"] else Path(sound["path"])
            yield Sample(f"{i:06d} {row.get('id') or ''}".strip(), audio, text)
    except (OSError, ValueError, KeyError, DatasetsError) as e:
        fix = "It needs the Hugging Face hub; some sets need an account that accepted their terms (HF_TOKEN)."
        raise BackendUnavailable(f"{dataset} cannot be streamed: {type(e).__name__}: {e}.", fix) from e
