"""An iterator that runs ahead in a thread of its own, so that reading and computing overlap."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, Queue
from threading import Event, Thread
from typing import TypeVar

Item = TypeVar("Item")


@contextmanager
def ahead(items: Iterator[Item], depth: int, stop: Event) -> Iterator[Iterator[Item]]:
    """Take `items` in a thread, at most `depth` of them before somebody wants them.

    What the items raise comes up in their place. Leaving the block sets `stop` and waits for the
    thread to end: after the item it is working on, or sooner if making that heeds `stop` as well.
    """
    queue: Queue[tuple[bool, Item | BaseException | None]] = Queue(depth)

    def work() -> None:
        try:
            for item in items:
                queue.put((True, item))
                if stop.is_set():
                    return
            queue.put((False, None))
        except BaseException as e:  # the reader raises it
            queue.put((False, e))

    def taken() -> Iterator[Item]:
        while True:
            more, item = queue.get()
            if more:
                yield item
            elif item is None:
                return
            else:
                raise item

    thread = Thread(target=work, name="ahead", daemon=True)
    thread.start()
    try:
        yield taken()
    finally:
        stop.set()
        while thread.is_alive():  # it may be waiting for room
            try:
                queue.get(timeout=0.01)
            except Empty:
                continue
        thread.join()
