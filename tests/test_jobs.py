"""Recordings on their way: their turn, their stages, their ends, and servers that die in the middle."""

import random
import threading
import time
import wave
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from asr import diarize, pipeline
from asr.audio import to_pcm16
from asr.config import Config
from asr.diarize import Count, Diarization
from asr.errors import BackendUnavailable, Busy, Cancelled, QuotaExceeded, UnknownJob
from asr.jobs import Job, Quota, Store, Tools, Wishes, Worker, stages
from asr.jobs.job import todo
from asr.jobs.quota import Usage
from asr.jobs.turns import order
from asr.types import Segment, Turn, Word
from tests.tones import Tones, loud, say, silence

ANNA, BERT = "a" * 64, "b" * 64
SAID = "ask not what you can do"
SOON = 30.0  # seconds; nothing here takes one
ONE = Wishes()


def write(path, audio: np.ndarray):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(to_pcm16(audio).tobytes())
    return path


@pytest.fixture
def store(tmp_path):
    it = Store(tmp_path / "data")
    yield it
    it.close()


class Slow:
    """A recogniser that hears a line a second of audio, each when the test says so."""

    def __init__(self):
        self.go_on, self.calls, self.heard = threading.Semaphore(0), [], threading.Semaphore(0)

    def __call__(self, recording, backend, options):
        self.calls.append((recording.duration, options))
        for n in range(int(recording.duration)):
            assert self.go_on.acquire(timeout=SOON)
            yield Segment.of([Word(n, n + 1, f" {n}")], language="en")
            self.heard.release()


@pytest.fixture
def house(store):
    """house(...) is a worker on the store; the last one is closed at the end."""
    made = []

    def open_house(model=lambda spec: Tones(), transcribe=None, store=store, **config):
        heard = transcribe or partial(pipeline.transcribe, vad=lambda: loud)
        made.append(Worker(Tools(store, Config(**config), model, heard)))
        made[-1].start()
        return made[-1]

    yield open_house
    for worker in made:
        if not worker._closed:
            worker.close()


def given(store, tmp_path, owner=ANNA, audio=None, name="ask.wav") -> Job:
    audio = np.r_[say("ask not what"), silence(1), say("you can do")] if audio is None else audio
    source = write(tmp_path / "upload.wav", audio)
    job = store.expect(owner, name, source.stat().st_size)
    source.replace(store.source(job))
    return job


def until(store, id, state=None, **facts) -> Job:
    """Wait until the job is so."""
    end = time.monotonic() + SOON
    while time.monotonic() < end:
        job = store.job(id)
        if (job.over if state is None else job.state == state) and all(
            getattr(job, k) == v for k, v in facts.items()
        ):
            return job
        time.sleep(0.01)
    raise AssertionError(f"it never came to that: {store.job(id)}")


def test_a_recording_goes_through_its_stages_and_keeps_what_each_made(store, house, tmp_path):
    job = given(store, tmp_path)
    house().submit(job.id, ONE)
    done = until(store, job.id)
    assert (done.state, done.stages, done.model, done.what) == ("done", (), "tones:pure", "")
    assert done.duration == pytest.approx(3.16, abs=0.1) and done.took > 0
    text = store.transcript(job.id)
    assert text.text == SAID and all(s.words for s in text.segments) and text.duration == done.duration
    assert done.bytes == store.size(job.id) > store.source(done).stat().st_size
    assert {p.name for p in store.folder(job.id).iterdir()} == {"source.wav", "audio.pcm"}


def test_what_the_person_asked_for_reaches_the_engine(store, house, tmp_path):
    engine, specs, job = Tones(), [], given(store, tmp_path)
    worker = house(model=lambda spec: (specs.append(spec), engine)[1])
    worker.submit(job.id, Wishes("tones:better", "en", "translate", " fellow "))
    assert until(store, job.id).state == "done" and specs == ["tones:better"]
    assert {(o.language, o.task, o.hotwords) for o in engine.calls} == {("en", "translate", "fellow")}
    assert store.transcript(job.id).task == "translate"


# ---- whose turn it is ----


def waits(owner, queued) -> Job:
    return Job(f"{owner}{queued}", owner, "", "", 0, queued, "waiting", (), ONE, queued=queued)


