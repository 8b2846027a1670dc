"""Corrections: nothing but what was corrected changes, times stay with their words, undoing is exact."""

import json
import math
import string
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.edits import LONGEST_LINE, LONGEST_NAME, apply, cast, heard, replayed
from asr.errors import Unsupported
from asr.text.wording import COSTLY, reworded, words
from asr.types import Segment, Transcript, Turn, Word

VOICES = ["Anna", "Bob", "Speaker 3"]


def line(text, start=0.0, each=0.5, speaker=None, **rest) -> Segment:
    """A segment whose words last `each` seconds; each word's probability is its own."""
    said = [f" {w}" for w in text.split()]
    return Segment.of(
        [
            Word(start + i * each, start + (i + 1) * each, w, round(0.5 + i / 100, 2), speaker)
            for i, w in enumerate(said)
        ],
        speaker=speaker,
        tokens=(1, 2),
        avg_logprob=-0.3,
        **rest,
    )


def meeting() -> Transcript:
    said = [
        ("Anna", "good morning everyone"),
        ("Bob", "morning Anna"),
        ("Anna", "shall we begin now"),
        (None, "yes"),
    ]
    return Transcript(tuple(line(text, 10.0 * i, speaker=who) for i, (who, text) in enumerate(said)), 40.0)


def op(name, /, **fields):
    return {"op": name, **fields}


def texts(t: Transcript) -> list[str]:
    return [s.text.strip() for s in t.segments]


def voices(t: Transcript) -> list[str | None]:
    return [s.speaker for s in t.segments]


def sound(t: Transcript) -> None:
    """What holds of every transcript, however it was edited."""
    for s in t.segments:
        if s.words:
            assert s.text == "".join(w.word for w in s.words)
            assert {w.speaker for w in s.words} == {s.speaker}
        assert s.text.strip() and all(w.word.strip() for w in s.words)


# ---- a line's text ----


def test_unchanged_words_are_the_same_objects_and_respelt_ones_keep_their_times():
    before = line("I met Grazyna Nowak in krakow yesterday")
    after = reworded(before, "I met Grażyna Nowak in Kraków, yesterday")
    for old, new in zip(before.words, after.words, strict=True):
        assert (old.start, old.end) == (new.start, new.end)
        assert new is old if new.word == old.word else new.probability is None and not new.interpolated
    assert [w.word for w in after.words if w.probability is None] == [" Grażyna", " Kraków,"]


def test_new_words_share_the_time_of_what_they_stand_for_or_of_the_gap_they_fill():
    before = line("a recognise speech b")
    after = reworded(before, "a wreck a nice peach b")
    assert after.words[0] is before.words[0] and after.words[-1] is before.words[-1]
    new = after.words[1:-1]
    assert new[0].start == 0.5 and new[-1].end == 1.5 and all(w.interpolated for w in new)
    assert all(a.end == b.start and a.end > a.start for a, b in pairwise(new))
    gap = replace(
        before, words=(*before.words[:2], *(replace(w, start=w.start + 3) for w in before.words[2:]))
    )
    filled = reworded(gap, "a recognise my speech b").words[2]
    assert (filled.start, filled.end) == (1.0, 4.0)


def test_words_at_both_ends_can_be_added_and_removed():
    before = line("one two three", start=5.0)
    assert reworded(before, "two three").words == before.words[1:]
    assert reworded(before, "one two").words == before.words[:2]
    longer = reworded(before, "zero one two three four").words
    assert longer[1:4] == before.words and longer[0].end <= 5.0 and longer[-1].start >= 6.5


def test_an_edited_line_is_looked_at_and_its_tokens_are_not_known_any_more():
    after = reworded(line("a b", unsure=True), "a c")
    assert not after.unsure and after.tokens == () and after.avg_logprob == -0.3


def test_what_is_typed_becomes_one_line_without_characters_that_control_anything():
    after = reworded(line("a b"), "  a\n\t b\u202e\x00 \ud800 <b> ")
    assert after.text == " a b \ufffd <b>"


