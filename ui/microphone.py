"""Live audio over WebRTC, by FastRTC: a browser's offer in, frames to its session.

A page speaks to its session over the WebSocket first. With an offer it asks for a better way:
Opus over UDP, a sixth of the bytes, and no stall when a packet is lost. As soon as the same
sounds have come both ways, the session's audio is handed over; until then, and whenever this
way breaks, the socket carries it. So a network that UDP cannot pass costs nobody a word or a wait.

Everything here runs on the server's event loop and only queues.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import math
from collections.abc import Callable

import numpy as np
from fastrtc import AsyncStreamHandler
from fastrtc.utils import get_current_context
from fastrtc.webrtc_connection_mixin import WebRTCConnectionMixin
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from asr.api.body import read
from asr.api.errors import Refused
from asr.audio import SAMPLE_RATE, from_pcm16
from asr.errors import ASRError, Busy
from asr.ice import IceServers
from asr.sessions import Sessions
from asr.sessions.session import Session, Source

MOST_BYTES = 65_536  # of an offer; Chromium's has 3,000
LISTEN, EVERY = 1.5, 0.5  # seconds of frames compared with the socket's audio, and how often
CONNECTING = 15.0  # seconds in which the first frame has to come
SILENT = (
    5.0  # seconds without frames after which the connection is dead: a silent microphone sends frames too
)
LATE, SURE = 0.3, 2.0  # seconds that frames lag at least, for so long: then packets are lost, not only late
LINGER = 40.0  # seconds that FastRTC's own timers hold a connection that is closed
STILL = 0.01  # RMS of a frame between words

log = logging.getLogger(__name__)


class Ear(AsyncStreamHandler):
    """One connection's frames, on their way to the session that its offer named."""

    def __init__(self, sessions: dict[str, Session]):
        super().__init__(input_sample_rate=SAMPLE_RATE)
        self._sessions = sessions  # by WebRTC id; shared by all copies
        self.session: Session | None = None
        self.source: Source | None = None
        self.last: float | None = None  # when a frame came
        self._heard = np.zeros(0, np.float32)  # of the frames before the session was handed over
        self._next = round(LISTEN * SAMPLE_RATE)  # samples until the next look
        self._ahead: int | None = None  # how far our samples count ahead of the session's, at the last look
        self._began, self._samples = 0.0, 0  # the frames' start and number; counted anew at the hand-over
        self._lag, self._judged, self._missing = (
            math.inf,
            0.0,
            0.0,
        )  # the least lag lately, since when; what is lost

    def copy(self) -> Ear:
        return Ear(self._sessions)

    async def receive(self, frame: tuple[int, np.ndarray]) -> None:
        try:
            self._receive(from_pcm16(frame[1]))
        except Exception:  # raising here would leave the page recording into nothing
            log.exception("a frame of live audio")

    def _receive(self, audio: np.ndarray) -> None:
        self.last = asyncio.get_running_loop().time()
        if self.source is None:
            return self._look(audio)
        self._samples += len(audio)
        self._count_lost()
        if self._missing and np.sqrt(np.mean(audio**2)) < STILL:  # silence in their place, but in no word
            gap = np.zeros(round(self._missing * SAMPLE_RATE), np.float32)
            audio, self._missing = np.concatenate([gap, audio]), 0.0
            self._samples += len(gap)
        self.source.feed(audio)

    def _count_lost(self) -> None:
        """Lost packets make our clock lag behind the wall's for good; late ones only for a moment."""
        self._lag = min(self._lag, self.last - self._began - self._samples / SAMPLE_RATE)
        if self.last - self._judged > SURE:
            self._missing = self._lag if self._lag > LATE else 0.0
            self._lag, self._judged = math.inf, self.last

    def _look(self, audio: np.ndarray) -> None:
        """Take the session over once two looks agree where in it we are: one might be chance."""
        self.session = self.session or self._sessions.get(get_current_context().webrtc_id)
        self._heard = np.concatenate([self._heard, audio])[-round(LISTEN * SAMPLE_RATE) :]
        self._samples += len(audio)
        self._next -= len(audio)
        if self._next > 0 or not self.session:
            return
        self._next = round(EVERY * SAMPLE_RATE)
        end, before = self.session.meets(self._heard), self._ahead
        self._ahead = None if end is None else self._samples - end
        if None not in (before, self._ahead) and abs(self._ahead - before) < SAMPLE_RATE // 100:
            self.source = self.session.hand_over("webrtc", self._heard, end)
            self._began = self._judged = self.last
            self._samples, self._lag = 0, math.inf

    async def emit(self) -> None:
        await asyncio.sleep(1)  # nothing to say; returning at once would keep a core busy

    async def shutdown(self) -> None:
        if self.source:
            self.source.leave()


