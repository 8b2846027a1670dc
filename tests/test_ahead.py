"""Running ahead: order, errors in their place, and no thread left behind."""

import threading
import time
from itertools import count, islice

import pytest

from asr.ahead import ahead


def running() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name == "ahead"]


def test_items_come_in_order_and_end():
    with ahead(iter(range(100)), 3) as items:
        assert list(items) == list(range(100))
    assert not running()


def test_it_runs_ahead_but_not_too_far():
    made = []

    def make():
        for i in count():
            made.append(i)
            yield i

    with ahead(make(), 4) as items:
        assert next(items) == 0
        time.sleep(0.2)
        assert 2 < len(made) <= 7


def test_an_error_comes_after_the_items_before_it():
    def make():
        yield 1
        yield 2
        raise ValueError("no more")

    with ahead(make(), 8) as items, pytest.raises(ValueError, match="no more"):
        assert list(islice(items, 2)) == [1, 2]
        next(items)
    assert not running()


def test_leaving_ends_the_thread_while_it_waits_for_room():
    closed = []

    def make():
        try:
            yield from count()
        finally:
            closed.append(True)

    with ahead(make(), 1) as items:
        next(items)
    assert not running() and closed, "whatever the items hold on to is let go"


def test_leaving_by_an_error_ends_the_thread_too():
    with pytest.raises(KeyError), ahead(count(), 2) as items:
        next(items)
        raise KeyError
    assert not running()


def test_an_item_may_be_none():
    with ahead(iter([None, 1, None]), 2) as items:
        assert list(items) == [None, 1, None]
