"""OpenAI's HTTP API: what is asked, what is answered, who may ask, and how much."""

import base64
import io
import json
import threading
import time
import wave

import httpx
import numpy as np
import pytest
import uvicorn

from asr.api import body as bodies
from asr.api import events as streams
from asr.api import keys, limits
from asr.api.chunking import Chunking
from asr.api.schema import VoiceDetection
from asr.audio import SAMPLE_RATE, to_pcm16
from asr.config import Config
from asr.errors import BackendUnavailable
from asr.types import Options, Segment
from asr.vad.spans import THRESHOLD
from tests.house import House
from tests.tones import Tones, loud, say, silence

SPEECH = "ask not what your country can do for you"
TRANSCRIBE, TRANSLATE = "/v1/audio/transcriptions", "/v1/audio/translations"
ALIASES = ["whisper-1", "gpt-transcribe", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "auto", "tones:pure"]


def wav(audio) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as f:
        f.setnchannels(1)
        f.setsampwidth(2)
        f.setframerate(SAMPLE_RATE)
        f.writeframes(to_pcm16(audio).tobytes())
    return out.getvalue()


@pytest.fixture(scope="module")
def shared():
    with House() as house:
        yield house


@pytest.fixture
def house(shared):
    shared.backend.calls.clear()
    return shared


def ask(house, audio=None, url=TRANSCRIBE, headers=None, **fields):
    """Post a form; a field given as a list is sent as `name[]`, several times."""
    data = {"model": "whisper-1"}
    for name, value in fields.items():
        data[f"{name}[]" if isinstance(value, list) else name] = value
    audio = say(SPEECH) if audio is None else audio
    files = {"file": ("speech.wav", audio if isinstance(audio, bytes) else wav(audio), "audio/wav")}
    data = {name: value for name, value in data.items() if value is not None}
    return house.client.post(url, data=data, files=files, headers=headers)


def events(response):
    assert response.headers["content-type"].startswith("text/event-stream")
    blocks = response.text.strip().split("\n\n")
    assert all(block.startswith("data: ") for block in blocks)
    return [json.loads(block.removeprefix("data: ")) for block in blocks]


# What is answered


def test_json_has_text_usage_and_language(house):
    answer = ask(house)
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"].startswith("req_")
    seconds = round(len(say(SPEECH)) / SAMPLE_RATE, 3)
    usage = {"type": "duration", "seconds": seconds}
    assert answer.json() == {"text": SPEECH, "usage": usage, "languages": [{"code": "en"}]}


def test_text_srt_and_vtt(house):
    assert ask(house, response_format="text").text == SPEECH + "\n"
    srt = ask(house, response_format="srt").text
    assert srt.startswith("1\n00:00:00,000 --> ") and "ask not" in srt
    assert ask(house, response_format="vtt").text.startswith("WEBVTT\n\n00:00:00.000 --> ")


def test_verbose_json_has_every_field_and_the_granularity_that_was_asked(house):
    body = ask(house, response_format="verbose_json").json()
    assert body["task"] == "transcribe" and body["language"] == "english" and body["text"] == SPEECH
    assert body["duration"] == pytest.approx(len(say(SPEECH)) / SAMPLE_RATE)
    fields = "id seek start end text tokens temperature avg_logprob compression_ratio no_speech_prob"
    assert set(body["segments"][0]) == set(fields.split()) and "words" not in body
    words = ask(house, response_format="verbose_json", timestamp_granularities=["word"]).json()
    assert "segments" not in words and [w["word"] for w in words["words"]] == SPEECH.split()
    assert words["words"][1]["start"] == pytest.approx(0.36, abs=0.03)
    both = ask(house, response_format="verbose_json", timestamp_granularities=["word", "segment"]).json()
    assert both["words"] and both["segments"]


def test_logprobs_are_given_per_word(house):
    found = ask(house, include=["logprobs"]).json()["logprobs"]
    assert [p["token"] for p in found] == [f" {w}" for w in SPEECH.split()]
    assert found[0] == {"token": " ask", "logprob": 0.0, "bytes": list(b" ask")}


