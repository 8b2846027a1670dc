"""Everybody who uses the server at once, for as long as the soak lasts."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from random import Random

from asr.bench.soak.calls import call
from asr.bench.soak.ledger import Ledger
from asr.bench.soak.live import Speaker
from asr.bench.soak.realtime import converse
from asr.bench.soak.recordings import Uploader

KINDS = ("page", "webrtc", "program", "realtime")


class Crowd:
    def __init__(
        self, ledger: Ledger, url: str, models: tuple[str, ...], args: argparse.Namespace, dice: Random
    ):
        self.ledger, self.url, self.models, self.args, self.dice = ledger, url, models, args, dice
        self.visitors: set[asyncio.Task] = set()

    async def first(self) -> None:
        """One guest of each kind, so that what is loaded once is loaded."""
        short = [self._speak(kind, 6) for kind in KINDS]
        await asyncio.gather(*short, self._upload(6), *(self._call(6) for _ in self.models))

    async def come(self, until: float) -> None:
        """Guests come until then (of the ledger); returns when the last one has gone."""
        speakers = [self._one_by_one(until) for _ in range(self.args.live)]
        rates = ((self.args.uploads, self._upload), (self.args.calls, self._call))
        visitors = [self._now_and_then(60 / rate, guest, until) for rate, guest in rates if rate]
        await asyncio.gather(*speakers, *visitors)
        await asyncio.gather(*self.visitors)

    async def _one_by_one(self, until: float) -> None:
        while self.ledger.now < until:
            await self._speak(self.dice.choice(KINDS), self.dice.uniform(0.5, 1.5) * self.args.speech)

    async def _now_and_then(self, each: float, guest: Callable[[], Awaitable], until: float) -> None:
        """A guest about every `each` seconds, whether the last one has gone or not."""
        while self.ledger.now < until:
            task = asyncio.create_task(guest())
            self.visitors.add(task)
            task.add_done_callback(self.visitors.discard)
            await asyncio.sleep(self.dice.expovariate(1 / each))

    async def _speak(self, kind: str, seconds: float) -> None:
        if kind == "realtime":
            return await self._kept(converse(self.ledger, self.url, self.dice, seconds))
        cuts = max(5.0, self.args.speech / 2)
        await self._kept(Speaker(self.ledger, self.url, self.dice, kind, seconds, cuts).talk())

    async def _upload(self, seconds: float = 0) -> None:
        seconds = seconds or self.dice.uniform(2, 120)
        await self._kept(Uploader(self.ledger, self.url, self.dice, seconds).work())

    async def _call(self, seconds: float = 0) -> None:
        seconds = seconds or self.dice.uniform(1, 90)
        await self._kept(call(self.ledger, self.url, self.dice, seconds, self.models))

    async def _kept(self, guest: Awaitable) -> None:
        """A guest that breaks is a finding, and stops no other."""
        try:
            await guest
        except Exception as e:
            self.ledger.blame(f"a guest broke: {e!r}")
