"""Formats: what players, parsers and people get. Properties over any text and any times, then examples."""

import json
import re
from dataclasses import replace
from io import BytesIO
from itertools import pairwise

import pytest
from docx import Document
from docx.oxml.ns import qn
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.audio import TranscriptionDiarized

from asr import languages
from asr.errors import Unsupported
from asr.formats import (
    FORMATS,
    MEDIA_TYPE,
    SUFFIX,
    export,
    from_json,
    timestamp,
    to_srt,
    to_txt,
    to_verbose_json,
    to_vtt,
)
from asr.formats.cues import LONGEST, NAME, PAUSE, REST, SHORTEST, cues, label
from asr.text.pieces import LINE, clean, columns, pieces
from asr.types import Segment, Transcript, Word

# Letters of several scripts, punctuation, marks, emoji, and what an attacker would try.
ALPHABET = "abcdefgh.,;?!-><&\"'{}äßж你好世界。、「」ーっか한국어ไทยา่သမကម😀"
ALPHABET += "\u0301\u200b\u200d\x00\x1b\n\r\t \u2028\u202e\ufeff"
texts = st.text(ALPHABET, max_size=30)
times = st.one_of(st.floats(0, 20), st.floats(), st.just(0.0))
names = st.one_of(st.none(), st.sampled_from(["Anna", "김민수", "A" * 60, "x-->y\n\n<v Bob>&"]))
words = st.builds(Word, times, times, texts.map(lambda t: f" {t}"), st.floats(0, 1), names)


@st.composite
def segments(draw) -> Segment:
    said = tuple(draw(st.lists(words, max_size=12)))
    text = "".join(w.word for w in said) if said else draw(st.text(ALPHABET, max_size=200))
    return Segment(draw(times), draw(times), text, said, speaker=draw(names))


transcripts = st.lists(segments(), max_size=5).map(lambda s: Transcript(tuple(s), 30.0))


def letters(text: str) -> str:
    return re.sub(r"[\s\u200b]", "", clean(text))


@given(transcripts, st.booleans())
@settings(max_examples=200, deadline=None)
def test_no_cue_is_larger_than_two_lines_of_42_columns(t, named):
    for cue in cues(t, named):
        assert 1 <= len(cue.lines) <= 2
        assert all(line and line == line.strip() and columns(line) <= LINE for line in cue.lines)


@given(transcripts)
@settings(max_examples=200, deadline=None)
def test_cues_follow_each_other_and_stay_between_one_and_seven_seconds(t):
    found = cues(t)
    assert all(SHORTEST <= cue.end - cue.start <= LONGEST for cue in found)
    assert all(b.start - a.end >= REST for a, b in pairwise(found))


@given(st.lists(segments(), max_size=5))
@settings(max_examples=200, deadline=None)
def test_every_word_is_shown_once_and_in_order(said):
    # One after the other in time, as engines give them; who overlaps is sorted by the clock.
    in_turn = [Segment(20.0 * i, 20.0 * i + 9, s.text, speaker=s.speaker) for i, s in enumerate(said)]
    found = cues(Transcript(tuple(in_turn), 100.0), names=False)
    assert letters("".join(line for cue in found for line in cue.lines)) == letters(
        "".join(s.text for s in in_turn)
    )


@given(transcripts)
@settings(max_examples=200, deadline=None)
def test_hostile_text_cannot_break_the_structure_of_subtitles(t):
    count = len(cues(t))
    srt, vtt = to_srt(t), to_vtt(t)
    assert [b.split("\n")[0] for b in srt.split("\n\n") if b] == [str(i) for i in range(1, count + 1)]
    assert srt.count("-->") == count
    assert len(vtt.split("\n\n")) - 1 == vtt.count("-->") == len(cues(t, names=False))
    assert not set(re.sub(r"<v |\n\d.*-->", "", vtt)) & set("\x00\x1b\r\u2028\u202e")
    assert all(line.count("<") == line.startswith("<v ") for line in vtt.split("\n"))


@given(transcripts)
@settings(max_examples=100, deadline=None)
def test_every_format_takes_every_transcript_and_writes_utf_8(t):
    for name in FORMATS:
        export(t, name).decode() if name != "docx" else Document(BytesIO(export(t, name)))


scores = st.one_of(st.none(), st.floats(-9, 9))
finite = st.floats(0, 1e6)
full_words = st.builds(Word, finite, finite, st.text(), scores, st.one_of(st.none(), st.text()))
full_segments = st.builds(
    Segment, finite, finite, st.text(), st.lists(full_words, max_size=3).map(tuple),
    st.one_of(st.none(), st.just("en")), scores, st.one_of(st.none(), st.text()),
    scores, scores, scores, scores, st.lists(st.integers(0, 60_000), max_size=3).map(tuple), st.booleans(),
)  # fmt: skip


