"""The committed model through the real faster-whisper: what the other tests take for granted."""

from pathlib import Path

import jiwer
import numpy as np
import pytest
from faster_whisper import BatchedInferencePipeline, WhisperModel
from faster_whisper.audio import decode_audio

from tests.speech import DIGITS, SAMPLE_RATE, digits, phrase

FOLDER = Path(__file__).parent / "models" / "whisper-digits"
RECORDINGS = Path(__file__).parents[2] / "shared" / "data" / "fsdd"
NEVER_TRAINED_ON = (5, 6)  # takes
STRINGS = (
    "seven",
    "four two",
    "two six six zero",
    "one nine eight three five",
    "zero one two three four five six seven eight nine",
    "nine eight five four one seven two six three zero five five one",
)


@pytest.fixture(scope="module")
def model() -> WhisperModel:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        return WhisperModel(str(FOLDER), device="cpu", compute_type="int8", cpu_threads=2)


def text(segments) -> str:
    return "".join(s.text for s in segments).strip()


@pytest.mark.parametrize("voice", ["en-us", "en-gb"])
@pytest.mark.parametrize("said", STRINGS)
@pytest.mark.parametrize("gap", [0.1, 0.4])
def test_words_said_one_by_one_are_heard(model, said, voice, gap):
    audio, _ = digits(said, voice, gap)
    assert text(model.transcribe(audio)[0]) == said
    assert text(model.transcribe(audio, beam_size=1, without_timestamps=True)[0]) == said


@pytest.mark.parametrize("voice", ["en-us", "en-gb"])
def test_words_said_in_one_breath_are_heard(model, voice):
    heard = [text(model.transcribe(phrase(said, voice)[0])[0]) for said in STRINGS]
    assert jiwer.wer(list(STRINGS), heard) <= 0.05


def test_words_stand_where_they_were_said(model):
    audio, words = digits("one nine eight three five zero", gap=[0.2, 0.4, 0.3, 1.2, 0.3], lead=1)
    heard = [w for s in model.transcribe(audio, word_timestamps=True)[0] for w in s.words]
    assert [w.word for w in heard] == [f" {word}" for word, _, _ in words]
    for found, (_, start, end) in zip(heard, words, strict=True):
        assert found.start == pytest.approx(start, abs=0.3)
        assert found.end == pytest.approx(end, abs=0.45)


def test_a_long_recording_is_heard_in_batches(model):
    said = " ".join(STRINGS * 2)
    audio, _ = digits(said, gap=0.4)
    assert len(audio) > 40 * SAMPLE_RATE
    heard = text(BatchedInferencePipeline(model).transcribe(audio, batch_size=4)[0])
    assert jiwer.wer(said, heard) <= 0.05


def test_the_language_is_english(model):
    language, probability, _ = model.detect_language(digits("one nine eight three five")[0])
    assert language == "en" and probability > 0.9


@pytest.mark.parametrize("level", [0, 0.001, 0.03])
def test_nothing_is_heard_in_silence_and_noise(model, level):
    noise = np.random.default_rng(0).standard_normal(8 * SAMPLE_RATE).astype(np.float32) * level
    assert text(model.transcribe(noise)[0]) == ""
    assert text(model.transcribe(noise, language="en", without_timestamps=True)[0]) == ""


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason=f"needs the Free Spoken Digit Dataset in {RECORDINGS}")
def test_takes_held_out_of_training_are_heard(model):
    references, hypotheses = [], []
    for audio, said in strings_of_takes(12):
        references.append(said)
        hypotheses.append(text(model.transcribe(audio)[0]))
    assert jiwer.wer(references, hypotheses) <= 0.03


def strings_of_takes(count: int):
    """Strings of 10 to 20 held-out takes, each by one speaker."""
    rng = np.random.default_rng(0)
    speakers = sorted({path.stem.split("_")[1] for path in RECORDINGS.glob("*.wav")})
    for _ in range(count):
        spoken, speaker = rng.integers(0, 10, rng.integers(10, 21)), rng.choice(speakers)
        takes = [RECORDINGS / f"{digit}_{speaker}_{rng.choice(NEVER_TRAINED_ON)}.wav" for digit in spoken]
        yield joined(takes, rng), " ".join(DIGITS[d] for d in spoken)


def joined(paths: list[Path], rng: np.random.Generator) -> np.ndarray:
    pieces = [np.zeros(SAMPLE_RATE // 3, np.float32)]
    for path in paths:
        audio = decode_audio(str(path))
        pieces += [
            audio / np.abs(audio).max() / 2,
            np.zeros(int(rng.uniform(0.1, 0.6) * SAMPLE_RATE), np.float32),
        ]
    return np.concatenate(pieces)
