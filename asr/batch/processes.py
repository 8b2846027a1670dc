"""Engines in processes of this machine: one for each GPU, or each with its share of the processors."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from threading import Lock, Thread

from asr.batch.engine import Died, Engine, Looked
from asr.batch.filling import Hall, Heard, Part
from asr.batch.shares import LANES

TOLD, FAILED, OVER = "told", "failed", "over"
GOODBYE = 10.0  # seconds until a process that closed its line must have ended
fresh = multiprocessing.get_context("spawn")  # a fork would share the engine's threads and the GPU's state


class Process:
    """An Engine behind one line for each lane; where it has died, the next question starts another one."""

    def __init__(self, place: Place, hall: Callable[[], Hall], longest: float):
        self._engine, self._lock = (place, hall, longest), Lock()
        self._process, self._lines = None, []

    def look(self, rows) -> list[Looked]:
        (found,) = self._ask("look", rows)
        return found

    def hear(self, rows, others, known) -> Iterator[Heard | Part]:
        yield from self._ask("hear", rows, others, known)

    def close(self) -> None:
        if self._process:
            self._process.kill()
            self._process.join()

    def _ask(self, *question) -> Iterator:
        process, line = self._line()
        try:
            line.send(question)
            while True:
                kind, told = line.recv()
                if kind != TOLD:
                    break
                yield told
        except (EOFError, OSError) as e:
            process.join(GOODBYE)
            raise Died(f"its process ended with exit code {process.exitcode}") from e
        with self._lock:
            if process is self._process:
                self._lines.append(line)
        if kind == FAILED:
            raise told

    def _line(self) -> tuple[multiprocessing.Process, Connection]:
        with self._lock:
            if not self._process or not self._process.is_alive():
                pairs = [fresh.Pipe() for _ in range(LANES)]
                theirs = [end for _, end in pairs]
                self._process = fresh.Process(target=_serve, args=(theirs, *self._engine), daemon=True)
                self._process.start()
                for end in theirs:  # so that ours end with the process
                    end.close()
                self._lines = [end for end, _ in pairs]
            return self._process, self._lines.pop()


Place = tuple[str | None, frozenset[int]]  # the GPU as CUDA_VISIBLE_DEVICES has it, and processors


@contextmanager
def engines(hall: Callable[[], Hall], longest: float, places: Sequence[Place]) -> Iterator[list[Process]]:
    workers = [Process(place, hall, longest) for place in places]
    try:
        yield workers
    finally:
        for worker in workers:
            worker.close()


def places(count: int, gpus: Sequence[int], env=os.environ) -> list[Place]:
    """Where `count` engines work: each on its GPU, if any are named, and with its share of the processors."""
    have = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    shares = [frozenset(have[i::count] or have[:1]) for i in range(count)]
    seen = [name for name in env.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    names = [seen[gpu] if seen else str(gpu) for gpu in gpus] or [None] * count
    return list(zip(names, shares, strict=True))


def _serve(lines: list[Connection], place: Place, hall: Callable[[], Hall], longest: float) -> None:
    """The process: answers on every line until whoever asks is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for whoever started us
    gpu, processors = place
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    if processors:
        os.sched_setaffinity(0, processors)
    try:
        engine = Engine(hall, longest)
    except Exception as e:
        engine = e
    others = [Thread(target=_answer, args=(line, engine), daemon=True) for line in lines[1:]]
    for other in others:
        other.start()
    _answer(lines[0], engine)


def _answer(line: Connection, engine: Engine | Exception) -> None:
    try:
        while True:
            what, *about = line.recv()
            try:
                if isinstance(engine, Exception):
                    raise engine
                found = getattr(engine, what)(*about)
                for told in [found] if what == "look" else found:
                    line.send((TOLD, told))
                line.send((OVER, None))
            except (BrokenPipeError, ConnectionResetError):
                raise
            except Exception as e:
                line.send((FAILED, e))
    except (EOFError, OSError):
        os._exit(0)  # nobody asks any more; engines' threads would keep the process alive
