"""Live transcription with the real voice detector and a real Whisper, on synthetic voices."""

import numpy as np
import pytest

from asr.live import LiveTranscriber, replay
from asr.live.pace import Pace
from asr.live.passes import hear
from asr.scheduler import Scheduler
from asr.types import Options
from tests import speech
from tests.speech import SAMPLE_RATE
from tests.test_scheduler import Listener

SAID = "one nine eight three five zero"
GAPS = [0.1, 0.2, 1.0, 0.15, 0.3]
SHORT = Pace(encoder_seconds=5.0)


def pieces(audio, seconds=0.1):
    n = int(seconds * SAMPLE_RATE)
    return [audio[i : i + n] for i in range(0, len(audio), n)]


def live(backend, audio, pace=SHORT, options=None):
    transcriber = LiveTranscriber(backend, options or Options(language="en"), pace=pace)
    return list(replay(transcriber, pieces(audio), backend))


def text(segments):
    return "".join(s.text for s in segments).strip()


def finals(updates):
    return [s for u in updates for s in u.final]


@pytest.fixture(scope="module")
def spoken():
    return speech.digits(SAID, gap=GAPS)


@pytest.mark.parametrize("pace", [Pace(), SHORT], ids=["30 s windows", "5 s windows"])
def test_live_text_is_the_offline_text(digits, spoken, pace):
    audio, _ = spoken
    offline = text(digits.transcribe(audio, Options(language="en")))
    assert text(finals(live(digits, audio, pace))) == offline == SAID


def test_words_settle_on_the_way_at_their_times(digits, spoken):
    audio, words = spoken
    updates = live(digits, audio)
    heard = [w for s in finals(updates) for w in s.words]
    assert len(finals(updates)) == 2
    assert [w.start for w in heard] == pytest.approx([start for _, start, _ in words], abs=0.35)
    assert any(u.stable and not u.final for u in updates)
    settled = ""
    for u in updates:
        assert (text(finals(updates[: updates.index(u) + 1])) + u.stable).startswith(settled)


def test_speech_without_a_pause_is_cut_between_words(digits):
    said = " ".join(np.random.default_rng(7).permutation(SAID.split() * 3))
    audio, _ = speech.digits(said, gap=0.08)
    segments = finals(live(digits, audio, Pace(encoder_seconds=5.0, longest=4.0)))
    assert text(segments) == said and len(segments) >= 2


@pytest.mark.parametrize("level", [1.0, 0.03, 0.006])
def test_quiet_and_gated_speech_is_heard(digits, level):
    audio, _ = speech.digits("two four six", gap=1.2, lead=2.0)
    assert text(finals(live(digits, audio * np.float32(level)))) == "two four six"


def test_the_language_is_found_and_locked(digits, spoken):
    asked = []

    class Spy:
        def __getattr__(self, name):
            return getattr(digits, name)

        def transcribe_batch(self, windows, options):
            asked.extend(o.language for o in options)
            return digits.transcribe_batch(windows, options)

    updates = live(Spy(), spoken[0], Pace(encoder_seconds=5.0, lock=1.0), Options())
    language = finals(updates)[-1].language
    assert language and asked[0] is None and asked[-1] == language


def test_several_speakers_at_once_each_get_their_own_words(digits):
    said = ["one two three four", "five six seven eight", "nine zero one three"]
    audio = [speech.digits(s, gap=0.2)[0] for s in said]
    scheduler = Scheduler(digits, pace=SHORT)
    try:
        listeners = [Listener() for _ in said]
        streams = [scheduler.open(Options(language="en"), listener) for listener in listeners]
        for stream, mine in zip(streams, audio, strict=True):
            for piece in pieces(mine):
                stream.feed(piece)
            stream.finish()
        assert [listener.wait().said for listener in listeners] == said
    finally:
        scheduler.close()


def noises(seconds=20):
    random, n = np.random.default_rng(0), seconds * SAMPLE_RATE
    t = np.arange(n) / SAMPLE_RATE
    pink = np.fft.irfft(np.fft.rfft(random.standard_normal(n)) / np.sqrt(np.arange(n // 2 + 1) + 1), n)
    clicks = np.zeros(n)
    for at in random.integers(0, n - 400, 6 * seconds):
        clicks[at : at + 400] += random.standard_normal(400) * np.exp(-np.arange(400) / 60)
    chords = sum(np.sin(2 * np.pi * f * t * (1 + 0.002 * np.sin(5 * t))) for f in (220, 277, 330, 440))
    beat = np.exp(-((t * 2) % 1) * 4)
    return {
        "silence": np.zeros(n),
        "hiss": random.standard_normal(n) * 0.05,
        "wind": pink / np.abs(pink).max() * (0.5 + 0.5 * np.sin(2 * np.pi * t / 1.7)),
        "hum": 0.2 * np.sin(2 * np.pi * 50 * t) + 0.1 * np.sin(2 * np.pi * 150 * t),
        "typing": clicks / np.abs(clicks).max() * 0.5,
        "music": 0.1 * chords * beat + 0.05 * random.standard_normal(n) * beat,
    }


@pytest.mark.parametrize("noise", noises())
def test_what_is_no_speech_costs_nothing_and_says_nothing(digits, noise):
    transcriber = LiveTranscriber(digits, Options())
    for piece in pieces(noises()[noise].astype(np.float32), 1.0):
        transcriber.feed(piece)
        assert transcriber.listen(greedy=True) is None and transcriber.wants is None


def test_a_pass_over_a_stream_is_one_window_with_its_options(digits, spoken):
    transcriber = LiveTranscriber(digits, Options(language="en", hotwords="nine"), pace=SHORT)
    transcriber.feed(spoken[0][: 2 * SAMPLE_RATE])
    transcriber.listen(greedy=True)
    job = transcriber.take()
    assert (job.options.hotwords, job.options.beam_size, job.options.encoder_seconds) == ("nine", 1, 5.0)
    assert hear(digits, [job])[0][0].language == "en"
