"""A server of the API for tests, seen from its own machine; it hears tones unless told otherwise."""

from __future__ import annotations

import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient

from asr.api.door import routes
from asr.api.server import Server
from asr.config import Config
from asr.live.pace import paced
from asr.models import Models
from asr.scheduler import Schedulers
from tests.tones import Tones, loud


class House:
    def __init__(self, backend=None, load=None, **config):
        self.backend = backend or Tones()
        self.config = Config(**{"model": "tones:pure", **config})
        self.schedulers = Schedulers(vad=lambda: loud, max_streams=self.config.live_sessions)
        self.models = Models(self.config, load=load or (lambda *_: self.backend))
        self.server = Server(self.config, self.models, self.schedulers, vad=lambda: loud)
        self.app = FastAPI(routes=routes(self.server))
        self.client = TestClient(self.app, "http://127.0.0.1", client=("127.0.0.1", 5000))

    def __enter__(self) -> House:
        self.client.__enter__()
        return self

    def __exit__(self, *error) -> None:
        self.client.__exit__(*error)
        self.schedulers.close()


def serve() -> None:
    """The API as a process of its own, set up by ASR_* like the app: python -m tests.house"""
    config = Config.from_env()
    models, schedulers = Models(config), Schedulers(max_streams=config.live_sessions, pace=paced(config))
    models.start()
    app = FastAPI(routes=routes(Server(config, models, schedulers)))
    uvicorn.run(app, host=config.host, port=config.port, log_level="warning")


if __name__ == "__main__":
    serve()
