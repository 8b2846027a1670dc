"""Recordings with their true texts: of a folder, a list, or the Open ASR Leaderboard's sets on the hub."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from asr.errors import ASRError, BackendUnavailable, ConfigError

SHORT = "hf-audio/esb-datasets-test-only-sorted"
LONG = "hf-audio/asr-leaderboard-longform"
HUB = {  # name here -> dataset, configuration and split there, as the leaderboard's scripts have them
    "ami": (SHORT, "ami", "test"),
    "earnings22": (SHORT, "earnings22", "test"),
    "gigaspeech": (SHORT, "gigaspeech", "test"),
    "librispeech-clean": (SHORT, "librispeech", "test.clean"),
    "librispeech-other": (SHORT, "librispeech", "test.other"),
    "spgispeech": (SHORT, "spgispeech", "test"),
    "tedlium": (SHORT, "tedlium", "test"),
    "voxpopuli": (SHORT, "voxpopuli", "test"),
    "earnings21-long": (LONG, "earnings21", "test"),
    "earnings22-long": (LONG, "earnings22", "test"),
    "tedlium-long": (LONG, "tedlium", "test"),
}
TEXTS = (
    "text",
    "sentence",
    "normalized_text",
    "transcript",
    "transcription",
)  # columns, as the leaderboard reads
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
        yield from _streamed(name)
    else:
        raise ConfigError(
            f"There is no set {name!r}.", f"Name a folder, a list, or one of: {', '.join(HUB)}."
        )


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


def _streamed(name: str) -> Iterator[Sample]:
    try:
        from datasets import Audio, load_dataset
    except ModuleNotFoundError as e:
        raise BackendUnavailable("The hub's sets need datasets.", "Do: pip install datasets") from e
    dataset, configuration, split = HUB[name]
    try:
        rows = load_dataset(dataset, configuration, split=split, streaming=True)
        for i, row in enumerate(rows.cast_column("audio", Audio(decode=False))):
            text = next(row[c] for c in TEXTS if row.get(c) is not None)
            yield Sample(str(row.get("id", i)), BytesIO(row["audio"]["bytes"]), text)
    except (OSError, ValueError) as e:
        fix = "It needs the Hugging Face hub; some sets need an account that accepted their terms (HF_TOKEN)."
        raise BackendUnavailable(f"{dataset} cannot be streamed: {type(e).__name__}: {e}.", fix) from e
