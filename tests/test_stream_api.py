"""The WebSocket for programs, through a plain client and a real server."""

import json
import time
from contextlib import contextmanager, suppress
from socket import SHUT_RDWR

import httpx
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from asr.api import connection, stream
from asr.api.errors import Refused
from asr.audio import to_pcm16
from asr.models import Status
from tests.hall import Everybody, Slow, serving, sessions
from tests.tones import Tones, say, silence

SPEECH = "ask not what your country can do for you"


@contextmanager
def hall(folder, backend=None, policy=Everybody, **settings):
    with sessions(folder, backend, **settings) as house, serving(stream.routes(house, policy)) as port:
        yield f"ws://127.0.0.1:{port}/v1/stream", house


@pytest.fixture
def url(tmp_path):
    with hall(tmp_path) as (url, _):
        yield url


def pcm(audio, rate=16_000):
    if rate != 16_000:
        n = round(len(audio) * rate / 16_000)
        audio = np.interp(np.arange(n) * 16_000 / rate, np.arange(len(audio)), audio)
    return to_pcm16(audio).tobytes()


def send(socket, data, size=3200):
    for i in range(0, len(data), size):
        socket.send(data[i : i + size])


def order(socket, kind, **rest):
    socket.send(json.dumps({"type": kind, **rest}))


def events(socket, until=lambda e: False):
    """Everything up to the event that `until` likes, or the end of the connection."""
    found = []
    try:
        while True:
            found.append(json.loads(socket.recv(timeout=20)))
            if until(found[-1]):
                return found
    except ConnectionClosed:
        return found


def words(found):
    return " ".join("".join(e["text"] for e in found if e["type"] == "settled").split())


def is_quiet(event):
    return event["type"] == "now" and event["state"] == "paused" and not event["settling"]


def speak(url, sentence=SPEECH, rest="", **how):
    with connect(url + rest) as socket:
        send(socket, pcm(np.r_[say(sentence), silence(1)]), **how)
        order(socket, "end")
        return events(socket), socket.close_code


def test_a_program_sends_audio_and_reads_text(url):
    found, code = speak(url)
    assert words(found) == SPEECH and code == 1000
    assert found[0]["type"] == "session" and found[0]["state"] == "connecting"
    assert found[-1]["type"] == "now" and found[-1]["state"] == "over"
    settled = [e for e in found if e["type"] == "settled"]
    assert [e["seq"] for e in settled] == list(range(1, len(settled) + 1))
    assert all(e["words"][0]["start"] == e["start"] < e["end"] for e in settled)


def test_text_shows_while_it_is_spoken(url):
    with connect(url) as socket:
        for piece in np.array_split(say(SPEECH), 30):
            socket.send(pcm(piece))
            time.sleep(0.05)
        shown = events(socket, lambda e: e["type"] == "now" and "country" in e["stable"] + e["draft"])
    assert shown[-1]["state"] == "live" and shown[-1]["heard"] > 0


@pytest.mark.parametrize("rate", [8000, 24_000, 44_100, 48_000])
def test_every_rate_a_program_has(url, rate):
    with connect(f"{url}?rate={rate}") as socket:
        send(socket, pcm(np.r_[say(SPEECH), silence(1)], rate), 4410)
        order(socket, "end")
        assert words(events(socket)) == SPEECH


def test_messages_may_cut_samples_in_two(url):
    assert words(speak(url, size=1001)[0]) == SPEECH


def test_a_slow_model_loses_no_word_of_a_fast_sender(tmp_path, monkeypatch):
    monkeypatch.setattr(connection, "MOST_BEHIND", 5.0)
    sentence = " ".join([SPEECH] * 8)
    with hall(tmp_path, Slow(0.5)) as (url, _):
        assert words(speak(url, sentence)[0]) == sentence


