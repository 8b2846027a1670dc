"""What takes too long for every run: many clients at once, many starts and stops.

    python -m tests.endurance_live clients 16     # WebRTC clients, each speaking for a minute
    python -m tests.endurance_live starts 20      # one page in Chromium, started and stopped
    python -m tests.endurance_live sessions 200   # the real app; sessions over WebRTC, one after another
    python -m tests.endurance_live hours 4        # one stream of so many hours, as fast as possible
    python -m tests.endurance_live nobody 30      # so many minutes without speech, into the digits model

The server runs in a process of its own, so that its CPU time and memory can be told.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import psutil

from asr.backends import load
from asr.bench.soak.engines.synthetic import Synthetic
from asr.bench.soak.ledger import Ledger
from asr.bench.soak.live import Speaker, speech
from asr.bench.soak.server import Server, vitals
from asr.bench.words import align
from asr.live import LiveTranscriber
from asr.live.passes import hear
from asr.types import Options, Segment
from tests.conftest import DIGITS
from tests.hall import stage
from tests.test_live_digits import noises
from tests.test_microphone import Voice, by_webrtc, quiet, speaker, until, words
from tests.tones import WORDS, say, silence


def _serve(url, stop, places):
    with tempfile.TemporaryDirectory() as folder, stage(Path(folder), live_sessions=places) as app:
        url.send(app.url)
        while not stop.wait(2):
            url.send((len(app.microphones.pcs), sum(s.busy for s in app.sessions._sessions.values())))


@contextmanager
def server(places: int):
    """Its address, its process, and what it tells of itself: open connections, busy sessions."""
    context = multiprocessing.get_context("spawn")
    told, url = context.Pipe(duplex=False)
    stop = context.Event()
    process = context.Process(target=_serve, args=(url, stop, places))
    process.start()
    try:
        yield told.recv(), psutil.Process(process.pid), told
    finally:
        stop.set()
        process.join(20)


def latest(told):
    state = None
    time.sleep(4)
    while told.poll():
        state = told.recv()
    return state


async def client(url: str, sentences: list[str]) -> tuple[bool, bool]:
    """Speak the sentences with pauses; whether they came back as they were, and whether over WebRTC."""
    audio = np.concatenate([silence(1), *(np.r_[say(s), silence(1.5)] for s in sentences)])
    voice = Voice(audio)
    async with speaker(f"{url.removeprefix('http://')}live", voice) as (socket, _):
        reading = asyncio.create_task(until(socket, quiet, 300))
        while voice.sent < len(voice.pcm):
            await asyncio.sleep(0.1)
        await asyncio.sleep(1)
        await socket.send('{"type": "end"}')
        found = await reading
    heard = words(found)
    if heard != " ".join(sentences):
        print(f"  said  {' '.join(sentences)}\n  heard {heard}")
    return heard == " ".join(sentences), any(map(by_webrtc, found))


def clients(count: int) -> None:
    dice = random.Random(1)
    speeches = [[" ".join(dice.choices(WORDS, k=8)) for _ in range(11)] for _ in range(count)]

    async def all_of_them(url):
        return await asyncio.gather(*(client(url, s) for s in speeches))

    with server(count) as (url, process, told):
        began, cpu, memory = time.monotonic(), sum(process.cpu_times()[:2]), process.memory_info().rss
        right, webrtc = zip(*asyncio.run(all_of_them(url)), strict=True)
        seconds, cpu = time.monotonic() - began, sum(process.cpu_times()[:2]) - cpu
        grown = (process.memory_info().rss - memory) / 2**20
        print(
            f"{sum(right)} of {count} clients got their exact words, {sum(webrtc)} by WebRTC, {seconds:.0f} s"
        )
        print(f"server: {cpu / seconds / count:.1%} of a core per session, {grown:.0f} MiB more")
        print(f"left: {latest(told)} connections and busy sessions")


def starts(count: int) -> None:
    from playwright.sync_api import sync_playwright

    from tests.browser import launch
    from tests.test_live_page import SENTENCES, TRACKS, Live, record

    with server(4) as (url, process, told), tempfile.TemporaryDirectory() as folder, sync_playwright() as p:
        audio = np.concatenate([silence(1.0), *(np.r_[say(s), silence(1.2)] for s in SENTENCES)])
        with closing(launch(p, record(Path(folder) / "speech.wav", audio))) as chromium:
            there = chromium.new_context()
            there.add_init_script(TRACKS)
            live, memory = Live(there.new_page(), url), process.memory_info().rss
            for i in range(1, count + 1):
                live.press()
                live.until(
                    "n => document.querySelector('#live-settled').textContent.split('so ask').length > n",
                    arg=i,
                )
                live.press()
                live.until_state("paused")
                print(f"{i:3} {live.transport() or '-'}", end="", flush=True)
            text, open_tracks = (
                live.text(),
                live.page.evaluate("tracks.filter(t => t.readyState === 'live').length"),
            )
            grown = (process.memory_info().rss - memory) / 2**20
            print(f"\n{text.count(SENTENCES[0])} and {text.count('so ask')} of {count} sentences")
            print(f"{open_tracks} microphones open, complaints: {live.watch.complaints}")
            print(f"server: {grown:.0f} MiB more")
        print(f"left: {latest(told)} connections and busy sessions")


def sessions(count: int) -> None:
    """What each twenty sessions leave behind in `python app.py`, with real voice detection."""
    dice, ledger = random.Random(1), Ledger()

    async def some(server, many):
        line = asyncio.Semaphore(4)

        async def one():
            async with line:
                await Speaker(ledger, server.url, dice, "webrtc", 10, cuts=1e9).talk()

        await asyncio.gather(*(one() for _ in range(many)))

    async def all_of_them(folder):
        server = Server(Path(folder))
        await server.start()
        try:
            for done in range(0, count, 20):
                now = vitals(server.pid, ledger.now)
                print(f"{done:4}  {now.anonymous:5.0f} MiB, {now.threads} threads, {now.descriptors} files")
                await some(server, min(20, count - done))
            await asyncio.sleep(15)  # idle threads go
            now, left = vitals(server.pid, ledger.now), await server.guests()
            print(f"{count:4}  {now.anonymous:5.0f} MiB, {now.threads} threads, {now.descriptors} files")
            said, lost = sum(ledger.said.values()), sum(ledger.lost.values())
            print(f"lost {lost} of {said} words, {ledger.events['by WebRTC']} by WebRTC; left {dict(left)}")
            print(*ledger.wrong, sep="\n")
        finally:
            await server.stop()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(all_of_them(folder))


def hours(count: int) -> None:
    """One stream: every word, its delay on the audio's clock, and the memory of this process."""
    backend, dice, fed, words, lost, delays = Synthetic("synthetic:voice"), random.Random(1), 0, 0, 0, []
    stream = LiveTranscriber(backend, Options())
    for minute in range(1, 60 * count + 1):
        said, sound = speech(dice, 60)
        heard = []
        for piece in np.array_split(sound, len(sound) // 512):
            stream.feed(piece)
            fed += len(piece)
            for segment in final(stream, backend):
                heard.append(segment.text)
                delays.append(fed / 16_000 - segment.end)
        words, lost = words + len(said.split()), lost + align(said.split(), "".join(heard).split()).errors
        if minute % 20 == 0:
            late, delays = sorted(delays), []
            print(
                f"{minute:4} minutes: {words:,} words, {lost} errors, "
                f"final after {np.mean(late):.2f} s, p95 {late[int(0.95 * len(late))]:.2f} s, "
                f"{psutil.Process().memory_info().rss / 2**20:.0f} MiB",
                flush=True,
            )


def nobody(minutes: int) -> None:
    """Noises and music; nothing may be heard in them."""
    backend, kinds = load(f"faster_whisper:{DIGITS}"), noises(60 * minutes // 6)
    for name, noise in kinds.items():
        stream, words = LiveTranscriber(backend, Options()), 0
        for piece in np.array_split(noise.astype(np.float32), len(noise) // 16_000):
            stream.feed(piece)
            for segment in final(stream, backend):
                words += len(segment.text.split())
        print(f"{name:8} {len(noise) / 960_000:.0f} minutes: {words} words", flush=True)


def final(stream: LiveTranscriber, backend) -> Iterator[Segment]:
    """What becomes final now."""
    while (update := stream.listen()) or stream.wants is not None:
        if update:
            yield from update.final
        if stream.wants is not None:
            job = stream.take()
            yield from stream.heard(job, hear(backend, [job])[0]).final


if __name__ == "__main__":
    modes = (clients, starts, sessions, hours, nobody)
    {mode.__name__: mode for mode in modes}[sys.argv[1]](int(sys.argv[2]))
