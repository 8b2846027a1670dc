"""`bench soak`: its voice, its faults and its verdicts are what they say; then a short one, all of it."""

import asyncio
import json
import math
import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from io import BytesIO
from random import Random

import httpx
import numpy as np
import pytest

from asr.audio import load_audio, to_pcm16, wav
from asr.audio.recording import Recording
from asr.bench.replay import fast
from asr.bench.soak import checks, trouble, voice
from asr.bench.soak.disk import Disk
from asr.bench.soak.endpoint import MODEL, WAYS, Endpoint
from asr.bench.soak.engines.synthetic import Synthetic
from asr.bench.soak.ledger import Ledger
from asr.bench.soak.live import Speaker, speech
from asr.bench.soak.server import Server, Vitals, free_port
from asr.live import LiveTranscriber
from asr.pipeline import transcribe
from asr.types import Options
from tests.browser import ROOT, launch, playwright  # noqa: F401  a fixture
from tests.hostile import encode
from tests.test_live_page import Live, record

CALM = Vitals(0.0, 100.0, 200.0, threads=20, descriptors=20, children=1)


def test_live_and_recorded_the_voice_is_heard_exactly_by_real_voice_detection():
    said, sound = speech(Random(3), 30)
    backend = Synthetic("synthetic:voice")
    heard = fast(LiveTranscriber(backend, Options()), backend, sound)
    assert " ".join("".join(s.text for s in heard.segments).split()) == said
    recording = Recording(to_pcm16(sound))
    found = transcribe(recording, backend, Options(word_timestamps=True))
    assert " ".join("".join(s.text for s in found).split()) == said


@pytest.mark.parametrize("codec", ["libmp3lame", "libopus"])
def test_the_voice_survives_what_people_send(codec):
    said, sound = speech(Random(4), 10)
    at = np.arange(3 * len(sound)) / 3
    pcm = to_pcm16(np.interp(at, np.arange(len(sound)), sound))
    heard = load_audio(BytesIO(encode("matroska", (codec, pcm, 48_000))))
    assert "".join(s.text for s in voice.hear(heard)).split() == said.split()


def test_the_ledger_counts_what_was_lost_and_what_was_invented():
    ledger = Ledger()
    ledger.heard("page", "alpha bravo golf", "alpha bravo golf")
    assert not ledger.wrong and not any(ledger.lost.values())
    ledger.heard("page", "alpha bravo golf", "alpha golf golf mike")
    assert (ledger.said["page"], ledger.lost["page"], ledger.invented["page"]) == (6, 1, 1)
    assert "alpha golf golf mike" in ledger.wrong[0]
    assert [ok for _, ok, _ in checks.texts(ledger)] == [False, False]


def test_a_fault_excuses_what_it_explains_and_no_more():
    ledger = Ledger()
    ledger.faults = [("disk", 0.0, math.inf)]
    assert not ledger.killed(0.0)
    ledger.delay(1.0)
    assert len(ledger.delays) == 1
    ledger.faults = [("kill", 0.0, ledger.now)]
    ledger.delay(1.0)
    assert ledger.killed(0.0) and not ledger.killed(ledger.now + 1) and len(ledger.delays) == 1


@pytest.mark.parametrize("name", ["descriptors", "threads", "children"])
def test_what_is_left_behind_is_found(name):
    grown = replace(CALM, **{name: getattr(CALM, name) + 20})
    verdicts = {n: ok for n, ok, _ in checks.leaks(CALM, grown, (Counter(), Counter(Session=1)))}
    assert not verdicts.pop(name) and not verdicts.pop("guests") and all(verdicts.values())
    assert all(ok for _, ok, _ in checks.leaks(CALM, CALM, (Counter(Body=1), Counter())))


def test_a_file_that_is_left_behind_is_found(tmp_path):
    (tmp_path / "live").mkdir()
    (tmp_path / "recordings.db").touch()
    assert checks.files(tmp_path)[1]
    (tmp_path / "live" / "a.jsonl").touch()
    assert not checks.files(tmp_path)[1]


@pytest.mark.parametrize(("an_hour", "flat"), [(0, True), (30, True), (300, False)])
def test_memory_that_grows_is_found(an_hour, flat):
    samples = [replace(CALM, at=float(t), anonymous=100 + t * an_hour / 3600) for t in range(0, 2400, 2)]
    assert checks.memory(samples)[1] is flat
    assert "not judged" in checks.memory(samples[:60])[2]


