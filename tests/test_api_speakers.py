"""Speakers through the API: diarized_json whole and as a stream, and people known by reference clips."""

import base64
import json
import threading
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
import uvicorn
from openai.types.audio import TranscriptionDiarized, TranscriptionStreamEvent
from pydantic import TypeAdapter

from asr.api import events as streaming
from asr.api import speakers, upload
from asr.audio import SAMPLE_RATE
from asr.diarize import Diarization
from asr.errors import BackendUnavailable
from asr.types import Turn
from tests.house import House
from tests.test_api import TRANSCRIBE, TRANSLATE, ask, events, wav
from tests.tones import say, silence

FIRST, SECOND = "ask not what your country", "can do for you"
CHANGE = 5 * 0.36  # seconds, when the second one begins


@pytest.fixture(scope="module")
def shared():
    with House() as house:
        yield house


@pytest.fixture
def house(shared, monkeypatch):
    """Tones whose speakers are those of `turns`; each call of the diarizer is remembered."""
    shared.asked = []

    def diarize(recording, *, source, config, progress):
        shared.asked.append(recording.duration)
        shared.source = source.read_bytes() if source else None
        progress(0.5)
        return shared.answer(recording)

    monkeypatch.setattr(speakers, "diarize", diarize)
    shared.answer = lambda recording: turns((0, CHANGE, "Speaker 1"), (CHANGE, 9, "Speaker 2"))
    return shared


def turns(*spans) -> Diarization:
    found = tuple(Turn(*span) for span in spans)
    return Diarization(found, found, "test", "Speakers by: a test.")


def meeting() -> np.ndarray:
    return np.concatenate([say(FIRST), say(SECOND)])


def url(audio, kind="audio/wav") -> str:
    data = audio if isinstance(audio, bytes) else wav(audio)
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def diarized(house, **fields):
    return ask(house, meeting(), response_format="diarized_json", **fields)


def test_diarized_json_names_speakers_as_openai_does(house):
    answer = diarized(house, model="gpt-4o-transcribe-diarize", chunking_strategy="auto")
    assert answer.status_code == 200, answer.text
    read = TranscriptionDiarized.model_validate_json(answer.text, strict=True)
    assert (read.task, read.text) == ("transcribe", f"{FIRST} {SECOND}")
    assert [(s.speaker, s.text.strip()) for s in read.segments] == [("A", FIRST), ("B", SECOND)]
    assert read.segments[1].start == pytest.approx(CHANGE, abs=0.1)
    assert read.usage.type == "duration" and read.duration == house.asked[0]
    assert house.backend.calls[-1].word_timestamps


def test_a_stream_brings_text_first_and_speakers_when_they_are_known(house):
    found = events(diarized(house, stream="true"))
    kinds = [e["type"].removeprefix("transcript.text.") for e in found]
    assert kinds == ["delta", "segment", "segment", "done"]
    for event in found:
        TypeAdapter(TranscriptionStreamEvent).validate_python(event)
    assert [(e["speaker"], e["text"].strip()) for e in found[1:3]] == [("A", FIRST), ("B", SECOND)]
    assert found[0]["delta"] == found[-1]["text"] == f"{FIRST} {SECOND}"
    assert "".join(e["text"] for e in found[1:3]).strip() == found[-1]["text"]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="only Linux opens a file without a name again")
def test_the_diarizer_gets_the_file_as_it_was_sent_for_its_channels(house):
    for stream in ("false", "true"):
        house.source = None
        diarized(house, stream=stream)
        assert house.source == wav(meeting())


def test_whoever_cannot_be_told_is_unknown(house):
    house.answer = lambda _: turns((60, 70, "Speaker 1"))
    assert [s["speaker"] for s in diarized(house).json()["segments"]] == ["unknown"]


def test_nothing_said_needs_no_speakers(house):
    answer = ask(house, silence(2), response_format="diarized_json").json()
    assert answer["segments"] == [] and not house.asked
    assert events(ask(house, silence(2), response_format="diarized_json", stream="true"))[-1]["text"] == ""


def test_other_formats_tell_no_speakers_apart(house):
    ask(house, model="gpt-4o-transcribe-diarize")
    assert not house.asked


def test_a_diarizer_that_fails_is_told_and_its_fix(house):
    def fails(_):
        raise BackendUnavailable("The speakers cannot be told apart now.", "Try again.")

    house.answer = fails
    answer = diarized(house)
    assert answer.status_code == 503 and "cannot be told apart now. Try again." in answer.text
    *before, last = events(diarized(house, stream="true"))
    assert before[0]["delta"] == f"{FIRST} {SECOND}" and "Try again." in last["error"]["message"]


