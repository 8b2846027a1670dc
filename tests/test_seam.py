"""Two recordings of one microphone find each other, whatever a codec did to one of them."""

import io

import av
import numpy as np
import pytest

from asr.audio import load_audio
from asr.sessions.seam import offset
from tests.speech import speak
from tests.tones import say, silence

RATE = 16_000


def through_opus(audio):
    """As WebRTC sends it; Opus comes a few milliseconds late."""
    file = io.BytesIO()
    with av.open(file, "w", "ogg") as container:
        track = container.add_stream("libopus", 48_000, layout="mono")
        track.bit_rate = 32_000
        frame = av.AudioFrame.from_ndarray(np.repeat(audio, 3)[None].astype(np.float32), "flt", "mono")
        frame.sample_rate = 48_000
        for piece in (frame, None):
            container.mux(track.encode(piece))
    file.seek(0)
    return load_audio(file)


@pytest.fixture(scope="module")
def speech():
    return np.r_[silence(0.3), speak("three seven one nine two"), silence(0.3)]


@pytest.mark.parametrize("late", [-0.4, -0.05, 0.0, 0.013, 0.3, 0.5])
def test_the_difference_between_two_transports_is_found(speech, late):
    whole, start = speech[RATE // 2 : 5 * RATE // 2], RATE // 2 + round(late * RATE)
    piece = through_opus(speech)[start : start + 3 * RATE // 2]
    assert offset(piece, whole, RATE) == pytest.approx(round(late * RATE), abs=0.015 * RATE)


def test_tones_are_found_too():
    audio = say("ask not what your country can do")
    assert offset(audio[3000:19_000], audio[:20_000], 8000) == 3000


def test_different_sounds_and_silence_are_not_taken_for_one_another(speech):
    noise = np.random.default_rng(1).normal(0, 0.1, RATE).astype(np.float32)
    for piece in (noise, silence(1), speak("four eight six")[:RATE], np.zeros(0, np.float32)):
        assert offset(piece, speech[RATE // 2 : 2 * RATE], RATE // 2) is None
    assert offset(speech[:RATE], silence(2), RATE // 2) is None


def test_a_hum_or_the_same_word_elsewhere_is_not_taken_for_the_place():
    hum = np.sin(np.arange(4 * RATE) * 2 * np.pi * 50 / RATE).astype(np.float32) / 4
    assert offset(hum[:24_000], hum[:32_000], RATE) is None
    audio = say(
        "so ask not what you can do for you and so my fellow americans ask what you can do for your country"
    )
    assert offset(audio[-24_000:], audio[:32_000], RATE) is None