def test_translations_ask_the_engine_to_translate(house):
    answer = ask(house, url=TRANSLATE, response_format="verbose_json").json()
    assert answer["task"] == "translate" and answer["language"] == "english" and "usage" not in answer
    assert ask(house, url=TRANSLATE).json() == {"text": SPEECH}
    assert {options.task for options in house.backend.calls} == {"translate"}


def test_a_stream_is_deltas_in_order_and_then_the_whole_text(house):
    pause = silence(31)  # two windows, so two segments
    found = events(ask(house, np.concatenate([say("ask not what"), pause, say("for you")]), stream="true"))
    assert [e["type"] for e in found] == ["transcript.text.delta"] * 2 + ["transcript.text.done"]
    assert "".join(e["delta"] for e in found[:-1]) == found[-1]["text"] == "ask not what for you"
    assert found[-1]["languages"] == [{"code": "en"}]


def test_a_stream_of_verbose_json_tells_each_segment_with_its_times_and_words(house):
    audio = np.concatenate([say("ask not what"), silence(31), say("for you")])
    how = {"stream": "true", "response_format": "verbose_json", "timestamp_granularities": ["word"]}
    found = events(ask(house, audio, **how))
    kinds = [e["type"].rpartition(".")[2] for e in found]
    assert kinds == ["delta", "segment", "delta", "segment", "done"]
    first, second = found[1], found[3]
    assert (first["id"], first["text"], second["text"]) == ("seg_0", " ask not what", " for you")
    assert second["start"] == pytest.approx(3 * 0.36 + 31, abs=0.05) and second["unsure"] is False
    assert [w["word"] for w in second["words"]] == [" for", " you"]
    plain = events(ask(house, audio, stream="true", response_format="verbose_json"))
    assert plain[1]["words"] == [] and plain[1]["start"] == first["start"]


def test_bare_samples_need_no_container(house):
    def bare(body, media="audio/pcm;rate=16000"):
        form = {"data": {"model": "auto"}, "files": {"file": ("speech.pcm", body, media)}}
        return house.client.post(TRANSCRIBE, **form)

    assert bare(to_pcm16(say(SPEECH)).tobytes()).json()["text"] == SPEECH
    assert bare(to_pcm16(say(SPEECH)).tobytes() + b"\0").json()["text"] == SPEECH
    for wrong in (bare(b""), bare(b"1"), bare(b"12", "audio/pcm"), bare(b"12", "audio/pcm;rate=44100")):
        assert wrong.status_code == 400 and wrong.json()["error"]["param"] == "file"


def test_a_stream_in_which_nothing_happens_for_long_says_that_it_lives(house, monkeypatch):
    monkeypatch.setattr(streams, "BEAT", 0.05)
    monkeypatch.setattr(house.server, "vad", lambda: lambda audio: time.sleep(0.3) or loud(audio))
    found = ask(house, stream="true").text
    assert found.startswith(":") and found.count("data: ") == 2


def test_a_stream_counts_tokens_where_the_engine_names_them(house, monkeypatch):
    def heard(windows, options):
        return [[Segment(0, 1, " hi", tokens=(5, 6), language="en")] for _ in windows]

    monkeypatch.setattr(house.backend, "transcribe_batch", heard, raising=False)
    usage = events(ask(house, say("so"), stream="true"))[-1]["usage"]
    assert usage["type"] == "tokens" and usage["output_tokens"] == 2
    assert usage["input_tokens"] == 4  # 0.36 s at ten tokens a second
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


def test_silence_is_an_empty_text_in_every_format(house):
    assert ask(house, silence(2)).json()["text"] == ""
    assert ask(house, silence(2), response_format="text").text == "\n"
    assert ask(house, silence(2), response_format="verbose_json").json()["segments"] == []
    assert ask(house, silence(2), response_format="srt").text == ""
    assert [e["type"] for e in events(ask(house, silence(2), stream="true"))] == ["transcript.text.done"]


# What is asked


