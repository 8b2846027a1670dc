"""Programs that call the HTTP API: every format, events as they come, and some that hang up in the middle."""

from __future__ import annotations

import asyncio
import json
import re
from random import Random

import httpx

from asr.audio import flac, wav
from asr.bench.soak import voice
from asr.bench.soak.ledger import Ledger
from asr.bench.soak.live import speech

FORMATS = ("json", "text", "srt", "verbose_json", "vtt")
PATH = "/v1/audio/transcriptions"
TRIES, AGAIN = 20, 5.0  # how often a refused call is made again, and after how many seconds
_WORD = re.compile("|".join(voice.WORDS))


async def call(ledger: Ledger, url: str, dice: Random, seconds: float, models: tuple[str, ...]) -> None:
    """One recording through the API, until it is answered."""
    said, sound = speech(dice, seconds)
    name, write = dice.choice([("a.wav", wav), ("a.flac", flac)])
    files = {"file": (name, await asyncio.to_thread(write, sound))}
    form = {"model": dice.choice(models), "response_format": dice.choice(FORMATS)}
    if dice.random() < 0.4:
        form |= {"stream": "true", "response_format": "json"}
    if dice.random() < 0.2:
        ledger.events["call hung up"] += 1
        return await _hang_up(url, form, files, dice.uniform(0.05, 2))
    kind = "remote" if form["model"].startswith("remote") else "api"
    async with httpx.AsyncClient(timeout=120) as client:
        for _ in range(TRIES):
            since = ledger.now
            try:
                answer = await client.post(f"{url}{PATH}", data=form, files=files)
            except httpx.HTTPError as e:
                if not ledger.killed(since):
                    ledger.blame(f"{kind}: no answer: {e!r}")
            else:
                if (text := _text(ledger, kind, form, answer)) is not None:
                    return ledger.heard(kind, said, text)
            await asyncio.sleep(AGAIN)
    ledger.blame(f"{kind}: refused {TRIES} times")


def _text(ledger: Ledger, kind: str, form: dict, answer: httpx.Response) -> str | None:
    """The words of an answer; None where it is an error, which has to be a sentence."""
    if answer.status_code >= 400:
        ledger.told[kind, answer.status_code] += 1
        if not answer.json()["error"]["message"]:
            ledger.blame(f"{kind}: {answer.status_code} without a sentence")
        return None
    if "stream" in form:
        events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
        if any("error" in event for event in events):
            ledger.told[kind, "in the stream"] += 1
            return None
        if not events or events[-1]["type"] != "transcript.text.done":
            ledger.blame(f"{kind}: a stream ended without its last event")
            return None
        told = "".join(e["delta"] for e in events if e["type"] == "transcript.text.delta")
        if told.split() != events[-1]["text"].split():
            ledger.blame(f"{kind}: streamed [{told}], told at the end [{events[-1]['text']}]")
        return " ".join(told.split())
    plain = answer.json()["text"] if "json" in form["response_format"] else answer.text
    return " ".join(_WORD.findall(plain))


async def _hang_up(url: str, form: dict, files: dict, after: float) -> None:
    """Go away while it is heard, or while its events come."""
    try:
        async with (
            httpx.AsyncClient(timeout=after) as client,
            client.stream("POST", f"{url}{PATH}", data=form, files=files) as answer,
        ):
            async for _ in answer.aiter_raw():
                break
    except httpx.HTTPError:
        pass