def test_people_take_turns_however_many_recordings_each_has():
    crowd = [waits("a", n) for n in range(50)] + [waits("b", 60), waits("b", 61), waits("c", 70)]
    turns = [job.id for job in order(crowd, [], {})]
    assert turns[:6] == ["a0", "b60", "c70", "a1", "b61", "a2"] and len(turns) == 53
    assert [j.id for j in order(crowd, [waits("a", -1)], {})][:3] == ["b60", "c70", "a0"]
    assert [j.id for j in order(crowd, [], {"a": 9.0, "b": 8.0})][:3] == ["c70", "b60", "a0"]


def test_nobody_waits_longer_than_one_round():
    dice = random.Random(5)
    for _ in range(50):
        crowd = [waits(dice.choice("abcd"), n) for n in range(30)]
        turns = [job.owner for job in order(crowd, [], {})]
        people = len(set(turns))
        firsts = {owner: turns.index(owner) for owner in set(turns)}
        assert max(firsts.values()) == people - 1


def test_one_person_s_many_files_do_not_keep_another_waiting(store, house, tmp_path):
    slow = Slow()
    worker = house(transcribe=slow, recordings_at_once=1)
    audio = say("ask not what")
    crowd = [given(store, tmp_path, audio=audio) for _ in range(5)]
    for job in crowd:
        worker.submit(job.id, ONE)
    until(store, crowd[0].id, "working", stage="transcribe")
    guest = given(store, tmp_path, BERT, audio=audio)
    worker.submit(guest.id, ONE)
    assert [worker.ahead(j.id) for j in (crowd[0], guest, crowd[1], crowd[4])] == [0, 1, 2, 5]
    slow.go_on.release(1)
    until(store, crowd[0].id, "done")
    until(store, guest.id, "working")
    assert store.job(crowd[1].id).state == "waiting"
    slow.go_on.release(99)
    for job in crowd:
        until(store, job.id, "done")


def test_so_many_work_at_once_and_no_more(store, house, tmp_path):
    slow = Slow()
    worker = house(transcribe=slow, recordings_at_once=2)
    jobs = [given(store, tmp_path, "abc"[n] * 64) for n in range(3)]
    for job in jobs:
        worker.submit(job.id, ONE)
    until(store, jobs[1].id, "working", stage="transcribe")
    assert sorted(store.job(j.id).state for j in jobs) == ["waiting", "working", "working"]
    slow.go_on.release(99)
    for job in jobs:
        until(store, job.id, "done")


def test_a_line_that_is_too_long_turns_people_away(store, house, tmp_path):
    worker = house(transcribe=(slow := Slow()), recordings_at_once=1, recordings_waiting=0)
    jobs = [given(store, tmp_path) for _ in range(3)]
    worker.submit(jobs[0].id, ONE)
    until(store, jobs[0].id, "working")
    worker.submit(jobs[1].id, ONE)
    with pytest.raises(Busy):
        worker.submit(jobs[2].id, ONE)
    assert store.job(jobs[2].id).state == "uploading"  # it can be asked for again
    slow.go_on.release(99)


# ---- ends ----


def test_a_recording_that_is_cancelled_keeps_what_it_has_and_goes_on_from_there(store, house, tmp_path):
    slow, job = Slow(), given(store, tmp_path, audio=silence(5))
    worker = house(transcribe=slow)
    worker.submit(job.id, ONE)
    slow.go_on.release(2)
    for _ in range(2):
        assert slow.heard.acquire(timeout=SOON)
    worker.cancel(job.id)
    cancelled = store.job(job.id)
    assert cancelled.state == "cancelled" and store.transcript(job.id).text == "0 1"
    store.edit(job.id, {"op": "text", "line": 1, "text": "one", "id": "1"}, cancelled.revision)
    slow.go_on.release(99)
    worker.submit(job.id, cancelled.wishes)
    assert until(store, job.id).state == "done"
    assert slow.calls[-1][0] == pytest.approx(3.0)  # the rest of it
    assert slow.calls[-1][1].language == "en"
    assert store.transcript(job.id).text == "0 one 0 1 2"
    assert [s.start for s in store.transcript(job.id).segments] == [0, 1, 2, 3, 4]


