"""Iterators that run ahead in threads of their own, so that reading and computing overlap."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, Queue
from threading import Event, Lock, Thread
from typing import TypeVar

Item = TypeVar("Item")


@contextmanager
def ahead(items: Iterator[Item], depth: int, stop: Event) -> Iterator[Iterator[Item]]:
    """Take `items` in a thread, at most `depth` of them before somebody wants them.

    What the items raise comes up in their place. Leaving the block sets `stop` and waits for the
    thread to end: after the item it is working on, or sooner if making that heeds `stop` as well.
    """
    with several(iter([items]), 1, depth, stop) as taken:
        yield taken


@contextmanager
def several(
    runs: Iterator[Iterator[Item]], threads: int, depth: int, stop: Event
) -> Iterator[Iterator[Item]]:
    """As `ahead`, with so many of the `runs` at a time: their items mixed, those of one run in order.

    `runs` itself is asked by one thread at a time.
    """
    queue: Queue[tuple[bool, Item | BaseException | None]] = Queue(depth)
    asking = Lock()

    def next_run() -> Iterator[Item] | None:
        with asking:
            return None if stop.is_set() else next(runs, None)

    def work() -> None:
        try:
            while (items := next_run()) is not None:
                for item in items:
                    queue.put((True, item))
                    if stop.is_set():
                        return
            queue.put((False, None))
        except BaseException as e:  # the reader raises it
            queue.put((False, e))

    def taken() -> Iterator[Item]:
        working = threads
        while working:
            more, item = queue.get()
            if more:
                yield item
            elif item is None:
                working -= 1
            else:
                raise item

    started = [Thread(target=work, name="ahead", daemon=True) for _ in range(threads)]
    for thread in started:
        thread.start()
    try:
        yield taken()
    finally:
        stop.set()
        while any(thread.is_alive() for thread in started):  # they may be waiting for room
            try:
                queue.get(timeout=0.01)
            except Empty:
                continue
        for thread in started:
            thread.join()