def test_who_comes_back_gets_what_it_has_not_and_goes_on_in_the_middle(url):
    audio = np.r_[say("ask not what"), silence(1), say("your country can do"), silence(1)]
    data, half = pcm(audio), int(len(audio) * 0.7) * 2
    with connect(url) as socket:
        send(socket, data[:half])
        first = events(socket, lambda e: e["type"] == "settled")
    with connect(f"{url}?session={first[0]['session']}&after=1") as socket:
        hello = json.loads(socket.recv())
        assert hello["seq"] >= 1 and hello["heard"] == pytest.approx(half / 32_000, abs=0.01)
        order(socket, "start", at=hello["heard"])
        send(socket, data[round(hello["heard"] * 16_000) * 2 :])
        order(socket, "end")
        second = events(socket)
    assert [e["at"] for e in first + second if e["type"] == "started"] == [0, hello["heard"]]
    assert words(first + second) == "ask not what your country can do"
    assert [e["seq"] for e in first + second if "seq" in e and e["type"] != "session"] == [1, 2]
    assert not [e for e in second if e["type"] == "gap"]


def test_another_program_can_read_along(url):
    with connect(url) as speaker:
        id = json.loads(speaker.recv())["session"]
        with connect(f"{url}?session={id}") as reader:
            send(speaker, pcm(np.r_[say(SPEECH), silence(1)]))
            order(speaker, "end")
            assert words(events(reader)) == words(events(speaker)) == SPEECH
            assert reader.close_code == 1000


def test_a_pause_settles_everything_and_the_session_goes_on(url):
    with connect(url) as socket:
        send(socket, pcm(say("ask not")))
        order(socket, "pause")
        first = events(socket, is_quiet)
        send(socket, pcm(say("what your country")))
        order(socket, "pause")
        second = events(socket, is_quiet)
    assert (words(first), words(second)) == ("ask not", "what your country")


def test_the_newest_connection_speaks_and_the_older_one_is_told(url):
    with connect(url) as old:
        id = json.loads(old.recv())["session"]
        send(old, pcm(say("ask")))
        events(old, lambda e: e["type"] == "now" and e["state"] == "live")
        with connect(f"{url}?session={id}") as new:
            send(new, pcm(say("not")))
            events(new, lambda e: e["type"] == "now" and e["heard"] > 0.5)
            with suppress(ConnectionClosed):  # it may have been told already
                send(old, pcm(say("what")))
            assert events(old)[-1]["type"] == "error" and old.close_code == 4409


def test_the_transcript_in_every_format_and_its_end(url, tmp_path):
    id = speak(url)[0][0]["session"]
    page = url.replace("ws:", "http:") + f"/{id}"
    for format in ("txt", "srt", "vtt", "tsv", "json", "verbose_json"):
        answer = httpx.get(page, params={"format": format})
        assert answer.status_code == 200 and "country" in answer.text
        assert 'attachment; filename="live-20' in answer.headers["content-disposition"]
    assert "00:00:0" in httpx.get(page, params={"format": "srt"}).text
    assert httpx.get(page, params={"format": "exe"}).status_code == 400
    assert httpx.delete(page).status_code == 204 and not list((tmp_path / "live").iterdir())
    assert httpx.get(page).status_code == httpx.delete(page).status_code == 404


WRONG = [
    ("?session=nobody", 4404),
    ("?rate=12", 4400),
    ("?rate=-1", 4400),
    ("?rate=1e9", 4400),
    ("?rate=99999999999999999999", 4400),
    ("?after=x", 4400),
    ("?language=klingon", 4400),
    ("?task=sing", 4400),
    ("?hotwords=" + "x" * 1001, 4400),
]


@pytest.mark.parametrize(("query", "code"), WRONG)
def test_a_wrong_parameter_is_answered_with_a_sentence(url, query, code):
    with connect(url + query) as socket:
        (error,) = events(socket)
        assert error["type"] == "error" and error["what"] and error["fix"] and socket.close_code == code


MESSAGES = [
    "",
    "x",
    "[]",
    "{}",
    '{"type": "dance"}',
    '{"type": "start", "at": "x"}',
    '{"type": "start", "at": NaN}',
    '{"type": "start", "at": -1}',
    '{"type": "start", "language": 5}',
    "x" * 20_000,
    b"x" * (2**20 + 1),
]


@pytest.mark.parametrize("message", MESSAGES, ids=range(len(MESSAGES)))
def test_a_wrong_message_closes_with_a_sentence(url, message):
    with connect(url) as socket:
        socket.send(message)
        error = events(socket)[-1]
        assert error["type"] == "error" and socket.close_code in (4400, 4413)


