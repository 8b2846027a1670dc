"""Running the server: the check before the start, its log lines, its end."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from math import inf

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

import app
from asr import logs
from asr.config import Config
from asr.errors import AudioError, Busy, ConfigError
from asr.jobs import Store, Tools, Wishes, Worker
from asr.types import Options, Segment
from tests.browser import PATIENCE, ROOT, environment, free_port, serve
from tests.conftest import DIGITS
from tests.hostile import wav
from tests.house import House
from tests.test_gate import ask
from tests.tones import Tones

MODEL = f"faster_whisper:{DIGITS}"


def transcribed(url: str, **headers: str):
    """What the API answers to a second of sound."""
    part = '--b\r\nContent-Disposition: form-data; name="{}"\r\n\r\n'
    head = part.format("model") + "whisper-1\r\n" + part.format('file"; filename="a.wav')
    form, kind = head.encode() + wav() + b"\r\n--b--", "multipart/form-data; boundary=b"
    return ask(url, "v1/audio/transcriptions", "POST", form, Content_Type=kind, **headers)


def check(folder, **settings) -> subprocess.CompletedProcess:
    start = [sys.executable, "app.py", "--check"]
    env = environment(folder, **{"ASR_PORT": str(free_port()), "ASR_MODEL": MODEL, **settings})
    return subprocess.run(start, cwd=ROOT, env=env, capture_output=True, text=True, timeout=PATIENCE)


def test_the_check_says_that_it_would_start_and_starts_nothing(tmp_path):
    done = check(tmp_path, HF_HUB_OFFLINE="0", HF_ENDPOINT="http://127.0.0.1:9")
    # Without a hub there is one problem: nothing could be downloaded. Nothing else is wrong.
    marked = [line for line in done.stdout.splitlines() if line.startswith("!")]
    assert all(line.startswith("! hub") for line in marked), done.stdout
    assert done.returncode == (1 if marked else 0)


def test_the_check_gives_its_reasons_and_fails(tmp_path):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = check(tmp_path, ASR_PORT=str(taken.getsockname()[1]), ASR_TURN="cloudflare", ASR_LOG="xml")
    assert done.returncode == 1
    for reason in ("! port", "! WebRTC", "! logs", "ASR_PORT=7861"):
        assert reason in done.stdout


def test_a_word_that_the_program_does_not_know_is_said(tmp_path):
    done = subprocess.run([sys.executable, "app.py", "--chekc"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and "--check" in done.stderr


@pytest.fixture
def lines():
    """What is logged, as JSON."""
    out, root = io.StringIO(), logging.getLogger()
    kept, level = root.handlers[:], root.level
    logs.start("json", out)
    yield lambda: [json.loads(line) for line in out.getvalue().splitlines()]
    root.handlers[:] = kept
    root.setLevel(level)


def test_an_error_nobody_foresaw_is_logged_without_its_message(lines):
    try:
        raise ValueError("what somebody said, and hf_token")
    except ValueError:
        logging.getLogger("asr.x").exception("a recording failed")
    (line,) = lines()
    assert line["says"] == "a recording failed" and line["level"] == "error"
    assert "ValueError" in line["error"] and "test_operations.py" in line["error"]
    assert "said" not in line["error"] and "hf_token" not in line["error"]


def test_a_kind_of_lines_that_there_is_not_is_refused():
    with pytest.raises(ConfigError):
        logs.start("xml")


def test_an_error_of_ours_keeps_its_sentence(lines):
    try:
        raise AudioError("This is no audio.", "Send another.")
    except AudioError:
        logging.getLogger("ui.x").exception("a request failed")
    assert "This is no audio." in lines()[0]["error"]


def test_lines_of_libraries_are_warnings_or_worse(lines):
    logging.getLogger("httpx").info("GET https://secret.example/token")
    logging.getLogger("httpx").warning("trouble")
    assert [line["says"] for line in lines()] == ["trouble"]


@pytest.fixture
def running(tmp_path):
    """The app, logging JSON, with somebody live; (url, process, log)."""
    port, log = str(free_port()), (tmp_path / "log").open("w+")
    env = environment(tmp_path, ASR_MODEL=MODEL, ASR_PORT=port, ASR_LOG="json", ASR_PASSWORD="sesame")
    env["ASR_LOG_LEVEL"] = "debug"
    process = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=env, stdout=log, stderr=log)
    url, end = f"http://127.0.0.1:{port}/", time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        try:
            ask(url, "healthz")
            break
        except OSError:
            time.sleep(0.2)
    yield url, process, tmp_path / "log"
    process.kill()


def test_it_logs_requests_and_neither_who_nor_what_and_ends_in_order(running):
    url, process, log = running
    form = {"Content_Type": "application/x-www-form-urlencoded", "X_Forwarded_For": "203.0.113.77"}
    _, headers, _ = ask(url, "login", "POST", "password=sesame", **form)
    cookie = headers["set-cookie"].partition(";")[0]
    status, headers, _ = ask(url, "recordings/some-secret-id/document?key=abc", Cookie=cookie, **form)
    id = headers["x-request-id"]
    with connect(f"ws{url[4:]}live/session", additional_headers={"Cookie": cookie}) as live:
        assert json.loads(live.recv())["type"] == "session"
        os.kill(process.pid, signal.SIGTERM)
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                live.recv(timeout=30)
        assert closed.value.rcvd is not None and closed.value.rcvd.code in (1001, 1012)  # told, not dropped
    assert process.wait(60) == 0
    text = log.read_text()
    told = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    (line,) = [line for line in told if line.get("about") == id]
    assert line["status"] == status and line["method"] == "GET" and line["ms"] >= 0
    for secret in ("203.0.113.77", "some-secret-id", "key=abc", "sesame", cookie.partition("=")[2]):
        assert secret not in text


@pytest.mark.parametrize("short_of", ["memory", "disk"])
def test_where_little_is_left_new_work_is_refused_and_the_rest_lives_on(tmp_path, short_of):
    """A floor that no machine reaches stands for a machine that is nearly full."""
    with serve(ASR_MODEL=MODEL, **{f"ASR_{short_of.upper()}_FLOOR_MB": "999999999"}) as url:
        status, headers, text = transcribed(url)
        assert status == 503 and headers["retry-after"] == "30"
        assert f"MB of {short_of}" in json.loads(text)["error"]["message"]
        with connect(f"ws{url[4:]}live/session") as live:
            live.send(b"\0\0" * 16_000)
            with pytest.raises(ConnectionClosed) as closed:
                while True:
                    live.recv(timeout=60)
        assert closed.value.rcvd.code == 4503 and "begins nothing new" in closed.value.rcvd.reason
        store = Store(tmp_path / "data")
        worker = Worker(Tools(store, Config(**{f"{short_of}_floor_mb": 999_999_999}), lambda spec: None))
        with pytest.raises(Busy, match="begins nothing new"):
            worker.submit("any", Wishes())
        assert ask(url, "healthz")[0] == 200 and ask(url)[0] == 200


@pytest.mark.parametrize("minutes, seconds", [(2.0, 120.0), (0.0, inf)])
def test_how_far_a_model_may_fall_behind_reaches_the_streams(minutes, seconds):
    schedulers = app.scheduling(Config(live_behind_minutes=minutes))
    try:
        stream = schedulers.get(Tones()).open(Options(), lambda update: None)
        assert stream._most_behind == seconds
    finally:
        schedulers.close()


def test_a_request_waits_for_a_model_as_long_as_its_owner_says():
    def slow(*_):
        loading.wait(60)
        return Tones()

    loading = threading.Event()
    with House(load=slow, api_patience=0.3) as house:
        began = time.monotonic()
        told = house.client.post(
            "/v1/audio/transcriptions", files={"file": wav()}, data={"model": "whisper-1"}
        )
        assert 0.3 <= time.monotonic() - began < 30 and told.status_code == 503
        assert told.json()["error"]["message"] == "Loading tones:pure. Try again in a minute."
        loading.set()


WORDS = {
    "sum",
    "by",
    "rate",
    "max",
    "min",
    "histogram_quantile",
    "label_values",
}  # of PromQL, in the dashboard


def named(query: str) -> set[str]:
    """The metrics in a PromQL query."""
    bare = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^]]*\]|\bby \([^)]*\)', " ", query)
    return set(re.findall(r"[a-zA-Z_:][\w:]*", bare)) - WORDS


def test_the_dashboard_draws_what_there_is():
    """Scraped from the app after a call and with somebody live: each name of a query has a value."""
    dashboard = json.loads((ROOT / "docs/dashboard.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    with serve(ASR_MODEL=MODEL, ASR_API_KEYS="key") as url:
        key = "Bearer key"
        assert transcribed(url, Authorization=key)[0] == 200
        with connect(f"ws{url[4:]}live/session") as live:
            live.send(b"\0\0" * 16_000)
            while json.loads(live.recv(timeout=60)).get("state") != "live":
                pass
            text = ask(url, "metrics", Authorization=key)[2]
    values = dict(re.findall(r"^(\w+)(?:\{.*\})? (\S+)$", text, re.M))
    assert named("label_values(parlance_model_ready, job)") == {"parlance_model_ready", "job"}
    for query in queries:
        assert (names := named(query)) and names <= set(values), f"{names - set(values)} is not in /metrics"
    assert float(values["parlance_live_streams"]) == 1 and float(values["parlance_memory_free_bytes"]) > 0
    assert {
        name for name in values if name.startswith("parlance_") and not name.endswith(("_created", "_sum"))
    } <= {
        *set().union(*map(named, queries)),
        "parlance_request_seconds_count",
        "parlance_live_opened_total",
        "parlance_live_passes_total",
        "parlance_live_batch_mean",
        "parlance_live_finals_only",
    }  # and what is measured is drawn, or nearly


def test_a_line_for_each_call_and_session_and_none_for_what_the_page_asks(tmp_path):
    log = tmp_path / "log"
    with serve(ASR_MODEL=MODEL, ASR_LOG="json", log=log) as url:
        for path in ("", "metrics", "healthz", "recordings/x/document", "no/such/thing"):
            ask(url, path)
        id = transcribed(url)[1]["x-request-id"]
        with connect(f"ws{url[4:]}live/session") as live:
            session = json.loads(live.recv())["session"]
            live.send(b"\0\0" * 16_000)
            live.send('{"type": "end"}')
            with pytest.raises(ConnectionClosed):
                while True:
                    live.recv(timeout=60)
    told = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    assert [line["says"] for line in told if line["level"] == "info"] == ["request", "live session"]
    call, over = (line for line in told if line["level"] == "info")
    assert call["about"] == id and call["route"] == "/v1/audio/transcriptions" and call["status"] == 200
    assert over["outcome"] == "ended" and over["seconds"] == 1.0 and session not in log.read_text()


def test_a_line_for_each_recording_and_what_broke_is_found_by_what_the_page_says(lines, tmp_path):
    def transcribe(recording, backend, options):
        if broken:
            raise KeyError("what was said")
        yield Segment(0.0, 1.0, " what was said")

    store, broken = Store(tmp_path / "data"), []
    worker = Worker(Tools(store, Config(), lambda spec: Tones(), transcribe))
    worker.start()
    try:
        for _ in range(2):
            job = store.expect("me", "private name.wav", len(wav()))
            store.source(job).write_bytes(wav())
            worker.submit(job.id, Wishes())
            while not (job := store.job(job.id)).over:
                time.sleep(0.01)
            broken.append(True)
        time.sleep(0.2)
    finally:
        worker.close()
        store.close()
    done, trouble, failed = lines()
    assert (done["says"], done["outcome"], done["seconds"]) == ("recording", "done", 1.0)
    assert done["about"] != failed["about"] == trouble["about"] and failed["outcome"] == "ASRError"
    assert failed["about"] in job.fix and "KeyError" in trouble["error"]  # who meets it can name it
    for secret in (job.id, "what was said", "private name"):
        assert secret not in str(lines())
