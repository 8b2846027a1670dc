"""Everything in tests/attacks.py against one running app: no crash, no leak, and the right answers.

Nothing is answered by a 500, with our code, a secret, or input that a browser would take for HTML;
the API's errors have OpenAI's shape, the page's are sentences. At the end the process has the
descriptors, threads, children, files and places that it had before.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests import attacks
from tests.attacks import ME, Ask, Say, event, form, part
from tests.browser import PATIENCE, ROOT, environment, free_port
from tests.conftest import DIGITS
from tests.speech import speak
from tests.test_api import wav

KEY, TOKEN, TURN = "a-key-of-the-owner", "hf_TheOwnersToken", "the-relay-s-secret"
SECRETS = re.compile(f"{KEY}|{TOKEN}|{TURN}|root:x:0")
CODE = re.compile(r'Traceback|File "|\.py\b|site-packages|Internal Server Error')
BEGIN = f"Host: 127.0.0.1\r\nAuthorization: Bearer {KEY}\r\n"


@dataclass(frozen=True)
class App:
    port: int
    pid: int
    data: Path
    log: Path

    def connected(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    text: str


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """The app, with secrets that nobody may see and small limits."""
    folder, port = tmp_path_factory.mktemp("hostile"), free_port()
    settings = {
        "ASR_MODEL": f"faster_whisper:{DIGITS}",
        "ASR_PORT": str(port),
        "ASR_API_KEYS": KEY,
        "HF_TOKEN": TOKEN,
        "ASR_TURN_SECRET": TURN,
        "ASR_ICE_SERVERS": "turn:127.0.0.1:9",
        "ASR_MAX_UPLOAD_MB": "8",
        "ASR_MAX_AUDIO_HOURS": "0.02",
        "ASR_REQUESTS_PER_MINUTE": "0",
        "ASR_KEY_REQUESTS_PER_MINUTE": "0",
        "ASR_SOCKETS_PER_ADDRESS": "0",
    }
    env = environment(folder / "data", **settings)
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=env, stdout=log, stderr=log)
    app, end = App(port, process.pid, folder / "data", folder / "log"), time.monotonic() + PATIENCE
    try:
        while not up(app):
            assert process.poll() is None and time.monotonic() < end, app.log.read_text()
            time.sleep(0.2)
        yield app
    finally:
        process.terminate()
        process.wait(PATIENCE)


def up(app: App) -> bool:
    with suppress(OSError):
        return ask(app, Ask("", "/healthz/ready", ())).status == 200
    return False


@pytest.fixture(scope="module")
def mine(app):
    """A recording of the attacker's own, done: (id, the key of its links)."""
    sound = wav(speak("seven"))
    made = ask(
        app, Ask("", "/recordings", (), "POST", attacks.tell({"name": "a.wav", "size": len(sound)}), ME)
    )
    here = f"/recordings/{json.loads(made.text)['id']}"
    assert ask(app, Ask("", f"{here}/upload?at=0", (), "PUT", sound, ME)).status == 200
    assert ask(app, Ask("", f"{here}/again", (), "POST", b"{}", ME)).status == 200
    end = time.monotonic() + PATIENCE
    while (shown := json.loads(ask(app, Ask("", f"{here}/document", (), headers=ME)).text))[
        "state"
    ] != "done":
        assert time.monotonic() < end
        time.sleep(0.1)
    return here.rpartition("/")[2], shown["key"]


