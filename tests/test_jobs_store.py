"""What is kept of recordings: rows, texts, edits, files; and what is gone when it is deleted."""

import sqlite3
from dataclasses import replace

import numpy as np
import pytest

from asr.errors import ASRError, ConfigError, Conflict, UnknownJob
from asr.jobs import Store, Wishes
from asr.types import Segment, Transcript, Word

ANNA, BERT = "a" * 64, "b" * 64
LINES = (
    Segment(0, 1, " ask not", (Word(0, 0.4, " ask", 0.9), Word(0.5, 1, " not")), "en", tokens=(7,)),
    Segment(1, 2, " what", unsure=True),
)


@pytest.fixture
def store(tmp_path):
    it = Store(tmp_path / "data")
    yield it
    it.close()


def add(store, tmp_path, owner=ANNA, name="Board meeting.WAV", body=b"RIFF", wishes=Wishes()):  # noqa: B008
    (source := tmp_path / "upload").write_bytes(body)
    return store.add(owner, name, source, wishes)


@pytest.fixture
def job(store, tmp_path):
    return add(store, tmp_path)


def heard(store, job, lines=LINES):
    """The job, transcribed."""
    assert store.claim(job.id)
    for n, line in enumerate(lines):
        store.hear(job.id, n, line)
    store.note(job.id, duration=2.0)
    store.keep(job.id, "transcribe", store.so_far(job.id), model="tones:pure")
    store.skip(job.id, "decode")
    store.end(job.id, "done", took=1.5)
    return store.job(job.id)


def test_a_recording_is_moved_into_a_folder_that_nobody_can_guess(store, job, tmp_path):
    assert not (tmp_path / "upload").exists() and len(job.id) == 22
    assert store.source(job).read_bytes() == b"RIFF" and store.source(job).name == "source.wav"
    assert store.source(job).parent == store.folder(job.id) and (job.state, job.stage) == (
        "waiting",
        "decode",
    )
    assert store.folder(job.id).stat().st_mode & 0o077 == 0 == store.path.stat().st_mode & 0o077


@pytest.mark.parametrize(
    "given, name, file",
    [
        ("../../etc/passwd", "passwd", "source"),
        ("C:\\Users\\a\\Ä b.mp3", "Ä b.mp3", "source.mp3"),
        ("x.tar/../..", "..", "source"),
        ("a.m p", "a.m p", "source"),
        ("a\nb\u202e.wav", "ab.wav", "source.wav"),
        ("", "Recording", "source"),
        ("n" * 999 + ".flac", "n" * 195 + ".flac", "source.flac"),
    ],
)
def test_a_hostile_name_is_only_a_name(store, tmp_path, given, name, file):
    made = add(store, tmp_path, name=given)
    assert made.name == name and store.source(made) == store.folder(made.id) / file


def test_nobody_sees_the_recordings_of_others(store, tmp_path, job):
    other = add(store, tmp_path, BERT, "secret.mp3")
    assert [j.id for j in store.jobs(ANNA)] == [job.id] and [j.id for j in store.jobs(BERT)] == [other.id]
    with pytest.raises(UnknownJob) as theirs:
        store.job(other.id, ANNA)
    with pytest.raises(UnknownJob) as nobodys:
        store.job("x" * 22, ANNA)
    assert str(theirs.value) == str(nobodys.value)
    for id in ("", "..", "' OR 1=1 --", "x" * 22 + "\n"):
        with pytest.raises(UnknownJob):
            store.folder(id)


def test_what_was_saved_is_there_after_the_process_is_gone(store, job, tmp_path):
    wishes = Wishes("faster_whisper:tiny", "en", "translate", "Grażyna", True, "embedded", low=2, high=4)
    second = add(store, tmp_path, wishes=wishes)
    store.claim(second.id)
    store.hear(second.id, 0, LINES[0])
    again = Store(tmp_path / "data")  # the first one is never closed: so does a kill
    assert [j.id for j in again.recover()] == [second.id]
    assert again.job(second.id).wishes == wishes and again.job(second.id).state == "waiting"
    assert again.transcript(second.id).segments == LINES[:1] and again.job(job.id) == store.job(job.id)
    again.close()


def test_segments_are_the_transcript_until_the_stage_makes_a_version_of_them(store, job):
    store.claim(job.id)
    store.hear(job.id, 0, LINES[0])
    assert store.transcript(job.id).text == "ask not" and store.job(job.id).version == 0
    store.hear(job.id, 1, LINES[1])
    store.keep(job.id, "transcribe", Transcript(LINES, 2.0), model="tones:pure")
    assert store.transcript(job.id) == Transcript(LINES, 2.0) and store.heard(job.id) == []
    done = store.job(job.id)
    assert (done.version, done.model, done.stages) == (1, "tones:pure", ("decode",))


def test_times_that_come_from_numpy_are_kept_as_numbers(store, job):
    store.claim(job.id)
    store.hear(job.id, 0, replace(LINES[1], start=np.float64(1.25)))
    assert store.heard(job.id) == [replace(LINES[1], start=1.25)]


