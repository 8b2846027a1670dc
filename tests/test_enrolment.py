"""Voices known by clips, with the real encoder: a known one is found again, an unknown one stays unknown."""

from itertools import chain, pairwise

import numpy as np
import pytest

from asr.audio import SAMPLE_RATE, Recording, load_audio, to_pcm16
from asr.diarize.enrolment import CLOSE, FLOOR, _matched, known
from asr.types import Turn
from tests.conftest import needs_voices
from tests.speech import digits

DEEP, HIGH, OTHER = "en-us+m3", "en-gb+f4", "en-gb-scotland+f2"
CLIP, SAID = "seven three nine one two", "four six zero eight five one"


def spoken(voice: str, text: str = SAID) -> np.ndarray:
    return digits(text, voice, gap=0.1, lead=0.05, tail=0.05)[0]


def meeting(*voices: np.ndarray) -> tuple[Recording, list[Turn]]:
    """One voice after the other, as "Speaker 1", "Speaker 2", ..."""
    times = np.cumsum([0, *map(len, voices)]) / SAMPLE_RATE
    turns = [Turn(*span, f"Speaker {i}") for i, span in enumerate(pairwise(times), 1)]
    return Recording(to_pcm16(np.concatenate(voices))), turns


@needs_voices
def test_a_voice_is_found_again_and_an_unknown_one_stays_unknown():
    recording, turns = meeting(spoken(HIGH), spoken(DEEP), spoken(OTHER))
    clips = {"Deep": spoken(DEEP, CLIP), "High": spoken(HIGH, CLIP)}
    assert known(recording, turns, clips) == {"Speaker 1": "High", "Speaker 2": "Deep"}


@needs_voices
def test_one_person_in_two_parts_is_one_person():
    recording, turns = meeting(spoken(DEEP), spoken(HIGH), spoken(DEEP, "nine four six eight zero two"))
    assert known(recording, turns, {"Deep": spoken(DEEP, CLIP)}) == {"Speaker 1": "Deep", "Speaker 3": "Deep"}


@needs_voices
def test_who_says_too_little_is_not_judged():
    recording, turns = meeting(spoken(DEEP)[: SAMPLE_RATE // 2], spoken(HIGH))
    assert known(recording, turns, {"Deep": spoken(DEEP, CLIP)}) == {}
    assert known(recording, [], {"Deep": spoken(DEEP, CLIP)}) == known(recording, turns, {}) == {}


def test_of_two_alike_voices_only_the_likest_is_the_person():
    def named(*alike):
        return _matched(["a", "b"], ["Anna", "Bob"], np.array(alike))

    assert named([0.92, 0.5], [0.92 - 1.5 * CLOSE, 0.5]) == {"a": "Anna"}
    assert named([0.92, 0.5], [0.92 - 0.5 * CLOSE, 0.5]) == {"a": "Anna", "b": "Anna"}
    assert named([FLOOR - 0.01, 0.5], [0.3, FLOOR + 0.01]) == {"b": "Bob"}


@needs_voices
def test_people_are_found_again_among_strangers(recordings):
    """Six real voices at 8 kHz: three are enrolled with 5 s each, all of them speak."""
    people = sorted({p.stem.split("_")[1] for p in recordings.glob("fsdd/*.wav")})

    def takes(person, which):
        paths = chain.from_iterable(recordings.glob(f"fsdd/?_{person}_{n}.wav") for n in which)
        return np.concatenate([load_audio(p) for p in sorted(paths)])

    recording, turns = meeting(*(takes(p, (5, 6)) for p in people))
    clips = {p: takes(p, (20, 21))[: 5 * SAMPLE_RATE] for p in people[::2]}
    found = known(recording, turns, clips)
    assert found == {f"Speaker {i}": p for i, p in enumerate(people, 1) if p in clips}


@needs_voices
@pytest.mark.parametrize("clip", [np.zeros(SAMPLE_RATE * 2, np.float32)])
def test_a_clip_without_a_voice_is_like_nobody(clip):
    recording, turns = meeting(spoken(DEEP))
    assert known(recording, turns, {"Nobody": clip}) == {}
