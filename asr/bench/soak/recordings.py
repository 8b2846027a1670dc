"""Whoever uploads recordings on the page: in pieces, with uploads that break, cancels and new tries."""

from __future__ import annotations

import asyncio
from random import Random

import httpx

from asr.audio import flac, wav
from asr.bench.soak.ledger import Ledger
from asr.bench.soak.live import speech

LOOK = 1.0  # seconds between two looks at a job
PATIENCE = 300.0  # seconds until a recording must be done
AGAIN = 3.0  # seconds before something that failed is tried again


class Uploader:
    """One recording, from the announcement to its text and its end."""

    def __init__(self, ledger: Ledger, url: str, dice: Random, seconds: float):
        self.ledger, self.dice = ledger, dice
        self.said, sound = speech(dice, seconds)
        self.name, write = dice.choice([("talk.wav", wav), ("talk.flac", flac)])
        self.data = write(sound)
        self.client = httpx.AsyncClient(
            base_url=url, timeout=60, headers={"X-Parlance-Browser": f"{dice.getrandbits(256):064x}"}
        )

    async def work(self) -> None:
        async with self.client:
            until = self.ledger.now + PATIENCE
            id = (await self._asked("POST", "/recordings", {"name": self.name, "size": len(self.data)}))["id"]
            here = f"/recordings/{id}"
            await self._send(f"{here}/upload")
            await self._asked("POST", f"{here}/again", {})
            cancels = self.dice.random() < 0.3
            while (job := await self._asked("GET", f"{here}/document?version=0"))["state"] != "done":
                if self.ledger.now > until:
                    return self.ledger.blame(f"upload: after {PATIENCE:.0f} s it is {job['state']}: {job}")
                if cancels and job["state"] in ("waiting", "working"):
                    cancels = False
                    self.ledger.events["job cancelled"] += 1
                    await self._asked("POST", f"{here}/cancel")
                elif job["state"] in ("failed", "cancelled"):
                    if job["state"] == "failed":
                        self._told(job)
                    await asyncio.sleep(AGAIN)
                    await self._asked("POST", f"{here}/again", {})
                await asyncio.sleep(LOOK)
            whole = await self._asked("GET", f"{here}/document")
            text = await self.client.get(f"{here}/export/txt", params={"key": whole["key"]})
            self.ledger.heard("upload", self.said, " ".join(text.text.split()))
            await self._asked("DELETE", here)

    def _told(self, job: dict) -> None:
        if job.get("what"):
            self.ledger.told["upload", "failed"] += 1
        else:
            self.ledger.blame(f"upload: it failed without a sentence: {job}")

    async def _send(self, path: str) -> None:
        """In pieces; some break off in the middle, and the rest follows."""
        have = 0
        while have < len(self.data):
            breaks = self.dice.random() < 0.3
            end = self.dice.randint(have + 1, len(self.data)) if breaks else len(self.data)
            if breaks and self.dice.random() < 0.5:
                self.ledger.events["upload broken"] += 1
                await self._broken(path, have)
                have = (await self._asked("GET", path))["have"]
            else:
                answer = await self._asked("PUT", f"{path}?at={have}", self.data[have:end])
                have = answer.get("have", have)

    async def _broken(self, path: str, have: int) -> None:
        """Announce all that is missing, send some of it, hang up."""

        async def some():
            yield self.data[have : have + (len(self.data) - have) // 2]
            raise ConnectionAbortedError

        try:
            size = {"Content-Length": str(len(self.data) - have)}
            await self.client.put(f"{path}?at={have}", content=some(), headers=size)
        except (ConnectionAbortedError, httpx.HTTPError):
            pass

    async def _asked(self, method: str, path: str, body: dict | bytes | None = None) -> dict:
        """The answer; what is refused for now, or lost with the server, is asked again."""
        how = {"content": body} if isinstance(body, bytes) else {"json": body}
        until, since = self.ledger.now + PATIENCE, self.ledger.now
        while True:
            try:
                answer = await self.client.request(method, path, **how)
            except httpx.HTTPError as e:
                if not self.ledger.killed(since):
                    self.ledger.blame(f"upload: {method} without an answer: {e!r}")
                answer = None
            if answer is not None and answer.status_code < 400:
                return answer.json()
            if answer is not None:
                self.ledger.told["upload", answer.status_code] += 1
                error = answer.json().get("error", {})
                if not error.get("what"):
                    self.ledger.blame(f"upload: {answer.status_code} without a sentence: {answer.text[:200]}")
                if answer.status_code in (404, 409) and method in ("DELETE", "POST"):
                    return {}
                if answer.status_code == 409:  # some of it has come
                    return await self._asked("GET", path.partition("?")[0])
            if self.ledger.now > until:
                raise TimeoutError(f"{method} {path} was refused for {PATIENCE:.0f} s")
            await asyncio.sleep(AGAIN)