@pytest.mark.parametrize("name", ALIASES)
def test_openais_names_mean_our_own_model(house, name):
    assert ask(house, model=name).json()["text"] == SPEECH


def test_every_option_reaches_the_engine(house):
    ask(house, language="English", prompt="fellow", temperature="0.3", keywords=["country", "ask"])
    heard = house.backend.calls[-1]
    expected = Options("en", prompt="fellow", hotwords="country, ask", temperature=0.3)
    assert (heard.language, heard.prompt, heard.hotwords, heard.temperature) == (
        expected.language,
        expected.prompt,
        expected.hotwords,
        expected.temperature,
    )


def test_temperature_zero_leaves_the_ladder_to_the_engine_as_with_openai(house):
    ask(house, temperature="0", language="")
    assert (house.backend.calls[-1].temperature, house.backend.calls[-1].prompt) == (None, None)


@pytest.mark.parametrize(
    "strategy",
    [
        {"chunking_strategy": "auto"},
        {"chunking_strategy": '{"type": "server_vad", "threshold": 0.4}'},
        {"chunking_strategy[type]": "server_vad", "chunking_strategy[silence_duration_ms]": "300"},
    ],
)
def test_chunking_strategy_comes_as_a_word_as_json_or_as_fields(house, strategy):
    assert ask(house, **strategy).json()["text"] == SPEECH


def test_the_clients_voice_detection_decides_what_speech_is():
    likely = np.array([0.1, 0.3, 0.1, 0.1, 0.1, 0.9, 0.1, 0.1, 0.1, 0.1], np.float32)

    def speech(**asked):
        found = Chunking(lambda audio: likely, VoiceDetection(type="server_vad", **asked))(np.zeros(5120))
        return [i for i, p in enumerate(found) if p >= THRESHOLD]

    assert speech(prefix_padding_ms=0, silence_duration_ms=0) == [5]
    assert speech(threshold=0.2, prefix_padding_ms=0, silence_duration_ms=0) == [1, 5]
    assert speech(prefix_padding_ms=64, silence_duration_ms=0) == [3, 4, 5]
    assert speech(prefix_padding_ms=0, silence_duration_ms=64) == [5, 6, 7]


def test_a_lower_threshold_finds_more_to_recognise(house, monkeypatch):
    monkeypatch.setattr(house.server, "vad", lambda: lambda audio: loud(audio) * np.float32(0.2))
    assert ask(house).json()["text"] == ""
    asked = '{"type": "server_vad", "threshold": 0.15}'
    assert ask(house, chunking_strategy=asked).json()["text"] == SPEECH


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"model": None}, "model", "missing_required_parameter"),
        ({"vad_filter": "true"}, "vad_filter", "unknown_parameter"),
        ({"hotwords": "x"}, "hotwords", "unknown_parameter"),
        ({"response_format": "docx"}, "response_format", "invalid_value"),
        ({"temperature": "2"}, "temperature", "invalid_value"),
        ({"temperature": "warm"}, "temperature", "invalid_value"),
        ({"language": "klingon"}, "language", "invalid_value"),
        ({"language": "de"}, "language", "unsupported_value"),
        ({"languages": ["de", "en"]}, "languages", "unsupported_value"),
        ({"timestamp_granularities": ["word"]}, "timestamp_granularities[]", "invalid_value"),
        (
            {"timestamp_granularities": ["line"], "response_format": "verbose_json"},
            "timestamp_granularities[]",
            "invalid_value",
        ),
        ({"include": ["x"]}, "include[]", "invalid_value"),
        ({"include": ["logprobs"], "response_format": "text"}, "include[]", "invalid_value"),
        ({"stream": "true", "response_format": "srt"}, "stream", "invalid_value"),
        ({"stream": "perhaps"}, "stream", "invalid_value"),
        ({"chunking_strategy": "never"}, "chunking_strategy", "invalid_value"),
        ({"chunking_strategy": '{"type": "x"}'}, "chunking_strategy", "invalid_value"),
        ({"chunking_strategy": "{"}, "chunking_strategy", "invalid_value"),
    ],
)
def test_what_cannot_be_served_is_refused_by_name(house, fields, param, code):
    answer = ask(house, **fields)
    error = answer.json()["error"]
    assert answer.status_code == 400 and set(error) == {"message", "type", "param", "code"}
    assert (error["type"], error["code"]) == ("invalid_request_error", code)
    assert error["param"].startswith(param) and error["message"]
    assert not house.backend.calls


