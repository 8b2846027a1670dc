"""What an engine is given: windows of recordings, ready and in full batches, decoded ahead in threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from threading import Event

import numpy as np

from asr.audio import SAMPLE_RATE, Recording
from asr.backends import Backend
from asr.errors import Cancelled
from asr.pipeline import Hearing, prepared
from asr.pipeline.windows import Window
from asr.types import Options, Segment, Transcript
from asr.vad import Silero, VoiceDetector

BETWEEN = np.zeros(SAMPLE_RATE // 2, np.float32)  # of two recordings that share a window

Open = Callable[[], Recording | None]
# Key, recording and transcript to a better transcript, and what to tell people about it.
After = Callable[[object, Recording, Transcript], tuple[Transcript, str]]


@dataclass(frozen=True, slots=True)
class Part:
    """What was heard of a recording since the part before this one, up to the second `upto`.

    A window ends there: whoever keeps all parts can go on with the next one, and no seam is left.
    """

    key: object
    segments: tuple[Segment, ...]
    upto: float
    language: str | None = None  # that was detected for all of it
    probability: float | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """What became of a recording: a transcript, or an error, or neither where there was nothing to hear."""

    key: object
    transcript: Transcript | None = None
    error: Exception | None = None
    damage: str = ""


@dataclass(frozen=True, slots=True)
class Hall:
    """Who listens, and how: the same for all recordings. `advanced` is told the seconds that are done."""

    backend: Backend
    options: Options = Options()
    threads: int = 2  # that decode and prepare
    share: bool = False  # windows among short recordings
    vad: Callable[[], VoiceDetector] = Silero
    advanced: Callable[[float], None] = lambda seconds: None
    after: After | None = None  # alignment and speakers: what follows recognition, beside the engine
    # What is known of a recording's beginning by key; with it, parts are told as soon as they are heard.
    known: Callable[[object], Part | None] | None = None

    @property
    def size(self) -> int:
        return self.backend.batch_size if "batch" in self.backend.can else 1

    @property
    def shares(self) -> bool:
        """Only words that stand where they were said can be given back, and one window has one language."""
        able = {"batch", "words"} <= self.backend.can
        return self.share and able and bool(self.options.language) and self.options.task == "transcribe"


@dataclass(slots=True)
class Job:
    """A recording on its way."""

    key: object
    hearing: Hearing | None = None
    segments: list[Segment] = field(default_factory=list)
    error: Exception | None = None
    upto: float = 0.0  # seconds that are done
    fresh: int = 0  # segments that a Part has told

    def resume(self, known: Part | None) -> None:
        """Go on where an earlier run was."""
        if known:
            self.segments, self.fresh, self.upto = list(known.segments), len(known.segments), known.upto
            self.hearing.resume(known.segments, known.language, known.probability)

    def part(self) -> Part:
        """What no part has told yet."""
        found, self.fresh = tuple(self.segments[self.fresh :]), len(self.segments)
        hearing = self.hearing
        return Part(self.key, found, self.upto, hearing.options.language, hearing.probability)

    def outcome(self, task) -> Heard:
        if self.error or not self.hearing:
            return Heard(self.key, error=self.error)
        recording = self.hearing.recording
        found = Transcript(tuple(self.segments), recording.duration, task)
        return Heard(self.key, found, damage=recording.damage)

    def close(self) -> None:
        if self.hearing:
            self.hearing.recording.close()


@dataclass(frozen=True, slots=True)
class Piece:
    """A window of a recording."""

    job: Job
    window: Window
    audio: np.ndarray
    alone: bool  # the only one of its recording


@dataclass(frozen=True, slots=True)
class Filled:
    """What the engine gets as one window: a piece, or several short ones with silence between."""

    pieces: tuple[Piece, ...]
    ready: np.ndarray

    def parted(self, heard: Sequence[Segment]) -> Iterator[tuple[Piece, list[Segment]]]:
        """What was heard in each piece, on its own clock, by where the middle of each word lies."""
        if len(self.pieces) == 1:
            yield self.pieces[0], list(heard)
            return
        starts = np.cumsum([0, *(len(p.audio) + len(BETWEEN) for p in self.pieces[:-1])]) / SAMPLE_RATE
        edges = starts[1:] - len(BETWEEN) / SAMPLE_RATE / 2
        found: list[list[Segment]] = [[] for _ in self.pieces]

        def at(start: float, end: float) -> int:
            return int(np.searchsorted(edges, (start + end) / 2))

        for segment in heard:
            runs = [(i, tuple(run)) for i, run in groupby(segment.words, lambda w: at(w.start, w.end))]
            for i, words in runs or [(at(segment.start, segment.end), ())]:
                part = segment.part(words) if len(runs) > 1 else segment
                found[i].append(part.shifted(-float(starts[i])))
        yield from zip(self.pieces, found, strict=True)


def pieces(job: Job, opened: Open, hall: Hall, stop: Event) -> Iterator[Piece | Job]:
    """A recording's windows, then the job itself: there are no more."""
    try:
        if (recording := opened()) is not None:
            job.hearing = hearing = Hearing(recording, hall.backend, hall.options, hall.vad)
            job.resume(hall.known(job.key) if hall.known else None)
            waiting, alone, done = None, not job.upto, job.upto
            for window in hearing.windows(stop):
                if job.error:
                    break
                if window.stretches[-1].end <= done:
                    continue
                if waiting:
                    alone = False
                    yield Piece(job, waiting, waiting.audio(recording), alone)
                waiting = window
            if waiting and not job.error:
                yield Piece(job, waiting, waiting.audio(recording), alone)
    except Cancelled:
        raise
    except Exception as e:  # this recording's affair
        job.error = job.error or e
    yield job


def filled(coming: Iterator[Piece | Job], hall: Hall) -> Iterator[Filled | Job]:
    """Pieces as the engine wants them; where recordings share windows, as many to one as have room."""
    waiting: list[Piece] = []
    ended: list[Job] = []

    def flush() -> Iterator[Filled | Job]:
        if waiting:
            parts = [x for p in waiting for x in (BETWEEN, p.audio)][1:]
            yield Filled(tuple(waiting), prepared(hall.backend, np.concatenate(parts)))
        yield from ended
        waiting.clear()
        ended.clear()

    for item in coming:
        if isinstance(item, Job):
            ended.append(item)
            if not waiting or not hall.shares:
                yield from flush()
            continue
        room = hall.backend.window * SAMPLE_RATE if hall.shares else 0
        if waiting and sum(len(p.audio) + len(BETWEEN) for p in waiting) + len(item.audio) > room:
            yield from flush()
        waiting.append(item)
        if not hall.shares:
            yield from flush()
    yield from flush()


def gathered(coming: Iterator[Filled | Job], size: int) -> Iterator[list[Filled | Job]]:
    """Full batches for the engine, with the jobs that ended meanwhile."""
    batch, full = [], 0
    for item in coming:
        batch.append(item)
        full += isinstance(item, Filled)
        if full == size or len(batch) - full >= 4 * size:
            yield batch
            batch, full = [], 0
    if batch:
        yield batch
