"""A microphone for WebRTC, and the page's way to offer it."""

from __future__ import annotations

import asyncio
import fractions
import time

import av
import httpx
import numpy as np
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription

from asr.audio import SAMPLE_RATE

FRAME = SAMPLE_RATE // 50


class Track(MediaStreamTrack):
    """Plays int16 16 kHz as it is spoken since `began` (time.monotonic), from now on; then silence."""

    kind = "audio"

    def __init__(self, pcm: np.ndarray, began: float):
        super().__init__()
        self._pcm, self._began = pcm, began
        self._at = self._first = round((time.monotonic() - began) * SAMPLE_RATE)

    async def recv(self) -> av.AudioFrame:
        self._at += FRAME
        await asyncio.sleep(max(0.0, self._began + self._at / SAMPLE_RATE - time.monotonic()))
        piece = self._pcm[self._at - FRAME : self._at]
        frame = av.AudioFrame.from_ndarray(np.pad(piece, (0, FRAME - len(piece)))[None], "s16", "mono")
        frame.sample_rate, frame.time_base = SAMPLE_RATE, fractions.Fraction(1, SAMPLE_RATE)
        frame.pts = self._at - FRAME - self._first
        return frame


async def offered(url: str, session: str, track: Track) -> RTCPeerConnection:
    """A connection that carries the track into the session. Raises OSError where the server wants none."""
    peer = RTCPeerConnection()
    peer.addTrack(track)
    peer.createDataChannel("text")  # FastRTC starts with it
    await peer.setLocalDescription(await peer.createOffer())
    offer = {"type": "offer", "sdp": peer.localDescription.sdp}
    try:
        async with httpx.AsyncClient(timeout=30) as client:
            body = {**offer, "session": session, "webrtc_id": str(id(peer))}
            answer = await client.post(f"{url}/live/offer", json=body)
    except httpx.HTTPError as e:
        await peer.close()
        raise OSError(str(e)) from e
    if answer.status_code != 200:
        await peer.close()
        raise OSError(answer.text)
    await peer.setRemoteDescription(RTCSessionDescription(**answer.json()))
    return peer
