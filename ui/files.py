"""Files that the page hands out: a transcript in every format, and a sound that browsers can play.

They lie where Gradio may serve them, each in a folder whose name nobody can guess, and Gradio
deletes them after a while (`delete_cache` in ui/__init__.py).
"""

from __future__ import annotations

import tempfile
import wave
from pathlib import Path

from gradio.utils import get_upload_folder

from asr.audio import SAMPLE_RATE, Recording
from asr.formats import FORMATS
from asr.types import Transcript

TAKE_AWAY = ("txt", "srt", "vtt", "tsv", "json")
# What current browsers play; where one of them does not, the player says so.
PLAYED = {".aac", ".flac", ".m4a", ".m4b", ".m4v", ".mov", ".mp3", ".mp4", ".ogg", ".opus", ".wav", ".webm"}


def played(file: Path) -> bool:
    """Whether a browser can be expected to play it."""
    return file.suffix.lower() in PLAYED


def as_wav(recording: Recording) -> Path:
    """The decoded audio as a WAV file, for recordings that no browser plays."""
    path = _folder() / "recording.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(recording.samples.astype("<i2", copy=False).data)
    return path


def take_away(transcript: Transcript, stem: str) -> list[Path]:
    """The transcript in each format of TAKE_AWAY, in files named after the recording."""
    folder = _folder()
    paths = [folder / f"{stem}.{name}" for name in TAKE_AWAY]
    for name, path in zip(TAKE_AWAY, paths, strict=True):
        path.write_text(FORMATS[name](transcript), encoding="utf-8", newline="\n")
    return paths


def _folder() -> Path:
    return Path(tempfile.mkdtemp(dir=get_upload_folder()))
