"""A recording on its way to a transcript, in a thread of its own.

    waiting -> opening -> loading -> hearing -> done | failed | cancelled

The page looks at a Run a few times a second; what has been recognised is in it whatever
happens later. Nobody gets in front of anybody: a Line lets so many work at once, the
others in the order they came.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Condition, Event, Thread

from asr import audio, pipeline
from asr.audio import Limits, Recording
from asr.backends import Backend
from asr.errors import ASRError, Busy, Cancelled
from asr.types import Options, Segment, Transcript
from ui import files

Transcribe = Callable[[Recording, Backend, Options], Iterator[Segment]]
log = logging.getLogger(__name__)


class Line:
    """So many runs work at once; some more wait their turn, first come, first served."""

    def __init__(self, places: int, waiting: int):
        self.places, self.waiting = places, waiting
        self._runs: list[Run] = []
        self._moved = Condition()

    def ahead(self, run: Run) -> int:
        """How many runs have to end before this one may start."""
        with self._moved:
            return max(0, self._runs.index(run) - self.places + 1) if run in self._runs else 0

    def join(self, run: Run) -> None:
        """Stand at its end; raises Busy where it is too long."""
        with self._moved:
            if len(self._runs) >= self.places + self.waiting:
                raise Busy("Too many recordings are being worked on.", "Try again in a few minutes.")
            self._runs.append(run)

    def wait(self, run: Run) -> None:
        """Until it is this run's turn, or it was cancelled."""
        with self._moved:
            self._moved.wait_for(lambda: run.cancelling or self._runs.index(run) < self.places)

    def leave(self, run: Run) -> None:
        with self._moved:
            self._runs.remove(run)
            self._moved.notify_all()

    def nudge(self) -> None:
        """Let whoever waits see whether it was cancelled."""
        with self._moved:
            self._moved.notify_all()


class Run(Thread):
    """Any thread may read the fields; only this one writes them. Raises Busy where the line is too long."""

    def __init__(
        self,
        path: str,
        load: Callable[[], Backend],
        options: Options,
        limits: Limits,
        line: Line,
        transcribe: Transcribe = pipeline.transcribe,
    ):
        super().__init__(daemon=True)
        self.path, self.options = path, options
        self._load, self._limits, self._line, self._transcribe = load, limits, line, transcribe
        self._cancel = Event()
        self.stage = "waiting"
        self.segments: list[Segment] = []
        self.opened = 0.0  # seconds of audio decoded so far
        self.duration = 0.0  # of the recording; 0 until it is decoded
        self.damage = ""  # what could not be read of it
        self.sound: Path | None = None  # the same audio for browsers, where they cannot play the recording
        self.model = ""  # that recognises it
        self.error: ASRError | None = None
        self.started = self.hearing_since = self.ended = time.monotonic()
        line.join(self)

    def cancel(self) -> None:
        """Stop as soon as the engine has finished what it is doing now."""
        self._cancel.set()
        self._line.nudge()

    @property
    def cancelling(self) -> bool:
        return self._cancel.is_set()

    @property
    def over(self) -> bool:
        return self.stage in ("done", "failed", "cancelled")

    @property
    def ahead(self) -> int:
        """How many others are recognised before this one gets its turn."""
        return self._line.ahead(self)

    @property
    def heard(self) -> float:
        """How much of the recording is recognised, in [0, 1]."""
        return min(1.0, self.segments[-1].end / self.duration) if self.segments and self.duration else 0.0

    @property
    def transcript(self) -> Transcript:
        """What has been recognised so far."""
        return Transcript(tuple(self.segments), self.duration, self.options.task)

    def elapsed(self) -> float:
        """Seconds since somebody asked for it, up to its end."""
        return (self.ended if self.over else time.monotonic()) - self.started

    def remaining(self) -> float | None:
        """Seconds it will still take if it goes on as so far; None as long as that says nothing."""
        so_far = time.monotonic() - self.hearing_since
        if self.stage != "hearing" or so_far < 3 or self.heard < 0.02:
            return None
        return so_far * (1 - self.heard) / self.heard

    def run(self) -> None:
        try:
            self._recognise()
            self._end("done")
        except Cancelled:
            self._end("cancelled")
        except ASRError as e:
            self._end("failed", e)
        except Exception as e:
            log.exception("a recording failed")
            what = f"Something broke that should not: {type(e).__name__}."
            self._end("failed", ASRError(what, "The server's log has the details."))
        finally:
            self._line.leave(self)

    def _recognise(self) -> None:
        self._line.wait(self)
        self._go("opening")
        with audio.decode(self.path, self._limits, progress=self._decoded) as recording:
            self.duration, self.damage = recording.duration, recording.damage
            if not files.played(Path(self.path)):
                self.sound = files.as_wav(recording)
            self._go("loading")
            backend = self._load()
            self.model = backend.spec
            self._go("hearing")
            self.hearing_since = time.monotonic()
            for segment in self._transcribe(recording, backend, self.options):
                self.segments.append(segment)
                self._go("hearing")

    def _decoded(self, seconds: float) -> None:
        self.opened = seconds
        self._go("opening")

    def _go(self, stage: str) -> None:
        if self.cancelling:
            raise Cancelled("The work was cancelled.")
        self.stage = stage

    def _end(self, stage: str, error: ASRError | None = None) -> None:
        # Whoever cancelled has been told so already, whatever the engine says afterwards.
        self.error, self.ended = error, time.monotonic()
        self.stage = "cancelled" if self.cancelling else stage
