"""Live sessions outlive their transports, and nothing that was recognised is lost."""

import errno
import json
import os
import threading
import time

import numpy as np
import pytest

from asr.config import Config
from asr.errors import ASRError, Busy, SessionOver, UnknownSession
from asr.live import Update
from asr.sessions import Sessions
from asr.sessions.journal import Gap, expire
from asr.sessions.session import GRACE, IDLE
from asr.types import Options, Segment, Word

OPTIONS = Options()
MINUTE = 60.0


class Stream:
    """A scheduler's stream whose recogniser is the test: `hears` says what was said when."""

    def __init__(self, model, options, on_update):
        self.model, self.options, self.tell = model, options, on_update
        self.samples, self.finished, self.closed, self.behind = 0, False, False, 0.0

    def feed(self, audio):
        assert audio.dtype == np.float32 and not self.finished
        self.samples += len(audio)

    def hears(self, text, start=0.0, end=1.0, **rest):
        word = Word(start, end, f" {text}", 0.9)
        self.tell(Update((Segment.of([word], language="en"),), **rest))

    def finish(self):
        self.finished = True

    def ends(self):
        self.tell(Update(done=True))

    def close(self):
        self.closed = True


class House(Sessions):
    """Sessions whose clock stands still until the test moves it."""

    def __init__(self, folder, **settings):
        self.now, self.streams = time.time(), []
        super().__init__(Config(data_dir=folder, **settings), self._stream, lambda: self.now)

    def _stream(self, *args):
        self.streams.append(Stream(*args))
        return self.streams[-1]

    def wait(self, seconds):
        self.now += seconds
        for path in self.folder.glob("*"):  # which get older, too
            os.utime(path, 2 * (path.stat().st_mtime - seconds,))
        self.tend()


@pytest.fixture
def house(tmp_path):
    with_house = House(tmp_path)
    yield with_house
    with_house.close()


def audio(seconds):
    return np.zeros(round(seconds * 16_000), np.float32)


def speak(house, source, seconds):
    """Feed as a microphone does: while the time passes."""
    for _ in range(round(seconds / 0.5)):
        house.now += 0.5
        assert source.feed(audio(0.5))


def texts(session):
    return [e.text.strip() if isinstance(e, Segment) else e for e in session.after(0)[0]]


def started(house, seconds=2.0):
    session = house.new()
    source = session.take("m", OPTIONS)
    speak(house, source, seconds)
    return session, source


def test_the_way_of_a_session(house):
    session = house.new()
    assert session.after(0)[1].state == "connecting"
    source = session.take("m", OPTIONS)
    speak(house, source, 2)
    assert session.after(0)[1].state == "live"
    session.pause()
    now = session.after(0)[1]
    assert now.state == "paused" and now.settling and house.streams[0].finished
    house.streams[0].hears("one", done=True)
    assert texts(session) == ["one"] and not session.after(0)[1].settling
    session.end()
    assert session.after(0)[1].state == "over"
    with pytest.raises(SessionOver):
        session.take("m", OPTIONS)
    assert session.transcript().text == "one" and session.transcript().duration == 2


def test_ids_cannot_be_guessed_and_are_no_paths(house):
    assert len({house.new().id for _ in range(50)}) == 50 and len(house.new().id) >= 22
    for id in ("", "../../etc/passwd", "a" * 22, "a/b", "é" * 22, "x" * 10_000):
        with pytest.raises(UnknownSession):
            house.get(id)


def test_a_reader_gets_what_is_after_the_entry_it_has(house):
    session, _ = started(house)
    for i, word in enumerate(["one", "two", "three"]):
        house.streams[0].hears(word, i, i + 1, stable=" fo", draft="ur")
    house.streams[0].behind = 2.5
    entries, now = session.after(2)
    assert [e.text for e in entries] == [" three"] and session.after(3)[0] == []
    assert (now.stable, now.draft, now.behind) == (" fo", "ur", 2.5)


def test_a_source_that_comes_back_soon_goes_on_in_the_middle_of_the_word(house):
    session, source = started(house)
    source.leave()
    house.wait(GRACE - 1)
    again = session.take("m", OPTIONS, at=2.0)  # it kept what was said meanwhile
    again.feed(audio(GRACE))
    assert len(house.streams) == 1 and house.streams[0].samples == 16_000 * (2 + GRACE)
    assert session.heard == 2 + GRACE and texts(session) == []


def test_audio_that_comes_twice_is_heard_once(house):
    session, source = started(house)
    source.leave()
    again = session.take("m", OPTIONS, at=0.5)
    for _ in range(4):
        again.feed(audio(0.7))
    assert house.streams[0].samples == session.heard * 16_000 == pytest.approx(16_000 * (0.5 + 4 * 0.7))


