"""What a hostile client may send: requests, bytes that are no HTTP, WebSocket messages and frames.

Every list is data; tests/test_hostile.py sends it all to one running app. `{id}` and `{key}` in a target
stand for a recording of the attacker's own. `MARK` is what must never come back as HTML.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.hostile import HEARD, REFUSED, wav

MARK = "<script>alert(1)</script>"
ME = {"X-Parlance-Browser": "a" * 64}
LONG, DEEP, HUGE = "x" * 3000, "[" * 100_000, "9" * 5000  # Python reads no whole number of 5000 digits
SMALL = wav()


@dataclass(frozen=True)
class Ask:
    """One request, and which statuses are right for it."""

    name: str
    target: str
    right: tuple[int, ...]
    method: str = "GET"
    body: bytes | Callable[[], bytes] = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Say:
    """Something said on a WebSocket. `right`: the codes that may close it; none: an error, and it goes on."""

    name: str
    path: str
    message: str | bytes = b""
    right: tuple[int, ...] = ()


# ---- files, forms and fields of the API ----


def part(name: str, value: bytes | str, file: str | None = None) -> bytes:
    value = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
    named = "" if file is None else f'; filename="{file}"'
    head = f'--b\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'
    return head.encode("utf-8", "surrogatepass") + value + b"\r\n"


FORM = {"method": "POST", "headers": {"Content-Type": "multipart/form-data; boundary=b"}}


def form(*parts: bytes) -> dict:
    return {**FORM, "body": b"".join(parts) + b"--b--\r\n"}


def sent(make: Callable[[], bytes]) -> dict:
    """A form with this file, which is made when it is sent."""
    return {**FORM, "body": lambda: form(WHISPER, part("file", make(), "recording"))["body"]}


WHISPER, SOUND = part("model", "whisper-1"), part("file", SMALL, "a.wav")
SPEECH, TRANSLATE = "/v1/audio/transcriptions", "/v1/audio/translations"

MEDIA = [
    *(Ask(f"refused {name}", SPEECH, (400, 413), **sent(make)) for name, make in REFUSED.items()),
    # one says that it lasts ten hours: the limit here is a minute
    *(
        Ask(f"heard {n}", SPEECH, (200, 413) if "clock" in n else (200,), **sent(m))
        for n, (_, m) in HEARD.items()
    ),
    Ask("too long a recording", SPEECH, (413,), **sent(lambda: wav(bytes(32_000 * 80)))),
    Ask("too large a file", SPEECH, (413,), **sent(lambda: bytes(9 * 2**20))),
]

BODIES = {
    "nothing": b"",
    "only a boundary": b"--b\r\n",
    "cut off in a field": b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nauto',
    "cut off in a file": WHISPER + SOUND[:-500],
    "a part without a name": b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n",
    "a part without a head": b"--b\r\n\r\nx\r\n--b--\r\n",
    "no text in a field": b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\n\xff\xfe\r\n--b--\r\n',
    "nonsense": b"nonsense" * 100,
    "endless headers of a part": b"--b\r\n" + b"X: y\r\n" * 10_000,
    "a header of a part without an end": b"--b\r\nX: " + b"y" * 100_000,
    "a boundary in a boundary": b"--b\r\n--b\r\n--b--\r\n",
    "zeros": bytes(10_000),
}
FORMS = [
    *(Ask(n, SPEECH, (400,), body=body, **FORM) for n, body in BODIES.items()),
    Ask("two files", SPEECH, (400,), **form(WHISPER, SOUND, SOUND)),
    Ask("two models", SPEECH, (400,), **form(WHISPER, WHISPER, SOUND)),
    Ask("a model that is a file", SPEECH, (400,), **form(part("model", "x", "m.txt"), SOUND)),
    Ask("a file that is no file", SPEECH, (400,), **form(WHISPER, part("file", SMALL))),
    Ask("no file", SPEECH, (400,), **form(WHISPER)),
    Ask("a thousand parts", SPEECH, (400,), **form(WHISPER, part("keywords[]", "x") * 1000, SOUND)),
    Ask("a field without end", SPEECH, (400,), **form(part("prompt", "x" * 2**19), SOUND)),
    Ask("fields with a script", SPEECH, (400,), **form(part(MARK, "x"), SOUND)),
    *(
        Ask(f"sent as {kind[:40]!r}", SPEECH, (400, 415), "POST", b"x=1", {"Content-Type": kind})
        for kind in (
            "",
            "application/json",
            "multipart/form-data",
            "multipart/form-data; boundary=",
            "multipart/form-data; boundary=" + "b" * 5000,
            'multipart/form-data; boundary="',
            "multipart/form-data; boundary=\xe9",
            "text/plain; charset=\xff",
        )
    ),
]

WRONG = [
    ("model", ""),
    ("model", "../../../etc/passwd"),
    ("model", "faster_whisper:/etc"),
    ("model", "remote:http://127.0.0.1:9"),
    ("model", MARK),
    ("model", "x" * 100_000),
    ("model", "\0"),
    ("language", "klingon"),
    ("language", MARK),
    ("language", LONG),
    ("response_format", "exe"),
    ("response_format", "../x"),
    ("temperature", "NaN"),
    ("temperature", "Infinity"),
    ("temperature", "-1"),
    ("temperature", HUGE),
    ("stream", "perhaps"),
    ("timestamp_granularities[]", "line"),
    ("include[]", "everything"),
    ("chunking_strategy", "{"),
    ("chunking_strategy", '{"a":' * 900 + "1" + "}" * 900),
    ("chunking_strategy", '{"type": "server_vad", "threshold": 1e400}'),
    ("chunking_strategy", f'{{"type": "server_vad", "prefix_padding_ms": {HUGE}}}'),
    ("chunking_strategy", DEEP),
    ("chunking_strategy[type]", "server_vad"),
    ("known_speaker_names[]", "Anna"),
    ("known_speaker_references[]", "file:///etc/passwd"),
    ("keywords[]", "\0" * 300_000),
    ("no_such_field", "x"),
    ("__proto__", "x"),
    ("", "x"),
]
FIELDS = [
    Ask(
        f"{name}={value[:30]!r}",
        SPEECH,
        (400, 404),
        **form(*([] if name == "model" else [WHISPER]), part(name, value), SOUND),
    )
    if name != "chunking_strategy[type]"
    else Ask("a strategy in brackets", SPEECH, (200,), **form(WHISPER, part(name, value), SOUND))
    for name, value in WRONG
]
FIELDS += [
    Ask(
        "a reference from the disk",
        SPEECH,
        (400,),
        **form(
            WHISPER,
            part("response_format", "diarized_json"),
            part("known_speaker_names[]", "A"),
            part("known_speaker_references[]", "file:///etc/passwd"),
            SOUND,
        ),
    ),
    Ask(
        "a reference that is noise",
        SPEECH,
        (400,),
        **form(
            WHISPER,
            part("response_format", "diarized_json"),
            part("known_speaker_names[]", MARK),
            part("known_speaker_references[]", "data:audio/wav;base64,AAAA"),
            SOUND,
        ),
    ),
    Ask(
        "a translation with what only transcriptions take",
        TRANSLATE,
        (400,),
        **form(WHISPER, part("stream", "true"), SOUND),
    ),
]


# ---- names ----

NAMES = [
    "../../etc/passwd",
    "..\\..\\windows\\win.ini",
    "/etc/passwd",
    "..",
    ".",
    "a/../../b.wav",
    "a\0b.wav",
    "a\r\nSet-Cookie: x=1.wav",
    MARK + ".wav",
    '"><img src=x onerror=alert(1)>.wav',
    "'; DROP TABLE jobs; --.wav",
    "\u202egnp.wav",
    "\ud83c\udf99\ufe0f.wav",
    "x" * 2000 + ".wav",
    "a." + "w" * 300,
    "CON.wav",
    "-rf.wav",
    "$(id).wav",
    "%00%2e%2e%2f.wav",
    "{{7*7}}.wav",
]


def tell(value) -> bytes:
    return json.dumps(value).encode()


CALLED = [
    *(
        Ask(
            f"a file called {n[:20]!r}",
            SPEECH,
            (200, 400),
            **form(WHISPER, part("file", SMALL, n.replace('"', "%22"))),
        )
        for n in NAMES
    ),
    *(
        Ask(f"a recording called {n[:20]!r}", "/recordings", (200,), "POST", tell({"name": n, "size": 5}), ME)
        for n in NAMES
    ),
]


# ---- JSON ----

NO_RECORDING = [
    b"",
    b"{",
    b"[]",
    b"null",
    b'"x"',
    b"5",
    b"\xff\xfe",
    b"\xef\xbb\xbf{}",
    '{"name": "a"}'.encode("utf-16"),
    DEEP.encode()[:4000],
    b'{"name": 5, "size": 5}',
    b'{"name": "a", "size": "5"}',
    b'{"name": "a", "size": 0}',
    b'{"name": "a", "size": -1}',
    b'{"name": "a", "size": true}',
    b'{"name": "a", "size": NaN}',
    b'{"name": "a", "size": 1e400}',
    b'{"name": "a", "size": ' + b"9" * 400 + b"}",
    b'{"name": "a", "size": ' + HUGE[:3000].encode() + b"}",
    b'{"name": ["a"], "size": 5}',
    b'{"name": "a", "size": 5, "size": []}',
]
HERE = "/recordings/{id}"
EDITS = [
    "{}",
    '{"revision": 0}',
    '{"operations": []}',
    '{"revision": "0", "operations": []}',
    '{"revision": 0, "operations": {}}',
    '{"revision": 0, "operations": [5]}',
    '{"revision": 0, "operations": [{"id": 5, "op": "sure"}]}',
    '{"revision": 0, "operations": [{"id": "a", "op": "rm"}]}',
    '{"revision": 0, "operations": [{"id": "a", "op": ["sure"]}]}',
    '{"revision": 0, "operations": [{"id": "a", "op": "text", "line": 0.5, "text": "x"}]}',
    '{"revision": 0, "operations": [{"id": "a", "op": "text", "line": -1, "text": "x"}]}',
    '{"revision": 0, "operations": [{"id": "a", "op": "text", "line": 9999999999999999999, "text": "x"}]}',
    '{"revision": 0, "operations": [{"id": "a", "op": "text", "line": 0, "text": "\\ud800"}]}',
    '{"revision": 0, "operations": [{"id": "a", "op": "text", "line": 0, "text": {"a": 1}}]}',
    '{"revision": 0, "operations": [{"id": "a", "op": "speakers", "turns": [], "exclusive": []}]}',
    '{"revision": 0, "operations": [{"id": "a", "op": "__class__"}]}',
    '{"revision": 0, "operations": ' + "[" * 900 + "]" * 900 + "}",
    '{"revision": 0, "operations": [' + ",".join(['{"id": "a", "op": "sure", "line": 0}'] * 201) + "]}",
]
JSON = [
    *(Ask(f"no recording {b[:34]!r}", "/recordings", (400, 413), "POST", b, ME) for b in NO_RECORDING),
    Ask("a recording of a petabyte", "/recordings", (413,), "POST", tell({"name": "a", "size": 10**15}), ME),
    Ask("a recording in 5000 blanks", "/recordings", (413,), "POST", b" " * 5000, ME),
    *(Ask(f"no edit {e[:70]}", f"{HERE}/edits", (400, 409), "POST", e.encode(), ME) for e in EDITS),
    Ask(
        "an edit of the far future",
        f"{HERE}/edits",
        (400, 409),
        "POST",
        tell({"revision": 10**40, "operations": [{"id": "a", "op": "sure", "line": 0}]}),
        ME,
    ),
    Ask("a mebibyte of edits", f"{HERE}/edits", (400, 413), "POST", b"[" * 2**21, ME),
    *(
        Ask(f"no speakers {s}", f"{HERE}/speakers", (400,), "POST", s.encode(), ME)
        for s in (
            "{}",
            '{"rung": []}',
            '{"rung": "rm"}',
            '{"rung": "auto", "exact": "2"}',
            '{"rung": "auto", "exact": -1}',
            '{"rung": "auto", "exact": ' + "9" * 40 + "}",
            '{"rung": "auto", "low": 5, "high": 2}',
            '{"rung": {"a": 1}}',
        )
    ),
    *(
        Ask(f"no stages {s}", f"{HERE}/again", (400,), "POST", s.encode(), ME)
        for s in (
            '{"stages": "rm"}',
            '{"stages": [["diarize"]]}',
            '{"stages": {"rm": 1}}',
            '{"stages": ["decode"]}',
            "[]",
            DEEP[:4000],
        )
    ),
    *(
        Ask(f"no name {s[:40]}", f"{HERE}/name", (400,), "POST", s.encode(), ME)
        for s in ("{}", '{"name": ""}', '{"name": "   "}', '{"name": 5}', '{"name": ["a"]}', "null")
    ),
    *(
        Ask(
            f"for the hub's clients {b[:40]!r}",
            "/v1/models/auto",
            (400,),
            "POST",
            b,
            {"Content-Type": "application/json"},
        )
        for b in (
            b"",
            b"{}",
            b"[]",
            b'{"inputs": 5}',
            b'{"inputs": "%%%"}',
            b'{"inputs": "QUJD"}',
            DEEP.encode(),
            b'{"inputs": "QUJD", "parameters": {"generation_parameters": {"temperature": 1e400}}}',
        )
    ),
    *(
        Ask(f"no offer {b[:60]}", "/live/offer", (400, 404), "POST", b.encode(), {})
        for b in (
            "",
            "[]",
            "{}",
            '{"type": "offer"}',
            '{"type": []}',
            '{"type": "offer", "webrtc_id": "x", "sdp": "v=0", "session": "nobody"}',
            '{"type": "offer", "webrtc_id": "' + "x" * 65 + '", "sdp": "", "session": ""}',
            '{"type": "ice-candidate", "webrtc_id": "x"}',
        )
    ),
    *(
        Ask(
            f"a candidate for nobody {id}",
            "/live/offer",
            (200, 400),
            "POST",
            f'{{"type": "ice-candidate", "webrtc_id": "{id}", "candidate": {{"candidate": "x"}}}}'.encode(),
        )
        for id in ("nobody", "\\ud800")
    ),  # FastRTC answers {"status": "failed"}
    Ask("an offer of 100 kB", "/live/offer", (413,), "POST", b" " * 100_000),
    *(
        Ask(f"a live session for a recording: {s}", f"/live/session/{s}/recording", (404,), "POST", b"{}", ME)
        for s in ("nobody", "%2e%2e", "a" * 22)
    ),
]


# ---- headers, paths, methods ----

NO_HOST = ["[", "[::1", "127.0.0.1:x", "127.0.0.1:99999999", "[v1.x]"]
HEADERS = [
    *(Ask(f"Host: {h}", "/v1/models", (400, 401), headers={"Host": h}) for h in NO_HOST),
    *(Ask(f"the page at Host: {h}", "/", (400,), headers={"Host": h}) for h in NO_HOST),
    *(
        Ask(f"Origin: {o[:30]!r}", "/recordings", (400, 403), "POST", b"{}", {**ME, "Origin": o})
        for o in (
            "null",
            "http://[",
            "https://evil.example",
            "file://",
            "\xff",
            "http://" + LONG,
            "javascript:alert(1)",
        )
    ),
    *(
        Ask(f"Authorization: {a[:30]!r}", "/v1/models", (401,), headers={"Authorization": a})
        for a in (
            "",
            "Bearer",
            "Bearer ",
            "Bearer wrong",
            "Bearer \xe9\xff",
            "Basic a2V5",
            "Bearer " + LONG,
            "Bearer " + MARK,
            "bearer\tkey",
        )
    ),
    *(
        Ask(f"X-Parlance-Browser: {s[:30]!r}", "/recordings", (401,), headers={"X-Parlance-Browser": s})
        for s in ("", "short", "\xe9" * 40, "x" * 129, LONG)
    ),
    *(
        Ask(f"X-Forwarded-For: {x[:30]!r}", "/healthz", (200,), headers={"X-Forwarded-For": x})
        for x in (
            "",
            "nobody",
            "1.2.3.4.5",
            "::::",
            "\xff",
            "1.1.1.1," * 500,
            MARK,
            "fe80::1%eth0",
            "[::1]:x",
        )
    ),
    *(
        Ask(f"Cookie: {c[:30]!r}", "/recordings", (200,), headers={**ME, "Cookie": c})
        for c in (
            "=",
            ";;;;",
            "parlance-login=\xe9.\xff",
            "a=" + LONG,
            "parlance-login=99999999999." + "0" * 64,
            '"',
            "a=b;" * 500,
        )
    ),
    *(
        Ask(f"Content-Length: {n}", "/recordings", (400,), "POST", b"{}", {**ME, "Content-Length": n})
        for n in ("-1", "x", "1e3", HUGE[:400], "0x2", "2, 3")
    ),
    Ask("a length of a terabyte", "/recordings", (413,), "POST", b"", {**ME, "Content-Length": str(10**12)}),
    Ask(
        "two kinds of length",
        "/recordings",
        (400,),
        "POST",
        b"2\r\n{}\r\n0\r\n\r\n",
        {**ME, "Transfer-Encoding": "chunked", "Content-Length": "2"},
    ),
    Ask(
        "chunks that are none",
        "/recordings",
        (400,),
        "POST",
        b"zz\r\n{}",
        {**ME, "Transfer-Encoding": "chunked"},
    ),
    Ask(
        "an encoding nobody knows",
        "/recordings",
        (400, 501),
        "POST",
        b"{}",
        {**ME, "Transfer-Encoding": "gzip"},
    ),
    Ask("a header of 100 kB", "/healthz", (200, 400, 431), headers={"X-Long": "x" * 100_000}),
    *(
        Ask(f"Accept: {a[:20]!r}", "/", (200,), headers={"Accept": a})
        for a in ("", "\xff", "text/html;q=" + "9" * 400, MARK)
    ),
    *(
        Ask(f"Accept-Language: {a[:20]!r}", "/", (200,), headers={"Accept-Language": a})
        for a in (MARK, "\xff", "de;q=nan,en;q=1e999", "x-" * 500)
    ),
    Ask("a request's own id", "/healthz", (200,), headers={"X-Request-ID": MARK}),
    Ask(
        "another method hidden in a header", HERE, (200,), headers={**ME, "X-HTTP-Method-Override": "DELETE"}
    ),
    Ask(
        "a preflight from elsewhere",
        "/recordings",
        (403,),
        "OPTIONS",
        b"",
        {"Origin": "https://evil.example", "Access-Control-Request-Method": "DELETE"},
    ),
]

PATHS = [
    Ask(f"GET {p[:50]}", p, (400, 403, 404), headers=ME)
    for p in (
        *(
            f"/{folder}/{way}"
            for folder in ("parlance", "editor", "static", "assets")
            for way in (
                "../app.py",
                "..%2f..%2fapp.py",
                "%2e%2e/%2e%2e/app.py",
                "..%5c..%5capp.py",
                "%00",
                "x%00.js",
                "x" * 300,
                "/etc/passwd",
                "%c0%ae%c0%ae/app.py",
                "..;/app.py",
            )
        ),
        "/%ff",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/\\etc\\passwd",
        "/.env",
        "/.git/config",
        "/app.py",
        "/data/recordings.db",
        "/recordings.db",
        "/recordings/%00/document",
        "/recordings/%ff/document",
        "/recordings/..%2f..%2fetc/document",
        f"/recordings/{'a' * 300}/document",
        "/recordings/'%20OR%201=1/document",
        "/v1/..%2f..%2fetc/passwd",
        "/v1/nothing",
        "/v1/chat/completions",
        f"/v1/models/{MARK}",
        "/v1/models/%00",
        "/v1/models/..%2f..%2fetc",
        "/v1/stream/%00",
        "/v1/stream/..%2f..%2fx",
        f"/v1/stream/{'a' * 22}",
        "/v1/stream/x?format=exe",
        "/live/session/%2e%2e",
        "/live/session/nobody",
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file=http://127.0.0.1:9/",
        "/gradio_api/proxy=http://169.254.169.254/",
        "/gradio_api/upload",
        "/gradio_api/info",
        "/gradio_api/heartbeat/%00",
        "/gradio_api/heartbeat/..",
        "/config",
        "/login?next=//evil.example",
        "/docs",
        "/openapi.json",
        "/" + "x" * 300,
        "/wp-login.php",
        "http://evil.example/x",
    )
]
QUERIES = [
    *(
        Ask(f"document?{q[:40]}", f"{HERE}/document?{q}", (200,), headers=ME)
        for q in (
            "since=-1",
            f"since={HUGE}",
            "since=x",
            "since=%ff",
            "lines=1e9",
            "version=x",
            "since=1&since=2",
            MARK,
        )
    ),
    *(
        Ask(f"upload?{q[:40]}", f"{HERE}/upload?{q}", (409,), "PUT", b"x", ME)
        for q in ("at=-1", f"at={HUGE}", "at=%C2%B2", "at=%D9%A1", "at=0x1", "at=", "at=%00", "", "at=0")
    ),
    *(
        Ask(f"sound?{q[:40]}", f"{HERE}/audio?{q}", (404,))
        for q in ("", "key=", "key=%ED%A0%80", "key=%00", f"key={'0' * 32}", f"key={LONG}")
    ),
    *(
        Ask(f"export/{q[:40]}", f"{HERE}/export/{q}", (400, 404))
        for q in (
            "exe?key={key}",
            "..%2ftxt?key={key}",
            f"{MARK}?key={{key}}",
            "txt",
            "txt?key=0",
            "%00?key={key}",
        )
    ),
    *(
        Ask(f"export?{q[:40]}", f"{HERE}/export/txt?key={{key}}&{q}", (200, 409))
        for q in ("version=99999", "version=-1", f"version={HUGE}", "speakers=%ff&times=x")
    ),
    *(
        Ask(
            f"another's {m} {p}",
            f"{HERE}/{p}".rstrip("/"),
            (404,),
            m,
            b'{"name": "x"}' if m == "POST" else b"",
            {"X-Parlance-Browser": "b" * 64},
        )
        for m, p in (
            ("GET", "document"),
            ("POST", "edits"),
            ("POST", "name"),
            ("POST", "cancel"),
            ("POST", "again"),
            ("GET", "upload"),
            ("DELETE", ""),
        )
    ),
]
RANGES = [
    Ask(
        f"Range: {r[:40]}{more}",
        f"{HERE}/audio?key={{key}}{more}",
        (200, 206, 400, 416),
        headers={"Range": r},
    )
    for more in ("", "&as=wav")
    for r in (
        "bytes=abc",
        "bytes=-",
        "bytes=5-2",
        "bytes=99999999999-",
        f"bytes=0-{HUGE}",
        "bytes=-0",
        "bytes=-99999999999",
        "bytes=" + "0-," * 500,
        "bytes=0-1,1-2,2-3",
        "items=0-1",
        "bytes=0-0\xff",
        "bytes= 0 - 1 ",
        "",
    )
]
METHODS = [
    Ask(f"{m[:20]} {p}", p, (200, 204, 400, 403, 404, 405), m)
    for m in ("TRACE", "CONNECT", "PROPFIND", "get", "A" * 300, "PUT", "PATCH", "DELETE", "OPTIONS")
    for p in ("/", "/v1/models", "/static/img/logo.svg", "/gradio_api/queue/join")
]


# ---- Gradio's calls ----

NO_CALL = [
    "",
    "{}",
    "[]",
    "null",
    '"x"',
    "{",
    DEEP[:5000],
    '{"data": null, "fn_index": 0}',
    '{"data": [], "fn_index": -1}',
    '{"data": [], "fn_index": 99999}',
    f'{{"data": [], "fn_index": {"9" * 40}}}',
    f'{{"data": [], "fn_index": {HUGE}}}',
    '{"data": [], "fn_index": "0"}',
    '{"data": [], "fn_index": null}',
    '{"data": {}, "fn_index": 0}',
    '{"data": [], "fn_index": true}',
    '{"data": [], "api_name": "predict"}',
    '{"data": [], "fn_index": 0, "session_hash": []}',
    '{"data": [], "fn_index": 0, "session_hash": "../../x"}',
    f'{{"data": [], "fn_index": 0, "session_hash": "{LONG}"}}',
    '{"data": ["\\ud800"], "fn_index": 0, "session_hash": "a"}',
    *(
        json.dumps({"data": data, "fn_index": 0, "session_hash": "a"})
        for file in ({"path": "/etc/passwd"}, {"url": "http://127.0.0.1:9/x"})
        for data in ([file | {"meta": {"_type": "gradio.FileData"}}], [[file]])
    ),
    '{"data": [[[[[]]]]], "fn_index": 0, "session_hash": "a"}',
]
TYPED = {"Content-Type": "application/json"}
GRADIO = [
    *(
        Ask(f"{way} {call[:60]}", f"/gradio_api/{way}", (400, 422), "POST", call.encode(), TYPED)
        for way in ("queue/join", "run/predict")
        for call in NO_CALL
    ),
    *(
        Ask(f"{way} {call[:40]}", f"/gradio_api/{way}", (200, 400, 422), "POST", call.encode(), TYPED)
        for way in ("cancel", "reset")
        for call in (
            "",
            "{}",
            "[]",
            '{"event_id": []}',
            '{"event_id": "nobody", "session_hash": "nobody", "fn_index": 0}',
            '{"event_id": "\\ud800"}',
        )
    ),
    *(
        Ask(
            f"function {n} with nonsense",
            "/gradio_api/run/predict",
            (200, 400, 404, 422),
            "POST",
            tell({"data": [MARK, -1, None, [LONG], 1e300, True], "fn_index": n, "session_hash": "h"}),
            TYPED,
        )
        for n in range(12)
    ),
    *(
        Ask(f"events of {s[:20]}", f"/gradio_api/queue/data?session_hash={s}", (200, 400))
        for s in ("nobody", "%00", "", LONG, "..%2f", MARK)
    ),
    Ask(
        "a mebibyte of nonsense for Gradio",
        "/gradio_api/queue/join",
        (400,),
        "POST",
        tell({"data": ["x" * 2**20], "fn_index": "x"}),
        TYPED,
    ),
    Ask("three mebibytes for Gradio", "/gradio_api/queue/join", (413,), "POST", b" " * 3 * 2**20, TYPED),
    Ask("a form for Gradio", "/gradio_api/upload", (404,), **form(part("files", SMALL, "../../x.py"))),
]

ASKED = [
    *MEDIA,
    *FORMS,
    *FIELDS,
    *CALLED,
    *JSON,
    *HEADERS,
    *PATHS,
    *QUERIES,
    *RANGES,
    *METHODS,
    *GRADIO,
]


# ---- bytes that are no HTTP ----

BYTES = {
    "nothing of HTTP": b"\x00\x01\x02\x03\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200) + b"\r\n\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "HTTP/9.9": b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "a header without a name": b"GET / HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n",
    "a header with a gap": b"GET / HTTP/1.1\r\nHost: x\r\nA : y\r\n\r\n",
    "a header on two lines": b"GET / HTTP/1.1\r\nHost: x\r\n y\r\n\r\n",
    "a header with a zero": b"GET / HTTP/1.1\r\nHost: x\r\nA: \x00\r\n\r\n",
    "a bare carriage return": b"GET / HTTP/1.1\rHost: x\r\n\r\n",
    "a path with a blank": b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
    "a path in UTF-8": "GET /é HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
    "no path": b"GET  HTTP/1.1\r\nHost: x\r\n\r\n",
    "a line of 200 kB": b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n",
    "5000 headers": b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 20_000 + b"\r\n",
}


# ---- WebSockets ----

REALTIME, STREAM, LIVE = "/v1/realtime?intent=transcription", "/v1/stream", "/live/session"


def event(kind, **fields) -> str:
    return json.dumps({"type": kind, **fields})


def update(**session) -> str:
    return event("session.update", session={"type": "transcription", **session})


def append(data: bytes) -> str:
    return event("input_audio_buffer.append", audio=base64.b64encode(data).decode())


TALK = [
    *(
        Say(f"realtime {m[:50]!r}", REALTIME, m)
        for m in (
            "",
            "x",
            "[1]",
            "{}",
            "null",
            "5",
            DEEP,
            '{"type": ["x"]}',
            '{"type": null}',
            event("response.create"),
            event("__class__"),
            event(MARK),
            event("input_audio_buffer.append"),
            event("input_audio_buffer.append", audio=5),
            event("input_audio_buffer.append", audio="%%%"),
            event("input_audio_buffer.append", audio="\ud800"),
            event("input_audio_buffer.commit"),
            event("session.update"),
            event("session.update", session=5),
            event("session.update", session=[]),
            event("session.update", session={"type": "realtime"}),
            update(voice="alloy"),
            update(audio=5),
            update(audio={"input": {"format": {"type": "audio/mp3"}}}),
            update(audio={"input": {"format": {"type": "audio/pcm", "rate": 10**30}}}),
            update(audio={"input": {"turn_detection": {"type": "server_vad", "threshold": 5}}}),
            update(audio={"input": {"turn_detection": {"type": "server_vad", "silence_duration_ms": -1}}}),
            update(audio={"input": {"transcription": {"model": "/etc/passwd"}}}),
            update(audio={"input": {"transcription": {"model": MARK}}}),
            update(audio={"input": {"transcription": {"language": "klingon"}}}),
            update(audio={"input": {"transcription": {"prompt": "x" * 20_000}}}),
            update(audio={"input": {"transcription": {"keywords": ["x"] * 101}}}),
            f'{{"type": "session.update", "session": {HUGE}}}',
            b"\x00\x01",
            b"",
            b"\xff" * 1000,
        )
    ),
    *(
        Say(f"stream {m[:40]!r}", STREAM, m, (4400, 4413))
        for m in (
            "",
            "x",
            "[]",
            "{}",
            "null",
            DEEP[:10_000],
            '{"type": "dance"}',
            '{"type": ["start"]}',
            '{"type": {"a": 1}}',
            '{"type": "start", "at": "x"}',
            '{"type": "start", "at": NaN}',
            '{"type": "start", "at": -1}',
            '{"type": "start", "at": 1e999}',
            '{"type": "start", "at": ' + "9" * 400 + "}",
            '{"type": "start", "language": 5}',
            '{"type": "start", "language": "klingon"}',
            '{"type": "start", "task": "rm"}',
            '{"type": "start", "hotwords": ["x"]}',
            "x" * 20_000,
            bytes(2**20 + 1),
        )
    ),
    *(
        Say(f"stream?{q[:40]}", f"{STREAM}?{q}", b"", (4400, 4404))
        for q in (
            "session=nobody",
            "session=%00",
            "session=..%2f..%2fx",
            "rate=0",
            "rate=-1",
            "rate=1e9",
            f"rate={HUGE}",
            "rate=%C2%B2",
            "after=x",
            "language=klingon",
            "task=rm",
            f"hotwords={LONG}",
            f"language={MARK}",
        )
    ),
    Say("a model of the attacker's", STREAM, '{"type": "start", "model": "/etc/passwd"}', (4404,)),
    Say("a model on the page", LIVE, '{"type": "start", "model": "faster_whisper:/etc"}', (4404,)),
    Say("the page's socket with nonsense", LIVE, "x", (4400,)),
    Say("an odd number of bytes, then an end", STREAM, b"\x01\x02\x03", (1000,)),
]
SHUT = [  # handshakes that are refused: (name, path, headers, statuses)
    ("another site's page at the microphone", LIVE, {"Origin": "https://evil.example"}, (403,)),
    ("no key", REALTIME, {"Authorization": ""}, (401,)),
    ("a wrong key", REALTIME, {"Authorization": "Bearer wrong"}, (401,)),
    ("a conversation", "/v1/realtime?intent=conversation", {}, (400,)),
    ("a model that there is not", f"/v1/realtime?model={MARK}", {}, (404,)),
    ("a socket that there is not", "/v1/nothing", {}, (403, 404)),
    ("Gradio's socket", "/queue/join", {}, (403, 404)),
    ("a broken origin", LIVE, {"Origin": "http://["}, (400, 403)),
]


def frame(first: int, payload: bytes = b"", masked: bool = True, length: int | None = None) -> bytes:
    """A WebSocket frame: its first byte, its payload, and a length that may lie (RFC 6455, 5.2)."""
    size = len(payload) if length is None else length
    bit = 0x80 if masked else 0
    head = (
        struct.pack("!BB", first, bit | size) if size < 126 else struct.pack("!BBQ", first, bit | 127, size)
    )
    return head + (bytes(4) if masked else b"") + payload


FRAMES = {
    "an opcode that there is not": frame(0x83, b"x"),
    "a reserved bit": frame(0xF1, b"x"),
    "not masked": frame(0x81, b"x", masked=False),
    "a ping of 200 bytes": frame(0x89, bytes(200)),
    "a ping in pieces": frame(0x09, b"x"),
    "a rest without a beginning": frame(0x80, b"x"),
    "a beginning in a beginning": frame(0x01, b"x") + frame(0x01, b"y"),
    "text that is no UTF-8": frame(0x81, b"\xff\xfe"),
    "a length of 2^62": frame(0x82, b"", length=2**62),
    "a length of 2^63": frame(0x82, b"", length=2**63),
    "a close of one byte": frame(0x88, b"x"),
    "a close with a code that there is not": frame(0x88, struct.pack("!H", 99)),
    "a close that explains in no UTF-8": frame(0x88, struct.pack("!H", 1000) + b"\xff"),
    "HTTP in the middle": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
}
