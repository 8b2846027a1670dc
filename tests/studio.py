"""A server with the editor and recordings to edit, for tests of the page.

with studio(tmp_path) as house:
    job = house.meeting()                       # four people, some lines, a sound of its length
    page.goto(f"{house.url}recordings/{job.id}")
"""

from __future__ import annotations

import hashlib
import random
import wave
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from starlette.responses import HTMLResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from asr import audio
from asr.config import Config
from asr.diarize import Diarization
from asr.gate import origins
from asr.jobs import Job, Store, Tools, Wishes, Worker
from asr.types import Segment, Transcript, Turn, Word
from tests.hall import serving
from tests.tones import Tones
from ui import editor, recordings, theme

SECRET = "5e" * 32  # of the browser that owns the recordings
OWNER = hashlib.sha256(SECRET.encode()).hexdigest()
KNOWN = f"localStorage.setItem('parlance-browser', '{SECRET}')"  # as an init script

SAID = [
    ("Anna Kowalska", "Good morning, everyone. Shall we begin with the budget for the spring?"),
    ("Anna Kowalska", "Ben, you wanted to say something about the new microphones."),
    ("Ben", "Yes, thanks. We tried three of them last week, and the small one was the clearest by far."),
    ("Chidi Okafor", "Clearer than the one in the big room?"),
    ("Ben", "Much clearer, and it costs a third of it. I put the recordings on the shared drive."),
    ("Dora", "I listened to all of them on the train. The second has a hum in it, doesn't it?"),
    ("Ben", "It has, but that was the fridge next door, not the microphone."),
    ("Anna Kowalska", "Then let us take the small one. How many do we need?"),
    ("Chidi Okafor", "Two for the meeting rooms, and one spare. Mr Wiśniewski asked for one as well."),
    ("Dora", "So four. I can order them this afternoon if nobody minds."),
    ("Anna Kowalska", "Please do. Next: the trip to Gdańsk in May."),
]


def spoken(text: str, start: float, each: float = 0.34, speaker: str | None = None, doubtful=()) -> Segment:
    """A line said evenly, one word in `each` seconds; the words in `doubtful` have a low probability."""
    words, at = [], start
    for w in text.split():
        sure = 0.3 if w.strip(".,?") in doubtful else 0.95
        words.append(Word(round(at, 2), round(at + each - 0.04, 2), f" {w}", sure, speaker))
        at += each
    return Segment.of(words, speaker=speaker, language="en")


def conversation(
    said: Sequence[tuple[str | None, str]] = SAID, doubtful=("Wiśniewski", "Gdańsk")
) -> Transcript:
    lines, at = [], 0.6
    for speaker, text in said:
        lines.append(spoken(text, at, speaker=speaker, doubtful=doubtful))
        at = lines[-1].end + 0.5
    return Transcript(tuple(lines), at + 0.5)


def long_conversation(count: int) -> Transcript:
    """So many words of a meeting of five, with an unsure one now and then."""
    dice, said, words = random.Random(7), [], 0
    vocabulary = " ".join(text for _, text in SAID).split()
    while words < count:
        n = dice.randint(5, 18)
        said.append((f"Speaker {dice.choice('1122334455')}", " ".join(dice.choices(vocabulary, k=n))))
        words += n
    return conversation(said, doubtful=("hum", "spare", "Wiśniewski"))


def tone(path: Path, seconds: float) -> Path:
    """A WAV so long, with a soft beep each second."""
    time = np.arange(round(seconds * 16_000)) / 16_000
    sound = 0.05 * np.sin(2 * np.pi * (300 + 40 * (time.astype(int) % 8)) * time) * (time % 1 < 0.1)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((sound * 32767).astype("<i2").tobytes())
    return path


class Studio:
    """A store, its worker, and the address of the page."""

    def __init__(self, folder: Path, worker: Worker, url: str):
        self.folder, self.worker, self.store, self.url = folder, worker, worker.store, url

    def meeting(
        self, text: Transcript | None = None, name: str = "Spring planning.wav", turns: Sequence[Turn] = ()
    ) -> Job:
        """A recording that is done: this transcript, and these turns or those of its lines."""
        text, store = text or conversation(), self.store
        job = store.add(OWNER, name, tone(self.folder / "sound.wav", text.duration), Wishes(rung="embedded"))
        store.claim(job.id)
        with audio.decode(store.source(job), into=store.audio(job)) as recording:
            store.skip(job.id, "decode", duration=recording.duration)
        store.keep(job.id, "transcribe", text, model="faster_whisper:small")
        own = tuple(Turn(s.start, s.end, s.speaker) for s in text.segments if s.speaker)
        found = Diarization(
            (*own, *turns), own, "embedded", "Speakers by: built-in voices model (approximate)."
        )
        store.keep(job.id, "diarize", text, found, says=found.says)
        store.end(job.id, "done")
        return store.job(job.id)

    def page(self, job: Job) -> str:
        return f"{self.url}recordings/{job.id}"


@contextmanager
def studio(folder: Path, transcribe=None) -> Iterator[Studio]:
    """Serve it; `transcribe` stands in for `pipeline.transcribe` in what the worker does once started."""
    store = Store(folder / "data")
    heard = {"transcribe": transcribe} if transcribe else {}
    config = Config(data_dir=folder / "data")
    worker = Worker(Tools(store, config, lambda _: Tones(), **heard))
    home = Route("/", lambda _: HTMLResponse("<h1 class=masthead>My recordings</h1>"))
    assets = Mount(f"/{theme.URL}", StaticFiles(directory=theme.ASSETS))
    desk = recordings.routes(worker, config, origins.admit)
    with serving([home, assets, *desk, *editor.routes(worker, origins.admit)]) as port:
        yield Studio(folder, worker, f"http://127.0.0.1:{port}/")
    store.close()
