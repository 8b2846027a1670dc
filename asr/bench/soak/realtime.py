"""A speaker over OpenAI's Realtime API. What an item became is told in its events and kept nowhere."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from random import Random

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from asr.audio import SAMPLE_RATE, to_pcm16
from asr.bench.soak.ledger import Ledger
from asr.bench.soak.live import FINISH, PIECE, speech

RATE = 24_000  # OpenAI's
TAIL = 1.5  # seconds of silence after which the last turn is over


async def converse(ledger: Ledger, url: str, dice: Random, seconds: float) -> None:
    """One session. A connection that the server's death ends is noted: this API has no way to come back."""
    said, sound = speech(dice, seconds)
    sound, since = np.r_[sound, np.zeros(round(TAIL * SAMPLE_RATE), np.float32)], ledger.now
    at = np.arange(len(sound) * RATE // SAMPLE_RATE) * SAMPLE_RATE / RATE
    pcm = to_pcm16(np.interp(at, np.arange(len(sound)), sound))
    try:
        async with connect(f"ws{url[4:]}/v1/realtime?intent=transcription", open_timeout=20) as socket:
            speaking = asyncio.create_task(_speak(socket, pcm))
            try:
                heard, failed = await asyncio.wait_for(_read(ledger, socket, speaking), seconds + FINISH)
            finally:
                speaking.cancel()
    except (OSError, WebSocketException, asyncio.TimeoutError) as e:
        refused = getattr(getattr(e, "response", None), "status_code", 0)
        if refused:
            ledger.told["realtime", refused] += 1
        elif not ledger.killed(since):
            ledger.blame(f"realtime: the connection was lost: {e!r}")
        return
    if failed:
        ledger.told["realtime", "failed"] += failed
    else:
        ledger.heard("realtime", said, heard)


async def _speak(socket: ClientConnection, pcm: np.ndarray) -> None:
    began, step = time.monotonic(), round(PIECE * RATE)
    for at in range(0, len(pcm), step):
        await asyncio.sleep(max(0.0, began + at / RATE - time.monotonic()))
        audio = base64.b64encode(pcm[at : at + step].tobytes()).decode()
        await socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))


async def _read(ledger: Ledger, socket: ClientConnection, speaking: asyncio.Task) -> tuple[str, int]:
    """The transcripts in order, and how many items or pieces of audio were refused with a sentence."""
    texts, open_items, failed = [], set(), 0
    while not speaking.done() or open_items:
        try:
            event = json.loads(await asyncio.wait_for(socket.recv(), 1))
        except asyncio.TimeoutError:
            continue
        kind = event["type"].removeprefix("conversation.item.input_audio_transcription.")
        if kind == "input_audio_buffer.speech_started":
            open_items.add(event["item_id"])
        elif kind in ("completed", "failed"):
            open_items.discard(event["item_id"])
            texts.append(event.get("transcript", "").strip())
            failed += kind == "failed"
        elif kind == "error":
            failed += 1
    if speaking.exception():
        raise speaking.exception()
    return " ".join(texts), failed
