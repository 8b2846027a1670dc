"""Programs that people use, unchanged, against the app as a process of its own with a real model."""

import asyncio
import base64
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import wave
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import numpy as np
import pytest

from asr.audio import SAMPLE_RATE, to_pcm16
from tests.conftest import DIGITS, needs_voices
from tests.speech import digits, speak
from tests.test_api import wav

ROOT = Path(__file__).parent.parent
KEY = "a-key-for-tests"
SAID = "seven three nine one"
NEXT = "two five"
ANNA, BOB = "en-gb+f4", "en-us+m3"
TURNS = [(BOB, "seven three nine one two"), (ANNA, "four nine zero eight one")] * 2
PATIENCE = 120  # seconds: how long anything may take on a machine that is busy with other things


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The app's address."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    settings = {
        "ASR_MODEL": f"faster_whisper:{DIGITS}",
        "ASR_PORT": str(port),
        "ASR_API_KEYS": f"another,{KEY}",
        "ASR_DATA_DIR": str(tmp_path_factory.mktemp("data")),
        "OMP_WAIT_POLICY": "PASSIVE",  # threads that spin cost a busy machine ten times the work
    }
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("ASR_", "GRADIO_", "OPENAI_"))}
    app = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=clean | settings)
    url = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + PATIENCE
        while True:
            assert app.poll() is None and time.monotonic() < until, "the app did not start"
            try:
                if httpx.get(f"{url}/healthz/ready").status_code == 200:
                    break
            except httpx.HTTPError:
                pass
            time.sleep(0.2)
        yield url
    finally:
        app.terminate()
        app.wait(20)


@pytest.fixture(scope="module")
def speech(tmp_path_factory) -> Path:
    """A WAV file in which somebody says SAID."""
    path = tmp_path_factory.mktemp("audio") / "speech.wav"
    with wave.open(str(path), "wb") as f:
        f.setnchannels(1)
        f.setsampwidth(2)
        f.setframerate(SAMPLE_RATE)
        f.writeframes(to_pcm16(speak(SAID)).tobytes())
    return path


@pytest.fixture(scope="module")
def meeting() -> tuple[str, bytes]:
    """A WAV file in which TURNS are said."""
    sounds = [digits(said, voice, lead=0.3, tail=0.4)[0] for voice, said in TURNS]
    return "meeting.wav", wav(np.concatenate(sounds))


def reference(voice: str) -> str:
    """Somebody says other things, as a data URL."""
    sound = digits("six zero nine four eight", voice, gap=0.1)[0]
    return f"data:audio/wav;base64,{base64.b64encode(wav(sound)).decode()}"


