import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

import app
from asr.audio import Recording, to_pcm16
from asr.backends import Backend
from asr.bench.soak import voice
from asr.bench.soak.engines.synthetic import Synthetic
from asr.config import Config
from asr.errors import BackendUnavailable, Busy, Unsupported
from asr.held import Held, held
from asr.scheduler import Scheduler, Schedulers
from asr.scheduler.batching import Batching
from asr.scheduler.turns import Shared, Turns
from asr.types import Options
from tests.tones import SAMPLE_RATE, WORDS, Tones, loud, say, silence

SPEECH = "ask not what your country can do for you"


class Gate(Tones):
    """A model that answers only while its door is open; remembers each call's windows and options."""

    def __init__(self):
        super().__init__()
        self.door, self.inside = threading.Event(), threading.Semaphore(0)
        self.heard = []
        self.door.set()

    def transcribe_batch(self, windows, options):
        self.heard.append([(o.hotwords, len(w) / SAMPLE_RATE) for w, o in zip(windows, options, strict=True)])
        self.inside.release()
        assert self.door.wait(10)
        return super().transcribe_batch(windows, options)


class Listener(list):
    """A stream's updates; `wait` for one that `is_it`."""

    def __init__(self):
        self.news = threading.Condition()

    def __call__(self, update):
        with self.news:
            self.append(update)
            self.news.notify_all()

    def wait(self, is_it=lambda u: u.done):
        with self.news:
            assert self.news.wait_for(lambda: any(map(is_it, self)), 10), self[-3:]
        return self

    @property
    def said(self):
        return "".join(s.text for u in self for s in u.final).strip()


@pytest.fixture
def opened():
    """Schedulers that are closed after the test."""
    made = []

    def make(backend: Backend, **settings) -> Scheduler:
        made.append(Scheduler(backend, vad=lambda: loud, **settings))
        return made[-1]

    yield make
    for each in made:
        each.close()


def open_(scheduler, hotwords=None):
    listener = Listener()
    return scheduler.open(Options(hotwords=hotwords), listener), listener


