"""The remote backend: the same text as locally, every dialect understood, every fault told, nothing hangs."""

import logging
import os
import re
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from types import SimpleNamespace

import numpy as np
import pytest

from asr import backends, doctor
from asr.align import align
from asr.audio import SAMPLE_RATE, Recording, decode, load_audio
from asr.backends.remote import connection, whole
from asr.catalogue import cached, card
from asr.choice import choose
from asr.config import Config
from asr.errors import ASRError, BackendUnavailable, ConfigError, UnknownModel, Unsupported
from asr.held import Held
from asr.live import LiveTranscriber, replay
from asr.models import Models
from asr.pipeline import transcribe
from asr.scheduler import Scheduler
from asr.types import Options
from tests import quirky
from tests.browser import free_port
from tests.conftest import DIGITS
from tests.quirky import TEXT, Reply, Server
from tests.speech import speak
from tests.tones import Tones, loud, say

TOKEN = "hf_SecretOfTheOwner123"
AUDIO = np.zeros(2 * SAMPLE_RATE, np.float32)
WORDS = Options(word_timestamps=True)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Short pauses, so that patience is tested in seconds."""
    monkeypatch.setattr(connection, "FIRST_PAUSE", 0.05)


@contextmanager
def remote(monkeypatch, server: Server, model="auto", token=TOKEN, **settings):
    with quirky.quirky(server) as url:
        configure(monkeypatch, url, token, **settings)
        yield backends.load(f"remote:{model}")


def configure(monkeypatch, url: str, token: str = TOKEN, patience: float = 3, **settings) -> None:
    for name, value in {"url": url, "token": token, "patience": patience, **settings}.items():
        monkeypatch.setenv(f"ASR_ENDPOINT_{name.upper()}", str(value))


def text(backend, options=Options()) -> str:
    return "".join(s.text for s in backend.transcribe(AUDIO, options)).strip()


# -- dialects


@pytest.mark.parametrize(
    "hear, can",
    [
        (quirky.openai, {"words", "detect", "prompt", "temperature", "batch"}),
        (quirky.gpt, {"prompt", "temperature", "batch"}),
        (quirky.vllm, {"detect", "prompt", "temperature", "batch"}),
        (quirky.hugging_face, {"prompt", "temperature", "batch"}),
        (quirky.plain_text, {"prompt", "temperature", "batch"}),
        (quirky.wav_only, {"prompt", "temperature", "batch"}),
        (quirky.openai_events, {"prompt", "temperature", "batch"}),
        (quirky.vllm_events, {"prompt", "temperature", "batch"}),
    ],
)
def test_every_dialect_gives_the_whole_text_and_an_honest_list_of_abilities(monkeypatch, hear, can):
    with remote(monkeypatch, Server(hear, ["whisper-1"])) as backend:
        assert backend.can == can
        segments = list(backend.transcribe(AUDIO, Options(word_timestamps="words" in can)))
        assert "".join(s.text for s in segments).strip() == TEXT
        assert all(0 <= s.start <= s.end <= 2 for s in segments)


def test_what_a_server_refused_once_it_is_not_sent_again(monkeypatch):
    server = Server(quirky.hugging_face, base="/api/v1")
    with remote(monkeypatch, server) as backend:
        met = len(server.heard)
        assert text(backend, Options(language="de", prompt="names")) == TEXT
    assert len(server.heard) == met + 1
    assert set(server.heard[-1].form) == {"language", "prompt", "response_format"}


def test_words_keep_the_punctuation_of_the_text_and_their_times(monkeypatch):
    with remote(monkeypatch, Server(quirky.openai, ["whisper-1"])) as backend:
        segments = list(backend.transcribe(AUDIO, WORDS))
    assert [w.word for s in segments for w in s.words] == [" Hello,", " world.", " How", " are", " you?"]
    assert all(s.text == "".join(w.word for w in s.words) for s in segments)
    assert [w.start for s in segments for w in s.words] == pytest.approx([0.0, 0.3, 0.6, 0.9, 1.2])


def test_numbers_may_be_text_and_scores_may_be_missing(monkeypatch):
    with remote(monkeypatch, Server(quirky.vllm, ["openai/whisper-large-v3-turbo"])) as backend:
        first, second = backend.transcribe(AUDIO, Options())
    assert (first.end, second.start, first.avg_logprob, first.no_speech_prob) == (0.9, 1.0, -0.3, None)
    assert first.language == "en"


def test_a_server_without_words_gets_them_by_alignment_here(monkeypatch):
    said = Reply(200, {"text": "Seven, three, one."})
    with remote(monkeypatch, Server(lambda call: said, ["gpt-4o-transcribe"])) as backend:
        recording = decode(np.concatenate([speak("seven three one"), np.zeros(SAMPLE_RATE, np.float32)]))
        told = tuple(transcribe(recording, backend, Options("en")))
    assert "words" not in backend.can and not any(s.words for s in told)
    timed, _ = align(recording, told, "en", config=Config(align_model=str(DIGITS.parent / "wav2vec2-digits")))
    words = [w for s in timed for w in s.words]
    assert [w.word for w in words] == [" Seven,", " three,", " one."]
    assert [w.start for w in words] == sorted(w.start for w in words) and words[-1].end > 0.7


def test_a_bare_host_is_looked_at_where_servers_have_their_api(monkeypatch):
    server = Server(quirky.hugging_face, base="/api/v1")
    with quirky.quirky(server) as url:
        configure(monkeypatch, url.removesuffix("/api/v1"))
        assert text(backends.load("remote:auto")) == TEXT


@pytest.mark.parametrize(
    "listed, named, asked",
    [
        (["gpt-5", "gpt-4o-transcribe", "whisper-1"], "", "whisper-1"),
        (["llama", "openai/whisper-small"], "", "openai/whisper-small"),
        (["whisper-1", "other-asr"], "other-asr", "other-asr"),
        (["one-of-a-kind"], "", "one-of-a-kind"),
    ],
)
def test_the_model_is_the_configured_one_or_the_one_for_speech(monkeypatch, listed, named, asked):
    server = Server(quirky.openai, listed)
    with quirky.quirky(server) as url:
        configure(monkeypatch, url, model=named)
        backends.load("remote:auto")
        assert {c.form["model"] for c in server.heard} == {asked}


# -- options


def test_every_option_reaches_the_server(monkeypatch):
    server = Server(quirky.openai, ["whisper-1"])
    with remote(monkeypatch, server) as backend:
        text(backend, Options(language="de", prompt="Parlance", temperature=0.4, word_timestamps=True))
    assert server.heard[-1].form | {"timestamp_granularities[]": "word"} == {
        "model": "whisper-1",
        "response_format": "verbose_json",
        "timestamp_granularities[]": "word",
        "language": "de",
        "prompt": "Parlance",
        "temperature": "0.4",
    }


def test_an_option_the_server_does_not_know_is_refused_not_forgotten(monkeypatch):
    def hear(call):
        return Reply(400, "Unknown field: prompt") if "prompt" in call.form else quirky.openai(call)

    with remote(monkeypatch, Server(hear, ["whisper-1"])) as backend:
        with pytest.raises(Unsupported, match="takes no prompt"):
            text(backend, Options(prompt="Parlance"))
        assert "prompt" not in backend.can and text(backend) == TEXT


def test_a_value_the_server_refuses_is_told_in_its_words(monkeypatch):
    def hear(call):
        bad = call.form.get("language") == "yo"
        return (
            Reply(400, {"error": {"message": "Language 'yo' is not supported."}})
            if bad
            else quirky.openai(call)
        )

    told = pytest.raises(Unsupported, match="Language 'yo' is not supported")
    with remote(monkeypatch, Server(hear, ["whisper-1"])) as backend, told:
        text(backend, Options(language="yo"))


def test_an_answer_without_words_where_words_were_asked_is_remembered(monkeypatch):
    def hear(call):
        reply = quirky.openai(call)
        return Reply(200, {k: v for k, v in reply.body.items() if k != "words"} if server.met else reply.body)

    server = Server(hear, ["whisper-1"])
    server.met = False
    with remote(monkeypatch, server) as backend:
        server.met = True
        assert "words" in backend.can and text(backend, WORDS) == TEXT
        assert "words" not in backend.can


# -- faults


@pytest.mark.parametrize(
    "fault",
    [
        Reply(503, "no healthy upstream"),
        Reply(502, "<html>Bad gateway</html>", "text/html"),
        Reply(504),
        Reply(500, {"error": "CUDA error"}),
        Reply(429, {"error": {"message": "Rate limit"}}, headers={"Retry-After": "0.2"}),
        Reply(200, {"text": TEXT}, cut=True),
        Reply(200, '{"text": "half an ans', "application/json"),
        Reply(200, {"something": "else"}),
    ],
    ids=lambda r: f"{r.status}{'-cut' * r.cut}",
)
def test_a_fault_that_passes_costs_no_word(monkeypatch, fault):
    server = Server(quirky.then(fault, after=1), ["whisper-1"])
    with remote(monkeypatch, server) as backend:
        assert text(backend) == TEXT
        assert len(server.heard) == 3


@pytest.mark.parametrize(
    "fault, kind, says",
    [
        (Reply(401, {"error": "who?"}), BackendUnavailable, "does not accept the token.*ASR_ENDPOINT_TOKEN"),
        (Reply(403), BackendUnavailable, "does not accept the token.*ASR_ENDPOINT_TOKEN"),
        (Reply(404, {"detail": "Not Found"}), BackendUnavailable, "no transcription API.*ASR_ENDPOINT_URL"),
        (
            Reply(404, {"error": {"message": "The model `whisper-1` does not exist"}}),
            UnknownModel,
            "does not have the model 'whisper-1'.*ASR_ENDPOINT_MODEL",
        ),
        (Reply(413, "<html>", "text/html"), BackendUnavailable, r"as large as 30 s of audio \(413\).*2 MB"),
        (Reply(415), BackendUnavailable, "neither FLAC nor WAV"),
        (Reply(422, {"detail": [{"loc": ["body", "file"], "msg": "odd"}]}), Unsupported, "body.file: odd"),
        (Reply(400, {"error": "Endpoint is paused"}), Unsupported, "Endpoint is paused"),
        (
            Reply(200, "<!doctype html><p>Hello", "text/html"),
            BackendUnavailable,
            "web page.*ASR_ENDPOINT_URL",
        ),
        (
            Reply(307, headers={"Location": "http://evil.example/v1"}),
            BackendUnavailable,
            "not sent anywhere else",
        ),
    ],
    ids=lambda x: str(x.status) if isinstance(x, Reply) else "",
)
def test_a_fault_that_stays_is_told_at_once_with_what_to_do(monkeypatch, fault, kind, says):
    server = Server(quirky.then(*[fault] * 9, after=1), ["whisper-1"])
    with remote(monkeypatch, server, patience=30) as backend:
        began = time.monotonic()
        with pytest.raises(kind, match=says):
            text(backend)
        assert len(server.heard) <= 3 and time.monotonic() - began < 5


@pytest.mark.parametrize(
    "fault, says",
    [
        (Reply(503), "is still waking up after 1 s"),
        (Reply(429, headers={"Retry-After": "30"}), "asks us to wait 30 s"),
        (Reply(200, {"text": TEXT}, slow=3), "did not answer within 1 s"),
        (Reply(200, TEXT * 9, drip=0.05), "did not answer within 1 s"),
        (Reply(200, {"text": TEXT}, cut=True), "broke off its answer"),
        (Reply(500, "oops"), r"failed \(500\). It says: oops"),
        (Reply(200, b"\x00{", "application/json"), "no transcript"),
        (Reply(200, {"text": 7}), "no transcript"),
    ],
    ids=["503", "429", "slow", "drip", "hang-up", "500", "garbage", "no-text"],
)
def test_nothing_hangs_past_its_patience(monkeypatch, fault, says):
    server = Server(lambda call: fault, ["whisper-1"])
    with quirky.quirky(server) as url:
        configure(monkeypatch, url, patience=1)
        began = time.monotonic()
        with pytest.raises(BackendUnavailable, match=says):
            backends.load("remote:auto")
        assert time.monotonic() - began < 10  # far from the default patience, on a busy machine too


def test_a_server_that_is_not_there_is_told(monkeypatch):
    configure(monkeypatch, f"http://127.0.0.1:{free_port()}/v1")
    with pytest.raises(BackendUnavailable, match=r"cannot be reached.*is that server running"):
        backends.load("remote:auto")


def test_a_long_retry_after_is_honoured(monkeypatch):
    server = Server(quirky.then(Reply(429, headers={"Retry-After": "1"}), after=1), ["whisper-1"])
    with remote(monkeypatch, server) as backend:
        began = time.monotonic()
        assert text(backend) == TEXT and time.monotonic() - began >= 1


def test_a_sleeping_endpoint_is_waited_for_and_the_status_says_so(monkeypatch, caplog):
    server = Server(quirky.then(*[Reply(503)] * 3), ["whisper-1"])
    with quirky.quirky(server) as url:
        configure(monkeypatch, url, patience=20)
        monkeypatch.setattr(connection, "FIRST_PAUSE", 0.4)
        models = Models(Config.from_env())
        models.start()
        said = set()
        while (status := models.status()).state != "ready" and status.state != "failed":
            said.add(status.says)
            time.sleep(0.02)
        assert status.state == "ready" and models.choice.spec == "remote:auto"
    assert any(s.startswith("The endpoint is waking up (") for s in said)
    assert "is waking up" in caplog.text and not backends.waking


def test_an_endpoint_that_cannot_be_had_is_not_replaced_by_something_worse(monkeypatch):
    configure(monkeypatch, f"http://127.0.0.1:{free_port()}/v1")
    models = Models(Config.from_env())
    with pytest.raises(BackendUnavailable, match="cannot be reached"):
        models.get()
    assert models.status().state == "failed" and not models.choice.fallback


# -- many windows


def test_several_windows_are_in_flight_but_no_more_than_allowed(monkeypatch):
    server = Server(lambda call: Reply(**{**vars(quirky.openai(call)), "slow": 0.1}), ["whisper-1"])
    with remote(monkeypatch, server, at_once=3) as backend:
        answers = backend.transcribe_batch([AUDIO] * 7, [Options()] * 7)
    assert len(answers) == 7 and server.most == 3 == backend.batch_size


def test_the_first_window_that_fails_ends_the_others(monkeypatch):
    def hear(call):
        return Reply(401) if call.form.get("prompt") else Reply(503) if server.met else quirky.openai(call)

    server = Server(hear, ["whisper-1"])
    server.met = False
    with remote(monkeypatch, server, patience=30) as backend:
        server.met, began = True, time.monotonic()
        with pytest.raises(BackendUnavailable, match="token"):
            backend.transcribe_batch([AUDIO] * 3, [Options(), Options(prompt="x"), Options()])
        assert time.monotonic() - began < 5
        asked = len(server.heard)
        time.sleep(0.5)
        assert len(server.heard) == asked  # nobody goes on asking


def test_who_stops_iterating_stops_the_requests(monkeypatch):
    server = Server(quirky.openai, ["whisper-1"])
    with remote(monkeypatch, server) as backend:
        recording = decode(
            np.tile(np.concatenate([say("ask what you can do"), np.zeros(SAMPLE_RATE * 20, np.float32)]), 8)
        )
        segments = transcribe(recording, backend, Options(language="en"), vad=lambda: loud)
        next(segments)
        segments.close()
        asked = len(server.heard)
        time.sleep(0.3)
        assert len(server.heard) == asked < 6


def test_long_audio_is_sent_in_windows_of_half_a_minute(monkeypatch):
    server = Server(quirky.openai, ["whisper-1"])
    with remote(monkeypatch, server) as backend:
        met = len(server.heard)
        found = list(backend.transcribe(np.zeros(70 * SAMPLE_RATE, np.float32), Options()))
    sent = [len(load_audio(BytesIO(c.file))) for c in server.heard[met:]]
    assert sum(sent) == 70 * SAMPLE_RATE and max(sent) <= 30 * SAMPLE_RATE
    assert [s.start for s in found] == sorted(s.start for s in found) and found[-1].start > 45


def test_uploads_are_lossless(monkeypatch):
    server, audio = Server(quirky.openai, ["whisper-1"]), say("ask not")
    with remote(monkeypatch, server) as backend:
        list(backend.transcribe(audio, Options()))
    assert np.abs(load_audio(BytesIO(server.heard[-1].file)) - audio).max() < 2 / 32768
    assert server.heard[-1].file.startswith(b"fLaC")


def test_the_language_of_a_recording_is_asked_once_and_then_sent(monkeypatch):
    server = Server(quirky.openai, ["whisper-1"])
    talk = np.tile(np.concatenate([say("ask what you can do"), np.zeros(SAMPLE_RATE * 3, np.float32)]), 8)
    with remote(monkeypatch, server) as backend:
        met = len(server.heard)
        assert list(transcribe(decode(talk), backend, Options(), vad=lambda: loud))
    sent = [c.form.get("language") for c in server.heard[met:]]
    assert sent[-1] == "en" and sent == sorted(sent, key=bool)


# -- live


class Elsewhere(Tones):
    """Tones as if a server heard them."""

    device = "somewhere.example"

    def __init__(self, can=Tones.can):
        super().__init__()
        self.can, self.seconds = can, 0.0

    def transcribe_batch(self, windows, options):
        self.seconds += sum(map(len, windows)) / SAMPLE_RATE
        return super().transcribe_batch(windows, options)


@pytest.mark.parametrize("can", [Tones.can, Tones.can - {"words"}], ids=["words", "no-words"])
@pytest.mark.parametrize("gap", [0.06, 0.4])
def test_live_speech_is_sent_four_times_at_most(can, gap):
    spoken = "ask not what your country can do for you ask what you can do for your country " * 4
    audio, backend = say(spoken, gap=gap), Elsewhere(can)
    live = LiveTranscriber(backend, Options(), vad=lambda: loud)
    updates = list(replay(live, np.array_split(audio, len(audio) // 1600), backend))
    assert "".join(s.text for u in updates for s in u.final).split() == spoken.split()
    assert backend.seconds <= 4 * len(audio) / SAMPLE_RATE
    assert any(u.draft or u.stable for u in updates)


def test_a_live_session_is_heard_by_a_server_and_told_its_language_once_known(monkeypatch):
    server = Server(quirky.openai, ["whisper-1"])
    audio = np.concatenate([np.r_[say("ask not what"), np.zeros(SAMPLE_RATE, np.float32)] for _ in range(5)])
    with remote(monkeypatch, server) as backend:
        met = len(server.heard)
        live = LiveTranscriber(backend, Options(), vad=lambda: loud)
        finals = [s for u in replay(live, np.array_split(audio, 50), backend) for s in u.final]
    assert len(finals) == 5 and all("Hello" in s.text for s in finals)
    sent = [c.form.get("language") for c in server.heard[met:]]
    assert sent[0] is None and sent[-1] == "en"


# -- whole recordings, to another Parlance


def counted(seconds: int) -> Recording:
    """Each second of it is its number, as `quirky.parlance` hears it; the second half of each is silent."""
    samples = np.repeat(np.arange(1, seconds + 1, dtype=np.int16), SAMPLE_RATE).reshape(seconds, -1)
    samples[:, SAMPLE_RATE // 2 :] = 0
    return Recording(samples.reshape(-1))


@contextmanager
def parlance(monkeypatch, hear=quirky.parlance, **settings):
    server = Server(hear, ["whisper-1"], page=quirky.PARLANCE)
    with remote(monkeypatch, server, **settings) as backend:
        server.calls.clear()
        yield server, backend


def heard(backend, recording, options=Options()) -> list[int]:
    """What was told by the pipeline: the number of each second, where it was said."""
    segments = list(transcribe(recording, backend, options))
    assert all(s.start == pytest.approx(int(s.text) - 1, abs=1e-3) for s in segments)
    return [int(s.text) for s in segments]


def test_another_parlance_gets_the_recording_whole_as_it_is(monkeypatch):
    with parlance(monkeypatch) as (server, backend):
        assert heard(backend, counted(5)) == [1, 2, 3, 4, 5]
    (call,) = server.heard
    assert np.array_equal(np.frombuffer(call.file, np.int16), counted(5).samples), "bare, nothing left out"
    assert (call.form["stream"], call.form["response_format"]) == ("true", "verbose_json")


@pytest.mark.parametrize(
    "fault, told",
    [
        ({"cut": True}, True),
        ({"body": "data: {}\n\ndata: {\n", "media": "text/event-stream"}, False),
        ({"status": 503}, False),
        ({"status": 500}, False),
    ],
    ids=["hang-up", "garbage", "503", "500"],
)
def test_a_fault_amid_a_recording_costs_no_word_and_doubles_none(monkeypatch, fault, told):
    faults = [fault]

    def hear(call):
        whole = quirky.parlance(call)
        return replace(whole, **faults.pop()) if faults and "stream" in call.form else whole

    with parlance(monkeypatch, hear) as (server, backend):
        assert heard(backend, counted(6)) == [1, 2, 3, 4, 5, 6]
        first, second = (len(call.file) for call in server.heard)
        assert first == len(counted(6)) * 2 and (second < first) == told, "what was told is not sent again"


@pytest.mark.parametrize(
    "kind, error", [("server_error", BackendUnavailable), ("invalid_request_error", Unsupported)]
)
def test_an_error_amid_the_events_is_told_and_what_came_before_is_kept(monkeypatch, kind, error):
    def hear(call):
        whole = quirky.parlance(call)
        if "stream" not in call.form:
            return whole
        failure = quirky.sse({"error": {"message": f"The disk is full, {call.token}.", "type": kind}})
        if len(call.file) < 2 * len(counted(9)):
            return replace(whole, body=failure)
        second = whole.body.index(b"data", whole.body.index(b"data") + 1)
        return replace(whole, body=whole.body[:second] + failure)

    with parlance(monkeypatch, hear, patience=1) as (_, backend):
        told = []
        with pytest.raises(error, match="The disk is full") as raised:
            for segment in transcribe(counted(9), backend):
                told.append(int(segment.text))
        assert TOKEN not in str(raised.value)
        assert told == [1]


def test_a_long_recording_goes_in_pieces_that_end_where_it_is_quiet(monkeypatch):
    with parlance(monkeypatch) as (server, backend):
        assert heard(backend, counted(1500)) == list(range(1, 1501))
        sizes = [len(c.file) / 2 / SAMPLE_RATE for c in server.heard]
        assert len(sizes) == 3 and max(sizes) <= 720
        assert all(at % 1 > 0.5 for at in np.cumsum(sizes)[:-1])
        assert [c.form.get("language") for c in server.heard] == [None, "en", "en"], (
            "one recording, one language"
        )
        known = {s.language_probability for s in transcribe(counted(1500), backend)}
        assert known == {0.9}


def test_pieces_get_smaller_where_a_proxy_takes_less(monkeypatch):
    def hear(call):
        return Reply(413, "<html>", "text/html") if len(call.file) > 3_000_000 else quirky.parlance(call)

    with parlance(monkeypatch, hear) as (_, backend):
        assert heard(backend, counted(120)) == list(range(1, 121))
    with (
        parlance(monkeypatch, lambda c: Reply(413) if c.form.get("stream") else quirky.openai(c)) as (
            _,
            backend,
        ),
        pytest.raises(BackendUnavailable, match="as large as 30 s"),
    ):
        heard(backend, counted(120))


@pytest.mark.parametrize("fault", [{"slow": 5}, {"drip": 5}], ids=["before", "amid"])
def test_a_parlance_that_falls_silent_is_given_up(monkeypatch, fault):
    hear = lambda c: replace(quirky.parlance(c), **fault) if c.form.get("stream") else quirky.openai(c)  # noqa: E731
    with parlance(monkeypatch, hear, patience=0.5) as (_, backend):
        began = time.monotonic()
        with pytest.raises(BackendUnavailable, match="did not answer within"):
            heard(backend, counted(2))
        assert time.monotonic() - began < 10


def test_who_stops_listening_to_a_whole_recording_stops_the_request(monkeypatch):
    def hear(call):
        whole = quirky.parlance(call)
        return replace(whole, drip=0.01) if call.form.get("stream") else whole

    with parlance(monkeypatch, hear, at_once=1) as (server, backend):
        segments = transcribe(counted(9), backend)
        assert next(segments).text == " 1"
        segments.close()
        until = time.monotonic() + 5
        while server.open:
            assert time.monotonic() < until
            time.sleep(0.02)


def test_translations_own_detectors_and_other_servers_get_windows(monkeypatch):
    with parlance(monkeypatch) as (server, backend):
        silent = lambda: lambda audio: np.zeros(-(-len(audio) // 512), np.float32)  # noqa: E731
        assert list(transcribe(counted(5), backend, vad=silent)) == [] and not server.heard
    with remote(monkeypatch, Server(quirky.openai, ["whisper-1"])) as backend:
        assert "whole" not in backend.can
    older = {**quirky.PARLANCE, "components": {}}
    with remote(monkeypatch, Server(quirky.openai, ["whisper-1"], page=older)) as backend:
        assert "whole" not in backend.can and "mend" in backend.can


def test_a_model_that_rests_between_is_asked_as_a_whole_too(monkeypatch):
    with parlance(monkeypatch) as (server, backend):
        model = Held(backend, lambda: backend)
        assert heard(model, counted(3)) == [1, 2, 3] and len(server.heard) == 1


def test_while_somebody_speaks_recordings_go_in_windows_between_which_is_room(monkeypatch):
    with parlance(monkeypatch) as (_, backend):
        scheduler = Scheduler(backend, vad=lambda: loud)
        try:
            assert "whole" in scheduler.files.can
            stream = scheduler.open(Options("en"), lambda update: None)
            assert "whole" not in scheduler.files.can
            stream.close()
            assert heard(scheduler.files, counted(3)) == [1, 2, 3]
        finally:
            scheduler.close()


@pytest.mark.parametrize(
    "url, near",
    [
        ("http://127.0.0.1:7860/v1", True),
        ("http://192.168.1.7/v1", True),
        ("http://[::1]:7860/v1", True),
        ("http://parlance:7860/v1", True),
        ("http://box.local/v1", True),
        ("https://asr.example.org/v1", False),
        ("http://8.8.8.8/v1", False),
    ],
)
def test_far_away_recordings_go_compressed(url, near):
    hearing = whole.Hearing(SimpleNamespace(url=url), "", None, counted(2), Options(), True)
    _, body, media = hearing._file(0, 2)
    assert (media == "audio/pcm;rate=16000") == near and (body[:4] == b"fLaC") != near


# -- the owner's secrets


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 429, 500, 503])
def test_the_token_is_told_to_nobody(monkeypatch, caplog, status):
    caplog.set_level(logging.DEBUG)

    def hear(call):
        if status == 200 or not server.met:
            return quirky.openai(call)
        return Reply(status, {"error": {"message": f"You sent {call.token} and that is wrong"}})

    server = Server(hear, ["whisper-1"], token=TOKEN)
    server.met = False
    shown = []
    with remote(monkeypatch, server, patience=0.5) as backend:
        server.met = True
        shown += [repr(backend), str(vars(backend)), repr(vars(backend._connection)["_client"].headers)]
        try:
            shown.append(repr(list(backend.transcribe(AUDIO, Options()))))
        except ASRError as e:
            shown += [str(e), repr(e), repr(e.__cause__), repr(e.__context__)]
    shown += [caplog.text, repr(Config.from_env()), repr(list(doctor._settings(Config.from_env())))]
    assert not [s for s in shown if TOKEN in s]
    assert all(c.token == f"Bearer {TOKEN}" for c in server.calls)


def test_the_token_is_not_carried_to_another_host(monkeypatch):
    other = Server(quirky.openai, ["whisper-1"])
    with quirky.quirky(other) as there:
        moved = Reply(307, headers={"Location": f"{there}/audio/transcriptions"})
        with quirky.quirky(Server(lambda call: moved, ["whisper-1"])) as url:
            configure(monkeypatch, url)
            with pytest.raises(BackendUnavailable, match="another address"):
                backends.load("remote:auto")
    assert not other.calls


@pytest.mark.parametrize(
    "name, value",
    [
        ("TOKEN", f"{TOKEN}\nHost: evil"),
        ("TOKEN", f"{TOKEN} x"),
        ("TOKEN", f"{TOKEN}é"),
        ("URL", f"https://me:{TOKEN}@host/v1"),
        ("URL", f"https://host/v1?key={TOKEN}"),
        ("URL", "ftp://host"),
        ("URL", "host/v1"),
        ("URL", "https://host:port/v1"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused_without_showing_it(monkeypatch, name, value):
    configure(monkeypatch, "https://host.invalid/v1")
    monkeypatch.setenv(f"ASR_ENDPOINT_{name}", value)
    with pytest.raises(ConfigError, match=f"ASR_ENDPOINT_{name}") as e:
        backends.load("remote:auto")
    assert TOKEN not in str(e.value)


def test_nobody_but_the_owner_names_the_server(monkeypatch):
    monkeypatch.delenv("ASR_ENDPOINT_URL", raising=False)
    for spec in ("remote:auto", "remote:http://evil.example/v1"):
        with pytest.raises(BackendUnavailable, match="No endpoint is configured"):
            backends.load(spec)
    assert not cached(card("remote"))


def test_the_doctor_says_what_a_model_elsewhere_needs(monkeypatch):
    monkeypatch.delenv("ASR_ENDPOINT_URL", raising=False)
    found = doctor._model(Config(model="remote"), None, cached)
    assert (found.state, found.fix) == ("problem", "Set ASR_ENDPOINT_URL.")


def test_a_configured_endpoint_goes_before_this_machine(monkeypatch):
    choice = choose(Config(endpoint_url="https://host/v1"), machine=None)
    assert choice.spec == "remote:auto" and "ASR_ENDPOINT_URL" in choice.why
    configure(monkeypatch, "https://host/v1")
    assert cached(card("remote"))


# -- another copy of ourselves


@pytest.fixture(scope="module")
def ourselves():
    """The API as a process of its own, with the digits model behind a key."""
    port = free_port()
    env = {
        **os.environ,
        "ASR_MODEL": f"faster_whisper:{DIGITS}",
        "ASR_PORT": str(port),
        "ASR_API_KEYS": TOKEN,
    }
    process = subprocess.Popen([sys.executable, "-m", "tests.house"], env=env)
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz/ready")
                break
            except OSError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def test_another_copy_of_ourselves_hears_what_the_same_model_hears_here(monkeypatch, ourselves, digits):
    configure(monkeypatch, ourselves, patience=120)
    there = backends.load("remote:auto")
    assert {"words", "detect", "hotwords", "prompt", "batch", "mend", "whole"} <= there.can
    assert there.window == digits.window == 15, "it is sent what its model hears best"
    pause = np.zeros(SAMPLE_RATE, np.float32)
    spoken = ["one two three four", "seven eight nine", "five zero six"]
    talk = decode(np.concatenate([np.r_[speak(s), pause] for s in spoken]))
    here, remotely = (list(transcribe(talk, b, Options("en", word_timestamps=True))) for b in (digits, there))
    assert [s.text for s in remotely] == [s.text for s in here]
    assert [(w.word, w.start, w.end) for s in remotely for w in s.words] == [
        (w.word, pytest.approx(w.start, abs=0.05), pytest.approx(w.end, abs=0.05))
        for s in here
        for w in s.words
    ]


def test_who_stops_listening_frees_the_place_at_another_copy_of_ourselves(monkeypatch, ourselves):
    def measured(name):
        asked = urllib.request.Request(f"{ourselves}/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
        text = urllib.request.urlopen(asked).read().decode()
        return float(re.search(rf"^{name}(?:{{.*}})? (\S+)", text, re.M)[1])

    configure(monkeypatch, ourselves, patience=120)
    there = backends.load("remote:auto")
    talk = np.tile(np.r_[speak("one two three four"), np.zeros(SAMPLE_RATE, np.float32)], 200)
    before = measured("parlance_audio_seconds_total")
    segments = transcribe(decode(talk), there, Options("en"))
    next(segments)
    segments.close()
    until = time.monotonic() + 30
    while measured("parlance_places_taken"):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert measured("parlance_audio_seconds_total") == before, "nobody went on to the end of it"


def test_another_copy_of_ourselves_takes_hotwords_and_refuses_a_wrong_key(monkeypatch, ourselves):
    configure(monkeypatch, ourselves, patience=120)
    there = backends.load("remote:auto")
    assert "one" in "".join(
        s.text for s in there.transcribe(speak("one two"), Options("en", hotwords="one, two"))
    )
    configure(monkeypatch, ourselves, token="wrong", patience=10)
    with pytest.raises(BackendUnavailable, match="does not accept the token"):
        backends.load("remote:auto")