def test_what_nobody_sent_is_a_gap_and_later_words_keep_their_times(house):
    session, source = started(house)
    source.leave()
    house.wait(GRACE + 1)
    assert house.streams[0].finished
    house.streams[0].hears("one", 0.5, 1.0, done=True)
    house.wait(60 - 2 - GRACE - 1)  # a minute after the start
    again = session.take("m", OPTIONS)
    speak(house, again, 2)
    house.streams[1].hears("two", 0.25, 1.0)
    first, gap, second = session.after(0)[0]
    assert gap == Gap(2.0, 60.0) and (second.start, second.end) == (60.25, 61.0)
    assert second.words[0].start == 60.25 and first.start == 0.5


def test_a_program_faster_than_the_clock_makes_no_gap(house):
    session = house.new()
    source = session.take("m", OPTIONS)
    for _ in range(100):
        source.feed(audio(1))
    source.leave()
    house.wait(GRACE + 1)
    house.streams[0].ends()
    session.take("m", OPTIONS, at=100.0).feed(audio(1))
    assert texts(session) == [] and session.heard == 101


def test_nobody_can_move_a_session_into_the_future(house):
    session, source = started(house)
    source.leave()
    house.wait(GRACE + 1)
    session.take("m", OPTIONS, at=1e12).feed(audio(1))
    assert session.heard < 60


def test_other_options_open_another_stream_of_the_same_session(house):
    session, _ = started(house)
    session.take("m", Options(language="de")).feed(audio(1))
    session.take("n", Options(language="de")).feed(audio(1))
    assert [(s.model, s.options.language, s.finished) for s in house.streams] == [
        ("m", None, True),
        ("m", "de", True),
        ("n", "de", False),
    ]


def test_the_newest_source_counts_and_the_older_one_is_told(house):
    session, old = started(house)
    new = session.take("m", OPTIONS)
    assert not old.feed(audio(1)) and new.feed(audio(1))
    old.leave()
    assert session.after(0)[1].state == "live" and session.heard == 3


def test_a_source_gone_silent_is_gone(house):
    session, source = started(house)
    house.wait(IDLE + 1)
    assert session.after(0)[1].state == "paused"
    house.wait(GRACE + 1)
    assert house.streams[0].finished and not source.feed(audio(1))


def test_a_session_nobody_continues_is_over_and_still_there(house):
    session, _ = started(house)
    house.streams[0].hears("one")
    session.pause()
    house.streams[0].ends()
    house.wait(14 * MINUTE)
    assert session.state == "paused"
    house.wait(2 * MINUTE)
    assert house.get(session.id).state == "over" and texts(house.get(session.id)) == ["one"]
    assert not house.get(session.id).error, "nothing went wrong"


def test_the_longest_session_ends_with_a_sentence_and_its_text(tmp_path):
    house = House(tmp_path, live_hours=0.001)  # 3.6 s
    session, source = started(house, 3.5)
    house.streams[0].hears("one")
    assert not source.feed(audio(0.5)) and house.streams[0].finished
    house.streams[0].hears("two", 1, 2, done=True)
    now = session.after(0)[1]
    assert now.state == "over" and "at most" in now.error.what and texts(session) == ["one", "two"]
    house.close()


def test_more_sessions_than_places_are_told_so(tmp_path):
    house = House(tmp_path, live_sessions=2)
    first, second = (started(house)[0] for _ in range(2))
    third = house.new()
    with pytest.raises(Busy, match="places"):
        third.take("m", OPTIONS)
    second.take("m", OPTIONS)  # who is in stays in
    first.end()
    house.streams[0].ends()
    third.take("m", OPTIONS)
    house.close()


def test_a_server_killed_in_the_middle_keeps_what_it_recognised(house, tmp_path):
    session, _ = started(house)
    house.streams[0].hears("one “two” \u2028 <b>", 0, 0.5)
    again = House(tmp_path)  # nothing was closed or flushed
    again.now = house.now + 30
    found = again.get(session.id)
    assert found.journal.entries == session.journal.entries and found.state == "paused"
    speak(again, found.take("m", OPTIONS), 1)
    again.streams[0].hears("three", 0, 1)
    assert [e for e in found.journal.entries if isinstance(e, Gap)] == [Gap(0.5, 32.0)]
    assert found.journal.entries[-1].start == pytest.approx(32)
    again.close()


def test_a_line_torn_by_a_crash_costs_that_line_only(house, tmp_path):
    session, _ = started(house)
    house.streams[0].hears("one")
    path = tmp_path / "live" / f"{session.id}.jsonl"
    path.write_text(path.read_text() + '{"type":"segment","start":1.0,"te')
    again = House(tmp_path)
    found = again.get(session.id)
    speak(again, found.take("m", OPTIONS), 1)
    again.streams[0].hears("two")
    assert [e.text for e in found.journal.entries if isinstance(e, Segment)] == [" one", " two"]
    third = House(tmp_path)
    assert third.get(session.id).journal.entries == found.journal.entries
    third.close(), again.close()