class Microphones(WebRTCConnectionMixin):
    """All WebRTC connections of the page, and the routes that make them."""

    def __init__(self, sessions: Sessions, ice: IceServers, admit: Callable[[HTTPConnection], None]):
        super().__init__()
        self._house, self._ice, self._admit = sessions, ice, admit
        self._sessions: dict[str, Session] = {}
        self._watchdogs: set[asyncio.Task] = set()
        # What FastRTC wants to know of us:
        self.event_handler = Ear(self._sessions)
        self.mode, self.modality, self.allow_extra_tracks = "send", "audio", False
        self.time_limit, self.rtc_configuration = None, None
        self.server_rtc_configuration = None
        self.concurrency_limit = 2 * sessions.most  # sessions have their own limit; old connections linger

    def routes(self, path: str) -> list[BaseRoute]:
        return [
            Route(f"{path}/ice", self.ice, methods=["GET"]),
            Route(f"{path}/offer", self.offer, methods=["POST"]),
        ]

    async def ice(self, request: Request) -> Response:
        try:
            self._admit(request)
        except ASRError as e:
            return _refusal(e)
        return JSONResponse({"iceServers": await self._ice.get()}, headers={"Cache-Control": "no-store"})

    async def offer(self, request: Request) -> Response:
        """An SDP offer, or a candidate for an earlier one; answers with SDP, or with a sentence."""
        try:
            self._admit(request)
            body = await _body(request)
            if body["type"] == "offer":
                return JSONResponse(await self._answer(body))
            answer = await self.handle_offer(body, lambda *_: None)
            return answer if isinstance(answer, Response) else JSONResponse(answer)
        except ASRError as e:
            return _refusal(e)
        except Exception as e:  # aiortc and aioice raise anything at SDP they do not understand
            log.warning("an offer that cannot be answered: %s", type(e).__name__, exc_info=True)
            return _refusal(Refused("This offer cannot be answered.", "Send the audio over the WebSocket."))

    async def _answer(self, body: dict) -> dict:
        id = body["webrtc_id"]
        if id in self.pcs:
            raise Refused("This connection exists already.", "Choose another webrtc_id.", status=409)
        self._sessions[id] = self._house.get(body["session"])
        try:
            self.server_rtc_configuration = self.convert_to_aiortc_format(
                {"iceServers": await self._ice.get()}
            )
            answer = await self.handle_offer(body, lambda *_: None)
            if not isinstance(answer, dict):
                raise Busy("All places for WebRTC are taken.", "Send the audio over the WebSocket.")
        except BaseException:
            self._sessions.pop(id, None)
            if pc := self.pcs.get(id):
                await pc.close()
                self.clean_up(id)
            raise
        watchdog = asyncio.create_task(self._watch(id))
        self._watchdogs.add(watchdog)
        watchdog.add_done_callback(self._ended)
        return answer

    def _ended(self, watchdog: asyncio.Task) -> None:
        """What aiortc leaves is a circle that holds threads: Python itself may look for it an hour later."""
        self._watchdogs.discard(watchdog)
        asyncio.get_running_loop().call_later(LINGER, gc.collect)

    async def _watch(self, id: str) -> None:
        """Close the connection when nothing comes or nobody wants it; FastRTC alone takes half a minute."""
        pc, ear, loop = self.pcs[id], self.handlers[id], asyncio.get_running_loop()
        began, session = loop.time(), self._sessions[id]
        try:
            while pc.connectionState not in ("closed", "failed"):
                await asyncio.sleep(0.5)
                patience = SILENT if ear.last else CONNECTING
                unwanted = not ear.source.active if ear.source else session.state in ("paused", "over")
                if unwanted or loop.time() - (ear.last or began) > patience:
                    break
        finally:
            self._sessions.pop(id, None)
            if ear.source:
                ear.source.leave()
            await pc.close()


async def _body(request: Request) -> dict:
    """The request's JSON, bounded before it is read, with the fields FastRTC relies on."""
    too_long = Refused("This offer is too long.", f"Send at most {MOST_BYTES} bytes.", status=413)
    data = await read(request, MOST_BYTES, too_long)
    try:
        body = json.loads(data)
        texts = {"offer": ("webrtc_id", "sdp", "session"), "ice-candidate": ("webrtc_id",)}[body["type"]]
        sound = all(isinstance(body[name], str) for name in texts) and len(body["webrtc_id"]) <= 64
        sound = sound and (body["type"] == "offer" or isinstance(body["candidate"].get("candidate"), str))
    except (ValueError, TypeError, KeyError, AttributeError):
        sound = False
    if not sound:
        raise Refused("This is no WebRTC offer.", "Send type, webrtc_id, session and sdp.")
    return body


def _refusal(error: ASRError) -> Response:
    return JSONResponse({"what": error.what, "fix": error.fix}, error.status)
