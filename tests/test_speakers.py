"""Speakers on words: who gets which word, where segments part, and what never gets lost."""

from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.speakers import NEAR, assign, merged, names, renamed
from asr.types import Segment, Turn, Word


@dataclass(frozen=True)
class Turns:
    turns: tuple[Turn, ...] = ()
    exclusive: tuple[Turn, ...] = ()


def turns(*spans: tuple[float, float, str], over: tuple[tuple[float, float, str], ...] = ()) -> Turns:
    """One speaker at a time, and `over` what is said at the same time."""
    exclusive = tuple(Turn(*span) for span in spans)
    return Turns((*exclusive, *(Turn(*span) for span in over)), exclusive)


def said(text: str, start: float = 0.0, pace: float = 0.5, **rest) -> Segment:
    """A segment of which each word lasts `pace` seconds."""
    words = [Word(start + pace * i, start + pace * (i + 1), f" {w}", 0.9) for i, w in enumerate(text.split())]
    return Segment.of(words, **rest)


def shown(segments) -> list[tuple[str | None, str]]:
    return [(s.speaker, s.text.strip()) for s in segments]


def test_a_segment_is_split_where_the_speaker_changes():
    heard = said("one two three four five six", tokens=(1, 2), language="en", avg_logprob=-0.2)
    first, second = assign([heard], turns((0, 1.5, "A"), (1.5, 3, "B")))
    assert shown([first, second]) == [("A", "one two three"), ("B", "four five six")]
    assert (first.end, second.start) == (1.5, 1.5)
    assert [w.speaker for w in first.words + second.words] == ["A"] * 3 + ["B"] * 3
    assert (second.language, second.avg_logprob, second.tokens) == ("en", -0.2, ())


def test_what_is_not_split_keeps_everything():
    heard = said("one two", tokens=(1, 2))
    (found,) = assign([heard], turns((0, 9, "A")))
    words = tuple(replace(w, speaker="A") for w in heard.words)
    assert found == replace(heard, speaker="A", words=words)


def test_a_word_belongs_to_whoever_speaks_longest_during_it_in_sum():
    several = turns((0, 0.3, "A"), (0.3, 0.7, "B"), (0.7, 1.0, "A"))
    assert assign([said("word", pace=1.0)], several)[0].speaker == "A"


def test_words_in_gaps_go_to_the_nearest_turn_up_to_a_limit():
    there = turns((10, 11, "A"), (20, 21, "B"))

    def who(start: float) -> str | None:
        return assign([said("word", start)], there)[0].speaker

    assert (who(11.2), who(9.2), who(18.9), who(22.0)) == ("A", "A", "B", "B")
    assert who(15) is None and who(21 + NEAR + 0.1) is None and who(10 - 0.6 - NEAR) is None


def test_a_word_without_any_length_belongs_to_the_turn_it_stands_in():
    heard = Segment.of([Word(5.0, 5.0, " word")])
    assert assign([heard], turns((0, 4.9, "A"), (4.9, 9, "B")))[0].speaker == "B"


def test_a_boundary_that_slipped_into_a_sentence_is_moved_to_its_end():
    heard = [said("Shall we begin with that now? Yes, of course we shall.")]
    late, early = turns((0, 3.5, "A"), (3.5, 6, "B")), turns((0, 2.5, "A"), (2.5, 6, "B"))
    for found in (late, early):
        assert shown(assign(heard, found)) == [
            ("A", "Shall we begin with that now?"),
            ("B", "Yes, of course we shall."),
        ]


def test_without_punctuation_nothing_is_evened_out():
    heard = [said("one two three four five six seven")]
    assert shown(assign(heard, turns((0, 3, "A"), (3, 3.5, "B")))) == [
        ("A", "one two three four five six"),
        ("B", "seven"),
    ]


def test_whoever_says_four_words_inside_a_sentence_keeps_them():
    heard = [said("we could go there at once so why not do that tomorrow then.")]
    found = assign(heard, turns((0, 3, "A"), (3, 5.5, "B"), (5.5, 7, "A")))
    assert [(s.speaker, len(s.words)) for s in found] == [("A", 6), ("B", 5), ("A", 2)]
    found = assign(heard, turns((0, 3, "A"), (3, 4.5, "B"), (4.5, 7, "A")))
    assert [(s.speaker, len(s.words)) for s in found] == [("A", 13)]  # three may be a slip