@pytest.fixture(scope="module")
def before(app, mine):
    """What the process holds after all of it has been sent once, eight at a time: its pools are full."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda one: ask(app, one, mine), attacks.ASKED))
        list(pool.map(lambda one: said(app, one), attacks.TALK))
        list(
            pool.map(
                lambda sent: thrown(app, sent),
                [*attacks.BYTES.values(), *map(handshaken, attacks.FRAMES.values())],
            )
        )
    return settled(app)


# ---- asking ----


def ask(app: App, one: Ask, mine: tuple[str, str] = ("", "")) -> Answer:
    """Send it as it is: no library stands between that would know better."""
    body = one.body() if callable(one.body) else one.body
    head = {"Host": f"127.0.0.1:{app.port}", "Connection": "close"}
    if one.target.startswith("/v1"):
        head["Authorization"] = f"Bearer {KEY}"
    if body or one.method in ("POST", "PUT"):
        head["Content-Length"] = str(len(body))
    if "Transfer-Encoding" in one.headers:
        del head["Content-Length"]
    head |= one.headers
    target = one.target.replace("{id}", mine[0]).replace("{key}", mine[1])
    lines = [f"{one.method} {target} HTTP/1.1", *(f"{k}: {v}" for k, v in head.items()), "", ""]
    with app.connected() as at:
        with suppress(ConnectionError):  # who is refused may be cut off while it still sends
            at.sendall("\r\n".join(lines).encode("latin1") + body)
        return heard(at, one.method)


def heard(at: socket.socket, method: str = "GET") -> Answer:
    answer = HTTPResponse(at, method=method)
    answer.begin()
    text = answer.read().decode("utf-8", "replace")
    return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, text)


def cleaned(app: App, one: Ask, answer: Answer) -> None:
    """Delete the recording that an attack made, once the list has been seen with its name."""
    if one.target == "/recordings" and one.method == "POST" and answer.status == 200:
        shelf = ask(app, Ask("", "/recordings", (), headers=ME)).text
        assert "<script" not in shelf and "<img" not in shelf and "class=" in shelf
        gone = f"/recordings/{json.loads(answer.text)['id']}"
        assert ask(app, Ask("", gone, (), "DELETE", headers=ME)).status == 200


@pytest.mark.parametrize("one", attacks.ASKED, ids=lambda one: one.name)
def test_a_hostile_request_gets_the_right_answer(app, mine, before, one):
    answer = ask(app, one, mine)
    cleaned(app, one, answer)
    assert answer.status in one.right, (answer.status, answer.text[:300])
    shown = answer.text + str(answer.headers)
    assert not SECRETS.search(shown)
    if answer.status >= 400:
        assert not CODE.search(answer.text.replace(one.target, "")), answer.text[:300]
        well_worded(one, answer)
    if "html" in answer.headers.get("content-type", ""):
        assert "<script>alert" not in answer.text
    assert "set-cookie" not in answer.headers or "x=1" not in answer.headers["set-cookie"]


def well_worded(one: Ask, answer: Answer) -> None:
    """OpenAI's shape below /v1, what and fix elsewhere; the rest is uvicorn's or Gradio's."""
    if one.method == "HEAD" or not answer.headers.get("content-type", "").startswith("application/json"):
        assert (
            answer.headers.get("content-type", "text/plain").startswith("text/plain")
            and len(answer.text) < 200
        )
        return
    told = json.loads(answer.text)
    if one.target.startswith(("/gradio_api", "/static", "/assets")) and "detail" in told:
        return
    if one.target.startswith("/v1/audio") or one.target.startswith("/v1/models"):
        assert set(told["error"]) == {"message", "type", "param", "code"} and told["error"]["message"]
    elif isinstance(told.get("error"), dict):
        assert told["error"].get("what") or told["error"].get("message")
    else:
        assert told.get("what") or "detail" in told or one.target.startswith("/gradio_api")


# ---- bytes, frames, messages ----


def thrown(app: App, sent: bytes) -> bytes:
    """What comes back for these bytes, until the server closes; raises TimeoutError where it does not."""
    with app.connected() as at:
        got = b""
        with suppress(OSError):  # it may be closed by then
            at.sendall(sent)
            at.shutdown(socket.SHUT_WR)
        with suppress(ConnectionError):
            while more := at.recv(65_536):
                got += more
    return got


@pytest.mark.parametrize("name", attacks.BYTES)
def test_what_is_no_http_is_answered_and_closed(app, before, name):
    got = thrown(app, attacks.BYTES[name])
    assert re.match(rb"HTTP/1.1 (400|404|431|200|505) ", got) or not got, got[:200]
    assert not CODE.search(got.partition(b"\r\n\r\n")[2].decode(errors="replace")) or b" 200 " in got[:20]


def handshaken(frames: bytes) -> bytes:
    key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    upgrade = f"{BEGIN}Upgrade: websocket\r\nConnection: Upgrade\r\n{key}"
    return f"GET /v1/stream HTTP/1.1\r\n{upgrade}\r\n".encode() + frames


@pytest.mark.parametrize("name", attacks.FRAMES)
def test_a_broken_frame_ends_its_socket_only(app, before, name):
    got = thrown(app, handshaken(attacks.FRAMES[name]))
    assert got.startswith(b"HTTP/1.1 101 ") and up(app)