def test_translations_refuse_what_only_transcriptions_take(house):
    for field in ("language", "stream", "chunking_strategy"):
        error = ask(house, url=TRANSLATE, **{field: "x"}).json()["error"]
        assert (error["param"], error["code"]) == (field, "unknown_parameter")


def test_an_engine_that_cannot_is_named_with_the_parameter():
    class Plain(Tones):
        can = frozenset()

    with House(Plain()) as house:
        for field, value in (("prompt", "x"), ("temperature", "0.5"), ("keywords", ["x"])):
            error = ask(house, **{field: value}).json()["error"]
            assert error["code"] == "unsupported_value" and error["param"].startswith(field)
        assert ask(house, response_format="srt").status_code == 200  # words are nice there, not needed
        error = ask(house, url=TRANSLATE).json()["error"]
        assert "translate" in error["message"]


def test_what_is_no_audio_is_a_400(house):
    for body in (b"", b"hello", b"RIFF" + b"\0" * 100):
        answer = ask(house, body)
        assert answer.status_code == 400 and answer.json()["error"]["param"] == "file"


def test_no_file_two_files_or_a_file_for_text(house):
    assert house.client.post(TRANSCRIBE, data={"model": "auto"}).status_code == 415
    parts = [("model", (None, "auto"))]
    missing = house.client.post(TRANSCRIBE, files=parts).json()["error"]
    assert (missing["param"], missing["code"]) == ("file", "missing_required_parameter")
    twice = house.client.post(TRANSCRIBE, files=[*parts, ("file", b"1"), ("file", b"2")])
    assert "two files" in twice.json()["error"]["message"]
    strange = house.client.post(TRANSCRIBE, files=[("model", ("a.txt", b"auto")), ("file", b"1")])
    assert strange.json()["error"]["param"] == "model"
    again = house.client.post(TRANSCRIBE, files=[*parts, *parts, ("file", b"1")])
    assert "twice" in again.json()["error"]["message"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--b\r\n",
        b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nauto',  # cut off
        b"--b\r\nContent-Disposition: form-data\r\n\r\nauto\r\n--b--\r\n",  # no name
        b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\n\xff\xfe\r\n--b--\r\n',  # no text
        b"nonsense" * 100,
        b"--b\r\n" + b"X: y\r\n" * 1000,
    ],
)
def test_a_broken_form_is_a_400(house, body):
    answer = house.client.post(
        TRANSCRIBE, content=body, headers={"Content-Type": "multipart/form-data; boundary=b"}
    )
    assert answer.status_code == 400 and answer.json()["error"]["message"]


def test_paths_and_methods_that_are_not_there_are_told_in_openais_shape(house):
    for method, path, status in (
        ("GET", "/v1/nothing", 404),
        ("GET", TRANSCRIBE, 405),
        ("POST", "/v1/chat", 404),
    ):
        answer = house.client.request(method, path)
        assert answer.status_code == status and answer.json()["error"]["type"] == "invalid_request_error"


def test_what_nobody_foresaw_is_a_500_without_its_inside(house, monkeypatch, caplog):
    def broken(*_):
        raise RuntimeError("secret detail")

    monkeypatch.setattr(house.backend, "transcribe_batch", broken, raising=False)
    answer = ask(house)
    assert answer.status_code == 500 and answer.json()["error"]["type"] == "server_error"
    assert "secret" not in answer.text and "secret detail" in caplog.text
    found = events(ask(house, stream="true"))
    assert "secret" not in json.dumps(found) and found[-1]["error"]["type"] == "server_error"


# Which model


