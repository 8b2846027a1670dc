"""First acquaintance with a server: where its API is, which models it has, how it wants to be asked."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import numpy as np

from asr.audio import SAMPLE_RATE
from asr.backends.remote.answers import Heard, heard
from asr.backends.remote.connection import Connection
from asr.backends.remote.refusals import Answer
from asr.backends.remote.wire import Wire, declared, easier, is_ours, tells_segments
from asr.types import Options, Task

PROBE = np.random.default_rng(0).normal(0, 1e-3, SAMPLE_RATE).astype(np.float32)  # a second of faint noise
WINDOW = 30.0  # seconds: what Whisper hears at once, and any server takes
PATH = {"transcribe": "/audio/transcriptions", "translate": "/audio/translations"}
_SPEECH = re.compile(r"whisper|transcri|asr|parakeet|canary|voxtral|speech|sphinx", re.IGNORECASE)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    base: str  # the URL below which the paths are
    wires: dict[Task, Wire]  # how it wants to be asked at each path it has
    names_languages: bool  # its answers say which language was spoken
    mends: bool = False  # it has tried again, before it answers, what fails by its scores
    window: float = WINDOW  # seconds of audio to send at a time
    whole: bool = False  # it takes whole recordings, and tells their segments one by one
    streams: bool = False  # live speech goes through its Realtime API


async def survey(connection: Connection, model: str) -> Found:
    """Find the API below the configured address, and what it can do."""
    for base in _bases(connection.url):
        listed = await _models(connection, base)
        hotwords, ours, whole = await _documented(connection, base)
        name = model or _likely(listed)
        wire = Wire(name, hotwords=hotwords)
        asked, answer, told = await _probe(connection, base, wire, "transcribe")
        elsewhere = answer.is_page or (answer.status in (404, 405) and not listed)
        if told is not None or not elsewhere:
            break
    if told is None:
        raise connection.refused(answer, name or "")
    wires: dict[Task, Wire] = {"transcribe": replace(asked, words=asked.words and told.words)}
    asked, _, translated = await _probe(connection, base, replace(asked, words=False), "translate")
    if translated is not None:
        wires["translate"] = asked
    what = f"the model {name}" if wires["transcribe"].model else "one model of its own"
    log.info("The endpoint %s runs %s; asked as %s.", connection.host, what, ", ".join(wires))
    window = await _window(connection, base, name) if ours else None
    return Found(base, wires, told.names_languages, ours, window or WINDOW, ours and whole)


def _bases(url: str) -> list[str]:
    """Where the API may be: a bare host is looked at where servers have it."""
    return [url] if urlsplit(url).path else [f"{url}/v1", f"{url}/api/v1"]


async def _models(connection: Connection, base: str) -> list[str]:
    """The models the server lists; none where it has no list, or keeps it to itself."""
    _, found = await connection.ask("GET", f"{base}/models", _listed)
    return found or []


async def _window(connection: Connection, base: str, name: str | None) -> float | None:
    """How much a Parlance's model hears best in one go; it has just been asked, so it is loaded."""

    def read(answer: Answer) -> float | None:
        with suppress(ValueError, KeyError, TypeError, RecursionError):
            found = {m["id"]: m["window"] for m in json.loads(answer.body)["data"]}
            return min(WINDOW, max(1.0, float(found[name])))

    _, window = await connection.ask("GET", f"{base}/models", read)
    return window


def _listed(answer: Answer) -> list[str]:
    try:
        data = json.loads(answer.body)["data"]
        return [m["id"] for m in data if isinstance(m["id"], str)]
    except (ValueError, KeyError, TypeError, RecursionError):
        return []


def _likely(listed: list[str]) -> str | None:
    """The model for speech among those of a server that has many: OpenAI's with word times, or the first."""
    speech = [name for name in listed if _SPEECH.search(name)] or listed
    return "whisper-1" if "whisper-1" in speech else speech[0] if speech else None


async def _documented(connection: Connection, base: str) -> tuple[str, bool, bool]:
    """What its own documentation says: the field for hotwords ("": none), whether it is a Parlance,
    and whether that tells segments one by one.
    """

    def read(answer: Answer):
        return declared(answer.body), is_ours(answer.body), tells_segments(answer.body)

    for place in (base, connection.url.removesuffix("/v1")):
        _, found = await connection.ask("GET", f"{place}/openapi.json", read)
        fields, *kind = found or (None, False, False)
        if fields:
            return next((name for name in ("hotwords", "keywords[]") if name in fields), ""), *kind
    return "", False, False


async def _probe(connection, base: str, wire: Wire, task: Task) -> tuple[Wire, Answer, Heard | None]:
    """Ask about a second of noise with all there is, then with less and less; the form that worked."""
    options = Options(task=task, word_timestamps=True, temperature=0.0)
    untried = None
    while True:
        answer, told = await post(connection, base + PATH[task], wire, PROBE, options, 1.0)
        if told is not None or answer.status not in (400, 415, 422):
            return wire, answer, told
        simpler = wire.without(answer, options)
        if simpler is None or simpler == wire:
            untried = untried or easier(wire)
            simpler = next(untried, None)
        if simpler is None:
            return wire, answer, None
        wire = simpler


async def post(connection, path: str, wire: Wire, audio: np.ndarray, options: Options, seconds: float):
    """Ask about one window: the answer, and what was heard, or None where the server refused."""
    file = await asyncio.to_thread(wire.upload, audio)

    def read(answer: Answer) -> Heard | None:
        return None if answer.is_page else heard(answer, seconds)

    return await connection.ask("POST", path, read, files={"file": file}, data=wire.form(options))
