"""A soak from its beginning to its verdicts."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from random import Random

from asr.bench.soak import checks
from asr.bench.soak.crowd import Crowd
from asr.bench.soak.ledger import Ledger
from asr.bench.soak.place import Ours, Theirs
from asr.bench.soak.server import Vitals, open_files, vitals

LOOK = 2.0  # seconds between two looks at the process
TELL = 30.0  # seconds between two lines about how it goes
WARM = 11.0  # seconds after the first guests: idle threads of the web server go after ten
REST = 100.0  # seconds that it gets to come to rest: a session is forgotten after 60


class Soak:
    def __init__(self, place: Ours | Theirs, args: argparse.Namespace, dice: Random):
        self.place, self.args, self.dice, self.ledger = place, args, dice, Ledger()
        self.crowd = Crowd(self.ledger, place.url, place.models, args, dice)
        self.samples: list[Vitals] = []

    async def run(self) -> dict:
        """Everything, as the report has it. Raises BackendUnavailable where the server does not start."""
        try:
            await self.place.open()
            self.ledger.exact = self.place.exact
            return await self._watched()
        finally:
            await self.place.close()
            self.place.clear()

    async def _watched(self) -> dict:
        await self.crowd.first()
        await asyncio.sleep(WARM)
        before, there = self._vitals(), await self.place.guests()
        watching = asyncio.create_task(self._watch())
        await self._busy(self.args.minutes * 60)
        after, left = await self._rested(before, there)
        watching.cancel()
        descriptors, code = open_files(self.place.pid), await self.place.close()
        verdicts = [*checks.leaks(before, after, (there, left)), *self._verdicts(code)]
        return self._report(verdicts, descriptors)

    async def _busy(self, seconds: float) -> None:
        until = self.ledger.now + seconds
        work = [self.crowd.come(until)]
        if self.args.faults and isinstance(self.place, Ours):
            faults = self.place.faults(self.ledger, self.dice)
            # No kill in the second half: whether memory is flat only a process that lives can tell.
            work.append(faults.inject(60 / self.args.faults, until, self.ledger.now + seconds / 2))
        await asyncio.gather(*work)

    async def _rested(self, before: Vitals, there: Counter) -> tuple[Vitals, Counter]:
        """What the process holds when nobody is there any more, and for whom."""
        end = self.ledger.now + REST
        while True:
            now, guests = self._vitals(), await self.place.guests()
            if self.ledger.now > end or all(ok for _, ok, _ in checks.leaks(before, now, (there, guests))):
                return now, guests
            await asyncio.sleep(LOOK)

    def _vitals(self) -> Vitals:
        return vitals(self.place.pid, self.ledger.now)

    async def _watch(self) -> None:
        told = self.ledger.now
        while True:
            with suppress(OSError):  # it is being started again
                self.samples.append(self._vitals())
            if self.ledger.now > told:
                told += TELL
                print(self._progress(), file=sys.stderr, flush=True)
            await asyncio.sleep(LOOK)

    def _progress(self) -> str:
        ledger = self.ledger
        fault = next((f"; {name}" for name, _, end in ledger.faults[-1:] if end > ledger.now), "")
        return (
            f"{ledger.now:6.0f} s  {sum(ledger.done.values())} guests gone, {sum(ledger.said.values()):,} "
            f"words, {sum(ledger.lost.values())} lost, {len(ledger.wrong)} wrong; "
            f"{len(self.crowd.visitors)} visitors, {self.samples[-1].anonymous:.0f} MiB{fault}"
        )

    def _verdicts(self, code: int) -> Iterator[checks.Verdict]:
        yield from checks.texts(self.ledger)
        started = max((end for name, _, end in self.ledger.faults if name == "kill"), default=0.0)
        yield checks.memory([v for v in self.samples if v.at > started])
        yield checks.delay(self.ledger.delays)
        if self.place.data:
            yield checks.files(self.place.data)
            yield "goodbye", code == 0, f"exit code {code} at SIGTERM"

    def _report(self, verdicts: list[checks.Verdict], descriptors: Counter) -> dict:
        ledger = self.ledger
        return {
            "passed": all(ok for _, ok, _ in verdicts),
            "verdicts": [dict(zip(("name", "ok", "says"), v, strict=True)) for v in verdicts],
            "minutes": self.args.minutes,
            "seed": self.args.seed,
            "conversations": dict(ledger.done),
            "said": dict(ledger.said),
            "lost": dict(ledger.lost),
            "invented": dict(ledger.invented),
            "refused": {f"{kind} {status}": n for (kind, status), n in sorted(ledger.told.items(), key=str)},
            "events": dict(ledger.events),
            "faults": ledger.faults,
            "missing": self.place.missing,
            "wrong": ledger.wrong,
            "log": dict(self.place.trouble()),
            "descriptors": dict(descriptors),
            "samples": [[v.at, v.anonymous, v.resident, v.threads, v.descriptors] for v in self.samples],
            "delays": ledger.delays,
        }
