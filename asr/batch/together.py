"""Many recordings through one backend: windows of different recordings fill its batches.

Recordings are decoded and listened to ahead, in threads; the engine takes full batches from whatever
is ready and never waits for the end of a file. What one recording does to it costs no other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import groupby
from threading import Event

import numpy as np

from asr.ahead import ahead, several
from asr.audio import SAMPLE_RATE, Recording
from asr.backends import Backend, check
from asr.errors import ASRError, BackendUnavailable, Cancelled
from asr.pipeline import Hearing, Prepared, decode
from asr.types import Options, Segment, Transcript
from asr.vad import Silero, VoiceDetector
from asr.windows import Window

BETWEEN = np.zeros(SAMPLE_RATE // 2, np.float32)  # of two recordings that share a window
STREAK = 8  # recordings in a row that the engine fails on: then it is the engine

LATER = 4  # recordings at most whose text is there and whose speakers are not

Open = Callable[[], Recording | None]
# Key, recording and transcript to a better transcript, and what to tell people about it.
After = Callable[[object, Recording, Transcript], tuple[Transcript, str]]


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

    @property
    def size(self) -> int:
        return self.backend.batch_size if "batch" in self.backend.can else 1

    @property
    def shares(self) -> bool:
        """Only words that stand where they were said can be given back, and one window has one language."""
        able = {"batch", "words"} <= self.backend.can
        return self.share and able and bool(self.options.language) and self.options.task == "transcribe"


@dataclass(slots=True)
class _Job:
    """A recording on its way."""

    key: object
    hearing: Hearing | None = None
    segments: list[Segment] = field(default_factory=list)
    error: Exception | None = None
    upto: float = 0.0  # seconds that are done

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
class _Piece:
    """A window of a recording."""

    job: _Job
    window: Window
    audio: np.ndarray
    alone: bool  # the only one of its recording


@dataclass(frozen=True, slots=True)
class _Filled:
    """What the engine gets as one window: a piece, or several short ones with silence between."""

    pieces: tuple[_Piece, ...]
    ready: np.ndarray

    def parted(self, heard: Sequence[Segment]) -> Iterator[tuple[_Piece, list[Segment]]]:
        """What was heard in each piece, on its own clock, by where the middle of each word lies."""
        if len(self.pieces) == 1:
            yield self.pieces[0], list(heard)
            return
        starts = np.cumsum([0, *(len(p.audio) + len(BETWEEN) for p in self.pieces[:-1])]) / SAMPLE_RATE
        edges = starts[1:] - len(BETWEEN) / SAMPLE_RATE / 2
        found: list[list[Segment]] = [[] for _ in self.pieces]
        for segment in heard:
            for i, words in groupby(
                segment.words, lambda w: int(np.searchsorted(edges, (w.start + w.end) / 2))
            ):
                found[i].append(segment.part(tuple(words)).shifted(-float(starts[i])))
        yield from zip(self.pieces, found, strict=True)


def together(recordings: Iterable[tuple[object, Open]], hall: Hall) -> Iterator[Heard]:
    """What becomes of each recording, as soon as it is known, in no certain order.

    `recordings` are keys, each with what opens it, which is called in a thread of its own when its
    turn comes; None means that there is nothing to hear. Raises Unsupported before anything runs
    if the backend cannot do what the options ask, and BackendUnavailable where it can do nothing more.
    """
    check(hall.backend, hall.options)
    return _together(recordings, hall)


def _together(recordings, hall: Hall) -> Iterator[Heard]:
    stop, engine = Event(), _Engine(hall)
    runs = (_pieces(_Job(key), opened, hall, stop) for key, opened in recordings)
    with (
        several(runs, hall.threads, 2 * hall.size, stop) as pieces,
        ahead(_filled(pieces, hall), 2 * hall.size, stop) as coming,
        ThreadPoolExecutor(1, "after") as beside,
    ):
        later: deque[Future[Heard]] = deque()
        for gathered in _gathered(coming, hall.size):
            engine.hear([item for item in gathered if isinstance(item, _Filled)])
            for job in (item for item in gathered if isinstance(item, _Job)):
                if job.hearing:
                    hall.advanced(job.hearing.recording.duration - job.upto)
                if hall.after and job.hearing and not job.error:
                    later.append(beside.submit(_finished, job, hall))
                else:
                    yield _finished(job, hall)
            while later and (len(later) > LATER or later[0].done()):
                yield later.popleft().result()
        yield from (finished.result() for finished in later)


def _finished(job: _Job, hall: Hall) -> Heard:
    """The outcome, with what comes after recognition; where that fails the text stays whole."""
    with closing(job):
        found = job.outcome(hall.options.task)
        if not hall.after or not found.transcript:
            return found
        try:
            better, says = hall.after(job.key, job.hearing.recording, found.transcript)
            return replace(found, transcript=better, damage=f"{found.damage} {says}".strip())
        except Exception as e:
            return replace(found, damage=f"{found.damage} The text is whole, but: {e}".strip())


def _pieces(job: _Job, opened: Open, hall: Hall, stop: Event) -> Iterator[_Piece | _Job]:
    """A recording's windows, then the job itself: there are no more."""
    try:
        if (recording := opened()) is not None:
            job.hearing = hearing = Hearing(recording, hall.backend, hall.options, hall.vad)
            waiting, alone = None, True
            for window in hearing.windows(stop):
                if job.error:
                    break
                if waiting:
                    alone = False
                    yield _Piece(job, waiting, waiting.audio(recording), alone)
                waiting = window
            if waiting and not job.error:
                yield _Piece(job, waiting, waiting.audio(recording), alone)
    except Cancelled:
        raise
    except Exception as e:  # this recording's affair
        job.error = job.error or e
    yield job