def test_with_other_wishes_a_cancelled_recording_begins_anew(store, house, tmp_path):
    slow, job = Slow(), given(store, tmp_path, audio=silence(3))
    worker = house(transcribe=slow)
    worker.submit(job.id, ONE)
    slow.go_on.release(1)
    assert slow.heard.acquire(timeout=SOON)
    worker.cancel(job.id)
    slow.go_on.release(99)
    worker.submit(job.id, Wishes(language="de"))
    until(store, job.id)
    assert slow.calls[-1][0] == pytest.approx(3.0) and store.transcript(job.id).text == "0 1 2"


def test_a_waiting_recording_is_cancelled_at_once(store, house, tmp_path):
    worker = house(transcribe=Slow(), recordings_at_once=1)
    jobs = [given(store, tmp_path) for _ in range(2)]
    for job in jobs:
        worker.submit(job.id, ONE)
    worker.cancel(jobs[1].id)
    assert store.job(jobs[1].id).state == "cancelled" and worker.ahead(jobs[1].id) == 0


def test_an_error_is_told_with_its_fix_and_what_was_heard_can_be_read_and_continued(store, house, tmp_path):
    def breaks(recording, backend, options):
        yield Segment.of([Word(0, 1, " ask")])
        raise BackendUnavailable("The GPU is out of memory.", "Choose a smaller model.")

    job = given(store, tmp_path)
    house(transcribe=breaks).submit(job.id, ONE)
    failed = until(store, job.id)
    assert (failed.state, failed.stage) == ("failed", "transcribe")
    assert (failed.what, failed.fix) == ("The GPU is out of memory.", "Choose a smaller model.")
    assert store.transcript(job.id).text == "ask" and failed.version == 1


def test_a_bug_is_told_without_its_details(store, house, tmp_path, caplog):
    job = given(store, tmp_path)
    house(model=lambda spec: {}["secret of the owner"]).submit(job.id, ONE)
    failed = until(store, job.id)
    assert failed.state == "failed" and "KeyError" in failed.what and "secret" not in failed.what + failed.fix
    assert "secret" in caplog.text


def test_limits_are_kept(store, house, tmp_path):
    job = given(store, tmp_path)
    house(max_audio_hours=1 / 3600).submit(job.id, ONE)
    assert "longer" in until(store, job.id).what


def test_what_is_deleted_while_it_is_worked_on_is_gone(store, house, tmp_path):
    slow, job = Slow(), given(store, tmp_path)
    worker = house(transcribe=slow, recordings_at_once=1)
    folder = store.folder(job.id)
    worker.submit(job.id, ONE)
    slow.go_on.release(1)
    assert slow.heard.acquire(timeout=SOON)
    worker.delete(job.id)
    slow.go_on.release(99)
    with pytest.raises(UnknownJob):
        store.job(job.id)
    assert not folder.exists() and store.rows("SELECT * FROM segments") == []
    after = given(store, tmp_path)
    worker.submit(after.id, ONE)  # its place is free again
    assert until(store, after.id).state == "done"
    assert not folder.exists() and store.rows("SELECT * FROM segments") == []


@pytest.mark.parametrize(
    "state, left, before, now, stages",
    [
        ("uploading", "", {}, {}, "decode transcribe"),
        ("uploading", "", {}, {"rung": "auto"}, "decode transcribe diarize"),
        ("cancelled", "decode transcribe", {}, {"rung": "auto"}, "decode transcribe diarize"),
        ("failed", "transcribe diarize", {"rung": "auto"}, {"rung": "auto"}, "transcribe diarize"),
        ("failed", "decode transcribe", {}, {"language": "de"}, "decode transcribe"),
        ("done", "", {}, {"rung": "auto"}, "diarize"),
        ("done", "", {"rung": "auto"}, {"rung": "auto", "exact": 3}, "diarize"),
        ("done", "", {"rung": "auto"}, {"rung": "auto", "language": "de"}, "transcribe diarize"),
        ("done", "", {}, {"align": True}, "align"),
        ("done", "", {}, {}, "transcribe"),
        ("cancelled", "diarize", {"rung": "auto"}, {"rung": "embedded"}, "diarize"),
        ("cancelled", "align diarize", {"rung": "auto", "align": True}, {"rung": "auto"}, "diarize"),
    ],
)
def test_asking_again_does_no_more_than_the_wishes_make_necessary(state, left, before, now, stages):
    job = Job("", ANNA, "", "", 0, 0, state, tuple(left.split()), Wishes(**before))
    assert " ".join(todo(job, Wishes(**now))) == stages