def test_nobody_uninvited_comes_in(tmp_path):
    def nobody(_):
        raise Refused("You are not invited.", "Ask the owner.", status=401)

    policy = stream.Policy(nobody, lambda name: None, Everybody.status)
    with hall(tmp_path, policy=policy) as (url, house), connect(url) as socket:
        assert events(socket)[0]["what"] == "You are not invited." and socket.close_code == 4401
        assert not house._sessions
        assert httpx.get(url.replace("ws:", "http:") + "/x").status_code == 401


def test_a_full_server_says_so(tmp_path):
    with hall(tmp_path, live_sessions=1) as (url, _), connect(url) as first, connect(url) as second:
        send(first, pcm(say("ask")))
        events(first, lambda e: e["type"] == "now" and e["state"] == "live")
        send(second, pcm(say("ask")))
        assert "places" in events(second)[-1]["what"] and second.close_code == 4503


def test_what_the_model_cannot_do_is_said(tmp_path):
    with hall(tmp_path) as (url, _), connect(f"{url}?language=de") as socket:
        send(socket, pcm(say("ask")))
        assert "'de'" in events(socket)[-1]["what"] and socket.close_code == 4400


def test_a_model_that_is_still_loading_is_told_and_no_audio_is_lost(tmp_path):
    with hall(tmp_path) as (url, house):
        plain = house.open
        house.open = lambda *args: (time.sleep(1.2), plain(*args))[1]
        found = speak(url)[0]
    assert words(found) == SPEECH and any(e["type"] == "now" and e["loading"] for e in found)


def test_the_longest_session_ends_politely(tmp_path):
    with hall(tmp_path, live_hours=1 / 3600) as (url, _), connect(url) as socket:
        send(socket, pcm(np.r_[say(SPEECH), silence(1)]))
        found = events(socket)
        assert socket.close_code == 1000 and "at most" in found[-1]["error"]["what"]
        assert words(found) and SPEECH.startswith(words(found))


def test_a_connection_without_audio_is_closed(tmp_path, monkeypatch):
    monkeypatch.setattr(connection, "QUIET", 0.5)
    with hall(tmp_path) as (url, _), connect(url) as socket:
        assert events(socket)[-1]["type"] == "error" and socket.close_code == 4408


def test_a_client_that_vanishes_leaves_no_stream(tmp_path, monkeypatch):
    monkeypatch.setattr("asr.sessions.session.GRACE", 0.5)
    with hall(tmp_path) as (url, house):
        socket = connect(url)
        send(socket, pcm(np.r_[say("ask not")]))
        id = json.loads(socket.recv())["session"]
        events(socket, lambda e: e["type"] == "now" and e["state"] == "live")
        socket.socket.shutdown(SHUT_RDWR)  # no goodbye
        until = time.monotonic() + 10
        while house.get(id).busy and time.monotonic() < until:
            time.sleep(0.1)
        assert not house.get(id).busy and house.get(id).transcript().text == "ask not"


def test_many_at_once_each_get_their_own_words(url):
    sentences = ["ask not", "what your country", "can do for you", "my fellow americans", "and so"]
    sockets = [connect(url) for _ in sentences]
    for socket, sentence in zip(sockets, sentences, strict=True):
        send(socket, pcm(np.r_[say(sentence), silence(1)]))
        order(socket, "end")
    assert [words(events(s)) for s in sockets] == sentences


def test_every_option_reaches_the_engine(tmp_path):
    engine = Tones()
    with hall(tmp_path, engine) as (url, _):
        speak(url, rest="?language=en&hotwords=Kennedy&prompt=Hello&task=translate&model=auto")
    heard = engine.calls[-1]
    assert (heard.language, heard.hotwords, heard.prompt, heard.task) == (
        "en",
        "Kennedy",
        "Hello",
        "translate",
    )


def test_a_model_nobody_may_have_is_refused(tmp_path):
    def spec(name):
        raise Refused(f"The model {name!r} does not exist here.", "Take another.", status=404)

    policy = stream.Policy(lambda _: None, spec, lambda _: Status("ready", ""))
    with hall(tmp_path, policy=policy) as (url, _), connect(f"{url}?model=x") as socket:
        send(socket, pcm(say("ask")))
        assert "does not exist" in events(socket)[-1]["what"] and socket.close_code == 4404
