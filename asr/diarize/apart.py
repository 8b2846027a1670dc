"""Diarization in a process of its own: its memory is gone afterwards, and its crash costs nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import IO

from asr import errors
from asr.audio import Recording, to_pcm16
from asr.diarize.answer import Count, Diarization
from asr.errors import ASRError
from asr.types import Turn

BEAT = 0.5  # seconds: so soon a caller who wants to stop is heard
ROOT = Path(__file__).parents[2]

Progress = Callable[[float], None]


def run(
    rung: str, recording: Recording, count: Count, progress: Progress, offline: bool = True, **more
) -> Diarization:
    """What that rung's `diarize` finds; `more` is what else it takes. `offline`: the model hub is not asked.

    `progress` is told the part done, in [0, 1], at least every BEAT seconds; what it raises ends the
    process and comes through. Raises ASRError for whatever goes wrong in there, a crash too.
    """
    with _at_a_path(recording) as path, _started(offline) as child:
        wish = {"rung": rung, "audio": str(path), "count": asdict(count), "more": more}
        with suppress(BrokenPipeError):  # it died already: its end tells more
            child.stdin.write(json.dumps(wish) + "\n")
            child.stdin.flush()
        told = _Told(child)
        done = 0.0
        for message in told.messages():
            done = message.get("progress", done)
            progress(done)
            if "found" in message:
                return _found(**message["found"])
            if "what" in message:
                raise getattr(errors, message["kind"], ASRError)(message["what"], message["fix"])
        raise _died(child.wait(), told.last_words())


def _found(turns: list[dict], exclusive: list[dict], **rest: str) -> Diarization:
    return Diarization(*(tuple(Turn(**turn) for turn in rows) for rows in (turns, exclusive)), **rest)


@contextmanager
def _at_a_path(recording: Recording) -> Iterator[Path]:
    """Where another process finds the samples; a copy, for the while, of those that have no name."""
    if recording.path:
        yield recording.path
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "audio.pcm"
        with open(path, "wb") as file:
            for block in recording.blocks():
                file.write(to_pcm16(block).tobytes())
        yield path


@contextmanager
def _started(offline: bool) -> Iterator[subprocess.Popen]:
    """The process, which does not outlive this."""
    command = [sys.executable, "-W", "ignore", "-m", "asr.diarize.process"]
    pipe = subprocess.PIPE
    env = os.environ | {"PYANNOTE_METRICS_ENABLED": "0"}  # it would tell its makers of each recording
    if offline:
        env["HF_HUB_OFFLINE"] = "1"
    child = subprocess.Popen(
        command, cwd=ROOT, env=env, stdin=pipe, stdout=pipe, stderr=pipe, encoding="utf-8", errors="replace"
    )
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        for stream in (child.stdin, child.stdout, child.stderr):
            with suppress(OSError):
                stream.close()


class _Told:
    """What the process says, as it says it."""

    def __init__(self, child: subprocess.Popen):
        self._lines: SimpleQueue[str | None] = SimpleQueue()
        self._errors: deque[str] = deque(maxlen=20)
        self._listeners = [
            Thread(target=self._listen, args=(child.stdout,), daemon=True),
            Thread(target=self._errors.extend, args=(child.stderr,), daemon=True),
        ]
        for listener in self._listeners:
            listener.start()

    def _listen(self, out: IO[str]) -> None:
        for line in out:
            self._lines.put(line)
        self._lines.put(None)

    def messages(self) -> Iterator[dict]:
        """Each message, and an empty one after each BEAT of silence, until it ends."""
        while True:
            try:
                line = self._lines.get(timeout=BEAT)
            except Empty:
                yield {}
                continue
            if line is None:
                return
            yield json.loads(line)

    def last_words(self) -> str:
        self._listeners[1].join(BEAT)
        return next((line.strip() for line in reversed(self._errors) if line.strip()), "")


def _died(code: int, last: str) -> ASRError:
    if code in (-9, 137):
        return ASRError(
            "Telling the speakers apart was stopped by the system, most likely because memory ran out.",
            "Close other programs or take a machine with more memory, then run the speakers again.",
        )
    return ASRError(
        f"Telling the speakers apart broke off ({last or f'exit code {code}'}).",
        "The transcript is kept: run the speakers again, or by another way.",
    )
