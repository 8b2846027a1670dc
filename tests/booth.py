"""A small server of the Realtime API for tests: it hears tones, keeps what it was sent, and has faults.

with Booth() as booth: ... booth.url
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from contextlib import suppress
from socket import SHUT_RDWR
from threading import Thread

import numpy as np
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from asr.audio import Resampler
from asr.types import Options
from tests.tones import Tones, silence

_ITEM = "conversation.item.input_audio_transcription."
Fault = Callable[["Session", str], bool]  # what happens on an event of a kind; True: nothing else does


class Session:
    """One socket: what it was asked for, and the audio of its turns (16 kHz)."""

    def __init__(self, booth: Booth, socket: ServerConnection):
        self.booth, self.socket = booth, socket
        self.headers, self.path = dict(socket.request.headers.raw_items()), socket.request.path
        self.asked: dict = {}
        self.turn, self.samples, self.appended = silence(0), 0, 0  # samples at 24 kHz
        self.told = ""
        self._resample = Resampler(24_000)

    def tell(self, kind: str, **fields) -> None:
        self.socket.send(json.dumps({"type": kind, **fields}))

    def hear(self, event: dict) -> None:
        kind = event["type"]
        if self.booth.faults and self.booth.faults[0](self, kind):
            self.booth.faults.pop(0)
            return
        if kind == "session.update":
            self.asked = event["session"]
            self.tell("session.updated", session=self.asked)
        if kind == "input_audio_buffer.append":
            sound = np.frombuffer(base64.b64decode(event["audio"]), "<i2")
            self.samples, self.appended = self.samples + len(sound), self.appended + 1
            self.turn = np.concatenate([self.turn, self._resample(sound)])
            if self.booth.deltas:
                self.tell_new(self.text().rpartition(" ")[0])
        if kind == "input_audio_buffer.commit":
            text, self.turn, self.told = self.text(), silence(0), ""
            self.tell(f"{_ITEM}completed", transcript=text, languages=[{"code": "en"}])

    def text(self) -> str:
        return "".join(s.text for s in Tones().transcribe(self.turn, Options())).strip()

    def tell_new(self, text: str) -> None:
        if text.startswith(self.told) and text != self.told:
            self.tell(f"{_ITEM}delta", delta=text[len(self.told) :])
            self.told = text


class Booth:
    def __init__(self, *faults: Fault, deltas: bool = True):
        self.faults, self.deltas = list(faults), deltas
        self.sessions: list[Session] = []
        self.open = self.port = 0
        self._server: Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def seconds(self) -> float:
        """Of audio, ever."""
        return sum(s.samples for s in self.sessions) / 24_000

    def start(self) -> None:
        self._server = serve(self._serve, "127.0.0.1", self.port, max_size=None)
        self.port = self._server.socket.getsockname()[1]
        Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """As a server that is killed: no port, no sockets."""
        self._server.shutdown()
        for session in self.sessions:
            with suppress(OSError):
                session.socket.socket.shutdown(SHUT_RDWR)

    def __enter__(self) -> Booth:
        self.start()
        return self

    def __exit__(self, *error) -> None:
        self.stop()

    def _serve(self, socket: ServerConnection) -> None:
        session = Session(self, socket)
        self.sessions.append(session)
        self.open += 1
        try:
            session.tell("session.created", session={})
            for message in socket:
                session.hear(json.loads(message))
        except (ConnectionClosed, OSError):
            pass
        finally:
            self.open -= 1

    def until(self, there: Callable[[Booth], bool], seconds: float = 20.0) -> None:
        end = time.monotonic() + seconds
        while not there(self):
            assert time.monotonic() < end, "it never came to that"
            time.sleep(0.02)
