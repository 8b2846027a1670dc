"""PocketSphinx on real speech: words with times, streams, and what it does not pretend to do."""

from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from asr import backends
from asr.audio import SAMPLE_RATE, load_audio
from asr.backends.pocketsphinx import _cuts
from asr.errors import BackendUnavailable, UnknownModel
from asr.types import Options

SAID = "comparable quality to larger models"  # 7.9 to 10 s into the recording that comes with fastrtc
TIMED = Options(word_timestamps=True)


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    return load_audio(Path(find_spec("fastrtc").origin).parent / "speech_to_text" / "test_file.wav")


@pytest.fixture(scope="module")
def quality(speech) -> np.ndarray:
    """Three seconds of it."""
    return speech[int(7.2 * SAMPLE_RATE) : int(10.2 * SAMPLE_RATE)]


@pytest.fixture(scope="module")
def heard(sphinx, speech):
    return list(sphinx.transcribe(speech, TIMED))


def text(words) -> str:
    return "".join(w.word for w in words).strip()


def test_real_speech_is_recognised_with_times_and_probabilities(heard, speech):
    words = [w for s in heard for w in s.words]
    assert SAID in "".join(s.text for s in heard)
    quality = next(w for w in words if w.word == " quality")
    assert (quality.start, quality.end) == pytest.approx((8.45, 9.0), abs=0.15)
    assert all(0 <= w.probability <= 1 for w in words) and quality.probability > 0.9
    assert (
        all(a.end <= b.start + 1e-6 for a, b in pairwise(words))
        and words[-1].end <= len(speech) / SAMPLE_RATE
    )


def test_segments_end_at_pauses_and_their_text_is_their_words(heard):
    assert 2 <= len(heard) <= 6
    assert all(s.text == "".join(w.word for w in s.words) and s.language == "en" for s in heard)


def test_fillers_and_pronunciation_marks_are_no_words(heard):
    assert not set("<>[]()") & set("".join(s.text for s in heard))


def test_words_are_left_out_unless_asked_for(sphinx, quality):
    (plain,) = sphinx.transcribe(quality, Options())
    (timed,) = sphinx.transcribe(quality, TIMED)
    assert plain.words == () and plain.text == timed.text and plain.start == timed.start


def test_the_same_audio_gives_the_same_words_whatever_was_heard_before(sphinx, quality, speech):
    first = list(sphinx.transcribe(quality, TIMED))
    list(sphinx.transcribe(speech[: 2 * SAMPLE_RATE] * 0.1, TIMED))
    assert list(sphinx.transcribe(quality, TIMED)) == first


def test_threads_do_not_disturb_each_other(sphinx, quality):
    expected = list(sphinx.transcribe(quality, TIMED))
    with ThreadPoolExecutor(2) as pool:
        heard = list(pool.map(lambda _: list(sphinx.transcribe(quality, TIMED)), range(2)))
    assert heard == [expected, expected]


def test_a_stream_hears_while_audio_arrives_and_finishes_utterances(sphinx, quality):
    stream = sphinx.stream(Options())
    sizes = []
    for first in range(0, len(quality), 8000):
        draft = stream.feed(quality[first : first + 8000])
        sizes.append(len(draft))
    assert sizes[0] < sizes[len(sizes) // 2] < sizes[-1] and all(w.probability is None for w in draft)
    final = stream.finish()
    assert SAID in text(final) and all(0 <= w.probability <= 1 for w in final)


def test_times_of_a_stream_count_from_its_start(sphinx, quality):
    stream = sphinx.stream(Options())
    starts = []
    for _ in range(2):
        stream.feed(quality)
        starts.append(next(w.start for w in stream.finish() if w.word == " quality"))
    assert starts[1] - starts[0] == pytest.approx(len(quality) / SAMPLE_RATE, abs=0.1)


def test_finishing_where_nothing_was_fed_gives_nothing(sphinx):
    stream = sphinx.stream(Options())
    assert stream.finish() == [] and stream.feed(np.zeros(0, np.float32)) == [] and stream.finish() == []


@pytest.mark.parametrize("samples", [0, 1, 100, 1600])
def test_next_to_nothing_is_no_error(sphinx, samples):
    assert list(sphinx.transcribe(np.zeros(samples, np.float32), TIMED)) == []


def test_long_audio_is_cut_where_it_is_quiet_and_nothing_is_left_out():
    audio = np.ones(100 * SAMPLE_RATE, np.float32)
    pauses = [int(t * SAMPLE_RATE) for t in (22, 44, 71)]
    for pause in pauses:
        audio[pause : pause + 3200] = 0
    cuts = _cuts(audio)
    assert cuts[0] == 0 and cuts[-1] == len(audio)
    assert all(0 < b - a <= 30 * SAMPLE_RATE for a, b in pairwise(cuts))
    assert all(any(p <= c <= p + 3200 for p in pauses) for c in cuts[1:-1])


def test_it_has_one_model_and_runs_on_the_cpu():
    with pytest.raises(UnknownModel, match="en-us"):
        backends.load("pocketsphinx:de-de")
    with pytest.raises(BackendUnavailable, match="cpu"):
        backends.load("pocketsphinx:en-us", "cuda")