def said(app: App, one: Say) -> tuple[int | None, list[dict]]:
    """The code that closed the socket (None: it goes on), and what came before."""
    url, events = f"ws://127.0.0.1:{app.port}{one.path}", []
    head = {"Authorization": f"Bearer {KEY}"}
    with closing(connect(url, additional_headers=head, max_size=None, open_timeout=60)) as at:
        try:
            with suppress(ConnectionClosed):  # what it said before is still to be read
                at.send(one.message)
                if 1000 in one.right:
                    at.send(event("end"))
            while (not one.right and not any(e["type"] == "error" for e in events)) or one.right:
                events.append(json.loads(at.recv(timeout=30)))
            at.send(event("input_audio_buffer.clear"))
            while events[-1]["type"] != "input_audio_buffer.cleared":
                events.append(json.loads(at.recv(timeout=30)))
        except ConnectionClosed as e:
            if 1000 in one.right:
                forgotten = Ask("", f"/v1/stream/{events[0]['session']}", (), "DELETE")
                assert ask(app, forgotten).status == 204
            return (e.rcvd.code if e.rcvd else 1006), events
    return None, events


@pytest.mark.parametrize("one", attacks.TALK, ids=lambda one: one.name)
def test_a_hostile_message_gets_a_sentence(app, before, one):
    code, events = said(app, one)
    assert code in one.right if one.right else code is None, (code, events[-1:])
    if code == 1000:
        return
    (error,) = [e for e in events if e["type"] == "error"]
    told = error.get("error", error)
    assert told.get("message") or (told["what"] and told["fix"])
    assert not SECRETS.search(json.dumps(events)) and not CODE.search(json.dumps(told))


@pytest.mark.parametrize(("name", "path", "headers", "right"), attacks.SHUT, ids=[s[0] for s in attacks.SHUT])
def test_a_handshake_that_may_not_be_is_refused(app, before, name, path, headers, right):
    origin = headers.get("Origin")
    head = {} if path.startswith(("/live", "/queue")) else {"Authorization": f"Bearer {KEY}"}
    head |= {k: v for k, v in headers.items() if k != "Origin"}
    with pytest.raises(InvalidStatus) as refused:
        connect(f"ws://127.0.0.1:{app.port}{path}", origin=origin, additional_headers=head).close()
    assert refused.value.response.status_code in right


# ---- and afterwards ----


def settled(app: App) -> dict[str, int]:
    """What the process holds, once it has let go of all that it lets go of."""
    held, end = {}, time.monotonic() + 20
    while (now := holding(app)) != held and time.monotonic() < end:
        held = now
        time.sleep(1.5)
    return held


def holding(app: App) -> dict[str, int]:
    proc = Path(f"/proc/{app.pid}")
    metrics = ask(app, Ask("", "/metrics", (), headers={"Authorization": f"Bearer {KEY}"})).text
    counted = {name: float(value) for name, value in re.findall(r"^(parlance_\w+) (\S+)$", metrics, re.M)}
    files = [p for p in app.data.rglob("*") if p.is_file()]
    return {
        "descriptors": len(list((proc / "fd").iterdir())),
        "threads": len(list((proc / "task").iterdir())),
        "children": sum(len(p.read_text().split()) for p in proc.glob("task/*/children")),
        "temporary files": sum("tmp" in p.relative_to(app.data).parts[:1] for p in files),
        "files of recordings": sum("recordings" in p.relative_to(app.data).parts[:1] for p in files),
        "files of sessions": sum("live" in p.relative_to(app.data).parts[:1] for p in files),
        "places": counted["parlance_places_taken"],
        "sessions": counted["parlance_realtime_sessions"],
    }


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="only Linux tells what a process holds")
def test_nothing_is_left_behind(app, before):
    """After all of the above: `before` was taken when everything had been sent once."""
    after = settled(app)
    more = {
        what: (before[what], after[what])
        for what in before
        if after[what] > before[what] + SLACK.get(what, 0)
    }
    assert not more, "there is more of it than before"
    assert after["places"] == after["sessions"] == after["temporary files"] == 0


SLACK = {"descriptors": 5, "threads": 5}  # a pool may grow by some still; a leak would be hundreds


def test_it_still_hears_and_its_log_tells_of_no_fault(app, before):
    sound = part("file", wav(speak("seven three nine one")), "a.wav")
    assert (
        "seven three nine one" in ask(app, Ask("", attacks.SPEECH, (), **form(attacks.WHISPER, sound))).text
    )
    log = app.log.read_text()
    assert not [line for line in log.splitlines() if " ERROR " in line]
    raised = set(re.findall(r"^([\w.]+(?:Error|Exception)\b)", log, re.M))
    assert raised <= {"gradio.exceptions.Error"}  # a value that an input refuses: Gradio prints where
    assert not SECRETS.search(log)


def test_there_are_at_least_two_hundred_of_them():
    names = [
        *(a.name for a in attacks.ASKED),
        *attacks.BYTES,
        *attacks.FRAMES,
        *(t.name for t in attacks.TALK),
    ]
    assert len({*names, *(s[0] for s in attacks.SHUT)}) > 600