@given(st.lists(full_segments, max_size=3), finite, st.sampled_from(["transcribe", "translate"]))
@settings(max_examples=100, deadline=None)
def test_json_gives_back_all_of_a_transcript_with_times_to_the_millisecond(said, duration, task):
    t = Transcript(tuple(said), duration, task)
    again = from_json(FORMATS["json"](t))
    assert again == to_the_millisecond(t)
    for name in FORMATS:  # so whoever goes on from a file writes what they would have written
        if name != "docx":
            assert FORMATS[name](again) == FORMATS[name](t), name


@given(st.lists(full_segments, max_size=3), finite)
@settings(max_examples=100, deadline=None)
def test_no_format_tells_more_than_milliseconds(said, duration):
    t = Transcript(tuple(said), duration)
    for name in ("json", "verbose_json", "diarized_json"):
        body = json.loads(FORMATS[name](t))
        timed = [*body["segments"], *body.get("words", ())]
        timed += [w for s in body["segments"] for w in s.get("words", ())]
        for seconds in (body["duration"], *(one[end] for one in timed for end in ("start", "end"))):
            assert seconds == round(seconds, 3)
            assert len(f"{seconds}".partition(".")[2]) <= 3


def to_the_millisecond(t: Transcript) -> Transcript:
    def to(timed, **rest):
        return replace(timed, start=round(timed.start, 3), end=round(timed.end, 3), **rest)

    segments = tuple(to(s, words=tuple(map(to, s.words))) for s in t.segments)
    return replace(t, segments=segments, duration=round(t.duration, 3))


def test_a_time_that_is_none_can_be_read_back():
    t = Transcript((Segment(float("nan"), -1.0, " a"),), 1.0)
    assert from_json(FORMATS["json"](t)) == Transcript((Segment(0.0, 0.0, " a"),), 1.0)


def test_a_sum_of_times_is_told_as_people_write_it():
    t = Transcript((Segment(0.1 + 0.2, 0.9319999999999999, " a"),), 1.1 + 2.2)
    for name in ("json", "verbose_json", "diarized_json"):
        body = FORMATS[name](t)
        assert '"start": 0.3,' in body and '"end": 0.932' in body and '"duration": 3.3,' in body


def test_json_of_an_older_version_without_newer_fields_is_read():
    body = json.loads(FORMATS["json"](Transcript((spoken("one two"),), 1.0)))
    for word in body["segments"][0]["words"]:
        del word["overlap"], word["interpolated"]
    assert from_json(json.dumps(body)).segments[0].words[0].overlap is False


@pytest.mark.parametrize(
    "text",
    [
        *("", "{}", "[]", "null", "[" * 100_000, b"\xff"),
        '{"segments": [{}], "duration": 1, "task": "transcribe"}',
        '{"segments": [], "duration": "long", "task": "transcribe"}',
        '{"segments": [], "duration": 1, "task": "sing"}',
    ],
)
def test_json_that_is_not_ours_is_refused_in_words(text):
    with pytest.raises(Unsupported, match="not a transcript"):
        from_json(text)


def test_numbers_that_are_none_still_make_valid_json():
    t = Transcript((Segment(0, 1, " a\ud800", avg_logprob=float("-inf")),), 1.0)
    assert json.loads(FORMATS["json"](t))["segments"][0]["avg_logprob"] is None
    FORMATS["json"](t).encode()


@pytest.mark.parametrize(
    "seconds, stamp",
    [(0, "00:00:00,000"), (1.001, "00:00:01,001"), (59.9996, "00:01:00,000"), (3599.9996, "01:00:00,000"),
     (360_000, "100:00:00,000"), (-1, "00:00:00,000"), (float("nan"), "00:00:00,000")],
)  # fmt: skip
def test_times_are_rounded_once_before_they_are_split(seconds, stamp):
    assert timestamp(seconds, ",") == stamp


def spoken(text: str, start: float = 0.0, pace: float = 0.3, **rest) -> Segment:
    words = [Word(start + pace * i, start + pace * (i + 1), f" {w}") for i, w in enumerate(text.split())]
    return Segment.of(words, **rest)


JFK = "And so, my fellow Americans, ask not what your country can do for you; "
JFK += "ask what you can do for your country."


def test_a_sentence_is_cut_after_its_punctuation():
    first, second = cues(Transcript((spoken(JFK, pace=0.5),), 12.0))
    assert first.lines == ("And so, my fellow Americans,", "ask not what your country can do for you;")
    assert second.lines == ("ask what you can do for your country.",)


def test_cues_begin_with_their_first_word():
    found = cues(Transcript((spoken(JFK, start=3.25, pace=0.5),), 20.0))
    assert [cue.start for cue in found] == [3250, 3250 + 15 * 500 - 500]