def test_models_lists_what_may_be_named():
    with House(api_models="tones:other, faster_whisper:small") as house:
        listed = house.client.get("/v1/models").json()
        ids = [m["id"] for m in listed["data"]]
        assert listed["object"] == "list" and {"tones:other", "faster_whisper:small"} <= set(ids)
        ask(house)  # by now the default is chosen
        assert house.client.get("/v1/models").json()["data"][0]["id"] == "tones:pure"
        one = house.client.get("/v1/models/tones:other").json()
        assert set(one) == {"id", "object", "created", "owned_by", "window"} and one["object"] == "model"
        assert house.client.get("/v1/models/whisper-1").json()["id"] == "whisper-1"
        assert ask(house, model="tones:other").json()["text"] == SPEECH
        assert ask(house, model="small").status_code == 200


@pytest.mark.parametrize(
    "name", ["nope", "tones:other", "faster_whisper:large-v3", "faster_whisper:/etc", "../x"]
)
def test_nobody_can_name_a_path_or_make_the_server_download(house, name):
    for answer in (ask(house, model=name), house.client.get(f"/v1/models/{name.replace('../', '')}")):
        error = answer.json()["error"]
        assert answer.status_code == 404 and error["code"] == "model_not_found"
        assert "tones:pure" in error["message"]


def test_a_model_that_cannot_be_had_is_a_503_with_the_reason():
    def gone(*_):
        raise BackendUnavailable("The weights are gone.", "Fetch them.")

    with House(load=gone) as house:
        answer = ask(house)
        assert answer.status_code == 503 and "weights are gone" in answer.json()["error"]["message"]
        assert int(answer.headers["retry-after"]) > 0
        assert house.client.get("/healthz").status_code == 200
        ready = house.client.get("/healthz/ready")
        assert ready.status_code == 503 and ready.json()["state"] == "failed"


def test_health_and_metrics_tell_how_it_stands(house):
    ask(house)
    ask(house, model="nope")
    assert house.client.get("/healthz").json()["status"] == "ok"
    assert house.client.get("/healthz/ready").json() == {
        "ready": True,
        "model": "tones:pure",
        "state": "ready",
        "says": "tones:pure is ready.",
    }
    text = house.client.get("/metrics").text
    assert 'parlance_requests_total{endpoint="/audio/transcriptions",status="200"}' in text
    assert 'parlance_requests_total{endpoint="/audio/transcriptions",status="404"}' in text
    assert 'parlance_audio_seconds_total{endpoint="rest"}' in text
    assert 'parlance_model_ready{model="tones:pure"} 1.0' in text
    assert "parlance_places_taken 0.0" in text
    for counted in ("behind_max_seconds", "wait_mean_seconds", "took_mean_seconds", "batch_mean"):
        assert f"parlance_live_{counted} 0.0" in text


# Who may ask


def test_keys_are_asked_for_and_compared():
    with House(api_keys="first-key, second-key") as house:
        assert ask(house).json()["error"]["message"].startswith("You didn't provide an API key")
        wrong = ask(house, headers={"Authorization": "Bearer first-keyy"})
        assert wrong.status_code == 401 and wrong.json()["error"]["code"] == "invalid_api_key"
        assert "first-keyy" not in wrong.text and wrong.headers["www-authenticate"] == "Bearer"
        for key in ("first-key", "second-key"):
            assert ask(house, headers={"Authorization": f"Bearer {key}"}).status_code == 200
        for path in ("/v1/models", "/v1/models/auto", "/metrics"):
            assert house.client.get(path).status_code == 401
        assert house.client.get("/healthz").status_code == 200
        assert "first-key" not in repr(house.config)


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},  # DNS rebinding
        {"Origin": "https://evil.example"},  # a web page posting to localhost
        {"X-Forwarded-For": "8.8.8.8"},  # a proxy on this machine that serves the world
        {"Forwarded": "for=8.8.8.8"},
    ],
)
def test_without_keys_only_this_machine_is_served(house, headers):
    answer = ask(house, headers=headers)
    assert answer.status_code == 401 and "ASR_API_KEYS" in answer.json()["error"]["message"]
    assert (
        ask(house, headers={"Host": "localhost:7860", "Origin": "http://localhost:7860"}).status_code == 200
    )