def until(true, seconds=10.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def busy(gate, scheduler):
    """Make the model busy with a stream of its own; returns that stream."""
    gate.door.clear()
    stream, _ = open_(scheduler, "busy")
    stream.feed(say("ask not what"))
    assert gate.inside.acquire(timeout=10)
    return stream


def heard_after(gate):
    """Let the model go; whom it heard since, in order."""
    done = len(gate.heard)
    gate.door.set()
    return lambda: [who for call in gate.heard[done:] for who, _ in call]


def test_many_streams_at_once_each_get_their_own_words(opened):
    backend = Tones()
    scheduler = opened(backend)
    sentences = [" ".join((WORDS * 3)[i : i + 12]) for i in range(16)]
    streams = [open_(scheduler, hotwords=sentence) for sentence in sentences]
    audio = [np.r_[say(s), silence(1)] for s in sentences]
    for at in range(0, len(audio[0]), 4000):
        for (stream, _), mine in zip(streams, audio, strict=True):
            stream.feed(mine[at : at + 4000])
        time.sleep(0.005)
    for stream, _ in streams:
        stream.finish()
    assert [listener.wait().said for _, listener in streams] == sentences
    assert max(backend.batches) > 1 and {o.hotwords for o in backend.calls} == set(sentences)


def test_windows_of_one_call_keep_their_own_options(opened):
    gate = Gate()
    scheduler = opened(gate)
    busy(gate, scheduler)
    for name in "abc":
        stream, _ = open_(scheduler, name)
        stream.feed(say("ask not what"))
    until(lambda: sum(s.wanted_since is not None for s in scheduler._streams) == 3)
    gate.door.set()
    until(lambda: len(gate.heard) > 1)
    assert [who for who, _ in gate.heard[1]] == ["a", "b", "c"]


def test_finals_go_before_drafts(opened):
    gate = Gate()
    scheduler = opened(gate, batching=False)
    busy(gate, scheduler)
    (draft, _), (final, _) = open_(scheduler, "draft"), open_(scheduler, "final")
    draft.feed(say(SPEECH))
    final.feed(np.r_[say(SPEECH), silence(1)])
    until(lambda: None not in (draft.wanted_since, final.wanted_since))
    order = heard_after(gate)
    until(lambda: len(order()) >= 2)
    assert order()[0] == "final"


def test_streams_take_turns(opened):
    gate = Gate()
    scheduler = opened(gate, batching=False)
    streams = [open_(scheduler, name)[0] for name in "abcd"]
    mine = busy(gate, scheduler)
    for stream in reversed(streams):
        stream.feed(say(f"{SPEECH} " * 2))
    mine.feed(say(SPEECH))
    until(lambda: all(s.wanted_since for s in streams))
    order = heard_after(gate)
    until(lambda: len(order()) >= 5)
    assert order()[:5] == ["a", "b", "c", "d", "busy"]


def test_who_falls_silent_does_not_overtake_who_has_waited_longer(opened):
    gate = Gate()
    scheduler = opened(gate, batching=False)
    speaking, silent = open_(scheduler, "speaking")[0], open_(scheduler, "silent")[0]
    busy(gate, scheduler)
    silent.feed(np.r_[say("ask not what"), silence(0.3)])
    speaking.feed(say(SPEECH))
    until(lambda: None not in (speaking.wanted_since, silent.wanted_since))
    order = heard_after(gate)
    until(lambda: len(order()) >= 2)
    assert order()[:2] == ["speaking", "silent"]


def test_only_the_newest_audio_is_heard(opened):
    gate = Gate()
    scheduler = opened(gate)
    busy(gate, scheduler)
    stream, _ = open_(scheduler, "late")
    for _ in range(3):
        stream.feed(say("ask not what"))
        until(lambda: stream.wanted_since is not None)
    until(lambda: not stream._live._ear._inbox)
    order = heard_after(gate)
    until(lambda: order())
    assert gate.heard[1] == [("late", pytest.approx(3 * 1.08, abs=0.05))]


def test_streams_hear_how_far_behind_they_are(opened):
    gate = Gate()
    scheduler = opened(gate)
    busy(gate, scheduler)
    stream, listener = open_(scheduler, "late")
    for _ in range(4):
        stream.feed(say("ask not what"))
        time.sleep(0.05)
    listener.wait(lambda u: u.behind > 2)
    assert scheduler.stats()["behind_max"] > 2
    gate.door.set()
    listener.wait(lambda u: u.draft and u.behind < 1)


def test_how_far_behind_a_stream_is_can_be_asked_at_any_time(opened):
    scheduler, told, go_on = opened(Tones()), threading.Event(), threading.Event()

    def slow_listener(update):
        told.set()
        assert go_on.wait(10)

    stream = scheduler.open(Options(), slow_listener)
    stream.feed(say(SPEECH))
    assert told.wait(10)
    began = time.monotonic()
    assert stream.behind > 3 and scheduler.stats()["behind_max"] > 3 and stream.speaking
    assert time.monotonic() - began < 5
    go_on.set()


def test_under_strain_finals_do_not_share_their_call_with_drafts(opened, monkeypatch):
    monkeypatch.setattr("asr.scheduler.STRAIN", 0.05)
    gate = Gate()
    scheduler = opened(gate)
    busy(gate, scheduler)
    (draft, drafted), (final, _) = open_(scheduler, "draft"), open_(scheduler, "final")
    draft.feed(say(SPEECH))
    final.feed(np.r_[say(SPEECH), silence(1)])
    until(lambda: None not in (draft.wanted_since, final.wanted_since))
    time.sleep(0.1)
    gate.door.set()
    drafted.wait(lambda u: u.draft)
    assert [who for who, _ in gate.heard[1]] == ["final"] and "finals_only" in scheduler.stats()


def test_an_overloaded_model_loses_nothing(opened, monkeypatch):
    monkeypatch.setattr("asr.scheduler.STRAIN", 0.05)

    class Slow(Tones):
        def transcribe_batch(self, windows, options):
            time.sleep(0.1)
            return super().transcribe_batch(windows, options)

    scheduler = opened(Slow(), batching=False)
    streams = [open_(scheduler) for _ in range(4)]
    audio = np.r_[say(SPEECH), silence(1), say("and so my fellow"), silence(1)]
    for at in range(0, len(audio), 2000):
        for stream, _ in streams:
            stream.feed(audio[at : at + 2000])
        time.sleep(0.01)
    for stream, _ in streams:
        stream.finish()
    assert [listener.wait().said for _, listener in streams] == [f"{SPEECH} and so my fellow"] * 4


def test_a_full_house_says_so_and_lets_the_next_one_in(opened):
    scheduler = opened(Tones(), max_streams=2)
    first, _ = open_(scheduler)
    open_(scheduler)
    with pytest.raises(Busy, match="All 2 places"):
        open_(scheduler)
    first.close()
    open_(scheduler)
    assert scheduler.stats()["refused"] == 1 and scheduler.stats()["streams"] == 2


def test_what_the_model_cannot_do_is_refused_and_takes_no_place(opened):
    scheduler = opened(Tones(), max_streams=1)
    with pytest.raises(Unsupported):
        scheduler.open(Options(language="de"), Listener())
    open_(scheduler)


class Broken(Tones):
    """Fails on windows with the hotword "bad", and as often as told on any."""

    def __init__(self, times, error):
        super().__init__()
        self.times, self.error = times, error

    def transcribe_batch(self, windows, options):
        if any(o.hotwords == "bad" for o in options) or self.times > 0:
            self.times -= 1
            raise self.error
        return super().transcribe_batch(windows, options)


def test_a_failing_model_is_told_of_and_loses_nothing(opened, monkeypatch):
    monkeypatch.setattr("asr.scheduler.stream.RETRY", 0.01)
    error = BackendUnavailable("The server is away.", "Start it again.")
    stream, listener = open_(opened(Broken(3, error)))
    stream.feed(np.r_[say(SPEECH), silence(1)])
    stream.finish()
    listener.wait()
    assert "The server is away. Start it again." in {u.error for u in listener} and listener.said == SPEECH


def test_an_unexpected_error_shows_no_secrets(opened, monkeypatch):
    monkeypatch.setattr("asr.scheduler.stream.RETRY", 0.01)
    stream, listener = open_(opened(Broken(2, RuntimeError("token hf_abc"))))
    stream.feed(np.r_[say(SPEECH), silence(1)])
    stream.finish()
    listener.wait()
    assert listener.said == SPEECH and any("RuntimeError" in u.error for u in listener)
    assert not any("hf_abc" in u.error for u in listener)


def test_one_bad_window_does_not_hurt_the_others_of_its_batch(opened):
    scheduler = opened(Broken(0, ValueError()))
    (bad, bad_listener), (good, good_listener) = open_(scheduler, "bad"), open_(scheduler, "good")
    for stream in (bad, good):
        stream.feed(np.r_[say(SPEECH), silence(1)])
        stream.finish()
    assert good_listener.wait().said == SPEECH
    bad_listener.wait(lambda u: u.error)
    assert not any(u.error for u in good_listener) and scheduler.stats()["errors"] >= 1


def test_a_stream_the_model_never_catches_up_with_ends_with_a_reason(opened):
    gate = Gate()
    scheduler = opened(gate, most_behind=3.0)
    busy(gate, scheduler)
    stream, listener = open_(scheduler)
    stream.feed(say(f"{SPEECH} " * 2))
    (last,) = [u for u in listener.wait() if u.done]
    assert "more than 0.05 minutes behind" in last.error
    gate.door.set()


def test_a_stream_that_breaks_hurts_no_other(opened):
    class Nonsense(Tones):
        def transcribe_batch(self, windows, options):
            if options[0].hotwords == "bad":
                return [["this is no segment"]] * len(windows)
            return super().transcribe_batch(windows, options)

    scheduler = opened(Nonsense(), batching=False)
    (bad, bad_listener), (good, good_listener) = open_(scheduler, "bad"), open_(scheduler, "good")
    for stream in (bad, good):
        stream.feed(np.r_[say(SPEECH), silence(1)])
        stream.finish()
    assert good_listener.wait().said == SPEECH
    assert "went wrong" in bad_listener.wait()[-1].error


def test_a_listener_that_fails_stops_nobody(opened):
    scheduler = opened(Tones())

    def broken(update):
        raise RuntimeError

    scheduler.open(Options(), broken).feed(np.r_[say(SPEECH), silence(1)])
    stream, listener = open_(scheduler)
    stream.feed(np.r_[say(SPEECH), silence(1)])
    stream.finish()
    assert listener.wait().said == SPEECH


def test_a_closed_stream_hears_nothing_more(opened):
    gate = Gate()
    scheduler = opened(gate)
    stream, listener = open_(scheduler)
    gate.door.clear()
    stream.feed(say(SPEECH))
    assert gate.inside.acquire(timeout=10)
    stream.close()
    told = len(listener)
    gate.door.set()
    until(lambda: scheduler.stats()["passes"] == 1)
    stream.feed(say(SPEECH))
    time.sleep(0.05)
    assert len(listener) == told and scheduler.stats()["streams"] == 0


def test_a_listener_may_close_its_own_stream(opened):
    scheduler = opened(Tones())
    seen = []

    def once(update):
        seen.append(update)
        stream.close()

    stream = scheduler.open(Options(), once)
    stream.feed(np.r_[say(SPEECH), silence(1)])
    until(lambda: seen and not scheduler.stats()["streams"])
    assert len(seen) == 1


def test_feeding_never_waits_for_the_model(opened):
    gate = Gate()
    scheduler = opened(gate)
    stream = busy(gate, scheduler)
    piece = say("ask")[:320]
    began = time.perf_counter()
    for _ in range(1000):
        stream.feed(piece)
    assert time.perf_counter() - began < 1
    gate.door.set()


def test_a_finished_stream_gives_its_place_back(opened):
    scheduler = opened(Tones(), max_streams=1)
    for _ in range(3):
        stream, listener = open_(scheduler)
        stream.feed(say("ask not"))
        stream.finish()
        assert listener.wait().said == "ask not"
        until(lambda: not scheduler.stats()["streams"])


def test_closing_ends_the_threads():
    scheduler = Scheduler(Tones(), vad=lambda: loud)
    open_(scheduler)
    scheduler.close()
    assert not any(t.is_alive() for t in scheduler._threads)
    with pytest.raises(Busy):
        open_(scheduler)


def test_counters_count(opened):
    scheduler = opened(Tones())
    stream, listener = open_(scheduler)
    stream.feed(np.r_[say(SPEECH), silence(1)])
    stream.finish()
    listener.wait()
    stats = scheduler.stats()
    assert stats["opened"] == 1 and stats["passes"] == stats["windows"] >= 1
    assert (
        stats["wait_max"] >= stats["wait_mean"] >= 0 and stats["took_mean"] > 0 and stats["batch_mean"] == 1
    )


def test_one_scheduler_per_model():
    all_of_them = Schedulers(max_streams=3)
    a, b = Tones(), Tones()
    assert all_of_them.get(a) is all_of_them.get(a) is not all_of_them.get(b)
    assert all_of_them.get(a).max_streams == 3 and len(all_of_them.all()) == 2
    all_of_them.close()


def learnt(fixed, each, *sizes):
    batching = Batching(16)
    for n in sizes * 3:
        batching.learn(n, fixed + n * each)
    return batching.size


def test_a_batch_is_as_large_as_pays():
    assert learnt(0.1, 0.001, 1, 4, 8) == 16  # a GPU
    assert learnt(0.06, 0.042, 1, 4, 8) == 6
    assert learnt(0.02, 1.0, 1, 4, 8) == 1  # a CPU
    assert learnt(0.1, 0.0, 1, 4, 8) == 16
    assert Batching(16).size == 16 and learnt(0.02, 1.0, 1) == 16  # nothing to go by: try


def test_a_machine_that_changes_is_noticed():
    batching = Batching(8)
    for n in [1, 8] * 10:
        batching.learn(n, 0.02 + n)
    assert batching.size == 1
    for _ in range(300):
        batching.learn(1, 1.0)
    assert batching.size == 8


# -- recordings on the same model


def test_who_holds_what_recordings_use_holds_the_model(opened):
    model = Held(Tones(), Tones)
    with held(opened(model).files):
        assert model.users == 1
    assert model.users == 0


def test_recordings_go_through_the_same_model(opened):
    backend = Tones()
    files = opened(backend).files
    words = Options(word_timestamps=True)
    assert "".join(s.text for s in files.transcribe(say("ask not"), words)).strip() == "ask not"
    heard = files.transcribe_batch([say("ask"), say("not")] * 8, [words] * 16)
    assert [s.text for window in heard for s in window] == [" ask", " not"] * 8
    assert backend.batches == [8, 8] and files.detect([say("ask")]) == [{"en": 1.0}]
    assert files.can == backend.can and files.spec == backend.spec and files.languages == backend.languages


def test_recordings_make_room_for_whoever_may_speak(opened):
    backend = Tones()
    scheduler = opened(backend)

    def batches():
        backend.batches.clear()
        scheduler.files.transcribe_batch([say("ask")] * 8, [Options()] * 8)
        return backend.batches

    assert batches() == [8]
    scheduler.files._each = 0.3
    stream, listener = open_(scheduler)
    assert batches()[0] == 3  # of 0.3 s each, while nobody speaks
    stream.feed(say("ask not what"))
    listener.wait(lambda u: u.stable or u.draft)
    until(lambda: not scheduler._news.is_set())
    assert batches() == [1] * 8


def test_a_recording_of_the_page_leaves_room_for_live_speech(tmp_path):
    class Ears(Synthetic):
        window = 2.0

        def transcribe_batch(self, windows, options):
            calls.append(len(windows))
            return super().transcribe_batch(windows, options)

    calls, backend, schedulers = [], Ears("synthetic:voice"), Schedulers(vad=lambda: loud)
    house = app.tools(None, Config(data_dir=tmp_path), SimpleNamespace(get=lambda spec: backend), schedulers)
    talk = Recording(to_pcm16(np.tile(np.r_[voice.say("echo lima mike"), voice.silence(4)], 6)))

    def batches() -> list[int]:
        calls.clear()
        model = house.model(None)
        heard = house.transcribe(talk, model, Options(word_timestamps=True))
        assert [s.text for s in heard] == [" echo lima mike"] * 6
        return calls

    try:
        assert max(batches()) > 1  # nobody speaks
        listener = Listener()
        schedulers.get(backend).open(Options(), listener).feed(voice.say("alpha bravo"))
        listener.wait(lambda u: u.draft or u.stable)
        assert set(batches()) == {1}
    finally:
        schedulers.close()


def test_live_speech_and_recordings_do_not_starve_each_other(opened, monkeypatch):
    monkeypatch.setattr("asr.scheduler.turns.PATIENCE", 0.02)

    class Slow(Tones):
        def transcribe_batch(self, windows, options):
            time.sleep(0.01)
            return super().transcribe_batch(windows, options)

    scheduler = opened(Slow(), batching=False)
    streams = [open_(scheduler) for _ in range(6)]
    done, stop = [], threading.Event()

    def record():
        while not stop.is_set():
            scheduler.files.transcribe_batch([say("ask")], [Options()])
            done.append(1)

    worker = threading.Thread(target=record)
    worker.start()
    audio = np.r_[say(f"{SPEECH} " * 2), silence(1)]
    for at in range(0, len(audio), 1600):
        for stream, _ in streams:
            stream.feed(audio[at : at + 1600])
        time.sleep(0.02)
    for stream, _ in streams:
        stream.finish()
    said = [listener.wait().said for _, listener in streams]
    stop.set()
    worker.join()
    assert said == [f"{SPEECH} {SPEECH}"] * 6 and len(done) > 3


def in_order(turns, *kinds):
    """Who gets the turn in which order, when all come while it is taken."""
    order, threads = [], []

    def take(kind):
        with getattr(turns, kind)():
            order.append(kind)

    with turns.live():
        for kind in kinds:
            threads.append(threading.Thread(target=take, args=(kind,)))
            threads[-1].start()
            time.sleep(0.02)
    for thread in threads:
        thread.join(10)
    return order


def test_live_speech_goes_before_recordings():
    assert in_order(Turns(), "file", "file", "live") == ["live", "file", "file"]


def test_a_recording_that_waited_long_enough_goes_before_live_speech_once(monkeypatch):
    monkeypatch.setattr("asr.scheduler.turns.PATIENCE", 0.01)
    monkeypatch.setattr("asr.scheduler.turns.SHARE", 0)
    assert in_order(Turns(), "file", "live")[0] == "file"


def test_a_recording_that_is_stopped_or_fails_leaves_the_turn_free():
    class Fails(Tones):
        def transcribe(self, audio, options):
            yield from super().transcribe(audio, options)
            raise ValueError

    turns = Turns()
    files = Shared(Fails(), turns, lambda: 1.0)
    words = files.transcribe(say("ask"), Options())
    next(words)
    with pytest.raises(ValueError):
        next(words)
    files.transcribe(say("ask"), Options()).close()
    assert in_order(turns, "live") == ["live"]
