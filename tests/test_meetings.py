"""Meetings through the whole chain: a real Whisper, real alignment, the built-in diarizer, speakers on words.

Who said what is known exactly, for the meetings are composed of voices.
"""

from dataclasses import replace

import numpy as np
import pytest

from asr.align import align
from asr.config import Config
from asr.diarize import Count, diarize
from asr.pipeline import transcribe
from asr.speakers import assign, names
from asr.types import Options, Segment, Turn
from tests.conftest import HERE, needs_voices
from tests.meetings import VOICES, Meeting, composed, errors, recorded, synthetic

ALIGNER = Config(align_model=str(HERE / "models" / "wav2vec2-digits"))


def heard(meeting: Meeting, backend, words: bool = True) -> list[Segment]:
    return list(transcribe(meeting.recording, backend, Options(language="en", word_timestamps=words)))


def told(meeting: Meeting, count: Count = Count()):  # noqa: B008
    return diarize(meeting.recording, "embedded", count, config=Config())


@pytest.fixture(scope="module")
def two() -> Meeting:
    return composed(VOICES[:2], synthetic, turns=6, seed=0)


@needs_voices
def test_two_speakers_and_all_their_words(two, digits):
    wer, wder, speakers = errors(two, assign(heard(two, digits), told(two)))
    assert wer <= 0.05 and wder <= 0.05 and speakers == 2


@needs_voices
def test_words_that_only_alignment_times_get_the_right_speakers(two, digits):
    wordless = [replace(s, words=()) for s in heard(two, digits)]
    segments, says = align(two.recording, wordless, "en", config=ALIGNER)
    assert not says
    off = [min(abs(w.start - t.start) for t in two.words) for s in segments for w in s.words]
    assert np.median(off) < 0.05
    wer, wder, _ = errors(two, assign(segments, told(two)))
    assert wer <= 0.05 and wder <= 0.05


@needs_voices
def test_every_line_is_one_person_s_and_nothing_is_lost(two, digits):
    segments = heard(two, digits)
    lines = assign(segments, told(two))
    assert "".join(s.text for s in lines) == "".join(s.text for s in segments)
    assert len(names(lines)) == 2 and all({w.speaker for w in s.words} == {s.speaker} for s in lines)


@needs_voices
def test_people_of_whom_the_number_is_known(digits):
    meeting = composed(VOICES[:3], synthetic, turns=9, seed=1)
    wer, wder, speakers = errors(meeting, assign(heard(meeting, digits), told(meeting, Count(exact=3))))
    assert wer <= 0.05 and wder <= 0.15 and speakers == 3


@needs_voices
@pytest.mark.parametrize(("people", "seed"), [(2, 0), (3, 0), (4, 0)])
def test_real_voices(recordings, digits, people, seed):
    who = sorted({p.stem.split("_")[1] for p in recordings.glob("fsdd/*.wav")})
    who = [str(w) for w in np.random.default_rng(seed + 100).permutation(who)[:people]]
    meeting = composed(who, recorded(recordings / "fsdd"), turns=3 * people, seed=seed)
    wer, wder, speakers = errors(meeting, assign(heard(meeting, digits), told(meeting)))
    assert wer <= 0.06 and wder <= 0.2 and abs(speakers - people) <= 1


def test_the_measure_counts_what_it_says():
    meeting = composed(VOICES[:2], synthetic, turns=2, seed=3)
    turns = tuple(Turn(w.start, w.end, f"was {w.speaker}") for w in meeting.words)
    right = assign([Segment.of([replace(w, speaker=None) for w in meeting.words])], Told(turns))
    assert errors(meeting, right) == (0.0, 0.0, 2)
    wrong = replace(turns[0], speaker=turns[-1].speaker)
    segments = assign([Segment.of(meeting.words)], Told((wrong, *turns[1:])))
    assert errors(meeting, segments)[1] == pytest.approx(1 / len(meeting.words))


class Told:
    def __init__(self, turns):
        self.turns = self.exclusive = turns