def test_delay_that_grows_is_found():
    assert checks.delay([(t, 1.0) for t in range(90)])[1]
    assert not checks.delay([(t, 1 + t / 30) for t in range(90)])[1]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a disk")
def test_a_full_disk_takes_nothing_and_is_large_again(tmp_path):
    with closing(Disk(tmp_path / "data")) as disk:
        (disk.folder / "before").write_bytes(bytes(100_000))
        disk.fill()
        with pytest.raises(OSError, match="No space"):
            (disk.folder / "more").write_bytes(bytes(100_000))
        disk.free()
        (disk.folder / "more").write_bytes(bytes(100_000))
    assert not any(disk.folder.iterdir())


def test_an_endpoint_hears_is_down_in_every_way_and_hears_again(monkeypatch):
    monkeypatch.setattr("asr.bench.soak.endpoint.SILENT", 1.0)
    endpoint = Endpoint(free_port())
    files, url = {"file": ("a.wav", wav(voice.say("kilo lima")))}, f"http://127.0.0.1:{endpoint.port}/v1"

    def ask() -> str:
        form = {"model": MODEL, "timestamp_granularities[]": "word"}
        answer = httpx.post(f"{url}/audio/transcriptions", data=form, files=files, timeout=0.5)
        answer.raise_for_status()
        return answer.json()["text"]

    try:
        while True:  # it is coming up
            try:
                assert ask() == " kilo lima"
                break
            except httpx.ConnectError:
                continue
        for way in WAYS:
            endpoint.fail(way)
            with pytest.raises((httpx.HTTPError, ValueError)):
                ask()
            endpoint.fail("")
    finally:
        endpoint.stop()


def test_the_engine_fails_as_it_is_told_and_the_clock_jumps(monkeypatch):
    monkeypatch.setattr(trouble, "_until", {})
    monkeypatch.setattr("time.time", trouble._wall)
    trouble.meet()
    trouble.begin("memory", 60)
    with pytest.raises(RuntimeError, match="out of memory"):
        list(Synthetic("synthetic:voice").transcribe(voice.say("alpha"), Options()))
    before = trouble._wall()
    trouble.begin("clock", 3600)
    import time

    assert time.time() - before >= 3600
    trouble.begin("clock", -3600)


@pytest.mark.browser
def test_a_server_process_killed_while_people_speak_costs_no_word(tmp_path, playwright):  # noqa: F811
    """SIGKILL, really; a program over its WebSocket and a page in Chromium go on with the next process."""
    said, sound = speech(Random(5), 25)
    server, ledger = Server(tmp_path), Ledger()
    speaker = Speaker(ledger, server.url, Random(6), "program", 20, cuts=1e9)
    wav = record(tmp_path / "speech.wav", sound)
    with ThreadPoolExecutor(2) as apart, closing(launch(playwright, wav)) as chromium:
        apart.submit(asyncio.run, server.start()).result()
        try:
            page = Live(chromium.new_page(), server.url)
            page.press()
            talking = apart.submit(asyncio.run, speaker.talk())
            while not speaker.settled or not page.text():
                page.page.wait_for_timeout(100)
            settled, shown = dict(speaker.settled), page.text()
            ledger.faults.append(("kill", ledger.now, math.inf))
            apart.submit(asyncio.run, server.kill()).result()
            apart.submit(asyncio.run, server.start()).result()
            talking.result()
            assert settled.items() <= speaker.settled.items() and page.text().startswith(shown)
            page.until_text(said[-20:].split(maxsplit=1)[1])
            page.press()
            page.until_state("paused")
            assert page.text() == said
        finally:
            code = apart.submit(asyncio.run, server.stop()).result()
    assert code == 0 and not ledger.wrong and not ledger.lost["program"]
    assert ledger.events["resumed"] == 1 and ledger.done["program"] == 1


def test_a_soak_of_some_seconds_finds_nothing(tmp_path):
    """Everybody at once; the server is killed meanwhile."""
    command = [sys.executable, "-m", "asr", "bench", "soak", "--json", tmp_path / "soak.json"]
    few = ["--minutes", "0.3", "--live", "3", "--uploads", "10", "--calls", "20", "--speech", "6"]
    run = subprocess.run([*command, *few, "--faults", "15"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    report = json.loads((tmp_path / "soak.json").read_text())
    assert report["passed"] and "kill" in {name for name, _, _ in report["faults"]}
    assert all(report["said"].get(kind) for kind in ("page", "program", "webrtc", "realtime", "upload"))
