"""A server with live routes on a port of its own, in this process, with any recogniser."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.routing import BaseRoute

from asr.api import stream
from asr.config import Config
from asr.models import Status
from asr.scheduler import Schedulers
from asr.sessions import Sessions
from tests.tones import Tones, loud

Everybody = stream.Policy(lambda _: None, lambda name: None, lambda _: Status("ready", "Ready."))


class Slow(Tones):
    """Hears as well as Tones, and takes its time."""

    def __init__(self, seconds: float):
        super().__init__()
        self.seconds = seconds

    def transcribe(self, audio, options):
        time.sleep(self.seconds)
        return super().transcribe(audio, options)

    def transcribe_batch(self, windows, options):
        time.sleep(self.seconds)
        return super().transcribe_batch(windows, options)


@contextmanager
def sessions(folder: Path, backend=None, vad=lambda: loud, **settings) -> Iterator[Sessions]:
    """Live sessions recognised by `backend`, Tones if nobody says."""
    backend, schedulers = backend or Tones(), Schedulers(vad=vad)
    house = Sessions(
        Config(data_dir=folder, **settings),
        lambda _, options, tell: schedulers.get(backend).open(options, tell),
    )
    try:
        yield house
    finally:
        house.close()
        schedulers.close()


@contextmanager
def serving(routes: list[BaseRoute]) -> Iterator[int]:
    """Serve the routes; gives the port."""
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(10)
