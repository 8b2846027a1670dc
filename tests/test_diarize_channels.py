"""Speakers by channel: found where everybody has one, exact in time, and never where all hear everybody."""

import wave
from pathlib import Path

import numpy as np
import pytest

from asr.audio import decode
from asr.audio.channels import together
from asr.config import Config
from asr.diarize import Count, diarize
from asr.errors import Unsupported
from tests.speech import speak

RATE = 16_000
SAID = [
    (0.5, 0, "good morning, this is the first of us speaking"),
    (4.5, 1, "and now I am the second one"),
    (8.0, 0, "do you hear me well over there"),
    (10.8, 1, "yes, as well as anybody could wish for"),
]


def conversation(leak: float = 0.0, delay: float = 0.0) -> tuple[np.ndarray, list[tuple[float, float, int]]]:
    """Two people: float32 (samples, 2), each also heard in the other's channel, `leak` times as loud."""
    own, truth = np.zeros((15 * RATE, 2), np.float32), []
    for start, who, text in SAID:
        voice = 0.5 * speak(text, voice=("en-us+m3", "en-gb+f3")[who])
        first = round(start * RATE)
        own[first : first + len(voice), who] += voice
        heard = np.flatnonzero(np.abs(voice) > 0.01)
        truth.append((start + heard[0] / RATE, start + heard[-1] / RATE, who))
    late = np.roll(own, round(delay * RATE), axis=0)
    noise = np.random.default_rng(0).standard_normal(own.shape) * 0.0005
    return (own + leak * late[:, ::-1] + noise).astype(np.float32), truth


def save(path: Path, audio: np.ndarray, rate: int = RATE) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(audio.shape[1] if audio.ndim == 2 else 1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(audio, -1, 0.9999) * 32768).astype("<i2").tobytes())
    return path


def found_in(path: Path, rung: str = "channels", count: Count = Count()):  # noqa: B008
    with decode(path) as recording:
        return diarize(recording, rung, count, source=path, config=Config())


def wrong(found, truth, step: float = 0.01) -> float:
    """The part of the truth, in time, that has another speaker than it should; speakers as they come."""
    times = np.arange(0, 15, step)

    def speaking(rows):
        active = np.zeros((len(times), 2), bool)
        for start, end, who in rows:
            active[(times >= start) & (times < end), who] = True
        return active

    names = {name: i for i, name in enumerate(found.speakers)}
    said, heard = speaking(truth), speaking([(t.start, t.end, names[t.speaker]) for t in found.turns])
    return (said != heard).sum() / said.sum()


@pytest.mark.parametrize("leak, delay", [(0, 0), (0.1, 0.0), (0.2, 0.15)])
def test_a_speaker_per_channel_is_exact_also_where_the_other_leaks_in(tmp_path, leak, delay):
    audio, truth = conversation(leak, delay)
    found = found_in(save(tmp_path / "call.wav", audio))
    assert found.by == "channels" and "exact" in found.says
    assert found.speakers == ("Speaker 1", "Speaker 2")
    assert wrong(found, truth) < 0.15


def test_auto_takes_the_channels_where_they_tell(tmp_path):
    audio, _ = conversation()
    assert found_in(save(tmp_path / "call.wav", audio), "auto").by == "channels"


def test_both_at_once_are_two_turns_and_one_exclusive_one(tmp_path):
    audio, _ = conversation()
    audio[:, 1] = np.roll(audio[:, 1], -round(1.8 * RATE))  # the answer comes while the question is asked
    found = found_in(save(tmp_path / "call.wav", audio))
    both = [(a, b) for a in found.turns for b in found.turns if a.speaker < b.speaker]
    assert any(min(a.end, b.end) - max(a.start, b.start) > 0.5 for a, b in both)
    for before, after in zip(found.exclusive, found.exclusive[1:], strict=False):
        assert before.end <= after.start + 1e-6


@pytest.mark.parametrize("room", ["dual mono", "stereo microphone"])
def test_channels_that_all_hear_everybody_are_no_speakers(tmp_path, room):
    audio, _ = conversation()
    mono = audio.sum(axis=1)
    near = np.stack([0.9 * audio[:, 0] + 0.6 * audio[:, 1], 0.6 * audio[:, 0] + 0.9 * audio[:, 1]], axis=1)
    path = save(tmp_path / "room.wav", np.stack([mono, mono], axis=1) if room == "dual mono" else near)
    with pytest.raises(Unsupported, match="all of them hear everybody"):
        found_in(path)


def test_one_person_on_the_left_is_not_two_speakers(tmp_path):
    audio, _ = conversation()
    audio[:, 0] += audio[:, 1]
    audio[:, 1] = 0
    with pytest.raises(Unsupported):
        found_in(save(tmp_path / "left.wav", audio))


def test_one_channel_says_so(tmp_path):
    with pytest.raises(Unsupported, match="one channel only"):
        found_in(save(tmp_path / "mono.wav", conversation()[0].sum(axis=1)))


def test_two_channels_are_not_the_three_people_who_were_asked_for(tmp_path):
    with pytest.raises(Unsupported, match="not how many you asked for"):
        found_in(save(tmp_path / "call.wav", conversation()[0]), count=Count(exact=3))


def test_times_hold_at_another_rate(tmp_path):
    audio, truth = conversation()
    found = found_in(save(tmp_path / "call8k.wav", audio[::2], RATE // 2))
    assert wrong(found, truth) < 0.15


def test_files_of_one_speaker_each_become_one_recording_with_speakers(tmp_path):
    audio, truth = conversation(0.1)
    paths = [save(tmp_path / f"{i}.wav", audio[: [-1, -RATE][i], i]) for i in (0, 1)]  # one ends earlier
    with together(paths) as recording:
        assert recording.duration == pytest.approx(15, abs=0.01)
        found = diarize(recording, "auto", source=paths, config=Config())
    assert found.by == "channels" and "2 files" in found.says
    assert wrong(found, truth) < 0.15
