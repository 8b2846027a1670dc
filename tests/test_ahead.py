"""Running ahead: order, errors in their place, and no thread left behind."""

import threading
import time
from itertools import count, islice
from threading import Event

import pytest

from asr.pipeline.ahead import ahead, several


def running() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name == "ahead"]


def test_items_come_in_order_and_end():
    with ahead(iter(range(100)), 3, Event()) as items:
        assert list(items) == list(range(100))
    assert not running()


def test_it_runs_ahead_but_not_too_far():
    made = []

    def make():
        for i in count():
            made.append(i)
            yield i

    with ahead(make(), 4, Event()) as items:
        assert next(items) == 0
        time.sleep(0.2)
        assert 2 < len(made) <= 7


def test_an_error_comes_after_the_items_before_it():
    def make():
        yield 1
        yield 2
        raise ValueError("no more")

    with ahead(make(), 8, Event()) as items, pytest.raises(ValueError, match="no more"):
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

    with ahead(make(), 1, Event()) as items:
        next(items)
    assert not running() and closed, "whatever the items hold on to is let go"


def test_leaving_by_an_error_ends_the_thread_too():
    with pytest.raises(KeyError), ahead(count(), 2, Event()) as items:
        next(items)
        raise KeyError
    assert not running()


def test_an_item_may_be_none():
    with ahead(iter([None, 1, None]), 2, Event()) as items:
        assert list(items) == [None, 1, None]


def test_items_that_heed_the_same_event_are_not_waited_for():
    stop = Event()

    def make():
        yield 1
        assert stop.wait(60), "nobody said stop"

    began = time.monotonic()
    with ahead(make(), 2, stop) as items:
        assert next(items) == 1
    assert time.monotonic() - began < 30 and not running()


def test_one_may_run_ahead_of_another():
    stop, made = Event(), []

    def make():
        for i in count():
            made.append(i)
            yield i

    with ahead(make(), 2, stop) as numbers, ahead((2 * n for n in numbers), 2, stop) as doubled:
        assert list(islice(doubled, 5)) == [0, 2, 4, 6, 8]
    assert not running() and len(made) < 20


def test_several_runs_give_every_item_once_and_each_run_in_order():
    runs = ([(run, i) for i in range(30)] for run in range(20))
    with several(map(iter, runs), 4, 5, Event()) as items:
        got = list(items)
    assert sorted(got) == [(run, i) for run in range(20) for i in range(30)]
    for run in range(20):
        assert [i for r, i in got if r == run] == list(range(30))
    assert not running()


def test_runs_are_begun_when_there_is_a_thread_for_them():
    begun = []

    def run(n):
        begun.append(n)
        yield n

    with several(map(run, count()), 3, 2, Event()) as items:
        next(items)
        time.sleep(0.2)
        assert len(begun) <= 1 + 2 + 3
    assert not running()


def test_an_error_in_one_of_several_runs_comes_up():
    def run(n):
        yield n
        if n == 3:
            raise ValueError("three")

    with pytest.raises(ValueError, match="three"), several(map(run, range(10)), 2, 2, Event()) as items:
        list(items)
    assert not running()
