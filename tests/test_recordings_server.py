"""A real server that is killed and started again, and what strangers may send it. No browser."""

import json
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import closing, contextmanager
from pathlib import Path

import jiwer
import numpy as np
import pytest

from asr.jobs import Store, Wishes
from tests import speech
from tests.browser import PATIENCE, ROOT, _answers, environment, free_port
from tests.conftest import DIGITS, needs_voices
from tests.test_page import wav

LINES = ["one two three", "four five six", "seven eight nine", "zero one two", "three four five"]


@contextmanager
def server(data: Path, **settings: str):
    """(url, process) of `python app.py` on this data folder; it is killed at the end if it still lives."""
    port = settings.setdefault("ASR_PORT", str(free_port()))
    ours = {"ASR_MODEL": f"faster_whisper:{DIGITS}", "ASR_RECORDINGS_AT_ONCE": "1"}
    env = environment(data, **ours | settings)
    with open(data / "log", "a") as log:
        process = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=env, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}/"
        assert _answers(url, process), (data / "log").read_text()
        yield url, process
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    with server(tmp_path_factory.mktemp("data")) as (url, _):
        yield url


def look(data: Path, sql: str) -> tuple:
    """The first row of an answer, asked of the file while a server writes it."""
    with closing(sqlite3.connect(f"file:{data / 'recordings.db'}?mode=ro", uri=True)) as db:
        return db.execute(sql).fetchone()


def until(data: Path, seen: str | Callable[[], bool]) -> None:
    """Until the query has an answer, or the function says so; looks very often."""
    end = time.monotonic() + PATIENCE
    while not (look(data, seen) if isinstance(seen, str) else seen()):
        assert time.monotonic() < end, look(data, "SELECT state, stages, progress, what FROM jobs")
        time.sleep(0.001)


def begun(folder: Path) -> bool:
    """Whether something is being decoded into it."""
    return any(folder.glob("*.part"))


@pytest.fixture(scope="module")
def said() -> np.ndarray:
    return np.concatenate([speech.digits(line, gap=0.3, tail=2.5)[0] for line in LINES])


KILLED = {  # in which stage, how many times the lines are said, what is there to be seen then
    "decode": (8, Wishes(), ""),
    "transcribe": (8, Wishes(), "SELECT 1 FROM segments WHERE n = 3"),
    "align": (1, Wishes(align=True), "SELECT 1 FROM jobs WHERE stages LIKE '[\"align%'"),
    "diarize": (1, Wishes(rung="embedded"), "SELECT 1 FROM jobs WHERE stages LIKE '[\"diarize%'"),
}


STAGES = ["decode", "transcribe", "align", pytest.param("diarize", marks=needs_voices)]


@pytest.mark.parametrize("stage", STAGES)
def test_a_server_that_is_killed_loses_nothing(stage, tmp_path, said):
    times, wishes, seen = KILLED[stage]
    store = Store(tmp_path)
    id = store.add("a" * 64, "long.wav", wav(tmp_path / "upload", np.tile(said, times)), wishes).id
    with server(tmp_path) as (_, process):
        until(tmp_path, seen) if seen else until(tmp_path, lambda: begun(store.folder(id)))
        process.send_signal(signal.SIGKILL)
        process.wait()
    before, job = store.transcript(id).segments, store.job(id)
    assert (job.state, job.stage) == ("working", stage) and bool(before) == (stage != "decode")
    with server(tmp_path):
        until(tmp_path, "SELECT 1 FROM jobs WHERE state = 'done'")
    after, done = store.transcript(id), store.job(id)
    # The small model mishears a digit now and then; a window that is lost would be many of them.
    assert jiwer.wer(" ".join(LINES * times), after.text) < 0.05
    assert [s.text for s in before] == [s.text for s in store.version(id, 1).segments[: len(before)]]
    assert done.stages == () and ("Speakers by" in done.says) == (stage == "diarize")
    assert not begun(store.folder(id))
    store.close()


def test_a_server_that_is_stopped_says_goodbye_and_goes_on_at_the_next_start(tmp_path, said):
    store = Store(tmp_path)
    id = store.add("a" * 64, "long.wav", wav(tmp_path / "upload", np.tile(said, 8))).id
    with server(tmp_path) as (_, process):
        until(tmp_path, KILLED["transcribe"][2])
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    assert store.job(id).state == "waiting" and len(store.transcript(id).segments) >= 4
    store.close()


# ---- what others may send ----


def send(url: str, method: str, body: bytes = b"", **headers: str) -> int:
    request = urllib.request.Request(url, body or None, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status
    except urllib.error.HTTPError as e:
        return e.code


def test_hostile_requests_are_refused(app):
    me = {"X-Parlance-Browser": "0" * 64}
    for body in (b"", b"[]", b"{", b'{"name": 1, "size": 1}', b'{"name": "a", "size": -1}', b'{"name": "a"}'):
        assert send(f"{app}recordings", "POST", body, **me) == 400
    assert send(f"{app}recordings", "POST", b'{"name": "a", "size": 99999999999999}', **me) == 413
    assert send(f"{app}recordings", "POST", b'{"name": "a"}') == 401
    one = b'{"name": "a", "size": 5}'
    assert send(f"{app}recordings", "POST", one, **me, Origin="http://evil.example") == 403
    assert send(f"{app}recordings", "POST", b" " * 5000, **me) == 413
    for id in ("../../x", "%2e%2e", "x" * 22, "'"):
        assert send(f"{app}recordings/{id}/upload", "GET", **me) in (400, 404)


def test_an_upload_is_what_was_announced_in_pieces_that_may_come_twice(app):
    me, url = {"X-Parlance-Browser": "1" * 64}, f"{app}recordings"
    request = urllib.request.Request(url, b'{"name": "a.wav", "size": 10}', me)
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        here = f"{url}/{json.load(answer)['id']}"
    assert send(f"{here}/again", "POST", b"{}", **me) == 409  # it has not come yet
    assert send(f"{here}/upload?at=0", "PUT", b"01234", **me) == 200
    for at, body, status in (("6", b"6", 409), ("x", b"5", 409), ("5", b"567890", 413), ("3", b"34567", 200)):
        assert send(f"{here}/upload?at={at}", "PUT", body, **me) == status, (at, body)
    assert send(f"{here}/upload?at=8", "PUT", b"89", **me | {"X-Parlance-Browser": "2" * 64}) == 404
    assert send(f"{here}/upload?at=8", "PUT", b"89", **me) == 200
    assert send(f"{here}/again", "POST", b'{"stages": ["decode", "rm"]}', **me) == 400
    assert send(f"{here}/again", "POST", b"{}", **me) == 200
    assert send(f"{here}/upload?at=0", "PUT", b"other", **me) == 409  # it is being worked on
    assert send(here, "DELETE", **me) == 200 and send(f"{here}/upload", "GET", **me) == 404