def test_the_space_around_a_line_stays_as_it_was():
    assert reworded(Segment(0, 1, "Hello there"), "Hello you").text == "Hello you"
    assert reworded(Segment(0, 1, " Hello there "), "Hello you").text == " Hello you "


def test_a_line_without_words_gets_its_text_and_no_words():
    after = reworded(Segment(1, 3, " some text"), "other text")
    assert after.words == () and after.text == " other text" and (after.start, after.end) == (1, 3)
    assert [w.word for w in words(after)] == [" other", " text"] and all(w.interpolated for w in words(after))


def test_scripts_without_spaces_keep_their_words():
    said = ["今天", "天气", "很", "好"]
    before = Segment.of([Word(i, i + 1, w, 0.9) for i, w in enumerate(said)])
    after = reworded(before, "今天天气不好")
    assert [w.word for w in after.words] == ["今天", "天气", "不", "好"]
    assert [w is o for w, o in zip(after.words, before.words, strict=True)] == [True, True, False, True]
    thai = Segment.of([Word(i, i + 1, w) for i, w in enumerate(["สวัสดี", "ครับ"])])
    assert [w.word for w in reworded(thai, "สวัสดีทุกคนครับ").words] == ["สวัสดี", "ทุกคน", "ครับ"]


def test_a_very_long_line_of_one_word_is_edited_at_once():
    long = line("a " * int(math.sqrt(COSTLY) + 100))
    after = reworded(long, "b " + "a " * 3000 + "c")
    assert after.text == "".join(w.word for w in after.words) and after.words[-1].end <= long.end


TEXT = st.lists(
    st.text(string.ascii_letters + "ąé.,!今天ส", min_size=1, max_size=5), min_size=1, max_size=8
).map(" ".join)


@given(TEXT, TEXT)
def test_text_is_its_words_and_times_never_run_backwards(old, new):
    before = line(old, start=2.0)
    after = reworded(before, new)
    assert after.text == "".join(w.word for w in after.words) and after.text.split() == new.split()
    times = [t for w in after.words for t in (w.start, w.end)]
    assert times == sorted(times) and before.start <= times[0] and times[-1] <= before.end
    assert (after.start, after.end) == (before.start, before.end)


@given(TEXT)
def test_the_same_text_again_changes_no_word(text):
    before = line(text)
    assert all(a is b for a, b in zip(reworded(before, text).words, before.words, strict=True))


@given(TEXT, st.data())
def test_words_before_and_after_an_edit_are_left_alone(text, data):
    before = line(text)
    i = data.draw(st.integers(0, len(before.words)))
    said = text.split()
    after = reworded(before, " ".join([*said[:i], "inserted", *said[i:]])).words
    assert after[:i] == before.words[:i] and after[i + 1 :] == before.words[i:]


# ---- operations ----


def test_splitting_and_joining_give_the_line_back():
    before = meeting()
    parted = apply(before, op("split", line=2, at=2))
    assert texts(parted)[2:4] == ["shall we", "begin now"] and len(parted.segments) == 5
    assert parted.segments[2].end == parted.segments[3].start == 21.0
    again = apply(parted, op("join", line=2)).segments[2]
    assert again == replace(before.segments[2], tokens=())


def test_a_line_without_words_is_split_by_the_share_of_its_text():
    t = Transcript((Segment(0.0, 10.0, " aaaa bbbb"),), 10.0)
    parts = apply(t, op("split", line=0, at=1)).segments
    assert [(s.start, s.end, s.text, s.words) for s in parts] == [(0, 5, " aaaa", ()), (5, 10, " bbbb", ())]


def test_a_joined_line_belongs_to_the_first_of_its_speakers():
    t = apply(meeting(), op("join", line=0))
    assert texts(t)[0] == "good morning everyone morning Anna" and voices(t) == ["Anna", "Anna", None]
    sound(t)