def test_while_it_is_transcribed_again_the_old_text_stays(store, job):
    job = heard(store, job)
    store.submit(job.id, Wishes(model="tones:better"), ("transcribe",))
    store.claim(job.id)
    store.hear(job.id, 0, Segment(0, 1, " better"))
    assert store.transcript(job.id).text == "ask not what" and store.so_far(job.id).text == "better"
    store.keep(job.id, "transcribe", store.so_far(job.id))
    assert store.transcript(job.id).text == "better"
    assert store.version(job.id, 1).text == "ask not what"
    assert [v["stage"] for v in store.versions(job.id)] == ["transcribe", "transcribe"]


def test_edits_come_back_in_their_order_and_can_be_undone_and_redone(store, job):
    job = heard(store, job)
    one, two, three = ({"op": "text", "line": n, "text": "<b>\ud800"} for n in range(3))
    revision = store.edit(job.id, two, store.edit(job.id, one, job.revision))
    assert store.edits(job.id) == [one, two] and store.job(job.id).revision == revision
    revision = store.undo(job.id, store.undo(job.id, revision))
    assert store.edits(job.id) == [] and store.undone(job.id) == [one, two]
    with pytest.raises(Conflict, match="nothing to undo"):
        store.undo(job.id, revision)
    revision = store.redo(job.id, revision)
    assert store.edits(job.id) == [one] and store.undone(job.id) == [two]
    revision = store.edit(job.id, three, revision)
    assert store.edits(job.id) == [one, three] and store.undone(job.id) == []
    with pytest.raises(Conflict, match="nothing to redo"):
        store.redo(job.id, revision)


def test_an_edit_of_an_old_revision_is_refused_and_changes_nothing(store, job):
    job = heard(store, job)
    store.edit(job.id, {"op": "join", "line": 0}, job.revision)
    for change in (store.undo, store.redo, lambda id, r: store.edit(id, {}, r)):
        with pytest.raises(Conflict, match="meanwhile"):
            change(job.id, job.revision)
    assert len(store.edits(job.id)) == 1


def test_edits_stay_with_the_version_they_were_made_on(store, job):
    job = heard(store, job)
    store.edit(job.id, {"op": "join", "line": 0}, job.revision)
    store.submit(job.id, Wishes(), ("transcribe",))
    with pytest.raises(Conflict, match="transcribed again"):
        store.edit(job.id, {}, store.job(job.id).revision)
    store.claim(job.id)
    store.keep(job.id, "transcribe", Transcript((), 2.0))
    assert store.edits(job.id) == []


def test_nothing_can_be_edited_before_there_is_text(store, job):
    with pytest.raises(Conflict, match="no text yet"):
        store.edit(job.id, {}, job.revision)


def test_a_job_that_is_worked_on_is_not_given_out_twice(store, job):
    with pytest.raises(Conflict):
        store.submit(job.id, Wishes())
    assert store.claim(job.id) and not store.claim(job.id)
    with pytest.raises(Conflict):
        store.submit(job.id, Wishes())


def test_deleting_leaves_no_byte_behind(store, tmp_path):
    word = "Geheimnis"
    kept = heard(store, add(store, tmp_path))
    job = add(store, tmp_path, name=f"{word}.wav", body=word.encode(), wishes=Wishes(hotwords=word))
    heard(store, job, [Segment(n, n + 1, f" {word} {n}") for n in range(2000)])
    store.edit(job.id, {"op": "rename", "name": word}, store.job(job.id).revision)
    folder = store.folder(job.id)
    store.delete(job.id)
    assert not folder.exists() and [j.id for j in store.jobs(ANNA)] == [kept.id]
    with pytest.raises(UnknownJob):
        store.transcript(job.id)
    for path in (tmp_path / "data").rglob("*"):
        assert word not in path.name and (path.is_dir() or word.encode() not in path.read_bytes()), path
    assert store.transcript(kept.id).text == "ask not what"


def test_a_link_s_key_opens_one_recording_only(store, job, tmp_path):
    other = add(store, tmp_path)
    assert store.opens(job.id, store.key(job.id)) and not store.opens(job.id, store.key(other.id))
    assert not store.opens(job.id, "") and not store.opens(job.id, "é")
    again = Store(tmp_path / "data")
    assert again.key(job.id) == store.key(job.id)
    again.close()


def test_a_full_disk_is_told_and_costs_nothing_that_was_saved(store, job):
    store.claim(job.id)
    store.hear(job.id, 0, LINES[0])
    pages = store.rows("PRAGMA page_count")[0][0]
    store.rows(f"PRAGMA max_page_count={pages}")
    with pytest.raises(ASRError, match=r"disk .* is full"):
        for n in range(1, 999):
            store.hear(job.id, n, replace(LINES[0], text="x" * 4000, words=()))
    assert store.heard(job.id)[0] == LINES[0]


def test_a_file_of_a_newer_program_is_refused(tmp_path):
    db = sqlite3.connect(tmp_path / "recordings.db")
    db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(ConfigError, match="newer"):
        Store(tmp_path)


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be kept"):
        Store(tmp_path / "file")