def test_known_speakers_keep_their_names_and_others_get_letters(house, monkeypatch):
    heard = {}

    def known(recording, exclusive, clips):
        heard.update(clips)
        return {"Speaker 2": "A"}

    monkeypatch.setattr(speakers.enrolment, "known", known)
    clips = [url(say("ask not what your country can do")), url(say("so my fellow americans and you"))]
    found = diarized(house, known_speaker_names=["Kennedy", "A"], known_speaker_references=clips).json()
    assert [s["speaker"] for s in found["segments"]] == ["B", "A"]  # B: there is an A already
    assert set(heard) == {"Kennedy", "A"}
    assert 1.5 < len(heard["A"]) / SAMPLE_RATE < 2.2, "the speech of the clip, without its silence"


SPEECH = url(say("ask not what your country can do"))


@pytest.mark.parametrize(
    ("people", "clips", "says"),
    [
        (["a"], [], "needs a name and a reference"),
        ([], [SPEECH], "needs a name and a reference"),
        (["a", "a"], [SPEECH] * 2, "names that differ"),
        (["unknown"], [SPEECH], "names that differ"),
        (["a" * 65], [SPEECH], "at most 64 characters"),
        (["a", "b", "c", "d", "e"], [SPEECH] * 5, "at most 4 items"),
        (["a"], ["https://example.com/a.wav"], "must be a data URL"),
        (["a"], ["data:audio/wav;base64"], "must be a data URL"),
        (["a"], ["data:audio/wav;base64,%%%"], "not Base64"),
        (["a"], [url(b"no audio at all")], "cannot be used"),
        (["a"], [url(say("ask not"))], "is 0.7 seconds long"),
        (["a"], [url(say("ask " * 40))], "cannot be used"),
        (["a"], [url(silence(4))], "less than a second of speech"),
        (["a"], [url(b"\0" * (speakers.BYTES + 3))], "larger than"),
    ],
)
def test_references_that_are_no_use_are_refused_before_the_work(house, people, clips, says):
    house.backend.calls.clear()
    answer = diarized(house, known_speaker_names=people, known_speaker_references=clips)
    error = answer.json()["error"]
    assert answer.status_code == 400 and says in error["message"], error
    assert error["param"].startswith("known_speaker_") and not house.backend.calls


def test_known_speakers_are_never_ignored(house):
    fields = {"known_speaker_names": ["a"], "known_speaker_references": [SPEECH]}
    error = ask(house, **fields).json()["error"]
    assert (error["param"], error["code"]) == ("known_speaker_names[]", "invalid_value")
    assert ask(house, url=TRANSLATE, **fields).json()["error"]["code"] == "unknown_parameter"
    error = ask(house, url=TRANSLATE, response_format="diarized_json").json()["error"]
    assert error["param"] == "response_format"


def test_references_are_bounded_while_they_come_in(house, monkeypatch):
    monkeypatch.setitem(upload.BULKY, "known_speaker_references", 1000)
    answer = diarized(house, known_speaker_names=["a"], known_speaker_references=[SPEECH])
    error = answer.json()["error"]
    assert answer.status_code == 400 and "longer than 1000 bytes" in error["message"]
    assert error["param"] == "known_speaker_references[]"
    parts = {"model": (None, "auto"), "prompt": (None, "x" * (upload.LONG + 1))}
    assert house.client.post(TRANSCRIBE, files=parts).json()["error"]["code"] == "string_too_long"


def test_a_client_that_hangs_up_stops_the_telling_apart(house, monkeypatch):
    """While its stream is kept alive, and while it waits for a whole answer."""
    began, ended = threading.Event(), threading.Event()

    def diarize(recording, *, source, config, progress):
        began.set()
        try:
            while True:
                progress(0.1)
                time.sleep(0.02)
        finally:
            assert recording.read(0, 1).any(), "the audio went before the work"
            ended.set()

    monkeypatch.setattr(speakers, "diarize", diarize)
    monkeypatch.setattr(streaming, "BEAT", 0.1)
    server = uvicorn.Server(uvicorn.Config(house.app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    data = {"model": "auto", "response_format": "diarized_json"}
    files = {"file": ("a.wav", wav(meeting()))}
    try:
        for stream in ("true", "false"):
            began.clear(), ended.clear()
            asked = {"data": data | {"stream": stream}, "files": files, "timeout": 30}
            if stream == "true":
                with httpx.stream("POST", f"http://127.0.0.1:{port}{TRANSCRIBE}", **asked) as answer:
                    lines = answer.iter_lines()
                    assert json.loads(next(lines).removeprefix("data: "))["delta"]
                    assert any(line.startswith(":") for line in lines)  # leaves at the first sign of life
            else:
                with pytest.raises(httpx.ReadTimeout):
                    httpx.post(f"http://127.0.0.1:{port}{TRANSCRIBE}", **asked | {"timeout": 1})
            assert began.is_set() and ended.wait(10)
            until = time.monotonic() + 10
            while house.server.places.taken:
                assert time.monotonic() < until
                time.sleep(0.01)
    finally:
        server.should_exit = True
        thread.join(10)