def test_an_emptied_line_is_gone():
    assert texts(apply(meeting(), op("text", line=1, text=" \n "))) == [
        "good morning everyone",
        "shall we begin now",
        "yes",
    ]


def test_speakers_are_renamed_merged_and_reassigned_on_lines_and_words():
    t = apply(meeting(), op("rename", speaker="Anna", name="Dr. Anna Kowalska"))
    assert voices(t) == ["Dr. Anna Kowalska", "Bob", "Dr. Anna Kowalska", None]
    t = apply(t, op("speaker", first=3, last=3, speaker="Bob"))
    t = apply(t, op("merge", speaker="Dr. Anna Kowalska", into="Bob"))
    assert voices(t) == ["Bob"] * 4
    t = apply(t, op("speaker", first=1, last=2, speaker=None))
    assert voices(t) == ["Bob", None, None, "Bob"]
    t = apply(t, op("rename", speaker=None, name="Carl"))
    assert voices(t) == ["Bob", "Carl", "Carl", "Bob"]
    assert voices(apply(t, op("merge", speaker="Carl", into=None))) == ["Bob", None, None, "Bob"]
    sound(t)


def test_a_name_that_is_taken_is_not_given_twice_but_can_be_merged():
    with pytest.raises(Unsupported, match="merge"):
        apply(meeting(), op("rename", speaker="Anna", name=" Bob "))


def test_replacing_takes_whole_words_and_case_only_where_asked():
    def after(**how):
        return texts(apply(meeting(), op("replace", find="ann", put="X", **how)))[1]

    assert after(case=False, whole=False) == "morning Xa"
    assert after(case=True, whole=False) == after(case=False, whole=True) == "morning Anna"
    t = apply(meeting(), op("replace", find="morning anna", put=r"hello \1 & all", case=False, whole=True))
    assert texts(t)[1] == r"hello \1 & all", "the new text is text, no pattern"
    assert (
        texts(apply(meeting(), op("replace", find="yes", put="", case=False, whole=True)))
        == texts(meeting())[:3]
    )


def test_replacing_says_nothing_of_a_line_that_was_unsure():
    t = Transcript((line("an other word", unsure=True),), 9.0)
    assert apply(t, op("replace", find="other", put="another", case=True, whole=True)).segments[0].unsure


def test_who_listened_makes_a_line_sure():
    t = Transcript((line("a b", unsure=True),), 9.0)
    s = apply(t, op("sure", line=0)).segments[0]
    assert not s.unsure and all(w.probability is None for w in s.words) and s.tokens == (1, 2)


def test_another_diarization_keeps_the_corrections():
    t = apply(meeting(), op("text", line=0, text="good evening everyone"))
    turns = [[0.0, 1.0, "Speaker 1"], [1.0, 31.0, "Speaker 2"]]
    t = apply(t, op("speakers", turns=turns, exclusive=turns))
    assert t.text.startswith("good evening everyone") and set(voices(t)) <= {"Speaker 1", "Speaker 2"}
    sound(t)


def test_voices_that_were_heard_go_by_their_new_names():
    turns = (Turn(0, 1, "A"), Turn(0.5, 2, "B"), Turn(3, 4, "C"))
    done = [op("rename", speaker="A", name=" Anna "), op("merge", speaker="C", into="B"), op("sure", line=0)]
    assert [t.speaker for t in heard(turns, done)] == ["Anna", "B", "B"]
    again = op("speakers", turns=[[1.0, 2.0, "A"]], exclusive=[])
    assert heard(turns, [*done, again]) == (Turn(1.0, 2.0, "A"),)


def test_speakers_keep_their_places_whoever_comes_and_goes():
    done = [
        op("merge", speaker="A", into="B"),
        op("rename", speaker="B", name="Bob"),
        op("speaker", first=0, last=0, speaker="Carl"),
        op("speaker", first=1, last=1, speaker="Bob"),
        op("speaker", first=1, last=1, speaker=None),
        op("rename", speaker=None, name="Dora"),
    ]
    assert cast(["A", "B"], done) == [None, "Bob", "Carl", "Dora"]
    assert cast(["A", "B"], [*done, op("speakers", turns=[[0, 1, "X"], [1, 2, "Y"]], exclusive=[])]) == [
        "X",
        "Y",
    ]


