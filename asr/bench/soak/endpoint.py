"""A remote endpoint with OpenAI's audio API, which can go down in the ways they do."""

from __future__ import annotations

import threading
import time
from io import BytesIO

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from asr.audio import load_audio
from asr.bench.soak import voice

MODEL = "synthetic-large"
WAYS = ("gone", "error", "silent", "garbage")  # nobody listens; 503; no answer for a while; no JSON
SILENT = 8.0  # seconds


class Endpoint:
    """Hears the made-up voice. `down` is one of WAYS, or empty."""

    def __init__(self, port: int):
        self.port, self.down = port, ""
        routes = [
            Route("/v1/models", self._models),
            Route("/v1/audio/transcriptions", self._transcribe, methods=["POST"]),
        ]
        self._app = Starlette(routes=routes)
        self.start()

    def start(self) -> None:
        config = uvicorn.Config(self._app, port=self.port, log_level="error", lifespan="off")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(20)

    def fail(self, way: str) -> None:
        """From now on; "" is well again."""
        if way == "gone":
            self.stop()
        elif self.down == "gone":
            self.start()
        self.down = way

    async def _models(self, request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": MODEL}]})

    async def _transcribe(self, request: Request) -> Response:
        async with request.form() as form:
            data = await form["file"].read()
            words = "word" in form.getlist("timestamp_granularities[]")
        return await run_in_threadpool(self._answer, data, words)

    def _answer(self, data: bytes, words: bool) -> Response:
        if self.down == "error":
            return JSONResponse({"error": {"message": "The model is overloaded."}}, 503)
        if self.down == "silent":
            time.sleep(SILENT)
        if self.down == "garbage":
            return Response("<html>Bad gateway</html>", media_type="text/html")
        audio = load_audio(BytesIO(data))
        found = [s for s in voice.hear(audio)]
        segments = [{"id": i, "start": s.start, "end": s.end, "text": s.text} for i, s in enumerate(found)]
        full = {
            "task": "transcribe",
            "language": "english",
            "duration": len(audio) / voice.SAMPLE_RATE,
            "text": "".join(s.text for s in found),
            "segments": segments,
        }
        if words:
            every = [w for s in found for w in s.words]
            full["words"] = [{"word": w.word.strip(), "start": w.start, "end": w.end} for w in every]
        return JSONResponse(full)
