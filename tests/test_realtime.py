"""OpenAI's Realtime API over a real WebSocket, with the tones backend and the real scheduler."""

import base64
import json
import time

import anyio
import numpy as np
import pytest
from starlette.testclient import WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from asr.api import call, settings
from asr.api.hearing import Began, Ended, Said, TurnDetector
from asr.api.pcm import TABLES, Decoder
from asr.audio import SAMPLE_RATE, to_pcm16
from asr.errors import ASRError
from tests.house import House
from tests.tones import Tones, loud, say, silence

SPEECH = "ask not what your country can do for you"
URL = "/v1/realtime?intent=transcription"
MANUAL = {"audio": {"input": {"turn_detection": None}}}


def tones_vad():
    return loud


class Talk:
    """A test's side of a session."""

    def __init__(self, socket):
        self.socket = socket
        self.events = []

    def send(self, kind, **fields):
        self.socket.send_text(json.dumps({"type": kind, **fields}))

    def update(self, session):
        self.send("session.update", session={"type": "transcription", **session})
        return self.until("session.updated")

    def speak(self, audio, piece=2400, rate=24_000, pause=0.0):
        """Audio at 16 kHz, sent as PCM at 24 kHz, with some seconds of `pause` after each piece."""
        at = np.arange(int(len(audio) * rate / SAMPLE_RATE)) * SAMPLE_RATE / rate
        data = to_pcm16(np.interp(at, np.arange(len(audio)), audio)).astype("<i2").tobytes()
        for i in range(0, len(data), 2 * piece):
            self.append(data[i : i + 2 * piece])
            time.sleep(pause)

    def append(self, data):
        self.send("input_audio_buffer.append", audio=base64.b64encode(data).decode())

    def receive(self, seconds=20):
        """The next event; fails instead of waiting for ever."""

        async def one():
            with anyio.fail_after(seconds):
                return await self.socket._send_rx.receive()

        message = self.socket.portal.call(one)
        self.socket._raise_on_close(message)
        self.events.append(json.loads(message["text"]))
        return self.events[-1]

    def until(self, kind):
        """The next event of a kind; what comes before it is in `events`."""
        while True:
            event = self.receive()
            if event["type"] == kind:
                return event
            assert event["type"] != "error" or kind == "error", event

    def completed(self):
        return self.until("conversation.item.input_audio_transcription.completed")

    def kinds(self):
        return [e["type"] for e in self.events]


def talk_to(house, url=URL, **options):
    return house.client.websocket_connect(f"ws://127.0.0.1{url}", **options)


@pytest.fixture
def house():
    with House() as house:
        yield house


def test_a_spoken_turn_tells_its_story_in_openais_order(house):
    with talk_to(house) as socket:
        talk = Talk(socket)
        created = talk.until("session.created")["session"]
        assert created["type"] == "transcription" and created["object"] == "realtime.transcription_session"
        talk.speak(np.concatenate([silence(0.5), say(SPEECH), silence(1.2)]))
        done = talk.completed()
    assert done["transcript"] == SPEECH and done["content_index"] == 0
    assert done["usage"]["type"] == "duration" and done["languages"] == [{"code": "en"}]
    order = [k for k in talk.kinds() if not k.endswith(".delta")]
    assert order == [
        "session.created",
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "conversation.item.input_audio_transcription.completed",
    ]
    assert {e["item_id"] for e in talk.events if "item_id" in e} == {done["item_id"]}
    assert len({e["event_id"] for e in talk.events}) == len(talk.events)
    deltas = "".join(e["delta"] for e in talk.events if e["type"].endswith(".delta"))
    assert deltas == SPEECH
    started, stopped = (next(e for e in talk.events if e["type"].endswith(k)) for k in ("started", "stopped"))
    assert started["audio_start_ms"] == pytest.approx(200, abs=70)  # 500 less 300 of prefix
    spoken = len(say(SPEECH)) / SAMPLE_RATE * 1000
    assert stopped["audio_end_ms"] == pytest.approx(500 + spoken + 500, abs=120)


