"""What takes too long for every run: many clients at once, many starts and stops.

    python -m tests.endurance_live clients 16     # WebRTC clients, each speaking for a minute
    python -m tests.endurance_live starts 20      # one page in Chromium, started and stopped

The server runs in a process of its own, so that its CPU time and memory can be told.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import sys
import tempfile
import time
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import psutil

from tests.hall import stage
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


if __name__ == "__main__":
    {"clients": clients, "starts": starts}[sys.argv[1]](int(sys.argv[2]))