# ---- speakers ----


def speakers(*turns):
    turns = tuple(Turn(*t) for t in turns)
    return Diarization(turns, turns, "embedded", "Speakers by: a test.")


@pytest.fixture
def found(monkeypatch):
    """What asr.diarize answers, or raises; `asked` is what it was asked."""
    it = SimpleNamespace(answer=speakers((0, 1.5, "Speaker 1"), (2, 9, "Speaker 2")), asked=[])

    def answer(recording, rung, count, *, source, config, progress):
        it.asked.append((rung, count, source.name, round(recording.duration)))
        progress(0.5)
        if isinstance(it.answer, Exception):
            raise it.answer
        return it.answer

    monkeypatch.setattr(diarize, "diarize", answer)
    return it


def test_speakers_are_found_when_somebody_asks(store, house, tmp_path, found):
    job = given(store, tmp_path)
    house().submit(job.id, Wishes(rung="embedded", low=2, high=3))
    done = until(store, job.id)
    assert [s.speaker for s in store.transcript(job.id).segments] == ["Speaker 1", "Speaker 2"]
    assert done.says == "Speakers by: a test." and store.diarization(job.id) == found.answer
    assert found.asked == [("embedded", Count(low=2, high=3), "source.wav", 3)]
    assert store.version(job.id, 1).text == SAID


@pytest.mark.parametrize("error", [BackendUnavailable("No token.", "Set HF_TOKEN."), ZeroDivisionError("x")])
def test_speakers_that_are_not_found_cost_no_text_and_can_be_looked_for_again(
    store, house, tmp_path, found, error
):
    job, found.answer = given(store, tmp_path), error
    worker = house()
    worker.submit(job.id, Wishes(rung="pyannote"))
    done = until(store, job.id)
    assert done.state == "done" and store.transcript(job.id).text == SAID
    assert done.what and done.fix
    found.answer = speakers((0, 9, "Speaker 1"))
    worker.submit(job.id, Wishes(rung="embedded", exact=1), ("diarize",))
    done = until(store, job.id)
    assert not done.what and {s.speaker for s in store.transcript(job.id).segments} == {"Speaker 1"}


def test_another_diarization_is_an_edit_that_can_be_undone(store, house, tmp_path, found):
    job, worker = given(store, tmp_path), house()
    worker.submit(job.id, Wishes(rung="auto"))
    before = until(store, job.id)
    store.edit(job.id, {"op": "text", "line": 0, "text": "ask nothing"}, before.revision)
    found.answer = speakers((0, 9, "Speaker 1"))
    worker.submit(job.id, Wishes(rung="auto", exact=1), ("diarize",))
    done = until(store, job.id)
    assert done.version == before.version and [e["op"] for e in store.edits(job.id)] == ["text", "speakers"]
    assert store.continued(job.id).segments == ()  # nothing is being transcribed
    store.undo(job.id, done.revision)
    assert [e["op"] for e in store.edits(job.id)] == ["text"]


def test_looking_for_speakers_can_be_cancelled(store, house, tmp_path, monkeypatch):
    begun, job = threading.Event(), given(store, tmp_path)

    def endless(*_, progress, **__):
        begun.set()
        while True:
            progress(0.1)
            time.sleep(0.01)

    monkeypatch.setattr(diarize, "diarize", endless)
    worker = house()
    worker.submit(job.id, Wishes(rung="auto"))
    assert begun.wait(SOON)
    worker.cancel(job.id)
    assert store.job(job.id).state == "cancelled" and store.transcript(job.id).text == SAID


# ---- servers that stop ----


def test_a_server_that_is_stopped_goes_on_where_it_was(store, house, tmp_path):
    slow, job = Slow(), given(store, tmp_path, audio=silence(5))
    worker = house(transcribe=slow)
    worker.submit(job.id, ONE)
    slow.go_on.release(2)
    for _ in range(2):
        assert slow.heard.acquire(timeout=SOON)
    threading.Timer(0.2, slow.go_on.release).start()
    worker.close()
    assert store.job(job.id).state == "waiting" and len(store.heard(job.id)) >= 2
    slow.go_on.release(99)
    house(transcribe=slow)
    assert until(store, job.id).state == "done"
    assert [s.end for s in store.transcript(job.id).segments] == [1, 2, 3, 4, 5]
    assert slow.calls[-1][0] < 4


