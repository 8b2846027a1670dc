"""A word that an absence cuts in two is heard again as a whole, and stands in the transcript once."""

import threading
import time

import pytest

from asr.live import Update
from asr.sessions.journal import Gap
from asr.sessions.session import GRACE, HELD
from asr.types import Segment, Word
from tests import hall
from tests.test_sessions import MINUTE, OPTIONS, audio, house, started, texts  # noqa: F401  house is a fixture
from tests.tones import say, silence

SPEECH = "ask not what your country can do for you"
RATE = 16_000


def until(true, seconds=10.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("lost", [0.1, 0.16, 0.25, 0.33])  # seconds after "country" began, which takes 0.3 s
def test_a_word_cut_by_an_absence_comes_once(tmp_path, monkeypatch, lost):
    monkeypatch.setattr("asr.sessions.session.GRACE", 0.0)
    sound, cut = say(SPEECH), round((4 * 0.36 + lost) * RATE)
    with hall.sessions(tmp_path) as there:
        session = there.new()
        source = session.take("m", OPTIONS)
        assert source.feed(sound[:cut])
        source.leave()
        until(lambda: not session.busy)  # the stream has settled what it heard
        again = session.take("m", OPTIONS, at=cut / RATE)
        assert again.feed(sound[cut:]) and again.feed(silence(1))
        session.end()
        until(lambda: not session.busy)
        assert session.transcript().text == SPEECH
        words = [w for s in session.transcript().segments for w in s.words]
        assert [w.start for w in words] == pytest.approx([0.36 * i for i in range(9)], abs=0.15)


def settles(stream, *words):
    """The stream's last update: `words` are (text, start, end) in its time."""
    said = [Word(start, end, f" {text}", 0.9) for text, start, end in words]
    stream.tell(Update((Segment.of(said, language="en"),), done=True))


def lost(house, *words):  # noqa: F811
    """A session whose connection is lost after 2 s and more, and which has settled `words` by then."""
    session, source = started(house)
    source.leave()
    house.wait(GRACE + 1)
    settles(house.streams[0], *words)
    return session


def torn(house):  # noqa: F811
    """The connection was lost in the middle of the last word."""
    return lost(house, ("one", 0.8, 1.2), ("tw", 1.6, 2.0))


def test_the_cut_word_waits_as_a_draft_and_is_heard_again(house):  # noqa: F811
    session = torn(house)
    assert texts(session) == ["one"] and session.after(0)[1].draft == " tw"
    assert session.transcript().text == "one tw", "who takes the text away now gets all that was heard"
    session.take("m", OPTIONS, at=2.0).feed(audio(1))
    house.streams[1].hears("two", 0.2, 0.9)
    assert house.streams[1].samples == pytest.approx((2.0 - 1.4 + 1) * RATE), "from between the two words on"
    assert texts(session) == ["one", "two"] and session.after(0)[1].draft == ""
    assert session.after(1)[0][0].start == pytest.approx(1.4 + 0.2) and session.heard == 3.0


def test_a_cut_word_that_nobody_goes_on_with_is_settled_as_it_was_heard(house):  # noqa: F811
    session = torn(house)
    house.wait(HELD)
    assert texts(session) == ["one", "tw"] and session.after(1)[1].draft == ""


def test_whoever_comes_back_without_the_sound_finds_the_word_as_it_was_heard(house):  # noqa: F811
    session = torn(house)
    session.take("m", OPTIONS).feed(audio(1))
    assert texts(session)[:2] == ["one", "tw"] and isinstance(texts(session)[2], Gap)


@pytest.mark.parametrize("finish", ["pause", "end"])
def test_a_cut_word_that_nobody_goes_on_with_is_kept(house, finish):  # noqa: F811
    session = torn(house)
    getattr(session, finish)()
    assert texts(session) == ["one", "tw"] and session.after(0)[1].draft == ""


def test_a_cut_word_is_kept_when_the_session_runs_out(house):  # noqa: F811
    session = torn(house)
    house.wait(0.75 * HELD)
    assert house.get(session.id) is session, "the word is not on disk yet"
    house.wait(15 * MINUTE)
    assert texts(house.get(session.id)) == ["one", "tw"]


def test_who_stops_before_the_last_words_are_settled_gets_them_all(house):  # noqa: F811
    session, source = started(house)
    source.leave()
    house.wait(GRACE + 1)
    session.pause()
    settles(house.streams[0], ("one", 1.6, 2.0))
    assert texts(session) == ["one"]


def test_who_comes_back_before_the_last_words_are_settled_waits_for_them(house):  # noqa: F811
    session, source = started(house)
    source.leave()
    house.wait(GRACE + 1)
    threading.Timer(0.2, settles, (house.streams[0], ("tw", 1.6, 2.0))).start()
    session.take("m", OPTIONS, at=2.0).feed(audio(1))
    assert texts(session) == [] and house.streams[1].samples > RATE


def test_a_word_that_was_over_before_the_loss_is_settled_at_once(house):  # noqa: F811
    session = lost(house, ("one", 0.5, 1.0))
    assert texts(session) == ["one"]
    session.take("m", OPTIONS, at=2.0).feed(audio(1))
    assert house.streams[1].samples == RATE


def test_where_words_have_no_times_nothing_is_held_back(house):  # noqa: F811
    session, source = started(house)
    source.leave()
    house.wait(GRACE + 1)
    house.streams[0].tell(Update((Segment(0.5, 2.0, " one two"),), done=True))
    assert texts(session) == ["one two"]
