"""Servers in this process for tests of live transcription, with any recogniser, and a network to cut."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles

from asr.api import stream
from asr.config import Config
from asr.models import Status
from asr.scheduler import Schedulers
from asr.sessions import Sessions
from tests.browser import free_port
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


@contextmanager
def stage(
    folder: Path, backend=None, vad=lambda: loud, port: int = 0, **settings
) -> Iterator[SimpleNamespace]:
    """The Live tab on a port of its own, recognised by `backend`: its url, sessions and microphones."""
    import ui
    from asr.models import Models
    from ui import live, theme

    backend, config = backend or Tones(), Config(data_dir=folder, model="tones:pure", **settings)
    models = Models(config, load=lambda *_: backend)
    models.start()
    with sessions(folder, backend, vad, **settings) as house:
        page = ui.build(models, config, {"live": live.tab})
        routes = [
            Mount(f"/{theme.URL}", StaticFiles(directory=theme.ASSETS)),
            *live.routes(house, models, config),
        ]
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        _, url, _ = page.launch(
            server_port=port or free_port(),
            app_kwargs={"routes": routes},
            ssr_mode=False,
            quiet=True,
            prevent_thread_lock=True,
        )
        try:
            microphones = next(r.endpoint.__self__ for r in routes if getattr(r, "path", "") == "/live/offer")
            yield SimpleNamespace(url=url, sessions=house, microphones=microphones)
        finally:
            page.close(verbose=False)


def address() -> str | None:
    """One of this machine's addresses that is not 127.0.0.1: ICE does not use that one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            return None
        return None if probe.getsockname()[0].startswith("127.") else probe.getsockname()[0]


class Cable:
    """A network between a browser and the server at `url`, which can be cut and mended."""

    def __init__(self, url: str, host: str = "127.0.0.1"):
        self.whole, self._ends = True, []
        self._door = socket.create_server((host, 0))
        self.url = f"http://{host}:{self._door.getsockname()[1]}/"
        self.lead_to(url)
        threading.Thread(target=self._accept, daemon=True).start()

    def lead_to(self, url: str) -> None:
        self._to = urlsplit(url).port

    def cut(self) -> None:
        self.whole = False
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._ends.clear()

    def mend(self) -> None:
        self.whole = True

    def close(self) -> None:
        self.cut()
        self._door.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._door.accept()
                try:
                    if not self.whole:
                        raise OSError
                    far = socket.create_connection(("127.0.0.1", self._to))
                except OSError:
                    near.close()
                    continue
                self._ends += [near, far]
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=_pump, args=pair, daemon=True).start()


def _pump(source: socket.socket, drain: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            drain.sendall(data)
    for end in (source, drain):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
            end.close()