def test_two_servers_on_one_folder_do_not_do_the_same_work(store, house, tmp_path):
    slow, job = Slow(), given(store, tmp_path, audio=silence(2))
    first = house(transcribe=slow)
    first.submit(job.id, ONE)
    until(store, job.id, "working", stage="transcribe")
    other = Store(tmp_path / "data")
    second = house(transcribe=slow, store=other)
    assert other.job(job.id).state == "working" and not second._alone
    slow.go_on.release(99)
    until(store, job.id, "done")
    first.close()
    after = given(other, tmp_path, audio=silence(1))
    second.submit(after.id, ONE)
    assert until(other, after.id).state == "done" and len(slow.calls) == 2
    second.close()
    other.close()


def test_what_kills_the_server_again_and_again_is_given_up_with_a_sentence(store, house, tmp_path):
    job = given(store, tmp_path)
    store.submit(job.id, ONE)
    for _ in range(3):
        assert store.job(job.id).state == "waiting" and store.claim(job.id)
        store.recover()
    failed = store.job(job.id)
    assert failed.state == "failed" and "stopped 3 times" in failed.what and "smaller model" in failed.fix


def test_a_deletion_that_was_cut_off_is_finished_at_the_next_start(store, house, tmp_path):
    (left := store.root / "left").mkdir()
    (left / "source.wav").write_bytes(b"RIFF")
    kept = given(store, tmp_path)
    house()
    assert not left.exists() and store.source(kept).exists()


# ---- how long, how much ----


def aged(store, job, hours):
    with store.writing() as db:
        db.execute(
            "UPDATE jobs SET created = ?, queued = 0 WHERE id = ?", (time.time() - hours * 3600, job.id)
        )


def test_recordings_are_kept_as_long_as_the_settings_say(store, tmp_path):
    old, young, working = (given(store, tmp_path) for _ in range(3))
    for job in (old, young, working):
        store.submit(job.id, ONE)
    store.cancel(old.id), store.claim(working.id)
    aged(store, old, 25), aged(store, young, 23), aged(store, working, 99)
    folder = store.folder(old.id)
    assert store.expire(0) == 0 and store.expire(24) == 1
    assert not folder.exists() and {j.id for j in store.jobs()} == {young.id, working.id}


def test_an_upload_that_nobody_came_back_for_is_deleted_even_at_home(store, tmp_path):
    abandoned, fresh = given(store, tmp_path), given(store, tmp_path)
    aged(store, abandoned, 25)
    assert store.expire(0) == 1 and [j.id for j in store.jobs()] == [fresh.id]


def test_a_space_forgets_after_a_day_and_a_home_never():
    assert Config.from_env({}).keep_hours == 0
    assert Config.from_env({"SPACE_ID": "a/b"}).keep_hours == 24
    assert Config.from_env({"SPACE_ID": "a/b", "ASR_KEEP_HOURS": "0"}).keep_hours == 0


@pytest.mark.parametrize(
    "quota, says",
    [
        (Quota(each=Usage(recordings=1)), "You have 1 recordings"),
        (Quota(each=Usage(bytes=150)), "this one 0.00 GB"),
        (Quota(all=Usage(recordings=1)), "This server keeps"),
        (Quota(all=Usage(bytes=150)), "This server keeps"),
    ],
)
def test_too_much_is_refused_before_it_comes(tmp_path, quota, says):
    store = Store(tmp_path / "data", quota)
    store.expect(ANNA, "a.wav", 100)
    with pytest.raises(QuotaExceeded, match=says) as refused:
        store.expect(ANNA, "b.wav", 100)
    assert refused.value.fix and len(store.jobs()) == 1
    if quota.each != Usage():
        store.expect(BERT, "c.wav", 100)
    store.close()


def test_a_full_disk_takes_no_more(store, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=10**6))
    with pytest.raises(QuotaExceeded, match="nearly full"):
        store.expect(ANNA, "a.wav", 100)


def test_every_stage_has_something_that_does_it():
    from asr.jobs import STAGES

    assert tuple(stages.STAGES) == STAGES and issubclass(Cancelled, Exception)