def test_the_words_on_disk_are_for_the_owner_only(house, tmp_path):
    session, _ = started(house)
    house.streams[0].hears("one")
    path = tmp_path / "live" / f"{session.id}.jsonl"
    assert path.stat().st_mode & 0o077 == 0
    assert [json.loads(line)["type"] for line in path.read_text().splitlines()] == ["session", "segment"]


def test_a_full_disk_costs_no_text_and_is_said(house, tmp_path):
    session, _ = started(house)
    path = tmp_path / "live" / f"{session.id}.jsonl"
    path.unlink()
    path.mkdir()  # root may write anywhere, but not into a directory
    house.streams[0].hears("one")
    entries, now = session.after(0)
    assert [e.text for e in entries] == [" one"] and "disk" in now.trouble


@pytest.mark.parametrize("room", [0, 30])
def test_what_a_full_disk_did_not_take_is_written_as_soon_as_it_does(house, tmp_path, monkeypatch, room):
    session, _ = started(house)
    house.streams[0].hears("one", 0, 0.5)

    def full(file, data, write=os.write):
        if not room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, data[:room])

    with monkeypatch.context() as disk:
        disk.setattr("os.write", full)
        house.streams[0].hears("two", 0.5, 1)
        assert session.after(0)[1].trouble
    house.streams[0].hears("three", 1, 1.5)
    assert not session.after(0)[1].trouble
    again = House(tmp_path)
    assert texts(again.get(session.id)) == ["one", "two", "three"]
    again.close()


def test_setting_the_clock_tears_no_session(tmp_path, monkeypatch):
    house = Sessions(Config(data_dir=tmp_path), Stream)
    session = house.new()
    source = session.take("m", OPTIONS)
    assert source.feed(audio(1))
    now = time.time()
    for jump in (3600, -3600):
        monkeypatch.setattr("time.time", lambda jump=jump: now + jump)
        house.tend()
        assert source.feed(audio(1)) and session.state == "live" and 0 <= session.time.elapsed < 60
    house.close()


@pytest.mark.parametrize("ahead", [-0.15, 0.0, 0.2])
def test_handing_over_to_another_transport_is_exact_to_the_sample(house, ahead):
    sound = np.random.default_rng(0).normal(0, 0.2, 16_000 * 8).astype(np.float32)
    session = house.new()
    socket = session.take("m", OPTIONS)
    heard = []
    house.streams[0].feed = heard.append
    socket.feed(sound[:48_000])
    now = 48_000 + round(ahead * 16_000)  # the other transport is this far
    assert session.meets(np.zeros(24_000, np.float32)) is None, "silence is like any other"
    piece = sound[now - 24_000 : now]
    rtc = session.hand_over("webrtc", piece, session.meets(piece))
    for i in range(now, 96_000, 960):
        rtc.feed(sound[i : i + 960])
    assert not socket.feed(audio(1)) and not socket.displaced, "it was handed over, nobody pushed in"
    assert session.after(0)[1].transport == "webrtc" and len(house.streams) == 1
    whole = np.concatenate(heard)
    assert np.array_equal(whole, sound[: len(whole)]) and session.heard == len(whole) / 16_000


def test_back_to_the_first_transport_goes_on_in_the_same_stream(house):
    sound = np.random.default_rng(0).normal(0, 0.2, 32_000).astype(np.float32)
    session, socket = started(house)
    socket.feed(sound)
    session.hand_over("webrtc", sound[8_000:], session.meets(sound[8_000:])).leave()
    again = session.take("m", OPTIONS, at=3.5)  # with some audio twice
    again.feed(audio(1))
    assert session.heard == 4.5 and len(house.streams) == 1


def test_nothing_is_handed_over_where_nobody_speaks(house):
    sound = np.random.default_rng(0).normal(0, 0.2, 32_000).astype(np.float32)
    assert house.new().hand_over("webrtc", sound, 0) is None
    session, source = started(house)
    source.feed(sound)
    session.pause()
    assert session.hand_over("webrtc", sound, session.meets(sound)) is None


def test_old_text_is_deleted_and_text_in_use_is_not(tmp_path):
    house = House(tmp_path)
    old, used = started(house)[0], started(house)[0]
    for path in (tmp_path / "live").iterdir():
        os.utime(path, (time.time() - 90_000,) * 2)
    expire(tmp_path / "live", 24, {used.id})
    assert [p.stem for p in (tmp_path / "live").iterdir()] == [used.id] and old.id != used.id
    house.close()