def _filled(pieces: Iterator[_Piece | _Job], hall: Hall) -> Iterator[_Filled | _Job]:
    """Pieces as the engine wants them; where recordings share windows, as many to one as have room."""
    waiting: list[_Piece] = []
    ended: list[_Job] = []

    def flush() -> Iterator[_Filled | _Job]:
        if waiting:
            parts = [x for p in waiting for x in (BETWEEN, p.audio)][1:]
            audio = np.concatenate(parts)
            prepare = hall.backend.prepare if "batch" in hall.backend.can else lambda x: x
            yield _Filled(tuple(waiting), prepare(audio))
        yield from ended
        waiting.clear()
        ended.clear()

    for item in pieces:
        if isinstance(item, _Job):
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


def _gathered(coming: Iterator[_Filled | _Job], size: int) -> Iterator[list[_Filled | _Job]]:
    """Full batches for the engine, with the jobs that ended meanwhile."""
    gathered, full = [], 0
    for item in coming:
        gathered.append(item)
        full += isinstance(item, _Filled)
        if full == size or len(gathered) - full >= 4 * size:
            yield gathered
            gathered, full = [], 0
    if gathered:
        yield gathered


class _Engine:
    """The backend at work on windows of many recordings."""

    def __init__(self, hall: Hall):
        self.hall, self.failures = hall, 0

    def hear(self, batch: list[_Filled]) -> None:
        """Give every job what was heard of it; a job on which the engine fails gets its error."""
        for filled in batch:
            for piece in filled.pieces:
                if not piece.alone and not piece.job.error:
                    self._tried(piece.job, lambda p=piece: p.job.hearing.settle_language(p.window))
        batch = [f for f in batch if not all(p.job.error for p in f.pieces)]
        if not batch:
            return
        try:
            found = list(decode(self.hall.backend, [_asked(f) for f in batch]))
        except BackendUnavailable:
            raise
        except Exception as e:
            self._alone(batch, e)
            return
        self.failures = 0
        for filled, (_, heard) in zip(batch, found, strict=True):
            for piece, mine in filled.parted(heard):
                if not piece.job.error:
                    self._tried(piece.job, lambda p=piece, m=mine: self._take(p, m))

    def _take(self, piece: _Piece, heard: list[Segment]) -> None:
        job = piece.job
        job.segments.extend(job.hearing.told(piece.window, heard))
        end = piece.window.stretches[-1].end
        self.hall.advanced(end - job.upto)
        job.upto = end

    def _alone(self, batch: list[_Filled], error: Exception) -> None:
        """Whoever spoils a batch is found by decoding each recording by itself."""
        pieces = [p for f in batch for p in f.pieces]
        jobs = list({id(p.job): p.job for p in pieces}.values())
        if len(jobs) == 1:
            self._failed(jobs[0], error)
            return
        prepare = self.hall.backend.prepare if "batch" in self.hall.backend.can else lambda x: x
        for job in jobs:
            self.hear([_Filled((p,), prepare(p.audio)) for p in pieces if p.job is job])

    def _tried(self, job: _Job, work: Callable[[], None]) -> None:
        try:
            work()
        except BackendUnavailable:
            raise
        except Exception as e:
            self._failed(job, e)

    def _failed(self, job: _Job, error: Exception) -> None:
        job.error = error
        self.failures += 1
        if self.failures >= STREAK:
            what = f"The engine failed on {STREAK} recordings in a row: {type(error).__name__}: {error}."
            raise ASRError(what, "python -m asr doctor looks for the cause.") from error


def _asked(filled: _Filled) -> Prepared:
    piece = filled.pieces[0]
    return Prepared(piece.job.hearing, piece.window, filled.ready)
