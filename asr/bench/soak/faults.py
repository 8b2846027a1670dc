"""What goes wrong, one thing after another: each kind in its turn, at random moments."""

from __future__ import annotations

import asyncio
import math
from itertools import cycle
from random import Random

from asr.bench.soak.disk import Disk
from asr.bench.soak.endpoint import WAYS, Endpoint
from asr.bench.soak.ledger import Ledger
from asr.bench.soak.server import Server

LENGTHS = (3.0, 15.0)  # seconds of a fault
JUMP = 3600.0  # seconds that the clock goes forward, then back
KINDS = ("kill", "raise", "disk", "endpoint", "memory", "clock", "slow")


class Faults:
    def __init__(self, ledger: Ledger, server: Server, endpoint: Endpoint, disk: Disk | None, dice: Random):
        self.ledger, self.server, self.endpoint, self.disk, self.dice = ledger, server, endpoint, disk, dice
        self._ways, self._jumps = cycle(WAYS), cycle((JUMP, -JUMP))

    async def inject(self, each: float, until: float, kills: float) -> None:
        """One fault about every `each` seconds; none after `until`, no kill after `kills` (of the ledger)."""
        for kind in cycle(KINDS):
            if (kind == "disk" and not self.disk) or (kind == "kill" and self.ledger.now > kills):
                continue
            await asyncio.sleep(self.dice.uniform(0.5, 1.5) * each)
            seconds = min(self.dice.uniform(*LENGTHS), each)
            if self.ledger.now + seconds > until:
                return
            began = self.ledger.now
            self.ledger.faults.append((kind, began, math.inf))
            try:
                await getattr(self, f"_{kind}", self._engine)(seconds, kind)
            except OSError as e:
                self.ledger.blame(f"the fault {kind} cannot be made: {e}")
            finally:
                self.ledger.faults[-1] = kind, began, self.ledger.now

    async def _engine(self, seconds: float, kind: str) -> None:
        self.server.order(kind, seconds)
        await asyncio.sleep(seconds)

    async def _clock(self, seconds: float, kind: str) -> None:
        self.server.order(kind, next(self._jumps))
        await asyncio.sleep(seconds)

    async def _endpoint(self, seconds: float, kind: str) -> None:
        await asyncio.to_thread(self.endpoint.fail, next(self._ways))
        await asyncio.sleep(seconds)
        await asyncio.to_thread(self.endpoint.fail, "")

    async def _disk(self, seconds: float, kind: str) -> None:
        self.disk.fill()
        try:
            await asyncio.sleep(seconds)
        finally:
            self.disk.free()

    async def _kill(self, seconds: float, kind: str) -> None:
        await self.server.kill()
        await asyncio.sleep(min(seconds, 5))
        await self.server.start()
