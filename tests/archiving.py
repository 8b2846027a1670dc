"""An archive of tones, heard in a process that can be killed: python -m tests.archiving SRC OUT [PAUSE]"""

from __future__ import annotations

import sys
import time
import wave
from contextlib import closing
from pathlib import Path

import numpy as np

from asr.audio import SAMPLE_RATE, to_pcm16
from asr.batch.archive import Archive, Event, Recipe
from asr.batch.filling import Hall
from asr.batch.manifest import Manifest
from asr.batch.shelf import Shelf
from asr.batch.sources import find
from asr.types import Options
from tests.tones import WORDS, Tones, loud, say, silence

HEARD = "heard.log"  # one line for each window that the engine heard


class Logged(Tones):
    """Writes down what it hears, so that work done twice would be seen; takes `pause` seconds for a batch."""

    def __init__(self, log: Path | None = None, pause: float = 0.0):
        super().__init__()
        self.log, self.pause = log, pause

    def transcribe_batch(self, windows, options):
        found = super().transcribe_batch(windows, options)
        time.sleep(self.pause)
        if self.log:
            with open(self.log, "a") as file:
                file.writelines(f"{''.join(s.text for s in segments).strip()}\n" for segments in found)
        return found


def sentence(i: int) -> str:
    """Words that no other `i` has, below 14 ** 3."""
    return " ".join(WORDS[i // 14**n % 14] for n in range(3))


def save(path: Path, text: str, repeat: int = 1, gap: float = 0.06) -> Path:
    """`gap`: seconds of silence after each word."""
    path.parent.mkdir(parents=True, exist_ok=True)
    audio = np.concatenate([silence(0.3), *([say(text, gap=gap), silence(0.5)] * repeat)])
    with wave.open(str(path), "wb") as f:
        f.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        f.writeframes(to_pcm16(audio).tobytes())
    return path


def run(source: Path | str | list, out: Path, backend=None, formats=("txt",), **more) -> list[Event]:
    """All events of one run over an archive."""
    recipe = Recipe(**{"model": "tones:pure", "language": "en"} | more.pop("recipe", {}))
    shelf = Shelf(out, formats)
    asked = source if isinstance(source, list) else [str(source)]
    hall = {"vad": lambda: loud, "options": Options("en"), "threads": 3} | more.pop("hall", {})
    with closing(Manifest(out / ".parlance" / "manifest.db")) as manifest:
        manifest.look(find(asked, out), recipe.key, more.pop("again", False))
        archive = Archive(manifest, shelf, **more)
        events = list(archive.unfinished())
        return events + list(archive.run(Hall(backend or Tones(), **hall)))


if __name__ == "__main__":
    source, out, *pause = sys.argv[1:]
    run(source, Path(out), Logged(Path(out) / HEARD, float(*pause or [0])), ("txt", "json"))
