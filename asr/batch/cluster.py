"""An archive's run on Ray: engines in processes of their own, on this machine or on many.

The manifest stays with whoever started the run. Engines get small shares of what is to do, two at a
time so that one never waits for the end of the other, and send back each transcript as soon as it is
there. When an engine dies, with its process or its machine, what it had not sent back goes to the
others, alone from then on: a recording that kills DEATHS engines is set aside.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from functools import partial
from queue import Queue
from threading import Lock, Thread

import ray
from ray.exceptions import RayActorError

from asr.audio import Limits, Recording, decode
from asr.batch.archive import Archive, Desk, Event, read
from asr.batch.filling import Hall, Heard
from asr.batch.manifest import Row
from asr.batch.together import together
from asr.errors import ASRError, BackendUnavailable

SHARE = 600.0  # guessed seconds of audio in a share: a death costs no more, and calls stay rare
MOST = 64  # recordings in a share
LANES = 2  # shares that an engine works on at the same time
DEATHS = 3


@dataclass(frozen=True, slots=True)
class Engines:
    """How many, and what each needs; `hall` makes an engine's Hall, model and all, in its own process."""

    hall: Callable[[], Hall]
    count: int = 1
    cpus: float = 1
    gpus: float = 0


class _Engine:
    """In a process of its own."""

    def __init__(self, hall: Callable[[], Hall], longest: float):
        self.hall, self.longest = hall(), longest
        self.opened: dict[int, tuple] = {}  # id -> its file, and what closes it

    def look(self, rows: list[Row]) -> list[tuple[int, bytes | None, Exception | None]]:
        """The content of recordings, which stay open: what has an address is fetched once."""
        found = []
        for row in rows:
            try:
                found.append((row.id, self._look(row), None))
            except Exception as e:  # this recording's affair
                found.append((row.id, None, e))
        return found

    def _look(self, row: Row) -> bytes:
        with ExitStack() as files:
            file, content = read(row, files)
            self.opened[row.id] = file, files.pop_all()
            return content

    def hear(self, rows: list[Row], others: list[int]) -> Iterator[Heard]:
        """What was looked at, transcribed; `others` are let go."""
        for id in others:
            if id in self.opened:
                self.opened.pop(id)[1].close()
        yield from together(((row.id, partial(self._open, row)) for row in rows), self.hall)

    def _open(self, row: Row) -> Recording:
        if row.id not in self.opened:  # whoever looked at it has died since: we are in its place
            self._look(row)
        file, files = self.opened.pop(row.id)
        with files:
            return decode(file, Limits(seconds=self.longest, bytes=1 << 60))


def run(archive: Archive, engines: Engines) -> Iterator[Event]:
    """As Archive.run, on the Ray that `ray.init` has connected to."""
    resources = {"num_cpus": engines.cpus, "num_gpus": engines.gpus}
    actor = ray.remote(_Engine).options(max_restarts=-1, max_concurrency=2 * LANES, **resources)
    workers = [actor.remote(engines.hall, archive.longest) for _ in range(engines.count)]
    try:
        _ready(workers)
        for tries in range(archive.tries):
            yield from _Round(archive, tries).run(workers)
    finally:
        for worker in workers:
            ray.kill(worker)


def _ready(workers: list) -> None:
    """Wait for the models; raises what kept the first one from being loaded."""
    try:
        ray.get([worker.look.remote([]) for worker in workers])
    except RayActorError as e:
        last = str(e).strip().splitlines()[-1]
        raise BackendUnavailable(f"No engine could be started: {last}.", "Try it with --engine local.") from e


class _Round:
    """All that has failed so many times so far, shared out."""

    def __init__(self, archive: Archive, tries: int):
        self.archive, self.desk = archive, Desk(archive)
        self.left = deque(archive.manifest.todo(tries))
        self.alone: deque[int] = deque()  # was with an engine when it died
        self.deaths: Counter[int] = Counter()
        self.lock = Lock()
        self.told: Queue[Heard | Exception | None] = Queue()

    def run(self, workers: list) -> Iterator[Event]:
        gates = [(worker, Lock()) for worker in workers]
        lanes = [Thread(target=self._lane, args=gate, daemon=True) for gate in gates * LANES]
        for lane in lanes:
            lane.start()
        working = len(lanes)
        while working:
            told = self.told.get()
            if told is None:
                working -= 1
            elif isinstance(told, Heard):
                yield from self.desk.close(told)
            else:
                raise told

    def _lane(self, worker, gate: Lock) -> None:
        try:
            while share := self._share():
                with gate if self.deaths[share[0]] else nullcontext():  # a suspect takes nobody else with it
                    self._do(worker, share)
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
                seconds += self.archive.manifest.row(share[-1]).guess
            return share

    def _do(self, worker, share: list[int]) -> None:
        waiting = dict.fromkeys(share)
        manifest = self.archive.manifest
        try:
            rows = {id: manifest.row(id) for id in share}
            for id in share:
                manifest.begun(id)
            mine, others = [], []
            for id, content, error in ray.get(worker.look.remote(list(rows.values()))):
                if error:
                    self._tell(Heard(id, error=error), waiting)
                elif self.desk.claim(rows[id], content):
                    mine.append(rows[id])
                else:
                    others.append(id)
                    self._tell(Heard(id), waiting)
            for told in worker.hear.options(num_returns="streaming").remote(mine, others):
                self._tell(ray.get(told), waiting)
        except RayActorError as e:
            self._died(list(waiting), e)

    def _tell(self, heard: Heard, waiting: dict[int, None]) -> None:
        waiting.pop(heard.key, None)
        self.told.put(heard)

    def _died(self, ids: list[int], error: RayActorError) -> None:
        for id in ids:
            self.deaths[id] += 1
            if self.deaths[id] >= DEATHS:
                what = f"The engine died {DEATHS} times while this was heard."
                self.told.put(Heard(id, error=ASRError(what, str(error).splitlines()[0])))
            else:
                self.alone.append(id)
