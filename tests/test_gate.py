"""The gate: what docs/security.md promises, asked of a running server as an attacker would."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
import time
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from asr import gate
from asr.api.errors import Refused
from asr.config import Config
from asr.gate import flow, login, paths
from asr.gate.rates import REMEMBERED, Rate
from tests.browser import browser, playwright, serve, tab  # noqa: F401
from tests.conftest import DIGITS

MODEL = f"faster_whisper:{DIGITS}"
GRADIO_NOT_HERE = [
    "file=http://evil.example/",
    "file=https://evil.example/",
    "file=/etc/passwd",
    "file=app.py",
    "file/app.py",
    "proxy=http://169.254.169.254/",
    "info",
    "openapi.json",
    "app_id",
    "token",
    "user",
    "dev/reload",
    "upload_progress?upload_id=1",
    "custom_component/1/client/component/index.js",
    "stream/a/1/1/playlist.m3u8",
    "vibe-code",
    "mcp/sse",
]


def ask(url: str, path: str = "", method: str = "GET", body=None, **headers: str):
    """(status, headers in lower case, text). `headers`: X_Forwarded_For=... for X-Forwarded-For."""
    at = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    try:
        at.request(method, f"/{path}", body, {k.replace("_", "-"): v for k, v in headers.items()})
        answer = at.getresponse()
        return (
            answer.status,
            {k.lower(): v for k, v in answer.getheaders()},
            answer.read().decode(errors="replace"),
        )
    finally:
        at.close()


@pytest.fixture(scope="module")
def app():
    with serve(ASR_MODEL=MODEL, ASR_MAX_UPLOAD_MB="1", ASR_REQUESTS_PER_MINUTE="500") as url:
        yield url


@pytest.fixture(scope="module")
def locked():
    with serve(ASR_MODEL=MODEL, ASR_PASSWORD="open sesame", ASR_API_KEYS="key-1") as url:
        yield url


@contextmanager
def small(folder, **settings):
    """A few routes behind the gate, on a uvicorn of their own."""

    async def read(request: Request):
        return PlainTextResponse(str(len(await request.body())))

    async def fail(request: Request):
        raise RuntimeError("a secret in a traceback")

    async def echo(socket):
        await socket.accept()
        while (message := await socket.receive())["type"] == "websocket.receive":
            await socket.send_text(str(len(message.get("bytes") or message.get("text") or "")))

    routes = [
        Route("/v1/audio/transcriptions", read, methods=["POST"]),
        Route("/recordings", read, methods=["GET", "POST"]),
        Route("/live/fail", fail),
        WebSocketRoute("/live/session", echo),
    ]
    config = Config(data_dir=folder, **settings)
    server = uvicorn.Server(
        uvicorn.Config(
            Starlette(debug=True, routes=routes, lifespan=gate.closed(config, routes)),
            port=0,
            log_level="error",
        )
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    gate.tighten(server.config, config)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    finally:
        server.should_exit = server.force_exit = True
        thread.join(10)


# ---- what Gradio brings and nobody needs ----


@pytest.mark.parametrize("path", GRADIO_NOT_HERE)
def test_gradios_other_addresses_do_not_exist(app, path):
    for prefix in ("gradio_api/", "gradio_api//", ""):
        status, headers, text = ask(app, prefix + path)
        assert status == 404 and "location" not in headers and "There is no such address" in text


@pytest.mark.parametrize(
    "path",
    ["upload", "process_recording", "component_server", "vibe-edit", "call/predict", "api/predict", "run/x"],
)
def test_nothing_can_be_posted_to_what_the_page_does_not_use(app, path):
    assert ask(app, f"gradio_api/{path}", "POST", "{}", Content_Type="application/json")[0] == 404


def test_other_front_doors_of_gradio_are_shut(app):
    for path in (
        "config",
        "config/",
        "monitoring",
        "monitoring/summary",
        "manifest.json",
        "login",
        "logout",
        "pwa_icon",
        "svelte/x.js",
    ):
        assert ask(app, path)[0] == 404, path


def test_gradios_functions_called_without_the_page_show_nothing_of_our_code(app):
    for n in range(-1, 20):
        sent = json.dumps({"data": [None] * 8, "fn_index": n})
        _, _, text = ask(app, "gradio_api/run/predict", "POST", sent, Content_Type="application/json")
        assert "Traceback" not in text and ".py" not in text, text


def test_no_answer_shows_our_code(tmp_path):
    with small(tmp_path) as url:
        status, _, text = ask(url, "live/fail", Accept="text/html")
    assert status == 500 and "secret" not in text and "Traceback" not in text


# ---- headers, frames, other sites ----


def test_every_answer_carries_the_security_headers(app):
    for path in ("", "healthz", "v1/models", "nowhere", "parlance/logo.svg", "recordings/x"):
        _, headers, _ = ask(app, path)
        assert headers["x-content-type-options"] == "nosniff", path
        assert headers["referrer-policy"] in ("same-origin", "no-referrer")
        assert "microphone=(self)" in headers["permissions-policy"]
        assert headers["content-security-policy"].count("frame-ancestors 'self'") == 1
        assert headers["x-frame-options"] == "SAMEORIGIN"


def test_the_editors_own_policy_stays_and_learns_who_may_frame_it(app):
    policy = ask(app, "recordings/x")[1]["content-security-policy"]
    assert policy.startswith("default-src 'none'") and "unsafe" not in policy and "frame-ancestors" in policy


def test_who_may_frame_the_page_can_be_said(tmp_path):
    with small(tmp_path, embed="https://huggingface.co") as url:
        _, headers, _ = ask(url, "recordings")
    assert "frame-ancestors 'self' https://huggingface.co" in headers["content-security-policy"]
    assert "x-frame-options" not in headers


def test_other_sites_cannot_read_answers(app):
    for path in ("", "gradio_api/theme.css", "v1/models"):
        headers = ask(app, path, Origin="https://evil.example")[1]
        assert not [name for name in headers if name.startswith("access-control-allow")], path
    asked = dict(Origin="https://evil.example", Access_Control_Request_Method="POST")
    status, headers, _ = ask(app, "gradio_api/queue/join", "OPTIONS", **asked)
    assert status == 403 and "access-control-allow-origin" not in headers


def test_other_sites_cannot_write(app):
    for path in ("gradio_api/queue/join", "recordings", "live/offer", "gradio_api/run/predict"):
        for origin in ("https://evil.example", "null"):
            status, _, text = ask(app, path, "POST", "{}", Origin=origin)
            assert status == 403 and "own page" in text


def test_other_sites_cannot_open_a_live_session(app):
    with pytest.raises(InvalidStatus) as refused:
        connect(f"ws{app[4:]}live/session", origin="https://evil.example")
    assert refused.value.response.status_code == 403


def test_a_site_that_the_owner_names_may_call_the_api_and_nothing_else(tmp_path):
    with small(tmp_path, cors="https://good.example") as url:
        for path, origin, may in (
            ("v1/audio/transcriptions", "https://good.example", True),
            ("v1/audio/transcriptions", "https://evil.example", False),
            ("recordings", "https://good.example", False),
        ):
            asked = dict(Origin=origin, Access_Control_Request_Method="POST")
            before, headers, _ = ask(url, path, "OPTIONS", **asked)
            assert (before == 204) == may and (headers.get("access-control-allow-origin") == origin) == may
            _, headers, _ = ask(url, path, "POST", "x", Origin=origin)
            assert (headers.get("access-control-allow-origin") == origin) == may


@pytest.mark.browser
def test_the_page_works_under_its_policy(tab, app):  # noqa: F811
    page = tab(app)
    page.get_by_role("tab", name="Recording", exact=True).click()
    page.wait_for_selector(".source .offer")
    page.wait_for_function("document.querySelector('.model-row').innerText.includes('on')")
    assert page.evaluate("fetch('https://evil.example').then(() => 'sent', () => 'kept')") == "kept"
    # Only what this test itself tried is complained about; `tab` looks at the rest.
    tried = [c for c in page.watch.complaints if "evil.example" in c]
    assert tried and any("Content Security Policy" in c for c in tried)
    page.watch.complaints[:] = [c for c in page.watch.complaints if c not in tried]
    page.watch.outside.clear()


# ---- the password ----


def cookie_of(url: str, password: str, **headers: str) -> tuple[int, str, dict]:
    form = {"Content_Type": "application/x-www-form-urlencoded", **headers}
    status, answered, _ = ask(url, "login", "POST", f"password={password}&next=%2Frecordings%2Fx", **form)
    return status, answered.get("set-cookie", "").partition(";")[0], answered


def test_without_the_password_there_is_only_the_form(locked):
    status, headers, _ = ask(locked, "recordings/x", Accept="text/html")
    assert status == 303 and headers["location"] == "/login?next=/recordings/x"
    assert "type=password" in ask(locked, "login")[2]
    for path in ("", "recordings", "gradio_api/queue/data", "parlance/parlance.js", "live/ice"):
        assert ask(locked, path)[0] == 401, path
    assert ask(locked, "gradio_api/queue/join", "POST", "{}")[0] == 401


def test_who_opens_an_address_that_is_none_reads_a_page(app):
    status, headers, said = ask(app, "nothing/<b>", Accept="text/html", Accept_Language="de")
    assert status == 404 and headers["content-type"].startswith("text/html")
    assert "Diese Adresse gibt es hier nicht." in said and "href='../'" in said and "<b>" not in said
    assert json.loads(ask(app, "nothing")[2])["error"]["fix"] == "The page is at /."
    assert json.loads(ask(app, "v1/nothing", Accept="text/html")[2])["error"]["message"]


def test_without_the_password_there_is_no_live_session(locked):
    with pytest.raises(InvalidStatus) as refused:
        connect(f"ws{locked[4:]}live/session")
    assert refused.value.response.status_code == 401


def test_the_password_opens_the_page_and_logging_out_shuts_it(locked):
    status, cookie, headers = cookie_of(locked, "open+sesame")
    assert status == 303 and headers["location"] == "./recordings/x"
    assert "HttpOnly" in headers["set-cookie"] and "SameSite=Lax" in headers["set-cookie"]
    assert ask(locked, "", Cookie=cookie)[0] == 200
    with connect(f"ws{locked[4:]}live/session", additional_headers={"Cookie": cookie}) as live:
        assert json.loads(live.recv())["type"] == "session"
    assert "Max-Age=0" in ask(locked, "logout", "POST", "", Cookie=cookie)[1]["set-cookie"]


def test_a_cookie_that_was_tampered_with_opens_nothing(locked):
    cookie = cookie_of(locked, "open+sesame")[1]
    name, _, value = cookie.partition("=")
    until, _, signature = value.partition(".")
    for forged in (
        f"{int(until) + 1}.{signature}",
        f"{until}.{signature[:-1]}",
        f"{until}.",
        f"1.{signature}",
        "é",
    ):
        assert ask(locked, "", Cookie=f"{name}={forged}".encode().decode("latin1"))[0] == 401, forged


def test_a_cookie_runs_out(tmp_path, monkeypatch):
    door = login.Login("secret", tmp_path, False)
    now = int(time.time())
    assert door._signed(f"{now + 9}.{door._sign(now + 9)}")
    assert not door._signed(f"{now - 1}.{door._sign(now - 1)}")


def test_a_login_lasts_as_long_as_the_owner_says(tmp_path):
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    with small(tmp_path, password="sesame", login_days=2 / 86_400) as url:
        _, headers, _ = ask(url, "login", "POST", "password=sesame", **form)
        cookie = headers["set-cookie"].partition(";")[0]
        assert "Max-Age=2;" in headers["set-cookie"] and ask(url, "recordings", Cookie=cookie)[0] == 200
        time.sleep(2.5)
        assert ask(url, "recordings", Cookie=cookie)[0] == 401


def test_another_password_makes_every_cookie_void(tmp_path):
    until = int(time.time()) + 99
    one, same, other = (login.Login(word, tmp_path, False) for word in ("one", "one", "other"))
    assert same._signed(f"{until}.{one._sign(until)}") and not other._signed(f"{until}.{one._sign(until)}")
    assert (tmp_path / "login.secret").stat().st_mode & 0o777 == 0o600


def test_guessing_the_password_is_slowed_down(locked):
    there = {"X_Forwarded_For": "203.0.113.9"}
    said = [cookie_of(locked, f"guess-{n}", **there)[0] for n in range(login.TRIES + 2)]
    assert said[: login.TRIES] == [401] * login.TRIES and said[-1] == 429
    assert cookie_of(locked, "open+sesame", **there)[0] == 429  # or guessing on would find it all the same
    assert cookie_of(locked, "guess", X_Forwarded_For="203.0.113.10")[0] == 401  # others are not in its way


@pytest.mark.parametrize("to", ["https://evil.example", "//evil.example", "/\\evil.example", "x"])
def test_the_login_leads_nowhere_else(locked, to):
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    _, headers, _ = ask(locked, "login", "POST", f"password=open+sesame&next={to}", **form)
    assert headers["location"] == "./"


def test_the_form_escapes_what_it_repeats(locked):
    assert "<script>" not in ask(locked, "login?next=%22%3E%3Cscript%3E")[2]


def test_the_api_asks_for_its_keys_and_not_for_the_password(locked):
    assert ask(locked, "v1/models")[0] == 401
    assert ask(locked, "v1/models", Authorization="Bearer key-1")[0] == 200
    assert ask(locked, "healthz")[0] == 200


def test_in_a_frame_over_https_the_cookie_says_that_it_is_a_third_partys(tmp_path):
    with small(tmp_path, password="x", embed="https://huggingface.co") as url:
        _, _, headers = cookie_of(url, "x", X_Forwarded_Proto="https")
    assert "SameSite=None; Secure; Partitioned" in headers["set-cookie"]


# ---- how much, how often, how slowly ----


def test_one_address_gets_so_many_requests(app):
    there = {"X_Forwarded_For": "203.0.113.1"}
    said = [ask(app, "healthz", **there) for _ in range(520)]
    assert said[0][0] == 200
    status, headers, text = said[-1]
    assert status == 429 and int(headers["retry-after"]) >= 1 and "Too many requests" in text
    assert ask(app, "healthz", X_Forwarded_For="203.0.113.2")[0] == 200
    assert ask(app, "v1/models", **there)[2].count("rate_limit_error") == 1
    assert ask(app, "parlance/logo.svg", **there)[0] == 200  # the page's files do not count


def test_one_ipv6_customer_is_one_address(tmp_path):
    with small(tmp_path, requests_per_minute=3) as url:
        said = [ask(url, "recordings", X_Forwarded_For=f"2001:db8::{n}")[0] for n in range(1, 6)]
        assert said[:3] == [200] * 3 and said[4] == 429
        assert ask(url, "recordings", X_Forwarded_For="2001:db8:0:1::1")[0] == 200


def test_only_a_known_proxy_says_who_asks(tmp_path, monkeypatch):
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "192.0.2.1")
    with small(tmp_path, requests_per_minute=3) as url:
        said = [ask(url, "recordings", X_Forwarded_For=f"203.0.113.{n}")[0] for n in range(5)]
    assert said[-1] == 429


def test_one_key_gets_so_many_requests_wherever_it_comes_from(tmp_path):
    with small(tmp_path, api_keys="a,b", key_requests_per_minute=3) as url:

        def with_key(key: str, n: int) -> int:
            there = f"203.0.113.{n}"
            return ask(url, "recordings", Authorization=f"Bearer {key}", X_Forwarded_For=there)[0]

        assert [with_key("a", n) for n in range(4)] == [200, 200, 200, 429]
        assert with_key("b", 9) == 200
        assert [with_key("wrong", n) for n in range(5)] == [200] * 5  # counted by their addresses


def test_a_rate_forgets_whom_it_has_not_seen_for_longest():
    rate, now = Rate.per_minute(1), 0.0
    rate.clock = lambda: now
    rate.take("first")
    for n in range(REMEMBERED + 10):
        rate.take(n)
    assert len(rate._full) == REMEMBERED
    with pytest.raises(Refused):
        rate.take(REMEMBERED)
    now = 60.1
    rate.take(REMEMBERED)


def test_a_request_that_announces_too_much_is_refused_before_it_is_read(app):
    at = socket.create_connection((urlsplit(app).hostname, urlsplit(app).port), timeout=30)
    with at:
        at.sendall(
            b"POST /gradio_api/queue/join HTTP/1.1\r\nHost: x\r\n"
            b"Content-Length: 99999999\r\nConnection: close\r\n\r\n"
        )
        assert b" 413 " in at.recv(4096).partition(b"\r\n")[0] + b" "


def test_a_request_that_becomes_too_large_is_cut_off(tmp_path):
    with small(tmp_path) as url:
        pieces = (bytes(2**20) for _ in range(4))  # chunked: nothing is announced
        status, _, text = ask(url, "recordings", "POST", pieces)
        assert status == 413 and "2 MiB" in text
        assert ask(url, "recordings", "POST", bytes(2**20))[2] == str(2**20)


def test_uploads_may_be_as_large_as_the_owner_says():
    assert paths.most("/v1/audio/transcriptions", 2**30) > 2**30
    assert paths.most("/recordings/x/upload", 2**30) > 2**30
    assert paths.most("/recordings", 2**30) == paths.SMALL


def test_a_refusal_does_not_wait_for_what_has_come_already(tmp_path):
    begun = time.monotonic()
    with small(tmp_path, password="x") as url:
        for n in range(4):
            assert cookie_of(url, f"guess-{n}")[0] == 401
    assert time.monotonic() - begun < 15  # waiting would take 5 s each


def test_a_login_that_trickles_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(flow, "STALLED", 0.5)
    with small(tmp_path, password="x") as url, socket.create_connection(_place(url), timeout=30) as at:
        at.sendall(b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\npassword=")
        assert b" 408 " in at.recv(4096)


def _place(url: str) -> tuple[str, int]:
    return urlsplit(url).hostname, urlsplit(url).port


def test_a_body_that_does_not_come_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(flow, "STALLED", 0.5)
    with (
        small(tmp_path) as url,
        socket.create_connection(_place(url), timeout=30) as at,
    ):
        at.sendall(b"POST /recordings HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
        assert b" 408 " in at.recv(4096)


def test_a_body_that_trickles_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(flow, "STALLED", 0.5)
    with (
        small(tmp_path) as url,
        socket.create_connection(_place(url), timeout=30) as at,
    ):
        at.sendall(b"POST /recordings HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
        at.settimeout(0.1)
        answer, end = b"", time.monotonic() + 30
        while not answer and time.monotonic() < end:
            try:
                at.sendall(b"x")
                answer = at.recv(4096)
            except TimeoutError:
                continue
        assert b" 408 " in answer


@pytest.mark.parametrize(
    "sent", [b"", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "], ids=["nothing", "half a head"]
)
def test_a_connection_that_asks_nothing_is_closed(tmp_path, monkeypatch, sent):
    monkeypatch.setattr(gate, "LINGERING", 0.5)
    with (
        small(tmp_path) as url,
        socket.create_connection(_place(url), timeout=30) as at,
    ):
        at.sendall(sent)
        while at.recv(4096):  # uvicorn may say 400 first
            pass  # recv raises where nobody closes


def test_a_long_request_and_an_open_socket_are_not_taken_for_idle(tmp_path, monkeypatch):
    monkeypatch.setattr(gate, "LINGERING", 0.2)
    with small(tmp_path) as url:

        def slowly():
            for _ in range(5):
                time.sleep(0.3)
                yield b"x"

        with connect(f"ws{url[4:]}live/session") as live:
            assert ask(url, "recordings", "POST", slowly())[2] == "5"
            live.send("hello")
            assert live.recv() == "5"


def test_one_address_gets_so_many_sockets(tmp_path):
    with small(tmp_path, sockets_per_address=2) as url:
        at = f"ws{url[4:]}live/session"
        with connect(at), connect(at):
            with pytest.raises(InvalidStatus) as refused:
                connect(at)
            assert refused.value.response.status_code == 429
            with connect(at, additional_headers={"X-Forwarded-For": "203.0.113.3"}):
                pass
        with connect(at):  # places are given back
            pass


def test_a_message_that_is_too_large_ends_its_socket_only(tmp_path):
    with small(tmp_path) as url, connect(f"ws{url[4:]}live/session") as other:
        with connect(f"ws{url[4:]}live/session") as live, pytest.raises(ConnectionClosed) as closed:
            live.send(bytes(gate.MESSAGE + 1))
            live.recv()
        assert closed.value.rcvd.code == 1009
        other.send("hello")
        assert other.recv() == "5"


def test_who_floods_a_socket_is_read_more_slowly(monkeypatch):
    monkeypatch.setattr(flow, "AT_ONCE", 100)
    monkeypatch.setattr(flow, "MESSAGES", 1000)
    waits = []

    async def sleep(seconds):
        waits.append(seconds)

    async def flood():
        async def receive():
            return {"type": "websocket.receive", "text": "x"}

        messages = flow.Messages(receive)
        for _ in range(150):
            await messages()

    monkeypatch.setattr(asyncio, "sleep", sleep)
    with pytest.raises(StopIteration):
        flood().send(None)  # never waits, so it needs no loop (the browser's may be running)
    assert 0 < len(waits) <= 60 and max(waits) < 0.1


def test_there_are_so_many_connections_and_no_more(tmp_path):
    with small(tmp_path, connections=3) as url:
        idle = [socket.create_connection((urlsplit(url).hostname, urlsplit(url).port)) for _ in range(4)]
        time.sleep(0.2)
        assert ask(url, "recordings")[0] == 503
        for one in idle:
            one.close()
        time.sleep(0.2)
        assert ask(url, "recordings")[0] == 200
