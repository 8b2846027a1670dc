"""A soak from its beginning to its verdicts."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from random import Random

from asr.bench.soak import checks
from asr.bench.soak.calls import call
from asr.bench.soak.disk import Disk
from asr.bench.soak.endpoint import Endpoint
from asr.bench.soak.faults import Faults
from asr.bench.soak.ledger import Ledger
from asr.bench.soak.live import Speaker
from asr.bench.soak.realtime import converse
from asr.bench.soak.recordings import Uploader
from asr.bench.soak.server import Server, Vitals, free_port, open_files, vitals

LOOK = 2.0  # seconds between two looks at the process
TELL = 30.0  # seconds between two lines about how it goes
WARM = 11.0  # seconds after the first guests: idle threads of the web server go after ten
REST = 100.0  # seconds that it gets to come to rest: a session is forgotten after 60
KINDS = ("page", "webrtc", "program", "realtime")
MODELS = ("auto", "auto", "remote:auto")


class Soak:
    def __init__(self, folder: Path, args: argparse.Namespace, dice: Random):
        self.args, self.dice, self.ledger = args, dice, Ledger()
        self.endpoint = Endpoint(free_port())
        self.server = Server(
            folder,
            ASR_ENDPOINT_URL=f"http://127.0.0.1:{self.endpoint.port}/v1",
            ASR_ENDPOINT_PATIENCE="5",
            ASR_API_MODELS="remote:auto",
            ASR_REQUESTS_PER_MINUTE="0",  # all guests come from one address
        )
        self.disk: Disk | None = None
        self.missing = ""  # which fault could not be tried, and why
        self.samples: list[Vitals] = []
        self.guests: set[asyncio.Task] = set()

    async def run(self) -> dict:
        """Everything, as the report has it."""
        try:
            self._mount()
            await self.server.start()
            return await self._watched()
        finally:
            await self.server.stop()
            self.endpoint.stop()
            if self.disk:
                self.disk.close()

    def _mount(self) -> None:
        try:
            self.disk = Disk(self.server.data)
        except OSError as e:
            self.missing = f"the disk was never full: {str(e).strip()}"

    async def _watched(self) -> dict:
        await self._warm_up()
        await asyncio.sleep(WARM)
        before, there = vitals(self.server.pid, self.ledger.now), await self.server.guests()
        watching = asyncio.create_task(self._watch())
        await self._busy(self.args.minutes * 60)
        after, left = await self._rested(before, there)
        watching.cancel()
        open_at_end, exit_code = open_files(self.server.pid), await self.server.stop()
        verdicts = [
            *checks.texts(self.ledger),
            *checks.leaks(before, after, (there, left)),
            checks.files(self.server.data),
            checks.memory([v for v in self.samples if v.at > self._last_start]),
            checks.delay(self.ledger.delays),
            ("goodbye", exit_code == 0, f"exit code {exit_code} at SIGTERM"),
        ]
        return self._report(verdicts, open_at_end)

    async def _warm_up(self) -> None:
        """One guest of each kind, so that what is loaded once is loaded."""
        short = [self._speak(kind, 6) for kind in KINDS]
        await asyncio.gather(*short, self._upload(6), *(self._call(6) for _ in MODELS))

    async def _busy(self, seconds: float) -> None:
        until = self.ledger.now + seconds
        crowd = [self._again_and_again(self._speak_any, 0, until) for _ in range(self.args.live)]
        for rate, guest in ((self.args.uploads, self._upload), (self.args.calls, self._call)):
            if rate:
                crowd.append(self._again_and_again(guest, 60 / rate, until))
        if self.args.faults:
            faults = Faults(self.ledger, self.server, self.endpoint, self.disk, self.dice)
            crowd.append(faults.inject(60 / self.args.faults, until, self.ledger.now + seconds / 2))
        await asyncio.gather(*crowd)
        await asyncio.gather(*self.guests)

    async def _again_and_again(self, guest: Callable[[], Awaitable], each: float, until: float) -> None:
        """A guest about every `each` seconds; 0: one after the other."""
        while self.ledger.now < until:
            if each:
                task = asyncio.create_task(guest())
                self.guests.add(task)
                task.add_done_callback(self.guests.discard)
                await asyncio.sleep(self.dice.expovariate(1 / each))
            else:
                await guest()

    async def _speak_any(self) -> None:
        await self._speak(self.dice.choice(KINDS), self.dice.uniform(0.5, 1.5) * self.args.speech)

    async def _speak(self, kind: str, seconds: float) -> None:
        if kind == "realtime":
            return await self._kept(converse(self.ledger, self.server.url, self.dice, seconds))
        cuts = max(5.0, self.args.speech / 2)
        speaker = Speaker(self.ledger, self.server.url, self.dice, kind, seconds, cuts)
        await self._kept(speaker.talk())

    async def _upload(self, seconds: float = 0) -> None:
        seconds = seconds or self.dice.uniform(2, 120)
        await self._kept(Uploader(self.ledger, self.server.url, self.dice, seconds).work())

    async def _call(self, seconds: float = 0) -> None:
        seconds = seconds or self.dice.uniform(1, 90)
        await self._kept(call(self.ledger, self.server.url, self.dice, seconds, MODELS))

    async def _kept(self, guest: Awaitable) -> None:
        """A guest that breaks is a finding, and stops no other."""
        try:
            await guest
        except Exception as e:
            self.ledger.blame(f"a guest broke: {e!r}")

    async def _rested(self, before: Vitals, there: Counter) -> tuple[Vitals, Counter]:
        """What the process holds when nobody is there any more, and for whom."""
        end = self.ledger.now + REST
        while True:
            now, guests = vitals(self.server.pid, self.ledger.now), await self.server.guests()
            if self.ledger.now > end or all(ok for _, ok, _ in checks.leaks(before, now, (there, guests))):
                return now, guests
            await asyncio.sleep(LOOK)

    async def _watch(self) -> None:
        told = self.ledger.now
        while True:
            with suppress(OSError):  # it is being started again
                self.samples.append(vitals(self.server.pid, self.ledger.now))
            if self.ledger.now > told:
                told += TELL
                print(self._progress(), file=sys.stderr, flush=True)
            await asyncio.sleep(LOOK)

    def _progress(self) -> str:
        ledger, at_work = self.ledger, Counter(task.get_coro().__name__ for task in self.guests)
        fault = next((name for name, _, end in ledger.faults[-1:] if end > ledger.now), "nothing")
        return (
            f"{ledger.now:6.0f} s  {sum(ledger.done.values())} guests, {sum(ledger.said.values()):,} words, "
            f"{sum(ledger.lost.values())} lost, {len(ledger.wrong)} wrong; at work: {dict(at_work)}; "
            f"now wrong: {fault}; {self.samples[-1].anonymous:.0f} MiB"
        )

    @property
    def _last_start(self) -> float:
        return max((end for name, _, end in self.ledger.faults if name == "kill"), default=0.0)

    def _report(self, verdicts: list[checks.Verdict], descriptors: dict) -> dict:
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
            "missing": self.missing,
            "starts": self.server.starts,
            "wrong": ledger.wrong,
            "log": dict(self.server.trouble()),
            "descriptors": dict(descriptors),
            "samples": [[v.at, v.anonymous, v.resident, v.threads, v.descriptors] for v in self.samples],
            "delays": ledger.delays,
        }
