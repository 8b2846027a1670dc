"""Several files of one conversation become one recording, whose speakers are called after the files."""

from itertools import groupby

import pytest

from asr import audio
from asr.config import Config
from asr.errors import Conflict, Unsupported
from asr.jobs import Job, Store, Tools, Wishes, tracks
from asr.jobs.stages import STAGES, Work
from asr.types import Segment, Word
from tests.studio import OWNER, tone
from tests.test_diarize_channels import SAID, conversation, save
from ui import files


@pytest.fixture
def store(tmp_path):
    with_store = Store(tmp_path / "data")
    yield with_store
    with_store.close()


def given(store: Store, name: str, path) -> Job:
    """A recording that has come and that nobody has asked anything of yet."""
    job = store.expect(OWNER, name, path.stat().st_size)
    store.receive(job, 0, path.read_bytes())
    return store.job(job.id)


@pytest.fixture
def pair(store, tmp_path):
    sound, _ = conversation()
    paths = [save(tmp_path / f"{n}.wav", sound[:, n]) for n in (0, 1)]
    return [given(store, name, path) for name, path in zip(("Anna.wav", "Ben v1.2.wav"), paths, strict=True)]


def heard(recording, backend, options):
    """What was said, without who said it."""
    for (start, _, text), (end, _, _) in zip(SAID, [*SAID[1:], (15.0, 0, "")], strict=True):
        words = text.split()
        each = (end - start - 0.5) / len(words)
        yield Segment.of(
            [Word(start + i * each, start + (i + 1) * each - 0.05, f" {w}", 0.9) for i, w in enumerate(words)]
        )


class Deaf:
    spec, can, languages, device = "none:none", frozenset({"words"}), frozenset({"en"}), "cpu"


def test_the_speakers_are_called_after_their_files_and_the_sound_is_the_mix(store, pair, tmp_path):
    job = tracks.join(store, pair, files.titles(job.name for job in pair))
    assert job.name == "Anna, Ben v1.2" and [j.id for j in store.jobs(OWNER)] == [pair[0].id]
    store.submit(job.id, Wishes(rung="channels"))
    store.claim(job.id)
    work = Work(Tools(store, Config(data_dir=tmp_path / "data"), lambda _: Deaf(), heard), job.id)
    for stage in ("decode", "transcribe", "diarize"):
        STAGES[stage](work)
    said = store.edited(job.id).segments
    assert [name for name, _ in groupby(s.speaker for s in said)] == ["Anna", "Ben v1.2"] * 2
    assert "2 files, one per speaker" in store.job(job.id).says
    with audio.Recording.open(store.audio(job)) as mix:
        for start, _, _ in SAID:
            assert abs(mix.read(start, start + 1.5)).max() > 0.05
    assert store.size(job.id) >= sum(j.bytes for j in pair)
    store.delete(job.id)
    assert list((tmp_path / "data" / "recordings").iterdir()) == []


def test_what_is_worked_on_or_has_not_come_is_not_joined(store, pair):
    store.submit(pair[1].id, Wishes())
    with pytest.raises(Conflict):
        tracks.join(store, pair, ["Anna", "Ben"])
    coming = store.expect(OWNER, "late.wav", 10)
    with pytest.raises(Conflict):
        tracks.join(store, [pair[0], coming], ["Anna", "late"])
    assert tracks.files(store, store.job(pair[0].id)) == []
    assert len(store.jobs(OWNER)) == 3


def test_one_file_or_very_many_are_no_conversation(store, tmp_path):
    jobs = [given(store, f"{n}.wav", tone(tmp_path / f"{n}.wav", 0.1)) for n in range(tracks.MOST + 1)]
    for some in (jobs[:1], jobs):
        with pytest.raises(Unsupported):
            tracks.join(store, some, [job.name for job in some])


def test_a_file_system_without_links_costs_a_copy(store, pair, monkeypatch):
    def refused(*_):
        raise OSError("no links here")

    monkeypatch.setattr("os.link", refused)
    job = tracks.join(store, pair, ["Anna", "Ben"])
    assert len(tracks.files(store, job)) == 2 and store.arrived(job) == job.bytes


@pytest.mark.parametrize(
    "name, title",
    [
        ("Board v1.2", "Board v1.2"),
        ("Board v1.2.mp3", "Board v1.2"),
        ("talk.WAV", "talk"),
        (".mp3", ".mp3"),
        ("2026.11.22", "2026.11.22"),
        ("Live 2026-11-22 10.30.wav", "Live 2026-11-22 10.30"),
    ],
)
def test_only_what_says_that_it_is_a_recording_is_cut_from_a_name(name, title):
    assert files.title(name) == title


def test_two_speakers_never_have_one_name():
    names = ["Anna.wav", "Anna.mp3", "Anna 2.wav", "Ben.wav"]
    assert files.titles(names) == ["Anna", "Anna 2", "Anna 2 2", "Ben"]
