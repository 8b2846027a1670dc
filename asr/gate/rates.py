"""So many requests a minute, so many sockets at a time, for everybody who can be told apart."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address, ip_address, ip_network

from starlette.requests import HTTPConnection

from asr.api.errors import Refused

REMEMBERED = 10_000  # names; those who have not asked for longest are forgotten first


class Rate:
    """Token buckets: `burst` at once, then `each` seconds for one more. A burst of 0 is no limit."""

    def __init__(self, burst: int, each: float, clock: Callable[[], float] = time.monotonic):
        self.burst, self.each, self.clock = burst, each, clock
        self._full: dict[object, float] = {}  # when a name's bucket will be full again

    @classmethod
    def per_minute(cls, requests: int) -> Rate:
        return cls(requests, 60 / requests if requests else 0.0)

    def allow(self, name: object) -> float:
        """When its bucket will be full after one more; raises Refused (429) where there is none."""
        now = self.clock()
        full = max(now, self._full.get(name, now)) + self.each
        wait = full - now - self.burst * self.each
        if self.burst and wait > 1e-6:
            raise too_many("Too many requests came from there.", wait)
        return full

    def take(self, name: object) -> None:
        """One more for `name`; raises Refused (429) when there were too many."""
        if not self.burst:
            return
        full = self.allow(name)
        self._full.pop(name, None)  # to the end: who asked last is forgotten last
        self._full[name] = full
        while len(self._full) > REMEMBERED:
            del self._full[next(iter(self._full))]


class Places:
    """At most `most` at a time for each name; 0: any number."""

    def __init__(self, most: int):
        self.most, self._taken = most, Counter()

    @contextmanager
    def taken(self, name: object) -> Iterator[None]:
        if self.most and self._taken[name] >= self.most:
            raise too_many("Too many connections are open from there.", 60)
        self._taken[name] += 1
        try:
            yield
        finally:
            self._taken[name] -= 1
            if not self._taken[name]:
                del self._taken[name]


def too_many(what: str, wait: float) -> Refused:
    seconds = max(1, math.ceil(wait))
    error = Refused(what, f"Try again in {seconds} s.", status=429, code="rate_limit_exceeded")
    error.retry_after = seconds
    return error


def neighbourhood(asking: HTTPConnection) -> str:
    """Who asks, as far as an address tells: an IPv6 customer has a whole /64."""
    host = asking.client.host if asking.client else ""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or ip_network(f"{address}/64", strict=False))
    return str(address)