def test_lines_are_balanced_where_there_is_no_punctuation():
    (cue,) = cues(Transcript((spoken("one two three four five six seven eight nine ten"),), 4.0))
    assert cue.lines == ("one two three four five", "six seven eight nine ten")


def test_no_text_stands_through_a_long_pause():
    said = [Word(0, 1, " before"), Word(1 + PAUSE, 3, " after")]
    assert [c.lines for c in cues(Transcript((Segment.of(said),), 3.0))] == [("before",), ("after",)]


def test_a_word_said_in_passing_stays_long_enough_to_be_read():
    alone, then = cues(Transcript((spoken("Yes.", pace=0.2), spoken("Well, no.", start=1.4)), 9.0))
    assert (alone.start, alone.end, then.start) == (0, SHORTEST, 1400)


def test_chinese_and_japanese_break_without_spaces_and_never_before_a_full_stop():
    said = "我们今天讨论的是人工智能在医疗领域的应用，以及它对社会可能产生的影响。"
    said += "これはとても大切な問題だと思います。"
    lines = [line for cue in cues(Transcript((Segment(0, 20, said),), 20.0)) for line in cue.lines]
    assert len(lines) > 2 and "".join(lines) == said
    assert not any(line[0] in "，。、ー" for line in lines)


def test_thai_breaks_between_the_words_the_engine_heard():
    said = "สวัสดี ครับ วันนี้ เรา จะ พูด เรื่อง เทคโนโลยี ใหม่ ล่าสุด ของ ประเทศ ไทย".split()  # noqa: SIM905
    segment = Segment.of([Word(0.4 * i, 0.4 * i + 0.4, w) for i, w in enumerate(said)])
    assert [p.text for p in pieces(segment)] == said


def test_korean_breaks_at_its_spaces():
    assert [p.text for p in pieces(Segment(0, 2, " 오늘은 날씨가 좋네요"))] == ["오늘은", "날씨가", "좋네요"]


def test_a_word_wider_than_a_line_is_cut_and_not_lost():
    (cue,) = cues(Transcript((Segment(0, 3, f" {'x' * 50}"),), 3.0))
    assert cue.lines == ("x" * LINE, "x" * 8) or "".join(cue.lines) == "x" * 50


def test_speakers_are_named_in_every_format_that_can():
    t = Transcript((spoken("Hello there.", speaker="Anna"), spoken("Hi.", start=1, speaker="Bob")), 2.0)
    assert to_txt(t) == "Anna: Hello there.\nBob: Hi.\n"
    assert "\nAnna: Hello there.\n" in to_srt(t) and "\nBob: Hi.\n" in to_srt(t)
    assert "\n<v Anna>Hello there.\n" in to_vtt(t)
    head, *rows = FORMATS["tsv"](t).splitlines()
    assert head == "start\tend\ttext\tspeaker"
    assert rows == ["0\t600\tHello there.\tAnna", "1000\t1300\tHi.\tBob"]


def test_one_speakers_segments_make_one_paragraph():
    t = Transcript((spoken("One.", speaker="A"), spoken("Two.", start=1, speaker="A")), 2.0)
    assert to_txt(t) == "A: One. Two.\n"


def test_who_interrupts_appears_when_he_speaks():
    long, short = spoken("word " * 12, pace=0.5, speaker="A"), spoken("No!", start=2.5, speaker="B")
    assert next(c for c in cues(Transcript((long, short), 6.0)) if c.speaker == "B").start == 2500


def test_a_long_name_leaves_room_for_the_words():
    assert columns(label("N" * 500)) <= NAME + 2
    assert label("Ann\nB") == "Ann B: "


def test_verbose_json_has_openai_s_fields_and_no_null():
    said = spoken("Hello.", start=1.5, language="de", tokens=(1, 2)), Segment(3, 4, " Again.")
    t = Transcript(said, 4.0, "translate")
    body = json.loads(to_verbose_json(t))
    assert {k: body[k] for k in ("task", "language", "duration", "text")} == {
        "task": "translate", "language": "german", "duration": 4.0, "text": "Hello. Again.",
    }  # fmt: skip
    assert body["segments"][0] == {
        "id": 0, "seek": 150, "start": 1.5, "end": 1.8, "text": " Hello.", "tokens": [1, 2],
        "temperature": 0.0, "avg_logprob": 0.0, "compression_ratio": 0.0, "no_speech_prob": 0.0,
    }  # fmt: skip
    assert body["words"] == [{"word": "Hello.", "start": 1.5, "end": 1.8}]
    assert "words" not in json.loads(to_verbose_json(Transcript((Segment(0, 1, " a"),), 1.0)))


