"""Live speakers: over the page's WebSocket with or without WebRTC, over the programs' one, over Realtime.

A speaker speaks in real time from one recording, whatever becomes of its connections, as a microphone
does; it loses some of them on purpose and comes back, as the page does.
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from random import Random

import httpx
import numpy as np
from aiortc import RTCPeerConnection
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from asr.audio import SAMPLE_RATE, to_pcm16
from asr.bench.soak import voice
from asr.bench.soak.ledger import Ledger
from asr.bench.soak.microphone import Track, offered

PIECE = 0.1  # seconds of audio in a message
AWAY = (0.3, 15.0)  # seconds that a lost connection is away
SEAMLESS = 8.0  # seconds away in which words go on where they were cut; longer ones begin between words
QUIET = SAMPLE_RATE // 2  # samples of silence that are between words
TRIES = 40  # connections until a speaker gives up
FINISH = 180.0  # seconds after the last word in which everything has to be settled


def speech(dice: Random, seconds: float) -> tuple[str, np.ndarray]:
    """What is said, and its sound with pauses; about so many seconds."""
    said, sound = [], [voice.silence(0.8)]
    while sum(map(len, sound)) < seconds * SAMPLE_RATE:
        said.append(" ".join(dice.choices(voice.WORDS, k=dice.randint(2, 9))))
        sound += [voice.say(said[-1]), voice.silence(dice.uniform(1.0, 2.5))]
    return " ".join(said), np.concatenate(sound)


class Speaker:
    """One live session, from the first word to the transcript that the server keeps."""

    def __init__(self, ledger: Ledger, url: str, dice: Random, kind: str, seconds: float, cuts: float):
        """`kind`: page, webrtc or program; `cuts`: mean seconds between two losses of the connection."""
        self.ledger, self.url, self.dice, self.kind, self.cuts = ledger, url, dice, kind, cuts
        self.path = "/v1/stream" if kind == "program" else "/live/session"
        self.said, sound = speech(dice, seconds)
        self.pcm = to_pcm16(sound)
        self.began: float | None = None  # when the microphone was opened
        self.session, self.seq, self.heard = "", 0, 0.0
        self.settled: dict[int, tuple[float, str]] = {}
        self.sent = 0  # samples, on this connection
        self.over = self.on_webrtc = self._cut = False
        self.away = 0.0  # seconds until the next connection
        self.disturbed = 0.0  # until then delays tell of what we did ourselves

    async def talk(self) -> None:
        for _ in range(TRIES):
            since = self.ledger.now
            try:
                await self._connected()
            except (OSError, WebSocketException, asyncio.TimeoutError) as e:
                self._explain(e, since)
            if self.over:
                return await self._compare()
            self.disturbed = time.monotonic() + 60
            await asyncio.sleep(self.away)
        self.ledger.blame(f"{self.kind}: no connection came to the end of the session")

    def _explain(self, error: Exception, since: float) -> None:
        """A connection is gone. Was it us, a refusal with a sentence, or nobody knows what?"""
        code = error.rcvd.code if isinstance(error, ConnectionClosed) and error.rcvd else 0
        if code == 1000:
            self.over = True
        elif code > 4000:
            self.ledger.told[self.kind, code - 4000] += 1
            if code == 4404:
                self._forgotten()
        elif not (self._cut or self.ledger.killed(since)):
            self.ledger.blame(f"{self.kind}: the connection was lost: {error!r}")

    def _forgotten(self) -> None:
        if self.settled:
            self.ledger.blame(f"{self.kind}: the server has forgotten a session with text")
        self.session, self.seq, self.heard = "", 0, 0.0

    async def _connected(self) -> None:
        """One connection; ends by our will, the server's, or an accident."""
        self._cut, self.on_webrtc, peer = False, False, None
        self.away = self.dice.uniform(*AWAY)
        again = f"?session={self.session}&after={self.seq}" if self.session else ""
        async with connect(f"ws{self.url[4:]}{self.path}{again}", open_timeout=20) as socket:
            self._greeted(json.loads(await asyncio.wait_for(socket.recv(), 30)))
            if self.began is None:
                self.began = time.monotonic()
            else:
                self.ledger.events["resumed"] += 1
            tasks = [asyncio.create_task(self._read(socket)), asyncio.create_task(self._speak(socket))]
            try:
                if self.kind == "webrtc" and self._left > 8:
                    peer = await self._offer()
                await asyncio.wait_for(asyncio.gather(*tasks), self._left + FINISH)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                if peer:
                    await peer.close()

    async def _offer(self) -> RTCPeerConnection | None:
        try:
            return await offered(self.url, self.session, Track(self.pcm, self.began))
        except OSError:  # the socket goes on alone
            self.ledger.events["WebRTC refused"] += 1

    @property
    def _left(self) -> float:
        """Seconds that are still to be spoken."""
        return len(self.pcm) / SAMPLE_RATE - (time.monotonic() - self.began)

    @property
    def _end(self) -> int:
        """The samples that the microphone has recorded by now."""
        return min(len(self.pcm), round((time.monotonic() - self.began) * SAMPLE_RATE))

    @property
    def _between_words(self) -> bool:
        return not self.pcm[max(0, self._end - QUIET) : self._end].any()

    def _greeted(self, hello: dict) -> None:
        if hello["type"] == "error":
            raise OSError(f"{hello['what']} {hello['fix']}")
        self.session, self.heard = hello["session"], hello["heard"]

    async def _speak(self, socket: ClientConnection) -> None:
        await self._from(socket, self.heard)
        lost = time.monotonic() + self.dice.expovariate(1 / self.cuts)
        while self.sent < len(self.pcm) or self.on_webrtc:
            if time.monotonic() > lost and self._left > 0 and (self.away < SEAMLESS or self._between_words):
                self._cut = True
                self.ledger.events["cut"] += 1
                socket.transport.abort()
                return
            if not self.on_webrtc:
                await self._send(socket)
            elif self._left < 0:
                self.on_webrtc = False
                await self._from(socket, self.heard)
            await asyncio.sleep(PIECE)
        await socket.send('{"type": "end"}')

    async def _from(self, socket: ClientConnection, at: float) -> None:
        self.sent = round(at * SAMPLE_RATE)
        await socket.send(json.dumps({"type": "start", "at": at}))

    async def _send(self, socket: ClientConnection) -> None:
        while self.sent < self._end:
            piece = self.pcm[self.sent : min(self._end, self.sent + SAMPLE_RATE)]
            self.sent += len(piece)
            await socket.send(piece.tobytes())

    async def _read(self, socket: ClientConnection) -> None:
        async for message in socket:
            event = json.loads(message)
            if event["type"] in ("settled", "gap"):
                self._take(event)
            elif event["type"] == "now":
                self.heard = event["heard"]
                was, self.on_webrtc = self.on_webrtc, event["transport"] == "webrtc"
                if was != self.on_webrtc:
                    self.ledger.events["by WebRTC" if self.on_webrtc else "back from WebRTC"] += 1
                    if was and event["state"] != "over":
                        await self._from(socket, self.heard)
            elif event["type"] == "error" and event["status"] not in (404, 503):
                self.ledger.blame(f"{self.kind}: {event['status']} {event['what']}")
        self.over = True  # the server has closed, with 1000

    def _take(self, event: dict) -> None:
        if event["seq"] != self.seq + 1:
            self.ledger.blame(f"{self.kind}: entry {event['seq']} came after entry {self.seq}")
        self.seq = event["seq"]
        if event["type"] == "gap":
            self.ledger.events["gaps"] += 1
            return
        self.settled[self.seq] = event["start"], event["text"]
        if time.monotonic() > self.disturbed:
            self.ledger.delay(time.monotonic() - self.began - event["end"])

    async def _compare(self) -> None:
        """What the server keeps is what it told, and that is what was said."""
        heard = " ".join(text.strip() for _, text in sorted(self.settled.values()))
        self.ledger.heard(self.kind, self.said, heard)
        with suppress(httpx.HTTPError):  # killed at this moment: what it told is compared already
            async with httpx.AsyncClient(timeout=30) as client:
                kept = await client.get(f"{self.url}{self.path}/{self.session}?format=txt")
                if " ".join(kept.text.split()) != heard:
                    self.ledger.blame(f"{self.kind}: told [{heard}], kept [{' '.join(kept.text.split())}]")
                await client.delete(f"{self.url}{self.path}/{self.session}")
