"""Works on the jobs of a store, some at a time, in turns that are fair, until nothing is left to do.

worker = Worker(Tools(store, config, models.get))
worker.start()                        # what an earlier server had begun goes on
worker.submit(job.id, wishes)
"""

from __future__ import annotations

import logging
import time
from threading import Condition, Thread

from asr import logs, spare
from asr.errors import ASRError, Busy, Cancelled, UnknownJob
from asr.jobs.job import Job, Stage, Wishes
from asr.jobs.lock import Lock
from asr.jobs.stages import STAGES, Tools, Work
from asr.jobs.turns import order

SPARE = ("align", "diarize")  # stages without which there is a transcript
SWEEP = 600.0  # seconds between two looks for recordings that are too old
PATIENCE = 5.0  # seconds that a server which stops gives the work to stop by itself
log = logging.getLogger(__name__)


class Worker:
    """When `cancel` or `delete` returns, nothing of that job is saved any more."""

    def __init__(self, tools: Tools):
        self.tools, self.store = tools, tools.store
        self.places = max(1, tools.config.recordings_at_once)
        self._at_work: dict[str, tuple[Work, Thread]] = {}
        self._moved = Condition()
        self._closed, self._alone = False, False
        self._lock = Lock(self.store.root.with_suffix(".lock"))
        self._clerk = Thread(target=self._serve, name="recordings", daemon=True)

    def start(self) -> None:
        """Take up what was left undone, and go on; not before a server that has this folder lets go of it."""
        if self._lock.take():
            self._take_up()
        else:
            log.warning("Another Parlance works on the recordings in %s: this one waits.", self.store.root)
        self._clerk.start()

    def _take_up(self) -> None:
        self._alone = True
        self.store.tidy()
        for job in self.store.recover():
            log.info("a recording goes on with %s", job.stage, extra={"about": _about(job.id)})

    def submit(self, id: str, wishes: Wishes, stages: tuple[Stage, ...] = ()) -> Job:
        """Queue a recording: for what is left to do, or for these stages again. Raises Conflict, Busy."""
        if len(self.store.jobs(state="waiting")) >= self.tools.config.recordings_waiting + self.places:
            raise Busy("Too many recordings are waiting already.", "Try again when some of them are done.")
        spare.admit(self.tools.config)
        job = self.store.submit(id, wishes, stages)
        self._nudge()
        return job

    def ahead(self, id: str) -> int:
        """How many recordings have to be finished before this one may begin."""
        turns = [job.id for job in self._turns()]
        with self._moved:
            free = self.places - len(self._at_work)
        return max(0, turns.index(id) + 1 - free) if id in turns else 0

    def cancel(self, id: str) -> None:
        """Stop it; what was recognised is kept."""
        self.store.cancel(id)
        self.store.keep_part(id)
        self._stop(id)

    def delete(self, id: str) -> None:
        """Stop it and forget it, audio and text. Raises UnknownJob."""
        self.store.delete(id)
        self._stop(id)

    def close(self) -> None:
        """Stop working; what was begun waits for the next start."""
        with self._moved:
            self._closed = True
            at_work = list(self._at_work.values())
            self._moved.notify_all()
        for work, _ in at_work:
            work.stopped = True
        end = time.monotonic() + PATIENCE
        for work, thread in at_work:
            thread.join(max(0.0, end - time.monotonic()))
            self.store.end(work.id, "waiting")
        self._lock.release()

    # ---- one thread gives out the work ----

    def _serve(self) -> None:
        swept = -SWEEP  # on a clock that nobody sets
        while not self._closed:
            try:
                if not self._alone:
                    if not self._lock.take():
                        time.sleep(1)
                        continue
                    self._take_up()
                if time.monotonic() - swept > SWEEP:
                    swept = time.monotonic()
                    self.store.expire(self.tools.config.keep_hours)
                with self._moved:
                    self._begin()
                    self._closed or self._moved.wait(SWEEP)
            except Exception:
                log.exception("recordings are not given out; trying again")
                time.sleep(1)

    def _begin(self) -> None:
        for job in self._turns():
            if len(self._at_work) >= self.places:
                return
            # Cancelled and wanted again: the thread that works on it has not noticed yet.
            if job.id not in self._at_work and self.store.claim(job.id):
                work = Work(self.tools, job.id)
                thread = Thread(target=self._do, args=(work,), name=f"recording-{job.id}", daemon=True)
                self._at_work[job.id] = work, thread
                thread.start()

    def _turns(self) -> list[Job]:
        jobs = self.store
        return order(jobs.jobs(state="waiting"), jobs.jobs(state="working"), jobs.served())

    def _do(self, work: Work) -> None:
        began = time.monotonic()
        state, error = "done", None
        logs.about.set(_about(work.id))
        try:
            while stage := work.job.stage:
                work.go_on()
                self._stage(stage, work)
        except (Cancelled, UnknownJob):
            state = "waiting" if self._closed else "cancelled"
        except ASRError as e:
            state, error = "failed", e
        self._finish(work, state, error, time.monotonic() - began)

    def _stage(self, stage: Stage, work: Work) -> None:
        try:
            STAGES[stage](work)
        except (Cancelled, UnknownJob):
            raise
        except Exception as e:
            work.go_on()  # what is deleted under its hands breaks in many ways
            error = e if isinstance(e, ASRError) else _broken(e)
            if stage not in SPARE:
                raise error from e
            job = work.job  # whatever goes wrong here, the transcript is finished
            self.store.skip(job.id, stage, what=f"{job.what} {error.what}".strip(), fix=error.fix)

    def _finish(self, work: Work, state: str, error: ASRError | None, took: float) -> None:
        try:
            if state == "failed":
                self.store.keep_part(work.id)
            self.store.end(work.id, state, error, took)
            _tell(self.store.job(work.id), state, error, took)
        except UnknownJob:
            log.info("recording deleted", extra={"took": round(took, 1)})
        except ASRError:
            log.exception("the end of a recording cannot be written")  # the next start tries again
        finally:
            with self._moved:
                del self._at_work[work.id]
                self._moved.notify_all()

    def _stop(self, id: str) -> None:
        with self._moved:
            if id in self._at_work:
                self._at_work[id][0].stopped = True
            self._moved.notify_all()

    def _nudge(self) -> None:
        with self._moved:
            self._moved.notify_all()


def _about(id: str) -> str:
    return f"job_{logs.short(id)}"


def _tell(job: Job, state: str, error: ASRError | None, took: float) -> None:
    facts = {"outcome": type(error).__name__ if error else state, "seconds": round(job.duration, 1)}
    facts |= {"took": round(took, 1), "model": job.model}
    log.log(logging.WARNING if error and error.status >= 500 else logging.INFO, "recording", extra=facts)


def _broken(e: Exception) -> ASRError:
    """A bug, told without its details."""
    log.exception("a recording failed")
    return ASRError(f"Something broke that should not: {type(e).__name__}.", logs.seen())
