"""What is believed and what is not."""

from dataclasses import replace

import pytest

from asr.guards import AVG_LOGPROB, COMPRESSION_RATIO, NO_SPEECH_PROB, failed, invented, silent
from asr.types import Segment

GOOD = Segment(0, 2, " seven three", avg_logprob=-0.2, compression_ratio=0.9, no_speech_prob=0.01)
SURE, UNSURE = AVG_LOGPROB + 0.01, AVG_LOGPROB - 0.01
QUIET, LOUD = NO_SPEECH_PROB + 0.01, NO_SPEECH_PROB - 0.01


def test_good_scores_pass():
    assert not failed(GOOD) and not silent(GOOD)


def test_a_loop_fails_however_sure_the_model_is():
    assert failed(replace(GOOD, compression_ratio=COMPRESSION_RATIO + 0.1))
    assert not failed(replace(GOOD, compression_ratio=COMPRESSION_RATIO))


def test_a_guess_fails():
    assert failed(replace(GOOD, avg_logprob=UNSURE))
    assert not failed(replace(GOOD, avg_logprob=AVG_LOGPROB))


@pytest.mark.parametrize(
    ("no_speech", "logprob", "says"), [(QUIET, UNSURE, True), (QUIET, SURE, False), (LOUD, UNSURE, False)]
)
def test_silence_needs_both_scores(no_speech, logprob, says):
    assert silent(replace(GOOD, no_speech_prob=no_speech, avg_logprob=logprob)) is says


def test_an_engine_without_scores_never_fails():
    bare = Segment(0, 2, " hello")
    assert not failed(bare) and not silent(bare) and not invented(bare, speech=0.0)


@pytest.mark.parametrize(
    "text",
    [
        " Thank you.",
        " THANKS FOR WATCHING!",
        " you",
        " Vielen Dank.",
        " ご視聴ありがとうございました。",
        " ...",
        " ♪♪",
    ],
)
def test_what_whisper_says_to_silence_is_invented_only_without_speech(text):
    segment = replace(GOOD, text=text)
    assert invented(segment, speech=0.05)
    assert not invented(segment, speech=1.5)


def test_a_little_speech_in_a_long_segment_is_not_enough():
    segment = replace(GOOD, text=" Thank you.", end=20.0)
    assert invented(segment, speech=0.5)
    assert not invented(segment, speech=2.5)


def test_other_text_is_kept_even_where_little_speech_was_heard():
    assert not invented(GOOD, speech=0.0)
    assert not invented(replace(GOOD, text=" Thank you all for coming."), speech=0.0)


def test_what_the_model_itself_calls_silence_needs_speech_to_be_kept():
    doubtful = replace(GOOD, no_speech_prob=QUIET, avg_logprob=UNSURE)
    assert invented(doubtful, speech=0.1)
    assert not invented(doubtful, speech=1.0)
