"""Many recordings through one backend: windows of different recordings fill its batches.

Recordings are decoded and listened to ahead, in threads; the engine takes full batches from whatever
is ready and never waits for the end of a file. What one recording does to it costs no other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from threading import Event

from asr.backends import check
from asr.batch.filling import Filled, Hall, Heard, Job, Open, Part, Piece, filled, gathered, pieces
from asr.errors import ASRError, BackendUnavailable
from asr.pipeline import Prepared, decode, prepared
from asr.pipeline.ahead import ahead, several
from asr.types import Segment

STREAK = 8  # recordings in a row that the engine fails on: then it is the engine
LATER = 4  # recordings at most whose text is there and whose speakers are not


def together(recordings: Iterable[tuple[object, Open]], hall: Hall) -> Iterator[Heard | Part]:
    """What becomes of each recording, as soon as it is known, in no certain order; with `hall.known`,
    between these the parts of longer ones.

    `recordings` are keys, each with what opens it, which is called in a thread of its own when its
    turn comes; None means that there is nothing to hear. Raises Unsupported before anything runs
    if the backend cannot do what the options ask, and BackendUnavailable where it can do nothing more.
    """
    check(hall.backend, hall.options)
    return _together(recordings, hall)


def _together(recordings, hall: Hall) -> Iterator[Heard]:
    stop, engine = Event(), _Engine(hall)
    runs = (pieces(Job(key), opened, hall, stop) for key, opened in recordings)
    with (
        several(runs, hall.threads, 2 * hall.size, stop) as found,
        ahead(filled(found, hall), 2 * hall.size, stop) as coming,
        ThreadPoolExecutor(1, "after") as beside,
    ):
        later: deque[Future[Heard]] = deque()
        try:
            for batch in gathered(coming, hall.size):
                windows = [item for item in batch if isinstance(item, Filled)]
                engine.hear(windows)
                if hall.known:
                    yield from _parts(windows)
                for job in (item for item in batch if isinstance(item, Job)):
                    if job.hearing:
                        hall.advanced(job.hearing.recording.duration - job.upto)
                    if hall.after and job.hearing and not job.error:
                        later.append(beside.submit(_finished, job, hall))
                    else:
                        yield _finished(job, hall)
                while later and (len(later) > LATER or later[0].done()):
                    yield later.popleft().result()
            yield from (finished.result() for finished in later)
        finally:
            beside.shutdown(wait=False, cancel_futures=True)


def _parts(windows: list[Filled]) -> Iterator[Part]:
    """What has just been heard of recordings that have more windows than one."""
    jobs = {id(p.job): p.job for window in windows for p in window.pieces if not p.alone}
    yield from (job.part() for job in jobs.values() if not job.error)


def _finished(job: Job, hall: Hall) -> Heard:
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


class _Engine:
    """The backend at work on windows of many recordings."""

    def __init__(self, hall: Hall):
        self.hall, self.failures = hall, 0

    def hear(self, batch: list[Filled]) -> None:
        """Give every job what was heard of it; a job on which the engine fails gets its error."""
        for window in batch:
            for piece in window.pieces:
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
        for window, (_, heard) in zip(batch, found, strict=True):
            for piece, mine in window.parted(heard):
                if not piece.job.error:
                    self._tried(piece.job, lambda p=piece, m=mine: self._take(p, m))

    def _take(self, piece: Piece, heard: list[Segment]) -> None:
        job = piece.job
        job.segments.extend(job.hearing.told(piece.window, heard))
        end = piece.window.stretches[-1].end
        self.hall.advanced(end - job.upto)
        job.upto = end

    def _alone(self, batch: list[Filled], error: Exception) -> None:
        """Whoever spoils a batch is found by decoding each recording by itself."""
        all_pieces = [p for f in batch for p in f.pieces]
        jobs = list({id(p.job): p.job for p in all_pieces}.values())
        if len(jobs) == 1:
            self._failed(jobs[0], error)
            return
        for job in jobs:
            mine = [p for p in all_pieces if p.job is job]
            self.hear([Filled((p,), prepared(self.hall.backend, p.audio)) for p in mine])

    def _tried(self, job: Job, work: Callable[[], None]) -> None:
        try:
            work()
        except BackendUnavailable:
            raise
        except Exception as e:
            self._failed(job, e)

    def _failed(self, job: Job, error: Exception) -> None:
        job.error = error
        self.failures += 1
        if self.failures >= STREAK:
            what = f"The engine failed on {STREAK} recordings in a row: {type(error).__name__}: {error}."
            raise ASRError(what, "python -m asr doctor looks for the cause.") from error


def _asked(window: Filled) -> Prepared:
    piece = window.pieces[0]
    return Prepared(piece.job.hearing, piece.window, window.ready)