def test_manual_turns_stream_text_before_they_are_committed(house):
    with talk_to(house) as socket:
        talk = Talk(socket)
        assert talk.update(MANUAL)["session"]["audio"]["input"]["turn_detection"] is None
        talk.speak(say(SPEECH), pause=0.02)
        delta = talk.until("conversation.item.input_audio_transcription.delta")
        talk.send("input_audio_buffer.commit")
        first = talk.completed()
        talk.speak(say("so can you"))
        talk.send("input_audio_buffer.commit")
        second = talk.completed()
    assert delta["item_id"] == first["item_id"] and SPEECH.startswith(delta["delta"])
    assert (first["transcript"], second["transcript"]) == (SPEECH, "so can you")
    committed = [e for e in talk.events if e["type"] == "input_audio_buffer.committed"]
    assert [e["previous_item_id"] for e in committed] == [None, first["item_id"]]
    assert first["usage"]["seconds"] == pytest.approx(len(say(SPEECH)) / SAMPLE_RATE, abs=0.05)
    assert not any("speech_" in k for k in talk.kinds())


def test_several_turns_come_in_the_order_they_were_spoken(house):
    turns = ["ask not", "what your country", "can do", "for you"]
    with talk_to(house) as socket:
        talk = Talk(socket)
        pause = silence(0.9)
        talk.speak(np.concatenate([x for turn in turns for x in (say(turn), pause)]))
        assert [talk.completed()["transcript"] for _ in turns] == turns


@pytest.mark.parametrize("kind", ["audio/pcmu", "audio/pcma"])
def test_telephone_audio_is_understood(house, kind):
    samples = to_pcm16(say(SPEECH)[::2])  # 8 kHz; the highest tone is 1.7 kHz
    codes = np.abs(TABLES[kind].astype(int)[None] - samples.astype(int)[:, None]).argmin(1).astype(np.uint8)
    with talk_to(house) as socket:
        talk = Talk(socket)
        talk.update({"audio": {"input": {"format": {"type": kind}, "turn_detection": None}}})
        talk.append(codes.tobytes())
        talk.send("input_audio_buffer.commit")
        assert talk.completed()["transcript"] == SPEECH


@pytest.mark.parametrize("kind", ["audio/pcm", "audio/pcmu", "audio/pcma"])
def test_the_size_of_the_pieces_makes_no_difference(kind):
    data = np.random.default_rng(0).integers(0, 256, 9001, np.uint8).tobytes()
    whole, decoder = Decoder(kind)(data), Decoder(kind)
    pieces = np.concatenate([decoder(data[i : i + 7]) for i in range(0, len(data), 7)])
    assert np.array_equal(whole, pieces)


def test_g711_decodes_as_the_standard_says():
    mulaw, alaw = TABLES["audio/pcmu"], TABLES["audio/pcma"]
    assert (mulaw[0x00], mulaw[0x80], mulaw[0xFF], mulaw[0x7F]) == (-32124, 32124, 0, 0)
    assert (alaw[0x2A], alaw[0xAA], alaw[0xD5], alaw[0x55]) == (-32256, 32256, 8, -8)
    assert np.array_equal(mulaw[:128], -mulaw[128:]) and np.array_equal(alaw[:128], -alaw[128:])


def test_the_clients_turn_detection_is_obeyed(house):
    """A pause of 0.7 s ends a turn of 300 ms silence, and not one of 1500 ms."""
    speech = np.concatenate([say("ask not"), silence(0.7), say("what your"), silence(2.0)])
    for milliseconds, turns in ((300, ["ask not", "what your"]), (1500, ["ask not what your"])):
        with talk_to(house) as socket:
            talk = Talk(socket)
            vad = {"type": "server_vad", "silence_duration_ms": milliseconds}
            talk.update({"audio": {"input": {"turn_detection": vad}}})
            talk.speak(speech)
            assert [talk.completed()["transcript"] for _ in turns] == turns


@pytest.mark.parametrize("piece", [100, 512, 5000, 100_000])
def test_turns_do_not_depend_on_how_audio_is_cut(piece):
    audio = np.concatenate([silence(1), say("ask not"), silence(1), say("what"), silence(1)])
    detector = TurnDetector(0.5, 0.3, 0.5, vad=tones_vad)
    found = [x for i in range(0, len(audio), piece) for x in detector.hear(audio[i : i + piece])]
    moments = [(type(x), x.at) for x in found if not isinstance(x, Said)]
    assert [m[0] for m in moments] == [Began, Ended, Began, Ended]
    starts = [m[1] / SAMPLE_RATE for m in moments if m[0] is Began]
    assert starts == pytest.approx([0.7, 2.42], abs=0.04)
    said = np.concatenate([x.audio for x in found if isinstance(x, Said)])
    first = moments[1][1] - moments[0][1]
    assert np.array_equal(said[:first], audio[moments[0][1] : moments[1][1]])