def test_on_other_addresses_the_api_is_closed_until_its_owner_says_otherwise():
    for config, status in (({}, 401), ({"api_keys": "open"}, 200)):
        with House(host="0.0.0.0", **config) as house:
            assert ask(house).status_code == status
    assert "closed" in keys.policy(Config(host="0.0.0.0"))
    assert "this machine only" in keys.policy(Config())
    assert "everybody" in keys.policy(Config(host="0.0.0.0", api_keys="open"))
    assert "2 keys" in keys.policy(Config(host="0.0.0.0", api_keys="secret-a,secret-b"))
    assert "secret" not in keys.policy(Config(api_keys="secret-a,secret-b"))


# How much


def test_a_file_above_the_limit_is_refused_while_it_comes_in():
    with House(max_upload_mb=1) as house:
        sent = 0

        def endless():
            nonlocal sent
            yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.wav"\r\n\r\n'
            while True:
                sent += 2**16
                yield b"\0" * 2**16

        form = {"Content-Type": "multipart/form-data; boundary=b"}
        answer = house.client.post(TRANSCRIBE, content=_some(endless(), 100), headers=form)
        assert answer.status_code == 413 and answer.json()["error"]["code"] == "file_too_large"
        announced = house.client.post(TRANSCRIBE, content=b"", headers=form | {"Content-Length": str(2**40)})
        assert announced.status_code == 413


def _some(chunks, count):
    return (chunk for chunk, _ in zip(chunks, range(count), strict=False))


def test_long_fields_and_many_fields_are_refused(house):
    assert ask(house, prompt="x" * 270_000).json()["error"]["code"] == "string_too_long"
    parts = [("keywords[]", (None, "x"))] * 300
    assert house.client.post(TRANSCRIBE, files=parts).json()["error"]["code"] == "too_many_fields"
    assert "keywords[]" in ask(house, keywords=["x"] * 101).json()["error"]["param"]


def test_a_recording_above_the_limit_is_refused():
    with House(max_audio_hours=1 / 3600) as house:
        bare = ("speech.pcm", to_pcm16(say(SPEECH)).tobytes(), "audio/pcm;rate=16000")
        form = {"data": {"model": "auto"}, "files": {"file": bare}}
        for answer in (ask(house, say(SPEECH)), house.client.post(TRANSCRIBE, **form)):
            assert answer.status_code == 413 and "hours" in answer.json()["error"]["message"]


class Slow(Tones):
    """Takes its time over each window, and counts them."""

    batch_size = 1

    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds

    def transcribe_batch(self, windows, options):
        time.sleep(self.seconds)
        return super().transcribe_batch(windows, options)


def test_when_every_place_is_taken_the_next_is_told_when_to_come_back():
    with House(Slow(0.5), api_at_once=1, api_waiting=1) as house:
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(ask(house, say("so")))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(a.status_code for a in answers) == [200, 200, 503, 503]
        busy = next(a for a in answers if a.status_code == 503)
        assert busy.json()["error"]["code"] == "overloaded" and int(busy.headers["retry-after"]) > 0
        assert house.server.places.taken == 0


def test_a_short_recording_does_not_wait_behind_long_ones(monkeypatch):
    monkeypatch.setattr(limits, "SHORT", len(wav(say("so"))))
    with House(Slow(0.2), api_at_once=1) as house:
        house.backend.window = 2.0  # so that the long ones are ten windows each
        long = np.concatenate([x for _ in range(10) for x in (say("so"), silence(4))])
        ended = []

        def work(name, audio):
            ask(house, audio)
            ended.append(name)

        threads = [threading.Thread(target=work, args=("long", long)) for _ in range(2)]
        threads.append(threading.Thread(target=work, args=("short", say("so"))))
        for thread in threads:
            thread.start()
            time.sleep(0.3)
        for thread in threads:
            thread.join()
        assert ended == ["short", "long", "long"]