def test_the_last_stream_that_still_settles_costs_nobody_the_place(house):
    session, _ = started(house)
    plain = house.open

    def one_place(*asked):
        if house.streams[0] in [leg.stream for leg in session._legs]:
            threading.Timer(0.2, house.streams[0].ends).start()
            raise Busy("All 1 places are taken.")
        return plain(*asked)

    house.open = one_place
    assert session.take("m", Options(language="de")).feed(audio(1)) and house.streams[1].samples == 16_000


def test_deleting_a_session_deletes_its_text_and_frees_its_place(house, tmp_path):
    session, source = started(house)
    house.streams[0].hears("one")
    house.delete(session.id)
    assert house.streams[0].closed and not source.feed(audio(1))
    assert list((tmp_path / "live").iterdir()) == []
    with pytest.raises(UnknownSession):
        house.get(session.id)
    house.streams[0].hears("two")
    assert list((tmp_path / "live").iterdir()) == [], "a late word must not bring it back"


def test_memory_holds_only_sessions_somebody_uses(house):
    kept, _ = started(house)
    unwatch = kept.watch(lambda: None)
    ids = []
    for _ in range(20):
        session, _ = started(house, 0.5)
        house.streams[-1].hears("one")
        session.pause()
        house.streams[-1].ends()
        ids.append(session.id)
    kept.pause()
    house.streams[0].ends()
    house.wait(61)
    assert list(house._sessions) == [kept.id]
    assert texts(house.get(ids[7])) == ["one"], "the others are on disk"
    unwatch()


def test_a_model_that_cannot_be_had_leaves_the_session_as_it_was(house):
    session, _ = started(house)
    house.streams[0].hears("one")
    session.pause()
    house.open = lambda *_: (_ for _ in ()).throw(ASRError("No model.", "Get one."))
    with pytest.raises(ASRError, match="No model"):
        session.take("m", OPTIONS)
    assert session.after(0)[1].state == "paused" and texts(session) == ["one"]


def test_an_engine_that_breaks_while_it_is_fed_is_said_and_can_be_tried_again(house):
    session, source = started(house)

    def broken(_):
        raise ASRError("The engine broke.", "Start again.")

    house.streams[0].feed = broken
    assert not source.feed(audio(1))
    now = session.after(0)[1]
    assert now.state == "paused" and now.error.fix == "Start again."
    assert session.take("m", OPTIONS).feed(audio(1)) and session.after(0)[1].error is None


def test_a_model_that_gives_up_leaves_the_text_and_says_why(house):
    session, source = started(house)
    house.streams[0].hears("one", done=True, error="More than 10 minutes behind.")
    now = session.after(0)[1]
    assert texts(session) == ["one"] and now.state == "paused" and "behind" in now.error.what
    assert not source.feed(audio(1))


def test_trouble_of_one_pass_is_shown_while_it_lasts(house):
    session, _ = started(house)
    house.streams[0].tell(Update(behind=3.0, error="out of memory"))
    assert session.after(0)[1].trouble == "out of memory"
    house.streams[0].tell(Update())
    assert session.after(0)[1].trouble == ""


def test_every_change_wakes_the_readers_until_they_go(house):
    session, woken = house.new(), []
    unwatch = session.watch(lambda: woken.append(1))
    source = session.take("m", OPTIONS)
    before = len(woken)
    speak(house, source, 1)
    house.streams[0].hears("one")
    assert before and len(woken) > before
    unwatch()
    before = len(woken)
    session.pause()
    assert len(woken) == before


def test_who_takes_over_while_another_waits_for_the_model_wins(tmp_path):
    house, gate = House(tmp_path), threading.Event()
    plain = house.open
    house.open = lambda *args: (gate.wait(5), plain(*args))[1]
    session, failures = house.new(), []

    def slow():
        try:
            session.take("m", OPTIONS)
        except Busy as e:
            failures.append(e)

    waiting = threading.Thread(target=slow)
    waiting.start()
    while not session._opening:
        time.sleep(0.01)
    house.open = plain
    source = session.take("m", OPTIONS)
    gate.set()
    waiting.join()
    assert failures and source.feed(audio(1)) and house.streams[1].closed
    house.close()


def test_feeding_and_reading_from_many_threads_loses_nothing(house):
    session = house.new()
    source, n = session.take("m", OPTIONS), 300
    source.feed(audio(0.1))
    stop, seen = threading.Event(), []

    def read():
        while not stop.is_set() or len(seen) < n:
            seen.extend(session.after(len(seen))[0])

    reader = threading.Thread(target=read)
    reader.start()
    for i in range(n):
        source.feed(audio(0.1))
        house.streams[0].hears(str(i), i, i + 1)
    stop.set()
    reader.join(10)
    assert [s.text for s in seen] == [f" {i}" for i in range(n)]
