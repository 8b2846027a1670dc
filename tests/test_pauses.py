"""Words against the voice: silence at their edges goes, pauses part segments, nothing else changes."""

import numpy as np
import pytest

from asr.pipeline.pauses import PAUSE, spoken
from asr.types import Segment, Word
from asr.vad import Stretch
from asr.vad.spans import HOP


def stretch(*voiced: tuple[float, float], start: float = 10.0, end: float = 20.0) -> Stretch:
    probabilities = np.zeros(round((end - start) / HOP), np.float32)
    for first, last in voiced:
        probabilities[round((first - start) / HOP) : round((last - start) / HOP)] = 0.9
    return Stretch(start, end, probabilities)


def said(*words: tuple[float, float, str], **scores) -> Segment:
    return Segment.of([Word(a, b, w, 0.5) for a, b, w in words], **scores)


def test_silence_at_the_edges_of_a_word_goes():
    (found,) = spoken(said((10.0, 12.5, " ask")), stretch((11.0, 11.5)))
    assert (found.start, found.end) == pytest.approx((11.0, 11.5), abs=2 * HOP)
    assert (found.words[0].start, found.words[0].end) == (found.start, found.end)


def test_a_word_is_never_made_longer():
    (found,) = spoken(said((11.2, 11.4, " ask")), stretch((10.0, 15.0)))
    assert (found.start, found.end) == (11.2, 11.4)


def test_a_word_where_no_voice_was_heard_stays_where_it_was():
    (found,) = spoken(said((11.2, 11.4, " ask")), stretch((15.0, 16.0)))
    assert (found.start, found.end) == (11.2, 11.4)


def test_a_pause_parts_a_segment_and_its_scores_go_with_both():
    segment = said(
        (10.0, 11.0, " ask"), (11.0, 14.0, " not"), (14.0, 16.0, " what"), avg_logprob=-0.4, tokens=(1, 2)
    )
    first, second = spoken(segment, stretch((10.2, 11.6), (11.6 + 1.5 * PAUSE + 1, 15.0)))
    assert (first.text, second.text) == (" ask not", " what")
    assert first.avg_logprob == second.avg_logprob == -0.4 and second.tokens == ()


def test_a_short_pause_parts_nothing():
    segment = said((10.0, 11.0, " ask"), (11.0, 13.0, " not"), tokens=(1, 2))
    (found,) = spoken(segment, stretch((10.2, 10.8), (10.8 + 0.8 * PAUSE, 13.0)))
    assert found.text == " ask not" and found.tokens == (1, 2)


def test_a_segment_without_words_loses_its_silence_too():
    (found,) = spoken(Segment(10.0, 20.0, " ask"), stretch((12.0, 13.0)))
    assert (found.start, found.end) == pytest.approx((12.0, 13.0), abs=2 * HOP) and found.text == " ask"


def test_words_beyond_the_stretch_are_left_alone():
    (found,) = spoken(said((19.9, 20.0, " ask")), stretch((10.0, 11.0)))
    assert found.words[0].end == 20.0
