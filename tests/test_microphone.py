"""WebRTC through real connections: aiortc speaks to FastRTC, the words come out of the session."""

import asyncio
import fractions
import json
import time
from contextlib import asynccontextmanager, contextmanager

import av
import httpx
import numpy as np
import pytest
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from websockets.asyncio.client import connect

from asr.api import stream
from asr.api.errors import Refused
from asr.audio import to_pcm16
from asr.config import Config
from asr.ice import IceServers
from tests.hall import Everybody, Slow, address, serving, sessions
from tests.tones import say, silence
from ui import microphone
from ui.microphone import Microphones

SPEECH = "ask not what your country can do for you"


pytestmark = pytest.mark.skipif(not address(), reason="WebRTC needs a network interface besides loopback")


class Voice(MediaStreamTrack):
    """A microphone that speaks `audio` in real time, then is silent; deaf ones send nothing more."""

    kind = "audio"

    def __init__(self, audio, ends=False):
        super().__init__()
        self.pcm, self.ends, self.sent, self.began = to_pcm16(audio), ends, 0, None

    async def recv(self):
        self.began = self.began or time.monotonic()
        await asyncio.sleep(max(0, self.began + self.sent / 16_000 - time.monotonic()))
        piece = self.pcm[self.sent : self.sent + 320]
        if self.ends and not len(piece):
            await asyncio.sleep(3600)
        frame = av.AudioFrame.from_ndarray(np.pad(piece, (0, 320 - len(piece)))[None], "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = 16_000, self.sent, fractions.Fraction(1, 16_000)
        self.sent += 320
        return frame


@contextmanager
def hall(folder, backend=None, admit=lambda _: None, **settings):
    with sessions(folder, backend, **settings) as house:
        microphones = Microphones(house, IceServers(Config()), admit)
        routes = [*stream.routes(house, Everybody, "/live/session"), *microphones.routes("/live")]
        with serving(routes) as port:
            yield f"127.0.0.1:{port}/live", house, microphones


@asynccontextmanager
async def speaker(url, voice):
    """A page: what `voice` says goes over a socket, then by WebRTC; gives the socket and the connection."""
    async with connect(f"ws://{url}/session") as socket:
        session = json.loads(await socket.recv())["session"]
        speaking = asyncio.create_task(speak(socket, voice))
        peer = await offer(url, session, voice)
        try:
            yield socket, peer
        finally:
            speaking.cancel()
            await peer.close()


async def speak(socket, voice):
    """The socket's half: as a page's audio, in pieces of 100 ms, whatever WebRTC does."""
    voice.began = time.monotonic()
    for i in range(0, len(voice.pcm), 1600):
        await asyncio.sleep(max(0, voice.began + i / 16_000 - time.monotonic()))
        await socket.send(voice.pcm[i : i + 1600].tobytes())


async def offer(url, session, voice):
    peer = RTCPeerConnection()
    peer.addTrack(voice)
    peer.createDataChannel("text")
    await peer.setLocalDescription(await peer.createOffer())
    body = {"type": "offer", "sdp": peer.localDescription.sdp, "session": session, "webrtc_id": str(id(peer))}
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"http://{url}/offer", json=body, timeout=20)
    assert answer.status_code == 200, answer.text
    await peer.setRemoteDescription(RTCSessionDescription(answer.json()["sdp"], answer.json()["type"]))
    return peer


async def until(socket, likes, seconds=20):
    """The events up to the one that `likes` likes."""

    async def read():
        found = []
        async for message in socket:
            found.append(json.loads(message))
            if likes(found[-1]):
                return found
        raise AssertionError(f"the socket closed after {found[-1:]}")

    return await asyncio.wait_for(read(), seconds)


def words(found):
    return " ".join("".join(e["text"] for e in found if e["type"] == "settled").split())


def by_webrtc(event):
    return event.get("transport") == "webrtc"


def quiet(event):
    return event.get("state") in ("paused", "over") and not event["settling"]


async def talk(url, sentence=SPEECH):
    """One whole session; the words it got."""
    voice = Voice(np.r_[silence(1), say(sentence), silence(0.3)], ends=False)
    async with speaker(url, voice) as (socket, _):
        found = await until(socket, by_webrtc)
        while voice.sent < len(voice.pcm):
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.4)  # what is on its way
        await socket.send('{"type": "end"}')
        return words(found + await until(socket, quiet, 30))


def test_what_is_spoken_over_webrtc_is_recognised(tmp_path):
    with hall(tmp_path) as (url, _, microphones):
        assert asyncio.run(talk(url)) == SPEECH
        wait_for(lambda: not microphones.pcs and not microphones._sessions and not microphones.connections)


def test_a_slow_model_loses_no_word(tmp_path):
    with hall(tmp_path, Slow(2.0)) as (url, _, _):
        assert asyncio.run(talk(url)) == SPEECH


def test_many_at_once_each_get_their_own_words(tmp_path):
    sentences = ["ask not", "what your country", "can do for you", "my fellow americans"]

    async def all_of_them():
        return await asyncio.gather(*(talk(url, s) for s in sentences))

    with hall(tmp_path) as (url, _, _):
        assert asyncio.run(all_of_them()) == sentences