def test_a_pause_ends_a_sentence():
    heard = [said("we had agreed on everything"), said("no.", start=5)]
    assert [s.speaker for s in assign(heard, turns((0, 2.5, "A"), (4.9, 6, "B")))] == ["A", "B"]


def test_words_said_while_somebody_else_speaks_are_marked():
    heard = said("one two three four")
    (found,) = assign([heard], turns((0, 2, "A"), over=((0.6, 1.4, "B"),)))
    assert [w.overlap for w in found.words] == [False, True, True, False]


def test_a_segment_without_words_is_cut_by_the_proportions_of_its_text():
    heard = Segment(0, 6, " Shall we begin? Yes, we shall now.", tokens=(1,))
    first, second = assign([heard], turns((0, 3, "A"), (3, 6, "B")))
    assert shown([first, second]) == [("A", "Shall we begin?"), ("B", "Yes, we shall now.")]
    assert first.text + second.text == heard.text and not first.words and first.end == second.start


def test_text_in_a_script_without_spaces_is_cut_too():
    heard = Segment(0, 8, "今天开始吧。好的，马上。")
    found = assign([heard], turns((0, 4, "A"), (4, 8, "B")))
    assert shown(found) == [("A", "今天开始吧。"), ("B", "好的，马上。")]


def test_nothing_to_go_by_leaves_no_speaker():
    heard = [said("one two", speaker="old"), Segment(3, 3, "")]
    assert [s.speaker for s in assign(heard, Turns())] == [None, None]
    assert assign([], turns((0, 1, "A"))) == ()
    assert assign([Segment(0, 1, " ", speaker="old")], turns((0, 1, "A")))[0].speaker is None


def test_renaming_and_merging_change_names_alone():
    heard = assign([said("one two three four")], turns((0, 1, "A"), (1, 2, "B")))
    anna = renamed(heard, "A", "Anna")
    assert [(s.speaker, s.words[0].speaker) for s in anna] == [("Anna", "Anna"), ("B", "B")]
    assert renamed(anna, "Anna", "A") == heard and names(anna) == ["Anna", "B"]
    both = merged(heard, {"A", "B"}, "B")
    assert names(both) == ["B"] and [len(s.words) for s in both] == [2, 2]


times = st.one_of(st.floats(0, 30), st.floats(), st.just(0.0))
some = st.builds(Turn, st.floats(0, 30), st.floats(0, 30), st.sampled_from("ABC"))
words = st.builds(Word, times, times, st.text(" a.?好", min_size=1, max_size=4))
timed = st.lists(words, min_size=1, max_size=9).map(Segment.of)
untimed = st.builds(Segment, times, times, st.text(" \n\u00a0ab.?好。", max_size=40))


@given(st.lists(timed | untimed, max_size=5), st.lists(some, max_size=8), st.lists(some, max_size=8))
@settings(max_examples=300, deadline=None)
def test_no_text_is_lost_and_no_word_changes_but_for_its_speaker(segments, exclusive, overlapping):
    found = assign(segments, Turns(tuple(overlapping), tuple(exclusive)))
    assert "".join(s.text for s in found) == "".join(s.text for s in segments)
    before = [repr(w) for s in segments for w in s.words]  # as text: engines do answer with NaN
    after = [repr(replace(w, speaker=None, overlap=False)) for s in found for w in s.words]
    assert after == before
    assert all({w.speaker for w in s.words} <= {s.speaker} for s in found)
    assert {s.speaker for s in found} <= {t.speaker for t in exclusive} | {None}


@pytest.mark.parametrize("one", [Turn(0, 0, "A"), Turn(3, 1, "A")])
def test_turns_without_length_do_no_harm(one):
    found = assign([said("one two three")], Turns((one,), (one, Turn(0, 5, "B"))))
    assert names(found) == ["B"]