IMPOSSIBLE = [
    {},
    {"op": None},
    {"op": ["text"]},
    op("__class__"),
    op("text", line=0),
    op("text", line=0, text="a", more=1),
    op("text", line="0", text="a"),
    op("text", line=True, text="a"),
    op("text", line=-1, text="a"),
    op("text", line=4, text="a"),
    op("text", line=0, text=None),
    op("text", line=0, text="a" * (LONGEST_LINE + 1)),
    op("split", line=0, at=0),
    op("split", line=0, at=3),
    op("join", line=3),
    op("speaker", first=2, last=4, speaker="A"),
    op("speaker", first=0, last=0, speaker=" "),
    op("speaker", first=0, last=0, speaker="\x00"),
    op("rename", speaker="Nobody", name="A"),
    op("rename", speaker="Anna", name="a" * (LONGEST_NAME + 1)),
    op("merge", speaker="Anna", into="Nobody"),
    op("replace", find="", put="a", case=True, whole=True),
    op("replace", find="a", put="a", case=1, whole=True),
    op("replace", find="a", put="a" * 501, case=True, whole=True),
    op("speakers", turns=[[0, 1]], exclusive=[]),
    op("speakers", turns=[[0, math.nan, "A"]], exclusive=[]),
    op("speakers", turns="x", exclusive=[]),
]


@pytest.mark.parametrize("operation", IMPOSSIBLE, ids=lambda o: json.dumps(o)[:50])
def test_what_is_no_edit_is_refused_with_a_sentence(operation):
    with pytest.raises(Unsupported) as told:
        apply(meeting(), operation)
    assert told.value.what and told.value.fix


def test_replacing_cannot_make_a_text_without_bounds():
    t = Transcript(tuple(line("e " * 400) for _ in range(30)), 9.0)
    with pytest.raises(Unsupported, match="too long"):
        apply(t, op("replace", find="e", put="e" * 500, case=True, whole=True))


def edits_of(count: int) -> st.SearchStrategy:
    where, who = st.integers(0, count), st.sampled_from([*VOICES, None])
    return st.one_of(
        st.fixed_dictionaries({"op": st.just("text"), "line": where, "text": st.one_of(TEXT, st.just(""))}),
        st.fixed_dictionaries({"op": st.just("split"), "line": where, "at": st.integers(1, 3)}),
        st.fixed_dictionaries({"op": st.just("join"), "line": where}),
        st.fixed_dictionaries({"op": st.just("speaker"), "first": where, "last": where, "speaker": who}),
        st.fixed_dictionaries({"op": st.just("rename"), "speaker": who, "name": st.sampled_from(VOICES)}),
        st.fixed_dictionaries({"op": st.just("merge"), "speaker": who, "into": st.sampled_from(VOICES)}),
        st.fixed_dictionaries(
            {
                "op": st.just("replace"),
                "find": st.sampled_from(["a", "mor", "now"]),
                "put": st.sampled_from(["", "b c"]),
                "case": st.booleans(),
                "whole": st.booleans(),
            }
        ),
        st.fixed_dictionaries({"op": st.just("sure"), "line": where}),
    )


@settings(max_examples=150, deadline=None)
@given(st.lists(edits_of(5), max_size=12))
def test_any_history_leaves_a_sound_transcript_and_can_be_undone_step_by_step(wanted):
    done, states = [], [meeting()]
    for operation in wanted:
        try:
            states.append(apply(states[-1], json.loads(json.dumps(operation))))
            done.append(operation)
        except Unsupported:
            continue
    for t in states:
        sound(t)
    for n, state in enumerate(states):
        assert replayed(meeting(), done[:n]) == state
