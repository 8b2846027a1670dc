"""Live speech through a server's Realtime API: sent once, nothing lost, nothing hangs, nothing stays open."""

import os
import subprocess
import sys
import time
import urllib.request
from types import SimpleNamespace

import numpy as np
import pytest

from asr import backends
from asr.audio import SAMPLE_RATE
from asr.backends.remote import Remote, connection, realtime
from asr.backends.remote.survey import Found
from asr.backends.remote.wire import Wire
from asr.config import Config
from asr.errors import ASRError, BackendUnavailable, Unsupported
from asr.live import LiveTranscriber, replay
from asr.scheduler import Scheduler
from asr.types import Options
from tests import quirky
from tests.booth import Booth
from tests.browser import free_port
from tests.conftest import DIGITS
from tests.speech import speak
from tests.tones import loud, say, silence

TOKEN = "hf_SecretOfTheOwner123"
SPEECH = "ask not what your country can do for you"
WHISPER = Wire("whisper-1")
COMPLETED = "conversation.item.input_audio_transcription.completed"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(connection, "FIRST_PAUSE", 0.05)


def remote(booth: Booth, patience: float = 5.0, wire=WHISPER, **can) -> Remote:
    """As it would be after a survey that found that this server streams."""
    config = Config(endpoint_url=booth.url, endpoint_token=TOKEN, endpoint_patience=patience)
    found = Found(booth.url, {"transcribe": wire, **can}, names_languages=True, streams=True)
    return Remote(connection.Connection(config, "remote:auto"), found)


