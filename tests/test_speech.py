from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.speech import ACCENTS, DIGITS, SAMPLE_RATE, digits, phrase, speak, variants


def test_speech_is_mono_16_khz_of_a_plausible_length_and_level():
    audio = speak("seven three")
    assert audio.dtype == np.float32 and audio.ndim == 1
    assert 0.5 < len(audio) / SAMPLE_RATE < 2
    assert 0.1 < np.abs(audio).max() <= 1


@pytest.mark.parametrize("voice", [*ACCENTS, "en-us+f3", "en-gb+klatt", "en-us+Reed"])
def test_every_accent_speaks_and_says_the_same_again(voice):
    first = speak("nine", voice)
    speak("zero one", "en-us+m3", rate=200, pitch=80)
    assert len(first) and np.array_equal(first, speak("nine", voice))


def test_there_are_many_variants():
    assert len(variants()) > 90


def test_an_unknown_voice_is_named():
    with pytest.raises(ValueError, match="en-xx"):
        speak("one", "en-xx")


def test_rate_and_pitch_change_the_sound():
    assert len(speak("seven", rate=80)) > 1.3 * len(speak("seven", rate=200))
    assert not np.array_equal(speak("seven", pitch=20), speak("seven", pitch=80))


def test_threads_do_not_mix_their_words():
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(speak, DIGITS * 4))
    assert all(np.array_equal(a, speak(word)) for a, word in zip(together, DIGITS * 4, strict=True))


def test_digits_stand_exactly_where_they_are_said_to():
    audio, words = digits("seven three nine", gap=[0.2, 1.0], lead=0.5, tail=0.4)
    assert [w for w, _, _ in words] == ["seven", "three", "nine"]
    assert words[0][1] == 0.5
    assert words[1][1] - words[0][2] == pytest.approx(0.2) and words[2][1] - words[1][2] == pytest.approx(1.0)
    assert len(audio) / SAMPLE_RATE == pytest.approx(words[-1][2] + 0.4)
    spoken = np.zeros(len(audio), bool)
    for _, start, end in words:
        spoken[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)] = True
    assert np.abs(audio[spoken]).max() > 0.1 and not audio[~spoken].any()


def test_a_phrase_says_its_words_in_order_and_in_one_breath():
    audio, words = phrase("seven three nine two")
    assert [w for w, _, _ in words] == ["seven", "three", "nine", "two"]
    assert all(0.1 < end - start < 0.8 for _, start, end in words)
    assert words[-1][2] <= len(audio) / SAMPLE_RATE