def test_diarized_json_is_what_openais_sdk_reads():
    said = spoken("Hello there.", speaker="Anna"), spoken("Hi.", start=1)
    made = FORMATS["diarized_json"](Transcript(said, 2.0))
    read = TranscriptionDiarized.model_validate_json(made, strict=True)
    assert (read.task, read.duration, read.text) == ("transcribe", 2.0, "Hello there. Hi.")
    assert [(s.id, s.start, s.end, s.speaker, s.text) for s in read.segments] == [
        ("seg_0", 0.0, 0.6, "Anna", " Hello there."),
        ("seg_1", 1.0, 1.3, "unknown", " Hi."),
    ]


MEETING = Transcript(
    (
        spoken("Hello there.", speaker="Anna", language="de"),
        spoken("Well.", start=1, speaker="Anna"),
        spoken("Hi.", start=3661.9, speaker="Bob"),
    ),
    3670.0,
)


def paragraphs(document: bytes) -> list[str]:
    return [p.text for p in Document(BytesIO(document)).paragraphs]


def test_speakers_and_times_are_written_or_left_out():
    assert export(MEETING, "txt", times=True).decode() == (
        "[00:00:00] Anna: Hello there. Well.\n[01:01:01] Bob: Hi.\n"
    )
    assert export(MEETING, "txt", speakers=False).decode() == "Hello there.\nWell.\nHi.\n"
    assert paragraphs(export(MEETING, "docx")) == ["Anna: Hello there. Well.", "Bob: Hi."]
    timed = ["00:00:00  Anna: Hello there. Well.", "01:01:01  Bob: Hi."]
    assert paragraphs(export(MEETING, "docx", times=True)) == timed
    assert paragraphs(export(MEETING, "docx", speakers=False)) == ["Hello there. Well.", "Hi."]
    for name in FORMATS:
        found = export(MEETING, name, speakers=False)
        assert name == "docx" or not re.search(b"Anna|Bob", found)


def test_a_document_names_its_language_and_nobody_as_its_author():
    document = Document(BytesIO(export(MEETING, "docx")))
    assert [run.bold for run in document.paragraphs[0].runs] == [True, None]
    assert not document.core_properties.author and document.core_properties.created.year > 2020
    assert document.styles["Normal"].element.rPr.find(qn("w:lang")).get(qn("w:val")) == "de"


def test_a_document_s_paragraphs_end_at_pauses_and_when_they_are_long():
    apart = Transcript((spoken("One."), spoken("Two.", start=1.5), spoken("Three.", start=4)), 5.0)
    assert paragraphs(export(apart, "docx")) == ["One. Two.", "Three."]
    sentence = "word " * 29 + "end."
    talk = Transcript(tuple(spoken(sentence, start=9.0 * i) for i in range(10)), 90.0)
    assert [p.count("end.") for p in paragraphs(export(talk, "docx"))] == [4, 4, 2]


def test_a_document_reads_from_right_to_left_where_its_script_does():
    said = Segment(0, 1, " שלום לכולם", speaker="Speaker 1"), Segment(3, 4, " Hello.", speaker="B")
    hebrew, english = Document(BytesIO(export(Transcript(said, 4.0), "docx"))).paragraphs
    assert hebrew._p.pPr.find(qn("w:bidi")) is not None and all(run.font.rtl for run in hebrew.runs)
    assert english._p.pPr is None


def test_nothing_heard_is_valid_in_every_format():
    nothing = Transcript((), 3.0)
    assert to_txt(nothing) == to_srt(nothing) == ""
    assert to_vtt(nothing) == "WEBVTT\n"
    assert FORMATS["tsv"](nothing) == "start\tend\ttext\n"
    assert json.loads(FORMATS["json"](nothing))["segments"] == []
    assert paragraphs(FORMATS["docx"](nothing)) == []


def test_each_format_has_a_suffix_of_its_own_and_a_media_type():
    assert SUFFIX.keys() == MEDIA_TYPE.keys() == FORMATS.keys()
    assert len(set(SUFFIX.values())) == len(SUFFIX)


def test_ten_hours_of_talk_are_cut_in_a_moment():
    t = Transcript(tuple(spoken(JFK, start=7.0 * i) for i in range(5000)), 36_000.0)
    assert len(cues(t)) == 10_000


@pytest.mark.parametrize(
    "typed, code",
    [("en", "en"), ("EN-us", "en"), ("German", "de"), ("pt_BR", "pt"), ("nb", "no"), ("xx", None)],
)
def test_languages_are_understood_as_people_write_them(typed, code):
    assert languages.code(typed) == code


def test_languages_are_whisper_s():
    from faster_whisper.tokenizer import _LANGUAGE_CODES

    assert set(languages.NAMES) == set(_LANGUAGE_CODES)
