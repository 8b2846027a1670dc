"""Windows: nothing said is left out, none is longer than a recogniser takes, all find their place again."""

from itertools import pairwise

import numpy as np
import pytest

from asr.audio import decode
from asr.pipeline.windows import LONGEST, Window, clipped, windows
from asr.types import Segment, Word
from asr.vad import Stretch
from tests.tones import loud, say, silence

SPOKEN = [3.0, 9.0, 20.0, 55.0, 56.5, 100.0, 131.0]  # where somebody says something


@pytest.fixture
def recording():
    audio = silence(140)
    for at in SPOKEN:
        said = say("ask not")
        audio[int(at * 16_000) : int(at * 16_000) + len(said)] = said
    with decode(audio) as recording:
        yield recording


def window(*spans: tuple[float, float]) -> Window:
    return Window(tuple(Stretch(a, b, np.ones(round((b - a) / 0.032), np.float32)) for a, b in spans))


def test_joined_windows_hold_all_speech_in_few_windows(recording):
    found = list(windows(recording, loud, join=True))
    assert len(found) == 1 < len(list(windows(recording, loud, join=False)))
    for at in SPOKEN:
        assert any(s.start <= at and at + 0.7 <= s.end for w in found for s in w.stretches)


def test_windows_are_in_order_never_overlap_and_never_too_long():
    audio = np.concatenate([say("ask not what your country " * n) for n in (3, 40, 7, 1, 60)])
    for join in (True, False):
        found = list(windows(decode(audio), loud, join))
        stretches = [s for w in found for s in w.stretches]
        assert all(sum(s.duration for s in w.stretches) <= LONGEST + 1e-6 for w in found)
        assert all(a.end <= b.start + 1e-6 for a, b in pairwise(stretches))


def test_silence_has_no_windows():
    assert list(windows(decode(silence(65)), loud, join=True)) == []


def test_audio_is_the_stretches_one_after_the_other(recording):
    (found,) = windows(recording, loud, join=True)
    audio = found.audio(recording)
    assert len(audio) / 16_000 == pytest.approx(sum(s.duration for s in found.stretches), abs=1e-3)
    assert audio.dtype == np.float32 and np.abs(audio).max() == pytest.approx(0.5, abs=0.01)


def test_what_was_heard_is_put_back_where_it_was_said():
    three = window((10, 12), (50, 53), (90, 91))
    heard = Segment(2.5, 4.0, " not", (Word(2.5, 4.0, " not"),))
    ((stretch, segment),) = three.placed(heard)
    assert stretch is three.stretches[1]
    assert (segment.start, segment.end, segment.words[0].start) == pytest.approx((50.5, 52.0, 50.5))


def test_a_segment_over_a_join_is_cut_apart_between_its_words():
    heard = Segment.of(
        [Word(0.5, 1.0, " ask"), Word(1.5, 2.1, " not"), Word(2.2, 2.6, " what")],
        language="en", avg_logprob=-0.3, tokens=(1, 2, 3),
    )  # fmt: skip
    first, second = (s for _, s in window((10, 12), (50, 53)).placed(heard))
    assert (first.text, second.text) == (" ask not", " what")
    assert (first.end, second.start, second.end) == pytest.approx((12.0, 50.2, 50.6)), (
        "words stay in their stretch"
    )
    assert first.avg_logprob == second.avg_logprob == -0.3 and second.tokens == ()


def test_a_segment_without_words_goes_where_its_middle_is():
    ((_, segment),) = window((10, 12), (50, 53)).placed(Segment(1.5, 4.0, " not"))
    assert 50 <= segment.start < segment.end <= 53


def test_times_beyond_the_window_are_brought_back():
    ((_, segment),) = window((10, 12)).placed(Segment(1.0, 30.0, " ask"))
    assert (segment.start, segment.end) == (11, 12)


def test_clipping_keeps_order():
    segment = Segment.of([Word(1, 2, " a"), Word(2, 5, " b")])
    found = clipped(segment, 1.5, 4)
    assert (found.start, found.end) == (1.5, 4) and [w.start for w in found.words] == [1.5, 2]