def heard(backend, audio, options=Options()) -> list:
    live = LiveTranscriber(backend, options, vad=lambda: loud)
    updates = list(replay(live, np.array_split(audio, len(audio) // 1600), backend))
    live.close()
    return updates


def finals(updates) -> list[str]:
    return [s.text.strip() for u in updates for s in u.final]


def pieces(audio, seconds=0.5):
    n = round(seconds * SAMPLE_RATE)
    return [audio[i : i + n] for i in range(0, len(audio), n)]


def text(words) -> str:
    return "".join(w.word for w in words).strip()


# -- as it should be


def test_each_second_of_speech_is_sent_once_and_readable_while_it_is_spoken():
    audio = np.r_[silence(2), say(SPEECH), silence(2), say("and so"), silence(1)]
    with Booth() as booth:
        updates = heard(remote(booth), audio)
    assert finals(updates) == [SPEECH, "and so"]
    assert booth.seconds == pytest.approx(9 * 0.36 + 2 * 0.36 + 2 * 0.6, abs=0.2), "and silence not at all"
    assert any(u.draft or u.stable for u in updates if not u.final), "deltas are drafts"
    assert len(booth.sessions) == 1


def test_no_times_are_invented_for_words_and_the_language_is_the_servers():
    with Booth() as booth:
        updates = heard(remote(booth), np.r_[silence(3), say("ask not"), silence(1)])
    (segment,) = [s for u in updates for s in u.final]
    assert segment.words == () and segment.language == "en"
    assert (segment.start, segment.end) == pytest.approx((3 - 0.3, 3 + 0.72 + 0.3), abs=0.1)


def test_the_session_is_openais_and_the_token_stands_in_its_header_only():
    wire = Wire("whisper-1", hotwords="hotwords")
    with Booth() as booth:
        options = Options("en", prompt="fellow", hotwords="country, ask")
        assert finals(heard(remote(booth, wire=wire), say("ask not"), options)) == ["ask not"]
    (session,) = booth.sessions
    assert session.path == "/v1/realtime?intent=transcription"
    assert {v for k, v in session.headers.items() if k.lower() == "authorization"} == {f"Bearer {TOKEN}"}
    given = session.asked["audio"]["input"]
    assert session.asked["type"] == "transcription" and given["turn_detection"] is None
    assert given["format"] == {"type": "audio/pcm", "rate": 24000}
    asked = {"model": "whisper-1", "language": "en", "prompt": "fellow", "keywords": ["country", "ask"]}
    assert given["transcription"] == asked


def test_what_the_realtime_api_cannot_goes_in_windows_or_is_refused():
    with Booth() as booth:
        backend = remote(booth, translate=Wire("whisper-1"))
        with pytest.raises(Unsupported, match="temperature"):
            LiveTranscriber(backend, Options(temperature=0.4), vad=lambda: loud)
        live = LiveTranscriber(backend, Options(task="translate"), vad=lambda: loud)
        live.feed(say(SPEECH))
        live.listen(greedy=True)
        assert live.take().stream is None


def test_an_utterance_shorter_than_can_be_committed_is_padded():
    with Booth() as booth:
        stream = remote(booth).stream(Options())
        assert stream.finish() == []
        stream.feed(silence(0.01))
        assert stream.finish() == []
        stream.close()
        assert booth.seconds == pytest.approx(0.1, abs=0.01)


# -- faults


def hang_up_after(appends: int):
    def fault(session, kind):
        if session.appended < appends or kind != "input_audio_buffer.append":
            return False
        session.socket.close()
        return True

    return fault


def at_commit(*events):
    """Answers a commit with these events, and with nothing else."""

    def fault(session, kind):
        if kind == "input_audio_buffer.commit":
            for event in events:
                session.tell(**event)
        return kind == "input_audio_buffer.commit"

    return fault


FAILED = {
    "kind": "conversation.item.input_audio_transcription.failed",
    "error": {"message": f"Out of memory, {TOKEN}.", "type": "server_error"},
}
REFUSED = {"kind": "error", "error": {"message": f"No such {TOKEN}.", "type": "invalid_request_error"}}
EXPIRED = {
    "kind": "error",
    "error": {"message": "Too long.", "type": "invalid_request_error", "code": "session_expired"},
}


@pytest.mark.parametrize(
    "fault",
    [
        hang_up_after(3),
        lambda session, kind: kind == "input_audio_buffer.commit" and (session.socket.close() or True),
        at_commit(FAILED),
        at_commit(EXPIRED),
        at_commit({"kind": COMPLETED, "transcript": None}),
        lambda session, kind: kind == "input_audio_buffer.commit" and (session.socket.send("{") or True),
    ],
    ids=["amid-speech", "at-commit", "failed", "expired", "no-text", "garbage"],
)
def test_a_fault_that_passes_costs_no_word_and_doubles_none(fault):
    with Booth(fault) as booth:
        updates = heard(remote(booth), np.r_[say(SPEECH), silence(1), say("and so"), silence(1)])
        assert finals(updates) == [SPEECH, "and so"]
        assert len(booth.sessions) == 2 and not booth.faults


def test_a_server_killed_amid_speech_and_started_again_costs_no_word():
    audio = pieces(say(SPEECH))
    with Booth() as booth:
        stream = remote(booth).stream(Options())
        for piece in audio[:4]:
            stream.feed(piece)
        booth.stop()
        booth.until(lambda _: stream._talk.lost)  # until then it may still be written to
        with pytest.raises(BackendUnavailable, match=r"cannot be reached.*is that server running"):
            stream.feed(audio[4])
        booth.start()
        for piece in audio[4:]:
            stream.feed(piece)
        words = stream.finish()
        assert text(words) == SPEECH
        assert words[-1].end == pytest.approx(len(say(SPEECH)) / SAMPLE_RATE)
        stream.close()


@pytest.mark.parametrize(
    "event, kind, says",
    [(FAILED, BackendUnavailable, "Out of memory.*log"), (REFUSED, Unsupported, "No such.*Leave out")],
)
def test_a_fault_that_stays_is_told_without_the_token_and_the_audio_is_taken_later(event, kind, says):
    with Booth(*[at_commit(event)] * (3 if event is FAILED else 1)) as booth:
        stream = remote(booth).stream(Options())
        for piece in pieces(say(SPEECH)):
            stream.feed(piece)
        with pytest.raises(kind, match=says) as raised:
            stream.finish()
        assert TOKEN not in str(raised.value)
        stream.feed(piece)  # it was not taken, so it comes again
        assert text(stream.finish()) == SPEECH
        stream.close()


def test_a_text_that_never_comes_is_given_up_in_time():
    with Booth(*[at_commit()] * 9) as booth:
        stream = remote(booth, patience=1).stream(Options())
        stream.feed(say("ask not"))
        began = time.monotonic()
        with pytest.raises(BackendUnavailable, match="did not answer within 1 s"):
            stream.finish()
        assert time.monotonic() - began < 10
        booth.until(lambda b: not b.open)


def test_a_session_that_ended_while_nobody_spoke_is_no_fault():
    with Booth() as booth:
        stream = remote(booth).stream(Options())
        for said in ("ask not", "what your country"):
            stream.feed(say(said))
            assert text(stream.finish()) == said
            booth.sessions[-1].socket.close()
            booth.until(lambda b: not b.open)
        stream.close()
    assert len(booth.sessions) == 2


def test_one_streams_fault_feeds_no_other_stream_twice():
    """Finals of two streams in one call to the model, of which one fails."""
    with Booth(*[at_commit(REFUSED)]) as booth:
        scheduler = Scheduler(remote(booth), vad=lambda: loud)
        told = {0: [], 1: []}
        streams = [scheduler.open(Options(), told[i].append) for i in told]
        for stream in streams:
            stream.feed(np.r_[say(SPEECH), silence(1)])
            stream.finish()
        booth.until(lambda _: all(t and t[-1].done for t in told.values()))
        scheduler.close()
    assert [finals(t) for t in told.values()] == [[SPEECH], [SPEECH]]
    assert sum(bool(u.error) for t in told.values() for u in t) == 1


# -- whether the server can


def offers(url) -> bool:
    config = Config(endpoint_url=url, endpoint_token=TOKEN, endpoint_patience=3)
    there = connection.Connection(config, "remote:auto")
    session = realtime.session_of(Wire("whisper-1"), Options())
    return there.run(realtime.offered(there, url, session))


def test_a_server_that_opens_a_session_streams():
    with Booth() as booth:
        assert offers(booth.url)
        booth.until(lambda b: not b.open)


@pytest.mark.parametrize(
    "fault",
    [
        lambda session, kind: session.tell(**REFUSED) or True,
        lambda session, kind: session.socket.close() or True,
        lambda session, kind: True,
    ],
    ids=["refuses", "hangs-up", "is-silent"],
)
def test_one_that_does_not_is_told_in_the_log_without_the_token(fault, caplog, monkeypatch):
    monkeypatch.setattr(realtime, "OPENING", 0.5)
    with Booth(fault) as booth:
        assert not offers(booth.url)
    assert "gets it in windows" in caplog.text and TOKEN not in caplog.text


def test_a_server_without_the_api_gets_windows(monkeypatch, caplog):
    caplog.set_level("DEBUG")
    with quirky.quirky(quirky.Server(quirky.openai, ["whisper-1"])) as url:
        for name, value in {"URL": url, "TOKEN": TOKEN, "STREAM": "1", "PATIENCE": "5"}.items():
            monkeypatch.setenv(f"ASR_ENDPOINT_{name}", value)
        backend = backends.load("remote:auto")
        assert "stream" not in backend.can
        live = LiveTranscriber(backend, Options(), vad=lambda: loud)
        updates = list(replay(live, np.array_split(say("ask not"), 9), backend))
    assert "Hello" in finals(updates)[0]
    assert "gets it in windows" in caplog.text and TOKEN not in caplog.text


def test_the_token_follows_no_redirect():
    met = []
    elsewhere = SimpleNamespace(hear=None)
    with Booth() as booth:

        def answer(call):
            met.append(call.path)
            return quirky.Reply(307, headers={"Location": f"{booth.url}/realtime"})

        server = quirky.Server(elsewhere.hear)
        server.answer = answer
        with quirky.quirky(server) as url:
            assert not offers(url)
    assert met and not booth.sessions


# -- the end


def test_who_leaves_closes_the_socket_also_amid_a_pass():
    with Booth() as booth:
        scheduler = Scheduler(remote(booth), vad=lambda: loud)
        slow = lambda session, kind: time.sleep(0.5)  # noqa: E731
        for faults in ([], [slow]):
            booth.faults = list(faults)
            stream = scheduler.open(Options(), lambda update: None)
            stream.feed(say(SPEECH))
            booth.until(lambda b: b.open == 1)
            stream.close()
            booth.until(lambda b: not b.open)
        scheduler.close()


def test_a_stream_that_ended_has_no_socket():
    with Booth() as booth:
        scheduler, told = Scheduler(remote(booth), vad=lambda: loud), []
        stream = scheduler.open(Options(), told.append)
        stream.feed(say(SPEECH))
        stream.finish()
        booth.until(lambda b: told and told[-1].done and not b.open)
        scheduler.close()
    assert finals(told) == [SPEECH]


# -- another copy of ourselves


@pytest.fixture(scope="module")
def ourselves():
    """The API as a process of its own, with the digits model behind a key."""
    port = free_port()
    env = {"ASR_MODEL": f"faster_whisper:{DIGITS}", "ASR_PORT": str(port), "ASR_API_KEYS": TOKEN}
    process = subprocess.Popen([sys.executable, "-m", "tests.house"], env=os.environ | env)
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


def test_another_copy_of_ourselves_hears_a_stream_as_it_hears_windows(monkeypatch, ourselves):
    for name, value in {"URL": ourselves, "TOKEN": TOKEN, "PATIENCE": "120"}.items():
        monkeypatch.setenv(f"ASR_ENDPOINT_{name}", value)
    windows = backends.load("remote:auto")
    monkeypatch.setenv("ASR_ENDPOINT_STREAM", "1")
    native = backends.load("remote:auto")
    assert native.can - windows.can == {"stream"} and windows.can <= native.can
    spoken = ["one two three four", "seven eight nine", "five zero six"]
    talk = np.concatenate([np.r_[speak(s), np.zeros(SAMPLE_RATE, np.float32)] for s in spoken])
    by_windows, streamed = (_live(b, talk) for b in (windows, native))
    assert finals(streamed) == finals(by_windows) and len(finals(streamed)) == 3
    assert not any(s.words for u in streamed for s in u.final)


def _live(backend, audio):
    live = LiveTranscriber(backend, Options("en"))
    updates = list(replay(live, pieces(audio, 0.1), backend))
    live.close()
    return updates


def test_a_wrong_key_is_told_as_ever(monkeypatch, ourselves):
    for name, value in {"URL": ourselves, "TOKEN": "wrong", "PATIENCE": "10", "STREAM": "1"}.items():
        monkeypatch.setenv(f"ASR_ENDPOINT_{name}", value)
    with pytest.raises(ASRError, match="does not accept the token"):
        backends.load("remote:auto")