@pytest.fixture(scope="module")
def two_turns() -> np.ndarray:
    """int16 at 16 kHz: SAID, a pause, NEXT, a pause."""
    rest = np.zeros(SAMPLE_RATE, np.float32)
    return to_pcm16(np.concatenate([rest[: SAMPLE_RATE // 2], speak(SAID), rest, speak(NEXT), rest]))


def at_24k(samples: np.ndarray) -> bytes:
    at = np.arange(len(samples) * 3 // 2) * 2 / 3
    return np.interp(at, np.arange(len(samples)), samples).astype("<i2").tobytes()


# OpenAI's Python SDK


@pytest.fixture
def openai():
    return pytest.importorskip("openai")


@pytest.fixture
def client(server, openai):
    return openai.OpenAI(base_url=f"{server}/v1", api_key=KEY, timeout=PATIENCE, max_retries=0)


def test_openai_sdk_gets_every_format(client, speech):
    def ask(**options):
        return client.audio.transcriptions.create(file=speech, model="gpt-4o-transcribe", **options)

    found = ask()
    assert found.text == SAID and found.usage.type == "duration" and found.languages[0].code == "en"
    assert ask(response_format="text") == f"{SAID}\n"
    assert ask(response_format="srt").startswith("1\n00:00:0")
    assert ask(response_format="vtt").startswith("WEBVTT")
    whole = ask(response_format="verbose_json", timestamp_granularities=["word", "segment"])
    assert whole.language == "english" and [w.word for w in whole.words] == SAID.split()
    assert whole.segments[0].tokens and whole.segments[0].avg_logprob < 0
    assert all(a.end <= b.start + 0.05 for a, b in zip(whole.words, whole.words[1:], strict=False))


def test_openai_sdk_streams_with_all_there_is_to_ask(client, speech):
    events = list(
        client.audio.transcriptions.create(
            file=speech,
            model="gpt-transcribe",
            stream=True,
            include=["logprobs"],
            languages=["en"],
            keywords=["seven", "nine"],
            prompt="digits",
            temperature=0,
            chunking_strategy={"type": "server_vad", "threshold": 0.4, "silence_duration_ms": 500},
        )
    )
    assert "".join(e.delta for e in events[:-1]) == events[-1].text == SAID
    how = {"response_format": "verbose_json", "timestamp_granularities": ["word"]}
    timed = list(client.audio.transcriptions.create(file=speech, model="auto", stream=True, **how))
    assert [e.type.rpartition(".")[2] for e in timed] == ["delta", "segment", "done"]
    assert timed[1].text.strip() == SAID and [w["word"].strip() for w in timed[1].words] == SAID.split()
    assert events[-1].usage.total_tokens == events[-1].usage.input_tokens + events[-1].usage.output_tokens
    assert [p.token.strip() for p in events[-1].logprobs] == SAID.split()
    assert all(p.logprob <= 0 for p in events[-1].logprobs)


@needs_voices
def test_openai_sdk_hears_who_says_what(client, meeting):
    ask = client.audio.transcriptions.create
    how = {"model": "gpt-4o-transcribe-diarize", "response_format": "diarized_json"}
    how["chunking_strategy"] = "auto"
    found = ask(file=meeting, **how)
    assert type(found).__name__ == "TranscriptionDiarized" and found.usage.type == "duration"
    assert [(s.speaker, s.text.strip()) for s in found.segments] == [
        (who, said) for who, (_, said) in zip("ABAB", TURNS, strict=True)
    ]
    people = {"known_speaker_names": ["Anna"], "known_speaker_references": [reference(ANNA)]}
    events = list(ask(file=meeting, stream=True, **how, **people))
    kinds = [type(e).__name__ for e in events]
    assert kinds[-5:] == ["TranscriptionTextSegmentEvent"] * 4 + ["TranscriptionTextDoneEvent"]
    assert set(kinds[:-5]) == {"TranscriptionTextDeltaEvent"}
    assert [e.speaker for e in events[-5:-1]] == ["A", "Anna", "A", "Anna"]
    assert "".join(e.delta for e in events[:-5]) == events[-1].text == found.text
    stranger = {"known_speaker_names": ["Carl"], "known_speaker_references": [reference("en-029+f2")]}
    assert {s.speaker for s in ask(file=meeting, **how, **stranger).segments} == {"A", "B"}


def test_openai_sdk_translates_and_lists_models(client, speech):
    with pytest.warns(DeprecationWarning):
        assert client.audio.translations.create(file=speech, model="whisper-1").text
    models = client.models.list().data
    assert (
        models[0].id.startswith("faster_whisper:") and client.models.retrieve(models[0].id).id == models[0].id
    )


def test_openai_sdk_raises_its_own_errors(client, openai, speech, server):
    ask = client.audio.transcriptions.create
    with pytest.raises(openai.NotFoundError) as e:
        ask(file=speech, model="no-such-model")
    assert e.value.code == "model_not_found" and e.value.request_id.startswith("req_")
    with pytest.raises(openai.BadRequestError) as e:
        ask(file=speech, model="whisper-1", known_speaker_names=["Anna"])
    assert e.value.param == "known_speaker_references[]" and "a name and a reference" in e.value.message
    with pytest.raises(openai.BadRequestError):
        ask(file=("x.wav", b"no audio"), model="whisper-1")
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=f"{server}/v1", api_key="wrong", max_retries=0).models.list()


def test_openai_sdk_speaks_realtime(server, openai, two_turns):
    async def talk():
        client = openai.AsyncOpenAI(base_url=f"{server}/v1", api_key=KEY)
        events, data = [], at_24k(two_turns)
        async with client.realtime.connect(extra_query={"intent": "transcription"}) as connection:
            turns = {"type": "server_vad", "silence_duration_ms": 400}
            asked = {"model": "gpt-4o-transcribe", "language": "en"}
            heard = {
                "format": {"type": "audio/pcm", "rate": 24000},
                "transcription": asked,
                "turn_detection": turns,
            }
            await connection.session.update(session={"type": "transcription", "audio": {"input": heard}})
            for i in range(0, len(data), 4800):
                await connection.input_audio_buffer.append(
                    audio=base64.b64encode(data[i : i + 4800]).decode()
                )
            async for event in connection:
                events.append(event)
                if sum(e.type.endswith("transcription.completed") for e in events) == 2:
                    return events

    events = asyncio.run(asyncio.wait_for(talk(), PATIENCE))
    assert [e.transcript for e in events if e.type.endswith("transcription.completed")] == [SAID, NEXT]
    assert events[0].type == "session.created" and events[0].session.type == "transcription"
    kinds = {type(e).__name__ for e in events}
    assert {
        "InputAudioBufferSpeechStartedEvent",
        "InputAudioBufferCommittedEvent",
        "ConversationItemDone",
    } <= kinds


# Hugging Face


def test_inference_client_recognises(server, speech):
    from huggingface_hub import InferenceClient

    client = InferenceClient(f"{server}/v1/models/auto", token=KEY, timeout=PATIENCE)
    assert client.automatic_speech_recognition(speech).text == SAID
    chunks = client.automatic_speech_recognition(speech, extra_body={"return_timestamps": "word"}).chunks
    assert [c.text.strip() for c in chunks] == SAID.split()


# curl, as the documentation says


def curls() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "docs/api.md").read_text(encoding="utf-8"), re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.startswith(("curl", "ffmpeg"))]


@pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl here")
@pytest.mark.parametrize(
    "line", [pytest.param(line, marks=needs_voices) if "diarized" in line else line for line in curls()]
)
def test_the_documentations_curl_lines_run(server, speech, line, tmp_path):
    if not shutil.which(line.split()[0]):
        pytest.skip(f"there is no {line.split()[0]} here")
    (anna := tmp_path / "anna.txt").write_text(reference(ANNA))
    line = line.replace("http://localhost:7860", server).replace("talk.mp3", str(speech))
    line = line.replace("anna.txt", str(anna))
    env = {**os.environ, "PARLANCE_API_KEY": KEY}
    ran = subprocess.run(
        ["bash", "-c", line.replace("curl ", "curl -sS --fail-with-body ", 1)],
        env=env, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    if speech.name in line:
        assert all(word in ran.stdout for word in SAID.split())


# A client that hangs up, through everything that stands before the API in the app


def test_hanging_up_on_the_app_frees_its_place(server, tmp_path):
    path = tmp_path / "long.wav"
    with wave.open(str(path), "wb") as f:
        f.setnchannels(1)
        f.setsampwidth(2)
        f.setframerate(SAMPLE_RATE)
        f.writeframes(np.tile(to_pcm16(np.r_[speak(SAID), np.zeros(4 * SAMPLE_RATE)]), 60).tobytes())
    auth = {"Authorization": f"Bearer {KEY}"}

    def places():
        return re.search(
            r"^parlance_places_taken (\S+)", httpx.get(f"{server}/metrics", headers=auth).text, re.M
        )[1]

    for stream in ("false", "true"):
        with pytest.raises(httpx.ReadTimeout), path.open("rb") as file:
            httpx.post(
                f"{server}/v1/audio/transcriptions",
                headers=auth,
                data={"model": "auto", "stream": stream},
                files={"file": file},
                timeout=httpx.Timeout(20, read=0.3),
            )
        until = time.monotonic() + PATIENCE
        while places() != "0.0":
            assert time.monotonic() < until
            time.sleep(0.1)


# Voice agents


def livekit():
    pytest.importorskip("livekit.plugins.openai", reason="pip install livekit-agents livekit-plugins-openai")
    from livekit import rtc
    from livekit.agents import utils
    from livekit.plugins import openai

    return openai, rtc, utils


def frames(rtc, samples, size=SAMPLE_RATE // 50):
    for i in range(0, len(samples), size):
        piece = samples[i : i + size]
        yield rtc.AudioFrame(piece.tobytes(), SAMPLE_RATE, 1, len(piece))


def test_livekits_plugin_recognises_a_turn(server):
    openai, rtc, _ = livekit()

    async def ask():
        stt = openai.STT(model="gpt-4o-transcribe", base_url=f"{server}/v1", api_key=KEY, language="en")
        return await stt.recognize(list(frames(rtc, to_pcm16(speak(SAID)))))

    assert asyncio.run(asyncio.wait_for(ask(), PATIENCE)).alternatives[0].text == SAID


@pytest.mark.parametrize(
    "model", ["gpt-4o-transcribe", "gpt-live-transcribe"]
)  # our turn detection, and theirs
def test_livekits_plugin_streams(server, two_turns, model):
    openai, rtc, utils = livekit()

    async def talk():
        found = []
        async with utils.http_context.open():
            stt = openai.STT(
                model=model, base_url=f"{server}/v1", api_key=KEY, language="en", use_realtime=True
            )
            stream = stt.stream()

            async def speak_on():
                for frame in frames(rtc, two_turns):
                    stream.push_frame(frame)
                    await asyncio.sleep(0.02)

            speaking = asyncio.create_task(speak_on())
            async for event in stream:
                if event.type == "final_transcript":
                    found.append(event.alternatives[0].text)
                    if len(found) == 2:
                        break
            await speaking
            await stream.aclose()
            await stt.aclose()
        return found

    assert asyncio.run(asyncio.wait_for(talk(), PATIENCE)) == [SAID, NEXT]


class Mind(BaseHTTPRequestHandler):
    """A chat API in OpenAI's form that says what it was told."""

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        told = [m["content"] for m in asked["messages"] if m["role"] == "user"][-1]
        told = told if isinstance(told, str) else told[0]["text"]
        about = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for delta, why in (({"role": "assistant", "content": f"You said {told}."}, None), ({}, "stop")):
            chunk = about | {"choices": [{"index": 0, "delta": delta, "finish_reason": why}]}
            self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, *_):
        pass


def test_the_documentations_voice_agent_answers_what_it_heard(server, monkeypatch):
    _, rtc, utils = livekit()
    from livekit.agents import Agent
    from livekit.agents.voice import io

    mind = ThreadingHTTPServer(("127.0.0.1", 0), Mind)
    threading.Thread(target=mind.serve_forever, daemon=True).start()
    for name, value in {
        "PARLANCE_URL": f"{server}/v1",
        "PARLANCE_API_KEY": KEY,
        "LLM_URL": f"http://127.0.0.1:{mind.server_port}/v1",
        "LLM_MODEL": "m",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(ROOT / "docs")
    import voice_agent

    class Microphone(io.AudioInput):
        def __init__(self):
            super().__init__(label="recording")
            self.frames = frames(rtc, to_pcm16(np.r_[np.zeros(8000), speak(SAID), np.zeros(24000)]))

        async def __anext__(self):
            await asyncio.sleep(0.02)
            return next(self.frames, None) or await asyncio.sleep(PATIENCE)

    class Answer(io.TextOutput):
        def __init__(self):
            super().__init__(label="answer", next_in_chain=None)
            self.text, self.complete = "", asyncio.Event()

        async def capture_text(self, text):
            self.text += text

        def flush(self):
            self.complete.set()

    async def talk():
        async with utils.http_context.open():
            session, answer = voice_agent.session(), Answer()
            session.input.audio, session.output.transcription = Microphone(), answer
            await session.start(Agent(instructions=voice_agent.INSTRUCTIONS))
            await answer.complete.wait()
            await session.aclose()
        return answer.text

    assert asyncio.run(asyncio.wait_for(talk(), PATIENCE)) == f"You said {SAID}."
    mind.shutdown()


def test_pipecats_services_recognise(server, two_turns):
    pytest.importorskip(
        "pipecat",
        reason="pipecat-ai needs older protobuf, soundfile and soxr: docs/api.md says how it was run",
    )
    from pipecat.frames.frames import InputAudioRawFrame, TranscriptionFrame
    from pipecat.pipeline.worker import PipelineParams
    from pipecat.services.openai.stt import OpenAIRealtimeSTTService
    from pipecat.tests.utils import SleepFrame, run_test

    stt = OpenAIRealtimeSTTService(
        api_key=KEY,
        base_url=f"{server.replace('http', 'ws')}/v1/realtime",
        turn_detection={"type": "server_vad", "silence_duration_ms": 400},
        settings=OpenAIRealtimeSTTService.Settings(model="gpt-transcribe"),
    )
    sent = [SleepFrame(1)]
    for i in range(0, len(two_turns), 320):
        sent += [InputAudioRawFrame(two_turns[i : i + 320].tobytes(), SAMPLE_RATE, 1), SleepFrame(0.02)]
    sent.append(SleepFrame(20))
    params = PipelineParams(audio_in_sample_rate=SAMPLE_RATE)
    down, _ = asyncio.run(run_test(stt, frames_to_send=sent, pipeline_params=params, start_timeout=30))
    assert [f.text for f in down if isinstance(f, TranscriptionFrame)] == [SAID, NEXT]
