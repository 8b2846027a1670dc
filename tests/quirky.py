"""Small servers that answer as the ones out there do: each with its dialect, its quirks and its faults.

    with quirky(Server(...)) as url: ...

What is known of the real ones is from their documentation and issues; none of them runs here.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from threading import Lock, Thread

import numpy as np

SAMPLE_RATE = 16_000
TEXT = "Hello, world. How are you?"
SEGMENTS = [
    {"id": 0, "start": 0.0, "end": 0.9, "text": " Hello, world."},
    {"id": 1, "start": 1.0, "end": 1.8, "text": " How are you?"},
]
WORDS = [
    {"word": word, "start": 0.3 * i, "end": 0.3 * i + 0.2}
    for i, word in enumerate(["Hello", "world", "How", "are", "you"])
]


@dataclass(frozen=True)
class Reply:
    status: int = 200
    body: bytes | str | dict | list = b""
    media: str = ""
    headers: dict = field(default_factory=dict)
    slow: float = 0.0  # seconds before it
    cut: bool = False  # hang up before the end of what was announced
    drip: float = 0.0  # seconds between two bytes


@dataclass(frozen=True)
class Call:
    path: str
    fields: dict[str, list[str]]
    file: bytes
    token: str

    @property
    def form(self) -> dict[str, str]:
        return {name: values[0] for name, values in self.fields.items()}


Handler = Callable[[Call], Reply]


class Server:
    """`hear` answers POSTs of audio, `models` is listed; every request is kept in `calls`."""

    def __init__(
        self,
        hear: Handler,
        models: list[str] | None = None,
        base: str = "/v1",
        token: str = "",
        page: dict | None = None,  # its openapi.json
    ):
        self.hear, self.models, self.base, self.token, self.page = hear, models, base, token, page
        self.calls: list[Call] = []
        self.most = self.now = 0  # requests at the same time
        self.open = 0  # answers on their way
        self._lock = Lock()

    @property
    def heard(self) -> list[Call]:
        return [c for c in self.calls if c.path.endswith("/audio/transcriptions")]

    def answer(self, call: Call) -> Reply:
        with self._lock:
            self.calls.append(call)
            self.now += 1
            self.most = max(self.most, self.now)
        try:
            return self._answer(call)
        finally:
            with self._lock:
                self.now -= 1

    def _answer(self, call: Call) -> Reply:
        if self.token and call.token != f"Bearer {self.token}":
            return Reply(401, {"error": {"message": f"Incorrect API key provided: {call.token}."}})
        if call.path == f"{self.base}/models" and self.models is not None:
            return Reply(200, {"object": "list", "data": [{"id": name} for name in self.models]})
        if call.path == f"{self.base}/openapi.json" and self.page is not None:
            return Reply(200, self.page)
        if call.path == f"{self.base}/audio/transcriptions":
            reply = self.hear(call)
            time.sleep(reply.slow)
            return reply
        return Reply(404, {"detail": "Not Found"})


@contextmanager
def quirky(server: Server) -> Iterator[str]:
    """Serve it; gives its base URL."""

    class Door(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.reply(server.answer(Call(self.path, {}, b"", self.headers.get("authorization", ""))))

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            fields, file = _form(self.headers["content-type"], body)
            token = self.headers.get("authorization", "")
            self.reply(server.answer(Call(self.path, fields, file, token)))

        def reply(self, reply: Reply):
            plain = isinstance(reply.body, (bytes, str))
            body = reply.body if plain else json.dumps(reply.body)
            body = body.encode() if isinstance(body, str) else body
            media = reply.media or ("text/plain" if plain else "application/json")
            self.send_response(reply.status)
            for name, value in {"Content-Type": media, "Content-Length": len(body), **reply.headers}.items():
                self.send_header(name, str(value))
            self.end_headers()
            server.open += 1
            for piece in [body[: len(body) // 2]] if reply.cut else [body]:
                self.send(piece, reply.drip)
            server.open -= 1
            self.close_connection = reply.cut or self.close_connection

        def send(self, piece: bytes, drip: float):
            try:
                for i in range(len(piece) if drip else 1):
                    self.wfile.write(piece[i : i + 1] if drip else piece)
                    self.wfile.flush()
                    time.sleep(drip)
            except OSError:
                pass  # whoever asked has gone

        def log_message(self, *_):
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    httpd.daemon_threads = True
    Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{httpd.server_port}{server.base}"
    finally:
        httpd.shutdown()
        httpd.server_close()


def _form(kind: str, body: bytes) -> tuple[dict[str, list[str]], bytes]:
    fields: dict[str, list[str]] = {}
    file = b""
    for part in message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body).get_payload():
        name = re.search(r'name="([^"]*)"', part["content-disposition"]).group(1)
        value = part.get_payload(decode=True)
        if name == "file":
            file = value
        else:
            fields.setdefault(name, []).append(value.decode())
    return fields, file


# -- dialects


def openai(call: Call) -> Reply:
    """whisper-1: verbose_json with words on their own, without punctuation."""
    if "model" not in call.form:
        return Reply(400, {"error": {"message": "you must provide a model parameter", "param": None}})
    full = {
        "task": "transcribe",
        "language": "english",
        "duration": "2.0",
        "text": TEXT,
        "segments": SEGMENTS,
    }
    if "word" in call.fields.get("timestamp_granularities[]", []):
        full["words"] = WORDS
    return Reply(200, full if call.form["response_format"] == "verbose_json" else {"text": TEXT})


def gpt(call: Call) -> Reply:
    """gpt-4o-transcribe: json and text only."""
    if call.form.get("response_format") == "verbose_json":
        message = (
            "response_format 'verbose_json' is not compatible with model 'gpt-4o-transcribe-api-ev3'. "
            "Use 'json' or 'text' instead."
        )
        return Reply(400, {"error": {"message": message, "param": "response_format"}})
    return Reply(200, {"text": TEXT})


def vllm(call: Call) -> Reply:
    """Duration and numbers as strings, no words, scores missing; unknown fields are ignored."""
    segments = [
        {**s, "start": str(s["start"]), "end": str(s["end"]), "avg_logprob": "-0.3", "no_speech_prob": None}
        for s in SEGMENTS
    ]
    return Reply(
        200, {"text": TEXT, "language": "en", "duration": "2.0", "segments": segments, "words": None}
    )


def hugging_face(call: Call) -> Reply:
    """Knows five fields and says so in plain text; loses the last segment."""
    known = {"language", "prompt", "temperature", "response_format"}
    for name in call.fields:
        if name not in known:
            return Reply(400, f"Unknown field: {name}")
    return Reply(200, {"text": TEXT, "language": "en", "segments": SEGMENTS[:1]})


def plain_text(call: Call) -> Reply:
    return Reply(200, f"{TEXT}\n", "text/plain; charset=utf-8")


def wav_only(call: Call) -> Reply:
    if not call.file.startswith(b"RIFF"):
        return Reply(415, {"detail": "Unsupported media type"})
    return Reply(200, {"text": TEXT})


def openai_events(call: Call) -> Reply:
    events = [
        {"type": "transcript.text.delta", "delta": TEXT[:9]},
        {"type": "transcript.text.delta", "delta": TEXT[9:]},
        {"type": "transcript.text.done", "text": ""},
    ]
    return _events(events)


def vllm_events(call: Call) -> Reply:
    kind = {"object": "transcription.chunk"}
    events = [{**kind, "choices": [{"delta": {"content": word}}]} for word in re.findall(r"\s?\S+", TEXT)]
    return _events([*events, {**kind, "choices": [{"delta": {}, "finish_reason": "stop"}]}])


def parlance(call: Call) -> Reply:
    """Another Parlance; to it a run of one sample value is a word, called by that number; 0 is silence."""
    if call.form.get("stream") != "true":
        return openai(call)
    samples = np.frombuffer(call.file, "<i2")
    edges = np.flatnonzero(np.diff(samples, prepend=0, append=0))
    runs = [(a, b) for a, b in pairwise(edges.tolist()) if samples[a]]
    segments = [
        {
            "type": "transcript.text.segment",
            "start": first / SAMPLE_RATE,
            "end": last / SAMPLE_RATE,
            "text": f" {samples[first]}",
            "language": "en",
            "language_probability": 0.9,
        }
        for first, last in runs
    ]
    return _events(
        [*segments, {"type": "transcript.text.done", "text": "".join(s["text"] for s in segments)}]
    )


PARLANCE = {
    "info": {"title": "Parlance"},
    "paths": {
        "/audio/transcriptions": {
            "post": {
                "requestBody": {"content": {"multipart/form-data": {"schema": {"properties": {"file": {}}}}}}
            }
        }
    },
    "components": {"schemas": {"TimedSegment": {}}},
}


def sse(*events: dict) -> bytes:
    return "".join(f"data: {json.dumps(e)}\n\n" for e in events).encode()


def _events(events: list[dict]) -> Reply:
    return Reply(200, b": hello\n\n" + sse(*events) + b"data: [DONE]\n\n", "text/event-stream")


def then(*first: Reply, well: Handler = openai, after: int = 0) -> Handler:
    """`well` for `after` requests, then these replies once each, then `well` again."""
    replies, lock, seen = list(first), Lock(), [0]

    def hear(call: Call) -> Reply:
        with lock:
            seen[0] += 1
            if seen[0] > after and replies:
                return replies.pop(0)
        return well(call)

    return hear
