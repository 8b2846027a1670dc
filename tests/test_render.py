"""What the page shows, without a browser: nothing anybody wrote becomes HTML, numbers read well."""

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.types import Segment
from ui import render

HOSTILE = "<script>alert(1)</script> \"' onerror=x & `<b>` </p>"


class Tags(HTMLParser):
    """The elements of some HTML, and its text. Fails on what is not closed in order."""

    def __init__(self, html: str):
        super().__init__(convert_charrefs=True)
        self.open, self.seen, self.text = [], set(), ""
        self.feed(html)
        self.close()
        assert not self.open, f"{self.open} not closed"

    def handle_starttag(self, tag, attrs):
        self.seen.add((tag, *sorted(name for name, _ in attrs)))
        if tag not in ("input", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.add((tag, *sorted(name for name, _ in attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


DRAWN = {
    "line": lambda s: render.lines([Segment(0, 1, s, speaker=s or None)]),
    "unsure line": lambda s: render.lines([Segment(0, 1, s, unsure=True)]),
    "chosen": lambda s: render.chosen([(s, s, s)]),
    "notice": lambda s: render.notice("error", "x" + s, s),
    "progress": lambda s: render.progress(s, s, 0.5),
    "summary": lambda s: render.summary([s, s]),
    "model": lambda s: render.model_line("ready", s, s, s),
    "player": lambda s: render.player(s),
}


@pytest.mark.parametrize("name", DRAWN)
@given(text=st.text(max_size=60).filter(lambda s: "\0" not in s))
def test_whatever_people_and_files_say_stays_text(name, text):
    plain, hostile = Tags(DRAWN[name]("abc")), Tags(DRAWN[name](text))
    assert {t for t in hostile.seen if t[0] != "code"} <= plain.seen


@pytest.mark.parametrize("name", DRAWN)
def test_html_in_what_people_say_is_not_html(name):
    html = DRAWN[name](HOSTILE)
    assert "<script" not in html and "<b>`" not in html
    Tags(html)


@pytest.mark.parametrize(
    "html",
    [
        render.masthead("parlance"),
        render.source(2048, 12.0),
        render.empty(),
        render.ready(),
        render.unsure_key(),
        render.player("recordings/x/audio?key=y&as=wav"),
        render.progress("Opening"),
    ],
)
def test_what_we_draw_ourselves_is_well_formed(html):
    Tags(html)


def test_a_line_can_be_played_and_its_time_is_read_out():
    html = render.lines([Segment(65.04, 70.5, " And so, my fellow Americans")])
    assert 'data-seek="65.04" data-end="70.50"' in html
    assert re.search(r'<button type="button" class="at" aria-label="Play from 1:05">1:05</button>', html)
    assert ">And so, my fellow Americans<" in html


def test_an_unsure_line_is_marked_for_eyes_and_ears():
    html = render.lines([Segment(0, 1, "hm", unsure=True)])
    assert 'class="unsure"' in html and "(unsure)" in Tags(html).text
    assert "unsure" not in render.lines([Segment(0, 1, "hm")])


def test_lines_go_on_counting():
    assert 'start="61"' in render.lines([Segment(0, 1, "x")], 61)
    assert render.lines([]) == ""


def test_progress_says_nothing_about_what_nobody_knows():
    assert "aria-valuenow" not in render.progress("Opening")
    assert 'aria-valuenow="42"' in render.progress("Transcribing", done=0.42)


@pytest.mark.parametrize(
    ("seconds", "says"), [(0, "0:00"), (9.99, "0:09"), (65, "1:05"), (3599.9, "59:59"), (36000, "10:00:00")]
)
def test_clock(seconds, says):
    assert render.clock(seconds) == says


@pytest.mark.parametrize(
    ("seconds", "says"),
    [
        (0, "about 5 seconds"),
        (31, "about 30 seconds"),
        (50, "about a minute"),
        (100, "about 2 minutes"),
        (5399, "about 90 minutes"),
        (9000, "about 2 hours"),
    ],
)
def test_remaining_time_is_told_roughly(seconds, says):
    assert render.roughly(seconds) == says


@pytest.mark.parametrize(
    ("count", "says"),
    [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (174_000, "174 kB"), (3_100_000_000, "3.1 GB")],
)
def test_size(count, says):
    assert render.size(count) == says


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("faster_whisper:small", "Whisper small"),
        ("faster_whisper:/models/whisper-digits", "whisper-digits"),
        ("faster_whisper:Systran/faster-whisper-base", "faster-whisper-base"),
        ("pocketsphinx:en-us", "PocketSphinx"),
        ("remote:gpt-4o-transcribe", "gpt-4o-transcribe"),
    ],
)
def test_models_have_names_that_people_use(spec, says):
    assert render.model_name(spec) == says


@pytest.mark.parametrize(
    ("sentence", "typed"),
    [
        ("Install it: pip install nvidia-x-cu12. Or run on the CPU.", ["pip install nvidia-x-cu12"]),
        ("python -m asr doctor looks for the cause.", ["python -m asr doctor"]),
        ("hf download a/b --local-dir w; then x", ["hf download a/b --local-dir w"]),
        ("Set ASR_MODEL=x:/y, then start again.", ["ASR_MODEL=x:/y"]),
        ("Raise ASR_MAX_UPLOAD_MB.", ["ASR_MAX_UPLOAD_MB"]),
        ("Run `ffmpeg -i a b` first.", ["ffmpeg -i a b"]),
        ("Nothing to type here.", []),
    ],
)
def test_what_a_sentence_asks_to_type_is_set_as_code(sentence, typed):
    assert re.findall("<code>(.*?)</code>", render.notice("warn", sentence)) == typed
