"""An archive's run on several engines, each in a process of its own, on this machine or on many.

The manifest stays with whoever started the run. Engines get small shares of what is to do, two at a
time so that one never waits for the end of the other, and send back each transcript as soon as it is
there, and of long recordings each part. When an engine dies, with its process or its machine, what it
had not sent back goes to the others, alone from then on: a recording that kills DEATHS engines is set aside.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from queue import Queue
from threading import Lock, Thread

from asr.batch.archive import Archive, Desk, Event
from asr.batch.engine import Died, Worker
from asr.batch.filling import Heard, Part
from asr.batch.rows import Row
from asr.errors import ASRError, BackendUnavailable

SHARE = 600.0  # guessed seconds of audio in a share: a death costs no more, and calls stay rare
MOST = 64  # recordings in a share
LANES = 2  # shares that an engine works on at the same time
DEATHS = 3


def run(
    archive: Archive, workers: Sequence[Worker], advanced: Callable[[float], None] = lambda seconds: None
) -> Iterator[Event]:
    """As Archive.run, on these engines; `advanced` is told the seconds that are done."""
    try:
        with ThreadPoolExecutor(len(workers)) as loading:
            list(loading.map(lambda worker: worker.look([]), workers))
    except Died as e:
        raise BackendUnavailable(f"No engine could be started: {e}.", "Try it with --workers 1.") from e
    desk = Desk(archive)
    for tries in range(archive.tries):
        yield from _Round(desk, tries, advanced).run(workers)


class _Round:
    """All that has failed so many times so far, shared out."""

    def __init__(self, desk: Desk, tries: int, advanced: Callable[[float], None]):
        self.desk, self.manifest, self.advanced = desk, desk.manifest, advanced
        self.left = deque(self.manifest.todo(tries))
        self.alone: deque[int] = deque()  # was with an engine when it died
        self.deaths: Counter[int] = Counter()
        self.upto: dict[int, float] = {}  # seconds that are done of a recording that is being heard
        self.lock = Lock()
        self.told: Queue[Heard | Part | Exception | None] = Queue()

    def run(self, workers: Sequence[Worker]) -> Iterator[Event]:
        gates = [(worker, Lock()) for worker in workers]
        lanes = [Thread(target=self._lane, args=gate, daemon=True) for gate in gates * LANES]
        for lane in lanes:
            lane.start()
        working = len(lanes)
        while working:
            told = self.told.get()
            if told is None:
                working -= 1
            elif isinstance(told, Exception):
                raise told
            else:
                self._count(told)
                if isinstance(told, Heard):
                    yield from self.desk.close(told)

    def _count(self, told: Heard | Part) -> None:
        before = self.upto.pop(told.key.id, 0.0)
        if isinstance(told, Part):
            self.upto[told.key.id] = told.upto
            self.advanced(told.upto - before)
        elif told.transcript:
            self.advanced(told.transcript.duration - before)

    def _lane(self, worker: Worker, gate: Lock) -> None:
        try:
            while share := self._share():
                with gate if self.deaths[share[0]] else nullcontext():  # a suspect takes nobody else with it
                    self._do(worker, [self.manifest.row(id) for id in share])
            self.told.put(None)
        except Exception as e:  # ours, or an engine that cannot start: whoever started the run gets it
            self.told.put(e.cause if isinstance(getattr(e, "cause", None), ASRError) else e)

    def _share(self) -> list[int]:
        """The next recordings, long ones first; nothing while nothing is left."""
        with self.lock:
            if self.alone and not self.left:
                return [self.alone.popleft()]
            share, seconds = [], 0.0
            while self.left and len(share) < MOST and seconds < SHARE:
                share.append(self.left.popleft())
                seconds += self.manifest.row(share[-1]).guess
            return share

    def _do(self, worker: Worker, rows: list[Row]) -> None:
        waiting = {row.id: row for row in rows}
        try:
            for row in rows:
                self.manifest.begun(row.id)
            mine, others = [], []
            for id, content, error in worker.look(rows):
                if error:
                    self._tell(Heard(waiting[id], error=error), waiting)
                elif self.desk.claim(waiting[id], content):
                    mine.append(waiting[id])
                else:
                    others.append(id)
                    self._tell(Heard(waiting[id]), waiting)
            known = {row: part for row in mine if (part := self._known(row))}
            for told in worker.hear(mine, others, known):
                self._tell(told, waiting)
        except Died as e:
            self._died(waiting, e)

    def _known(self, row: Row) -> Part | None:
        """What an earlier run did of it; what this one did was counted when it was told."""
        if part := self.desk.known(row):
            self.upto.setdefault(row.id, part.upto)
        return part

    def _tell(self, told: Heard | Part, waiting: dict[int, Row]) -> None:
        if isinstance(told, Part):
            self.desk.keep(told)  # at once: this engine may die with the next one
        else:
            waiting.pop(told.key.id, None)
        self.told.put(told)

    def _died(self, waiting: dict[int, Row], error: Died) -> None:
        for id, row in waiting.items():
            self.deaths[id] += 1
            if self.deaths[id] >= DEATHS:
                what = f"The engine died {DEATHS} times while this was heard."
                self.told.put(Heard(row, error=ASRError(what, str(error))))
            else:
                self.alone.append(id)