@pytest.fixture
def port():
    """A real server whose engine takes 0.1 s for each of many windows."""
    with House(Slow(0.1)) as house:
        server = uvicorn.Server(uvicorn.Config(house.app, port=0, log_level="warning"))
        thread = threading.Thread(target=server.run)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield house, server.servers[0].sockets[0].getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


@pytest.mark.parametrize("stream", ["false", "true"])
def test_a_client_that_hangs_up_stops_its_work(port, stream):
    house, number = port
    audio = wav(np.concatenate([x for _ in range(40) for x in (say("so"), silence(4))]))  # 40 windows
    with pytest.raises(httpx.ReadTimeout):  # noqa: SIM117
        with httpx.stream(
            "POST",
            f"http://127.0.0.1:{number}{TRANSCRIBE}",
            data={"model": "auto", "stream": stream},
            files={"file": audio},
            timeout=0.35,
        ) as answer:
            answer.read() if stream == "false" else time.sleep(0.35)
            raise httpx.ReadTimeout("")
    until = time.monotonic() + 5
    while house.server.places.taken:
        assert time.monotonic() < until
        time.sleep(0.01)
    heard = len(house.backend.calls)
    assert heard < 35
    time.sleep(0.3)
    assert len(house.backend.calls) == heard


def test_a_client_that_hangs_up_while_sending_leaves_nothing(port):
    house, number = port

    def half():
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.wav"\r\n\r\n' + b"\0" * 2**20
        raise OSError("the cable was pulled")

    with pytest.raises(OSError):
        httpx.post(
            f"http://127.0.0.1:{number}{TRANSCRIBE}",
            content=half(),
            headers={"Content-Type": "multipart/form-data; boundary=b"},
        )
    until = time.monotonic() + 5
    while house.server.places.taken:
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_refusal_reaches_a_client_that_is_still_sending(port):
    _, number = port

    def much():
        yield b'--b\r\nContent-Disposition: form-data; name="unheard"\r\n\r\n'
        for _ in range(64):
            yield b"\0" * 2**16

    answer = httpx.post(
        f"http://127.0.0.1:{number}{TRANSCRIBE}",
        content=much(),
        headers={"Content-Type": "multipart/form-data; boundary=b"},
    )
    assert answer.status_code == 400 and answer.json()["error"]["code"] == "unknown_parameter"


def test_an_upload_that_trickles_is_let_go(port, monkeypatch):
    monkeypatch.setattr(bodies, "PATIENCE", 0.1)
    _, number = port

    def trickle():
        yield b"--b\r\n"
        time.sleep(0.5)
        yield b"--b--\r\n"

    answer = httpx.post(
        f"http://127.0.0.1:{number}{TRANSCRIBE}",
        content=trickle(),
        headers={"Content-Type": "multipart/form-data; boundary=b"},
    )
    assert answer.status_code == 408


# Hugging Face's way


def test_the_hubs_form_of_the_question(house):
    path, audio = "/v1/models/auto", wav(say(SPEECH))
    assert house.client.post(path, content=audio).json() == {"text": SPEECH}
    asked = {"inputs": base64.b64encode(audio).decode(), "parameters": {"return_timestamps": True}}
    chunk = house.client.post(path, json=asked).json()["chunks"][0]
    assert chunk["text"].strip() == SPEECH and chunk["timestamp"][0] == pytest.approx(0, abs=0.05)
    asked["parameters"] = {"return_timestamps": "word", "generation_parameters": {"task": "translate"}}
    words = house.client.post(path, json=asked).json()["chunks"]
    assert [w["text"] for w in words] == [f" {w}" for w in SPEECH.split()]
    assert house.backend.calls[-1].task == "translate"


@pytest.mark.parametrize(
    "body", ["{", "[1]", '{"inputs": "%%"}', '{"inputs": 5}', '{"inputs": "", "parameters": {"x": 1}}']
)
def test_the_hubs_form_is_checked_as_strictly(house, body):
    answer = house.client.post("/v1/models/auto", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400 and answer.json()["error"]["message"]
    assert house.client.post("/v1/models/nope", content=b"x").status_code == 404