def test_a_higher_threshold_takes_more_to_begin_a_turn():
    for threshold, turns in ((0.6, 1), (0.9, 0)):
        detector = TurnDetector(threshold, 0.3, 0.5, vad=lambda: lambda audio: loud(audio) * np.float32(0.8))
        found = list(detector.hear(np.concatenate([say("ask not"), silence(1)])))
        assert sum(isinstance(x, Ended) for x in found) == turns


def test_options_reach_the_engine(house):
    asked = {"model": "whisper-1", "language": "en", "prompt": "fellow", "keywords": ["country", "ask"]}
    with talk_to(house) as socket:
        talk = Talk(socket)
        talk.update({"audio": {"input": {"transcription": asked, "turn_detection": None}}})
        talk.speak(say("ask not"))
        talk.send("input_audio_buffer.commit")
        talk.completed()
    heard = house.backend.calls[-1]
    assert (heard.language, heard.prompt, heard.hotwords) == ("en", "fellow", "country, ask")


def test_an_update_changes_only_what_it_names():
    session = settings.updated(
        settings.Session(), {"audio": {"input": {"transcription": {"language": "en"}}}}
    )
    session = settings.updated(session, {"audio": {"input": {"transcription": {"prompt": "x"}}}})
    assert (session.input.transcription.language, session.input.transcription.prompt) == ("en", "x")
    assert session.input.turn_detection.silence_duration_ms == 500
    assert settings.updated(
        session, {"audio": {"input": {"format": {"type": "audio/pcmu"}}}}
    ).input.format.type