def test_a_dead_client_is_noticed_and_its_text_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(microphone, "SILENT", 1.0)
    monkeypatch.setattr("asr.sessions.session.GRACE", 1.0)

    async def dies():
        async with speaker(url, Voice(say(SPEECH), ends=True)) as (socket, _):
            found = await until(socket, by_webrtc)
            return words(found + await until(socket, quiet))

    with hall(tmp_path) as (url, house, microphones):
        assert SPEECH.startswith(asyncio.run(dies()))
        wait_for(lambda: not microphones.pcs)
        (session,) = house._sessions.values()
        assert session.transcript().text == SPEECH  # the last word may be cut, and waits for its other half


def test_the_socket_goes_on_where_webrtc_broke(tmp_path):
    async def breaks():
        voice = Voice(say(SPEECH), ends=True)
        async with speaker(url, voice) as (socket, peer):
            found = await until(socket, by_webrtc)
            while voice.sent < len(voice.pcm):
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.3)
            await peer.close()
            await socket.send(json.dumps({"type": "start", "at": found[-1]["heard"]}))
            for piece in np.array_split(np.r_[silence(1.5), say("and so"), silence(0.2)], 20):
                await socket.send(to_pcm16(piece).tobytes())
                await asyncio.sleep(len(piece) / 16_000)
            await socket.send('{"type": "end"}')
            return found + await until(socket, quiet)

    with hall(tmp_path) as (url, _, _):
        found = asyncio.run(breaks())
        assert words(found) == f"{SPEECH} and so"
        assert not [e for e in found if e["type"] == "gap"]


def test_lost_packets_do_not_move_the_time(tmp_path):
    class Lossy(Voice):
        async def recv(self):
            if self.sent == 4 * 16_000:
                self.sent += 16_000
            return await super().recv()

    async def loses():
        voice = Lossy(np.r_[say(SPEECH), silence(9 - 3.24), say("ask"), silence(2)])
        async with speaker(url, voice) as (socket, _):
            found = await until(socket, by_webrtc)
            return found + await until(socket, lambda e: e["type"] == "settled" and e["start"] > 4)

    with hall(tmp_path) as (url, _, _):
        assert asyncio.run(loses())[-1]["start"] == pytest.approx(9.0, abs=0.5)


def test_packets_that_are_only_late_put_no_silence_into_a_word(tmp_path):
    class Stalling(Voice):
        async def recv(self):
            if self.sent in (2.5 * 16_000, 3.0 * 16_000):
                await asyncio.sleep(0.6)  # then they come all at once
            return await super().recv()

    async def stalls():
        voice = Stalling(np.r_[silence(0.5), say(SPEECH), silence(3)])
        async with speaker(url, voice) as (socket, _):
            reading = asyncio.create_task(until(socket, quiet, 60))
            while voice.sent < len(voice.pcm):
                await asyncio.sleep(0.1)
            await socket.send('{"type": "end"}')
            return await reading

    with hall(tmp_path) as (url, _, _):
        found = asyncio.run(stalls())
        assert words(found) == SPEECH and any(map(by_webrtc, found))


WRONG = [
    b"",
    b"x",
    b"[]",
    b"{}",
    b'{"type": "offer"}',
    b'{"type": "offer", "webrtc_id": 5, "sdp": "", "session": ""}',
    b'{"type": "ice-candidate", "webrtc_id": "a", "candidate": 7}',
    b"x" * 70_000,
]


@pytest.mark.parametrize("body", WRONG, ids=range(len(WRONG)))
def test_a_wrong_offer_is_answered_with_a_sentence(tmp_path, body):
    with hall(tmp_path) as (url, _, _):
        answer = httpx.post(f"http://{url}/offer", content=body)
        assert answer.status_code in (400, 413) and answer.json()["what"]


def test_an_offer_for_no_session_or_without_sense_leaves_nothing(tmp_path):
    with hall(tmp_path) as (url, house, microphones):
        body = {"type": "offer", "sdp": "v=0\r\nm=audio\r\n", "session": "nobody", "webrtc_id": "a"}
        assert httpx.post(f"http://{url}/offer", json=body).status_code == 404
        body["session"] = house.new().id
        assert httpx.post(f"http://{url}/offer", json=body).status_code == 400
        assert not microphones.pcs and not microphones._sessions and not microphones.handlers


def test_nobody_uninvited_comes_in(tmp_path):
    def nobody(_):
        raise Refused("You are not invited.", status=403)

    with hall(tmp_path, admit=nobody) as (url, _, _):
        assert httpx.post(f"http://{url}/offer", json={}).status_code == 403
        assert httpx.get(f"http://{url}/ice").status_code == 403


def test_browsers_get_the_ice_servers(tmp_path):
    with hall(tmp_path) as (url, _, _):
        assert httpx.get(f"http://{url}/ice").json() == {"iceServers": []}


def wait_for(what, seconds=10):
    until = time.monotonic() + seconds
    while not what() and time.monotonic() < until:
        time.sleep(0.05)
    assert what()