@pytest.mark.parametrize(
    ("session", "param"),
    [
        ({"type": "realtime"}, "session.type"),
        ({"voice": "alloy"}, "session.voice"),
        ({"audio": {"output": {}}}, "session.audio.output"),
        (
            {"audio": {"input": {"noise_reduction": {"type": "near_field"}}}},
            "session.audio.input.noise_reduction",
        ),
        (
            {"audio": {"input": {"format": {"type": "audio/pcm", "rate": 8000}}}},
            "session.audio.input.format.rate",
        ),
        (
            {"audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}},
            "session.audio.input.turn_detection.type",
        ),
        ({"include": ["item.input_audio_transcription.logprobs"]}, "session.include"),
        (
            {"audio": {"input": {"transcription": {"model": "no-such"}}}},
            "session.audio.input.transcription.model",
        ),
        ("text", "session"),
    ],
)
def test_a_wrong_update_is_named_and_changes_nothing(house, session, param):
    with talk_to(house) as socket:
        talk = Talk(socket)
        talk.send("session.update", session=session, event_id="mine")
        error = talk.until("error")["error"]
        assert error["param"] == param and error["event_id"] == "mine" and error["message"]
        assert error["type"] == "invalid_request_error"
        shown = talk.update({})["session"]
        assert shown["audio"] == settings.Session().shown()["audio"]


@pytest.mark.parametrize(
    "message",
    [
        "no json",
        "[1]",
        "[" * 100_000,
        "{}",
        '{"type": "response.create"}',
        '{"type": ["x"]}',
        '{"type": "input_audio_buffer.append"}',
        '{"type": "input_audio_buffer.append", "audio": 5}',
        '{"type": "input_audio_buffer.append", "audio": "%%%"}',
        '{"type": "input_audio_buffer.commit"}',
        b"\x00\x01",
    ],
)
def test_nonsense_is_answered_and_the_session_goes_on(house, message):
    with talk_to(house) as socket:
        talk = Talk(socket)
        socket.send_bytes(message) if isinstance(message, bytes) else socket.send_text(message)
        assert talk.until("error")["error"]["message"]
        talk.speak(np.concatenate([say("so"), silence(1)]))
        assert talk.completed()["transcript"] == "so"


def test_clear_forgets_what_was_not_committed(house):
    with talk_to(house) as socket:
        talk = Talk(socket)
        talk.update(MANUAL)
        talk.speak(say("americans"))
        talk.send("input_audio_buffer.clear")
        talk.until("input_audio_buffer.cleared")
        talk.speak(say("ask not"))
        talk.send("input_audio_buffer.commit")
        assert talk.completed()["transcript"] == "ask not"


def test_without_transcription_turns_are_still_told(house):
    with talk_to(house) as socket:
        talk = Talk(socket)
        talk.update({"audio": {"input": {"transcription": None}}})
        talk.speak(np.concatenate([say("so"), silence(1)]))
        talk.until("conversation.item.done")
        talk.update({"audio": {"input": {"transcription": {"model": "auto"}}}})
        talk.speak(np.concatenate([say("ask"), silence(1)]))
        assert talk.completed()["transcript"] == "ask"


def test_one_place_too_many_is_told_to_come_back():
    with House(live_sessions=1) as house, talk_to(house) as first:
        Talk(first).until("session.created")
        with pytest.raises(WebSocketDenialResponse) as refused, talk_to(house):
            pass
        assert refused.value.status_code == 503 and refused.value.headers["retry-after"]
        assert "place" in refused.value.json()["error"]["message"]


def test_a_scheduler_full_of_others_ends_the_session_with_a_reason():
    house = House()
    house.schedulers._settings["max_streams"] = 0
    with house, talk_to(house) as socket:
        talk = Talk(socket)
        assert talk.until("error")["error"]["code"] == "overloaded"
        with pytest.raises(WebSocketDisconnect):
            talk.receive()


def test_a_client_that_leaves_frees_its_place(house):
    for _ in range(3):
        with talk_to(house) as socket:
            talk = Talk(socket)
            talk.speak(say("ask not what"))
            talk.until("input_audio_buffer.speech_started")
    until = time.monotonic() + 5
    while house.server.calls.taken or house.schedulers.all()[0].stats()["streams"]:
        assert time.monotonic() < until
        time.sleep(0.01)


def test_audio_that_comes_before_the_model_is_not_lost():
    tones = Tones()
    with House(load=lambda *_: time.sleep(1) or tones) as house, talk_to(house) as socket:
        talk = Talk(socket)
        talk.speak(np.concatenate([say("ask not"), silence(1), say("what"), silence(1)]))
        assert [talk.completed()["transcript"] for _ in range(2)] == ["ask not", "what"]


def test_a_model_that_fails_is_told_for_each_turn():
    def broken(*_):
        raise ASRError("The weights are gone.", "Fetch them again.")

    with House(load=broken) as house, talk_to(house) as socket:
        talk = Talk(socket)
        assert "weights are gone" in talk.until("error")["error"]["message"]
        talk.update(MANUAL)
        talk.speak(say("ask not"))
        talk.send("input_audio_buffer.commit")
        while "conversation.item.input_audio_transcription.failed" not in talk.kinds():
            talk.receive()
        assert "weights are gone" in talk.events[-1]["error"]["message"]


def test_audio_much_faster_than_the_model_is_refused_and_said(house, monkeypatch):
    monkeypatch.setattr(call, "BEHIND", 1.0)
    house.backend.transcribe_batch = lambda windows, options: time.sleep(3) or [[] for _ in windows]
    with talk_to(house) as socket:
        talk = Talk(socket)
        talk.update(MANUAL)
        talk.speak(say(SPEECH))
        assert talk.until("error")["error"]["code"] == "rate_limit_exceeded"


def test_a_session_that_says_nothing_ends():
    with House(realtime_idle_minutes=0.2 / 60) as house, talk_to(house) as socket:
        talk = Talk(socket)
        assert talk.until("error")["error"]["code"] == "session_expired"
        with pytest.raises(WebSocketDisconnect):
            talk.receive()


def test_a_session_whose_time_is_over_tells_what_it_heard_first():
    with House(live_hours=1 / 3600) as house, talk_to(house) as socket:
        talk = Talk(socket)
        talk.speak(say("ask not what"))
        assert talk.completed()["transcript"] == "ask not what"
        assert talk.until("error")["error"]["code"] == "session_expired"


def test_only_transcription_sessions_are_held(house):
    for url, status in (("/v1/realtime?intent=conversation", 400), ("/v1/realtime?model=gpt-realtime", 404)):
        with pytest.raises(WebSocketDenialResponse) as refused, talk_to(house, url):
            pass
        assert refused.value.status_code == status and refused.value.json()["error"]["message"]


def test_keys_open_the_socket_by_header_or_as_browsers_send_them():
    with House(api_keys="one,two") as house:
        with pytest.raises(WebSocketDenialResponse) as refused, talk_to(house):
            pass
        assert refused.value.status_code == 401
        with talk_to(house, headers={"Authorization": "Bearer two"}) as socket:
            Talk(socket).until("session.created")
        with talk_to(house, subprotocols=["realtime", "openai-insecure-api-key.one"]) as socket:
            assert socket.accepted_subprotocol == "realtime"
            Talk(socket).until("session.created")


def test_a_foreign_web_page_cannot_use_the_socket_of_this_machine(house):
    for headers in (
        {"Origin": "https://evil.example"},
        {"X-Forwarded-For": "8.8.8.8"},
        {"Host": "evil.example"},
    ):
        with pytest.raises(WebSocketDenialResponse) as refused, talk_to(house, headers=headers):
            pass
        assert refused.value.status_code == 401
