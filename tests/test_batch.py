"""Archives: every recording once, whatever happens to the process, the disk, the files or the engine."""

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import wave
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from asr.__main__ import main
from asr.audio import decode, to_pcm16, wav
from asr.batch.filling import Hall
from asr.batch.manifest import Manifest, outputs
from asr.batch.pace import Pace
from asr.batch.sources import Source, find
from asr.batch.together import together
from asr.errors import ASRError, BackendUnavailable, Busy, Unsupported
from asr.pipeline import transcribe
from asr.types import Options
from asr.vad import Silero
from tests.archiving import HEARD, Logged, run, save, sentence
from tests.conftest import DIGITS
from tests.speech import digits as speak
from tests.tones import Tones, loud, say, silence

ROOT = Path(__file__).parent.parent


def archive(folder: Path, count: int) -> Path:
    for i in range(count):
        save(folder / f"{i % 3}" / f"call-{i:03d}.wav", sentence(i))
    return folder


def texts(out: Path) -> dict[str, str]:
    return {str(p.relative_to(out)): p.read_text().strip() for p in sorted(out.rglob("*.txt"))}


def expected(count: int) -> dict[str, str]:
    return {f"{i % 3}/call-{i:03d}.txt": sentence(i) for i in range(count)}


# Everything once


def test_every_recording_gets_its_text_under_its_name(tmp_path):
    backend = Tones()
    events = run(archive(tmp_path / "in", 30), tmp_path / "out", backend)
    assert texts(tmp_path / "out") == dict(sorted(expected(30).items()))
    assert Counter(e.how for e in events) == {"heard": 30}


def test_windows_of_different_recordings_fill_the_batches(tmp_path):
    backend = Tones()
    run(archive(tmp_path / "in", 30), tmp_path / "out", backend)
    assert backend.batches == [8, 8, 8, 6]


def test_what_is_done_is_not_done_again(tmp_path):
    source, out = archive(tmp_path / "in", 5), tmp_path / "out"
    run(source, out)
    save(source / "new.wav", sentence(9))
    backend = Tones()
    assert [e.row.output for e in run(source, out, backend)] == ["new"]
    assert len(backend.calls) == 1


def test_renamed_and_duplicate_recordings_are_not_heard_again_but_have_their_files(tmp_path):
    source, out = archive(tmp_path / "in", 3), tmp_path / "out"
    for n in range(4):  # at the same time
        shutil.copy(source / "0" / "call-000.wav", source / f"same-{n}.wav")
    backend = Tones()
    how = Counter(e.how for e in run(source, out, backend))
    assert how == {"heard": 3, "copied": 4} and len(backend.calls) == 3
    (source / "1" / "call-001.wav").rename(source / "1" / "renamed.wav")
    assert [e.how for e in run(source, out, backend)] == ["copied"] and len(backend.calls) == 3
    found = texts(out)
    assert found["1/renamed.txt"] == sentence(1)
    assert {found[f"same-{n}.txt"] for n in range(4)} == {sentence(0)}


def test_a_recording_that_changed_is_heard_again(tmp_path):
    source, out = archive(tmp_path / "in", 2), tmp_path / "out"
    run(source, out)
    save(source / "0" / "call-000.wav", sentence(77), repeat=2)
    assert [e.row.output for e in run(source, out)] == ["0/call-000"]
    assert texts(out)["0/call-000.txt"] == f"{sentence(77)} {sentence(77)}"


def test_another_model_or_option_is_other_work(tmp_path):
    source, out = archive(tmp_path / "in", 2), tmp_path / "out"
    run(source, out)
    assert not run(source, out)
    assert len(run(source, out, recipe={"model": "tones:other"})) == 2
    assert len(run(source, out, recipe={"model": "tones:other", "hotwords": "Kiew"})) == 2


def test_a_lost_file_is_made_again_and_a_new_format_comes_from_the_json(tmp_path):
    source, out, backend = archive(tmp_path / "in", 3), tmp_path / "out", Tones()
    run(source, out, backend, ("txt", "json"))
    (out / "0" / "call-000.txt").unlink()
    assert run(source, out, backend, ("txt", "json", "tsv")) == [] and len(backend.calls) == 3
    assert texts(out) == dict(sorted(expected(3).items())) and (out / "1" / "call-001.tsv").exists()
    for suffix in ("txt", "json"):
        (out / "0" / f"call-000.{suffix}").unlink()
    assert [e.row.output for e in run(source, out, backend, ("txt",))] == ["0/call-000"]


def test_names_of_outputs_never_meet_and_never_change(tmp_path):
    source, out = tmp_path / "in", tmp_path / "out"
    save(source / "talk.wav", sentence(1))
    run(source, out)
    shutil.copy(source / "talk.wav", source / "a talk.wav")
    (source / "talk.mp3").write_bytes(save(tmp_path / "x.wav", sentence(2)).read_bytes())
    (tmp_path / "other").mkdir()
    save(tmp_path / "other" / "talk.wav", sentence(3))
    run([str(source), str(tmp_path / "other")], out)
    assert texts(out) == {
        "a talk.txt": sentence(1),
        "talk.txt": sentence(1),
        "talk.mp3.txt": sentence(2),
        "talk.wav.txt": sentence(3),
    }


@pytest.mark.parametrize("name", ["../../etc/passwd.wav", "/etc/passwd.wav", "..", "a/../../b.wav"])
def test_no_name_leads_out_of_the_folder(name):
    assert not any(part in ("..", "/") for part in Path(next(outputs(name))).parts)


def test_names_that_are_no_unicode_are_kept(tmp_path):
    source = save(tmp_path / "in" / os.fsdecode(b"caf\xe9.wav"), sentence(5)).parent
    assert [e.how for e in run(source, tmp_path / "out")] == ["heard"]
    assert run(source, tmp_path / "out") == []
    assert (tmp_path / "out" / os.fsdecode(b"caf\xe9.txt")).read_text().strip() == sentence(5)


# Whatever fails


def test_what_cannot_be_decoded_is_set_aside_with_its_reason_and_the_rest_goes_on(tmp_path):
    source, out = archive(tmp_path / "in", 6), tmp_path / "out"
    (source / "noise.wav").write_bytes(b"no sound in here" * 1000)
    shutil.copy(source / "noise.wav", source / "noise-2.wav")
    (source / "empty.wav").touch()
    events = run(source, out)
    assert Counter(e.how for e in events) == {"heard": 6, "again": 3, "aside": 3}
    assert [e.how for e in events[:9]].count("aside") == 0, "tried again after all others"
    assert all(str(e.error) for e in events if e.error)
    assert run(source, out) == [], "no fault of ours: not tried again"
    assert Counter(e.how for e in run(source, out, again=True)) == {"again": 3, "aside": 3}


def test_a_recording_that_is_mended_has_its_turn_again(tmp_path):
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    (source / "a.wav").write_bytes(b"half")
    run(source, out)
    save(source / "a.wav", sentence(3))
    assert [e.how for e in run(source, out)] == ["heard"]


def test_what_may_not_be_read_today_is_tried_again_next_time(tmp_path, monkeypatch):
    def forbidden(path, mode="r"):
        raise PermissionError(13, "Permission denied")

    source, out = archive(tmp_path / "in", 1), tmp_path / "out"
    with monkeypatch.context() as m:
        m.setattr("asr.batch.archive.open", forbidden, raising=False)
        events = run(source, out)
    assert [e.how for e in events] == ["again", "aside"] and "Permission denied" in str(events[0].error)
    assert [e.how for e in run(source, out)] == ["heard"]


def test_what_vanished_since_it_was_listed_is_set_aside_until_the_next_start(tmp_path):
    listed = tmp_path / "list.txt"
    listed.write_text("gone.wav\nhere.wav\n")
    save(tmp_path / "here.wav", sentence(1))
    events = run(listed, tmp_path / "out")
    assert Counter(e.how for e in events) == {"heard": 1, "again": 1, "aside": 1}
    assert "cannot be opened" in str(events[-1].error)
    save(tmp_path / "gone.wav", sentence(2))
    assert [e.how for e in run(listed, tmp_path / "out")] == ["heard"]


class Poisoned(Logged):
    """Breaks on whatever holds "country"."""

    def transcribe_batch(self, windows, options):
        found = super().transcribe_batch(windows, options)
        if any("country" in s.text for segments in found for s in segments):
            raise RuntimeError("the engine choked")
        return found


def test_one_recording_on_which_the_engine_breaks_costs_no_other(tmp_path):
    source = tmp_path / "in"
    for i, text in enumerate(["ask not", "for you", "your country", "my fellow", "can do"]):
        save(source / f"{i}.wav", text)
    events = run(source, tmp_path / "out", Poisoned())
    assert Counter(e.how for e in events) == {"heard": 4, "again": 1, "aside": 1}
    assert "choked" in str(events[-1].error)


def test_a_broken_engine_stops_the_run_and_blames_no_recording(tmp_path):
    class Gone(Tones):
        def transcribe_batch(self, windows, options):
            raise BackendUnavailable("The GPU fell off the bus.")

    source, out = archive(tmp_path / "in", 5), tmp_path / "out"
    with pytest.raises(BackendUnavailable):
        run(source, out, Gone())
    assert Counter(e.how for e in run(source, out)) == {"heard": 5}


def test_an_engine_that_fails_on_everything_stops_the_run(tmp_path):
    class Broken(Tones):
        def transcribe_batch(self, windows, options):
            raise RuntimeError("illegal memory access")

    with pytest.raises(ASRError, match=r"in a row.*illegal memory access"):
        run(archive(tmp_path / "in", 20), tmp_path / "out", Broken())


def test_a_full_disk_stops_the_run_and_nothing_is_heard_twice(tmp_path, monkeypatch):
    source, out = archive(tmp_path / "in", 12), tmp_path / "out"
    backend, replace, left = Logged(tmp_path / HEARD), os.replace, [5]

    def full(*args):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        return replace(*args)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(ASRError, match="No space left"):
        run(source, out, backend)
    monkeypatch.undo()
    kept = len(texts(out))
    assert kept == 5
    run(source, out, backend)
    assert texts(out) == dict(sorted(expected(12).items()))
    assert not list(out.rglob("*.part"))
    again = Counter((tmp_path / HEARD).read_text().splitlines())
    assert sum(again.values()) - len(again) <= 8, "at most the batch whose text was not in the manifest yet"


def test_two_processes_never_work_on_one_archive(tmp_path):
    first = Manifest(tmp_path / "manifest.db")
    with pytest.raises(Busy, match="Somebody else"):
        Manifest(tmp_path / "manifest.db")
    first.close()
    Manifest(tmp_path / "manifest.db").close()


def test_a_damaged_manifest_is_one_sentence(tmp_path):
    (tmp_path / "manifest.db").write_bytes(b"no database" * 1000)
    with pytest.raises(ASRError, match="damaged"):
        Manifest(tmp_path / "manifest.db")


# Killed


def killed_run(source: Path, out: Path, seconds: float | None) -> bool:
    """One start of the process in tests/archiving.py; whether it came to its end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.archiving", str(source), str(out)], cwd=ROOT, stderr=subprocess.PIPE
    )
    try:
        _, err = process.communicate(timeout=seconds)
        assert process.returncode == 0, err.decode()
        return True
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        return False


def kill_often(source: Path, out: Path, kills: int, seed: int, least: float, most: float) -> int:
    """Start and kill at random instants, then let it finish; how often it was really killed."""
    rng = random.Random(seed)
    done = [killed_run(source, out, rng.uniform(least, most)) for _ in range(kills)]
    assert killed_run(source, out, None)
    return done.count(False)


def starting() -> float:
    """Seconds that a process needs before it begins to work."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "import tests.archiving"], cwd=ROOT, check=True)
    return time.monotonic() - began


def check_whole(out: Path, count: int) -> None:
    assert texts(out) == dict(sorted(expected(count).items())), "something is missing or wrong"
    assert all(json.loads(p.read_text())["text"] for p in (out / "0").glob("*.json"))
    assert not list(out.rglob("*.part")), "half-written files are left"
    db = sqlite3.connect(out / ".parlance" / "manifest.db")
    assert db.execute("SELECT state, count(*) FROM recording GROUP BY state").fetchall() == [("done", count)]


def test_killed_at_any_instant_and_started_again_nothing_is_missing(tmp_path):
    source, out = archive(tmp_path / "in", 150), tmp_path / "out"
    begin = starting()
    kill_often(source, out, 3, seed=1, least=begin, most=1.5 * begin + 0.5)
    check_whole(out, 150)


def test_what_was_heard_before_the_kill_is_not_heard_again(tmp_path, monkeypatch):
    source, out = archive(tmp_path / "in", 9), tmp_path / "out"

    class Killed(BaseException):
        pass

    def kill(*_):
        raise Killed

    with monkeypatch.context() as m:  # after the text is in the manifest, before it is in its files
        m.setattr("asr.batch.shelf.write", kill)
        with pytest.raises(Killed):
            run(source, out, Tones())
    assert not texts(out)
    backend = Tones()
    events = run(source, out, backend)
    assert len(events) == 9 and len(backend.calls) == 8
    assert texts(out) == dict(sorted(expected(9).items()))


def test_a_long_recording_that_is_killed_goes_on_where_it_was(tmp_path):
    source, whole, out = tmp_path / "in", tmp_path / "whole", tmp_path / "out"
    text = " ".join(sentence(i) for i in range(1200))
    save(source / "long.wav", text, gap=0.5)
    rng, log, kills = random.Random(5), out / HEARD, 4
    command = [sys.executable, "-m", "tests.archiving", str(source), str(out), "0.3"]
    for n in range(1, kills + 1):
        process = subprocess.Popen(command, cwd=ROOT)
        heard = len(log.read_text().splitlines()) if log.exists() else 0
        until(lambda h=heard: log.exists() and len(log.read_text().splitlines()) >= h + 8)
        time.sleep(rng.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not (out / "long.txt").exists(), f"kill {n} came too late"
    assert killed_run(source, out, None) and killed_run(source, whole, None)
    assert (out / "long.txt").read_text().split() == text.split()
    for name in ("long.txt", "long.json"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()
    windows, alone = (len((d / HEARD).read_text().splitlines()) for d in (out, whole))
    assert alone > 40 and windows <= alone + kills * Tones.batch_size, "more than what was in flight is lost"
    db = sqlite3.connect(out / ".parlance" / "manifest.db")
    assert db.execute("SELECT count(*) FROM part").fetchone() == (0,), "what is written needs no parts"


def test_a_real_engine_goes_on_in_the_language_it_had_detected(tmp_path, digits, monkeypatch):
    source, spoken = tmp_path / "in", "seven three one four nine two eight zero five six"
    source.mkdir()
    audio = np.concatenate([speak(spoken)[0] for _ in range(12)])
    (source / "long.wav").write_bytes(wav(audio))
    options = {"hall": {"options": Options(), "vad": Silero}, "formats": ("txt", "json")}
    monkeypatch.setattr(digits, "batch_size", 1)
    run(source, tmp_path / "whole", digits, **options)

    class Killed(BaseException):
        pass

    real, calls = digits.transcribe_batch, []

    def killed(*asked):
        calls.append(asked)
        if len(calls) > 2:
            raise Killed
        return real(*asked)

    with monkeypatch.context() as m, pytest.raises(Killed):
        m.setattr(digits, "transcribe_batch", killed)
        run(source, tmp_path / "out", digits, **options)
    monkeypatch.setattr(digits, "detect", lambda *_: pytest.fail("it is known which language it is"))
    run(source, tmp_path / "out", digits, **options)
    for name in ("long.txt", "long.json"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_parts_of_another_recipe_or_recording_are_not_taken(tmp_path):
    manifest = Manifest(tmp_path / "manifest.db")
    manifest.look([Source("/a.wav", "a.wav", 1, "1"), Source("/b.wav", "b.wav", 1, "1")], b"one")
    a, b = manifest.todo(0)
    manifest.read(a, b"content")
    manifest.keep(a, (30.0, "en", 0.9, "said"))
    manifest.keep(a, (60.0, "en", 0.9, "more"))
    assert manifest.pieces(a) == [(30.0, "en", 0.9, "said"), (60.0, "en", 0.9, "more")]
    assert manifest.pieces(b) == []
    manifest.read(b, b"content")
    assert len(manifest.pieces(b)) == 2, "renamed meanwhile: its content counts"
    manifest.look([Source("/a.wav", "a.wav", 1, "1")], b"two")
    assert manifest.pieces(a) == []
    manifest.keep(a, (30.0, "en", 0.9, "said"))
    manifest.look([Source("/a.wav", "a.wav", 2, "2"), Source("/b.wav", "b.wav", 2, "2")], b"two")
    with manifest._db.transaction() as db:
        assert db.execute("SELECT count(*) FROM part").fetchone() == (0,), "no recording has that content"
    manifest.close()


def test_a_recording_that_kills_the_process_does_not_hold_up_the_others(tmp_path):
    manifest = Manifest(tmp_path / "manifest.db")
    sources = [Source(f"/{i}.wav", f"{i}.wav", 1000 - i, "1") for i in range(3)]
    manifest.look(sources, b"")
    first, second, third = manifest.todo(0)
    manifest.begun(first)
    manifest._db.close()  # as a kill leaves it
    manifest = Manifest(tmp_path / "manifest.db")
    manifest.look(sources, b"")
    assert list(manifest.todo(0)) == [second, third, first]


# Quick


def test_long_recordings_come_first(tmp_path):
    for i, repeat in enumerate([1, 9, 3]):
        save(tmp_path / "in" / f"{i}.wav", sentence(i), repeat)
    events = run(tmp_path / "in", tmp_path / "out", hall={"threads": 1})
    assert [e.row.output for e in events] == ["1", "2", "0"]


def test_a_hundred_thousand_rows_take_no_time(tmp_path):
    def sources():
        return (Source(f"/a/{i:06d}.wav", f"{i:06d}.wav", i, "1") for i in range(100_000))

    manifest = Manifest(tmp_path / "manifest.db")
    began = time.process_time()
    manifest.look(sources(), b"r")
    assert len(manifest.todo(0)) == 100_000
    manifest._set(manifest.todo(0)[0], "state = 'done'")
    manifest.look(sources(), b"r")
    assert len(manifest.todo(0)) == 99_999
    assert time.process_time() - began < 30  # 3 s on an idle machine
    manifest.close()


def test_nothing_to_do_loads_no_model(tmp_path, capsys, monkeypatch):
    source, out = tmp_path / "in", tmp_path / "out"
    save(source / "a.wav", sentence(1))
    args = ["batch", str(source), "-o", str(out), "-m", "pocketsphinx"]
    assert main(args) == 0
    monkeypatch.setattr("asr.commands.archiving.load", lambda config: pytest.fail("a model was loaded"))
    assert main(args) == 0
    assert "before    1" in capsys.readouterr().out


def test_the_pace_tells_what_is_left_by_what_was_known_before():
    now = [0.0]
    pace = Pace(left=200, clock=lambda: now[0])
    assert pace.time_left is None
    now[0] = 10.0
    pace.advanced(50)
    pace.finished(guess=100, seconds=50)  # files are half as long as they look
    assert pace.overall == pytest.approx(5) and pace.audio_left == pytest.approx(50)
    assert pace.time_left == pytest.approx(10) and pace.cost(36) == pytest.approx(0.1)
    now[0] = 100.0
    pace.advanced(10)
    assert pace.now == pytest.approx(10 / 90)


# Many through one engine


def opened(*texts):
    return [(text, lambda t=text: decode(np.concatenate([say(t), silence(1)]))) for text in texts]


def heard(recordings, backend, **more):
    return {h.key: h for h in together(recordings, Hall(backend, Options("en"), vad=lambda: loud, **more))}


def test_nothing_runs_when_the_backend_cannot_do_it():
    with pytest.raises(Unsupported):
        together([], Hall(Tones(), Options("de")))


def test_long_and_short_recordings_and_silence_mix(tmp_path):
    long = np.concatenate([np.concatenate([say("ask not what"), silence(20)])] * 12)
    recordings = [
        *opened("for you", "can do"),
        ("long", lambda: decode(long)),
        ("quiet", lambda: decode(silence(9))),
    ]
    found = heard(recordings, Tones())
    assert {k: h.transcript.text for k, h in found.items()} == {
        "for you": "for you",
        "can do": "can do",
        "long": " ".join(["ask not what"] * 12),
        "quiet": "",
    }
    starts = [s.start for s in found["long"].transcript.segments]
    assert starts == sorted(starts) and starts[-1] == pytest.approx(11 * 21.08, abs=0.5)


def test_short_recordings_can_share_windows_and_keep_their_own_words():
    sentences = [
        "ask not what",
        "your country",
        "can do",
        "for you",
        "my fellow",
        "and so my fellow americans",
    ] * 3
    recordings = [
        (i, lambda t=t: decode(np.concatenate([silence(1), say(t), silence(1)])))
        for i, t in enumerate(sentences)
    ]
    backend = Tones()
    found = heard(recordings, backend, share=True)
    assert [found[i].transcript.text for i in range(18)] == sentences
    assert [found[i].transcript.segments[0].start for i in range(18)] == pytest.approx([1.0] * 18, abs=0.1)
    assert sum(backend.batches) <= 4 < 18


def test_shared_windows_lose_no_text_that_came_without_words():
    class Wordless(Tones):
        def transcribe_batch(self, windows, options):
            found = super().transcribe_batch(windows, options)
            return [[replace(p, words=()) for s in each for p in split(s)] for each in found]

    def split(segment):
        return [segment.part([w]) for w in segment.words]

    found = heard(opened("ask not", "for you", "can do"), Wordless(), share=True)
    assert {k: h.transcript.text for k, h in found.items()} == {
        k: k for k in ("ask not", "for you", "can do")
    }


def test_audio_that_is_done_is_counted_to_the_second():
    done = []
    found = heard(opened("for you", "can do", "ask"), Tones(), advanced=done.append)
    assert sum(done) == pytest.approx(sum(h.transcript.duration for h in found.values()))


def test_an_engine_that_takes_one_window_at_a_time_works_too(sphinx):
    audio, _ = speak("seven three one")
    found = list(together([("a", lambda: decode(audio)), ("b", lambda: decode(audio))], Hall(sphinx)))
    alone = "".join(s.text for s in transcribe(decode(audio), sphinx)).strip()
    assert [h.transcript.text for h in found] == [alone, alone] and alone


def test_what_follows_recognition_runs_beside_it_and_never_costs_a_text():
    def after(key, recording, transcript):
        if key == "can do":
            raise ASRError("The speakers cannot be told apart.")
        named = tuple(replace(s, speaker="Speaker 1") for s in transcript.segments)
        return replace(transcript, segments=named), ""

    found = heard(opened("for you", "can do", "ask"), Tones(), after=after)
    assert [found[k].transcript.segments[0].speaker for k in ("for you", "can do", "ask")] == [
        "Speaker 1", None, "Speaker 1"
    ]  # fmt: skip
    assert "cannot be told apart" in found["can do"].damage and found["can do"].transcript.text == "can do"


# Sources


def test_folders_lists_globs_and_addresses_name_recordings(tmp_path):
    for name in ("a.wav", "b/c.MP3", "b/.hidden.wav", ".cache/d.wav", "notes.txt", "out/e.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"12345678")
    whole = [s.name for s in find([str(tmp_path)], tmp_path / "out")]
    assert whole == ["a.wav", "b/c.MP3"]
    assert [s.name for s in find([str(tmp_path / "**" / "*.wav")])] == ["a.wav", "e.wav"]
    (tmp_path / "list.jsonl").write_text('{"audio_filepath": "a.wav", "text": "x"}\n{"path": "b/c.MP3"}\n')
    (tmp_path / "list.csv").write_text("id,file\n1,a.wav\n2,b/c.MP3\n")
    (tmp_path / "list.txt").write_text("# calls\na.wav\n\nb/c.MP3\n")
    for kind in ("jsonl", "csv", "txt"):
        found = list(find([str(tmp_path / f"list.{kind}")]))
        assert [s.path for s in found] == [str(tmp_path / "a.wav"), str(tmp_path / "b/c.MP3")]
        assert all(s.size == 8 and s.stamp for s in found)
    assert [s.name for s in find([f"file://{tmp_path}/b"])] == ["c.MP3"]


def test_recordings_at_an_address_are_fetched_and_heard(tmp_path):
    archive(tmp_path / "in", 3)
    events = run([f"file://{tmp_path}/in"], tmp_path / "out")
    assert Counter(e.how for e in events) == {"heard": 3}
    assert texts(tmp_path / "out") == dict(sorted(expected(3).items()))
    assert run([f"file://{tmp_path}/in"], tmp_path / "out") == []


@pytest.mark.parametrize(
    "name, text", [("l.jsonl", "{"), ("l.jsonl", '{"speaker": 1}'), ("l.csv", "a,b\n1,2\n")]
)
def test_a_list_that_names_nothing_says_what_it_needs(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(ASRError, match="audio_filepath"):
        list(find([str(tmp_path / name)]))
    with pytest.raises(ASRError, match="There is no"):
        list(find([str(tmp_path / "nothing")]))


# The command


def test_the_command_reports_and_its_exit_code_tells(tmp_path, capsys):

    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for i, text in enumerate(["seven three one", "four nine", "two eight"]):
        audio, _ = speak(text)
        (source / f"{i}.wav").write_bytes(wav(audio))
    args = [
        "batch",
        str(source),
        "-o",
        str(out),
        "-m",
        str(DIGITS),
        "-l",
        "en",
        "-f",
        "txt,srt",
        "--price",
        "3.6",
    ]
    assert main(args) == 0
    assert [(out / f"{i}.txt").read_text().strip() for i in range(3)] == [
        "seven three one",
        "four nine",
        "two eight",
    ]
    assert (out / "0.srt").read_text().startswith("1\n00:00:0")
    shown = capsys.readouterr().out
    assert "3 heard" in shown and "x real time" in shown
    found = json.loads((out / ".parlance" / "report.json").read_text())
    assert found["recordings"]["heard"] == 3 and found["rtfx"] > 0 and 0 < found["cost"] < 3.6
    (source / "bad.wav").write_bytes(b"no sound")
    assert main(args) == 1
    shown = capsys.readouterr()
    assert "bad.wav" in shown.out and "tried again later" in shown.err and "set aside   1" in shown.out


@pytest.mark.parametrize("args, said", [
    ([], "-o"),
    (["-o", __file__], "a directory is needed"),
    (["-o", "x", "--share"], "add -l"),
    (["-o", "x", "--workers", "0"], "no whole number"),
    (["-o", "x", "--gpus", "0,a"], "no numbers of GPUs"),
    (["-o", "x", "--gpus", "0,0"], "no numbers of GPUs"),
    (["-o", "x", "--gpus", "0,1", "--workers", "3"], "one worker"),
    (["-o", "x", "--gpus", "0", "--engine", "ray"], "Ray knows its GPUs"),
])  # fmt: skip
def test_what_is_not_understood_is_exit_code_2(args, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as e:
        main(["batch", ".", *args])
    assert e.value.code == 2 and said in capsys.readouterr().err


def two_speak(path: Path) -> tuple[str, str]:
    """A call with one speaker on each channel; what they say, one after the other."""
    said = "seven three one two eight zero six", "four nine five three two one zero"
    (one, _), (two, _) = speak(said[0], tail=6.0), speak(said[1], lead=6.0)
    both = np.zeros((max(len(one), len(two)), 2), np.int16)
    both[: len(one), 0], both[: len(two), 1] = to_pcm16(one), to_pcm16(two)
    path.parent.mkdir(parents=True)
    with wave.open(str(path), "wb") as f:
        f.setparams((2, 2, 16_000, 0, "NONE", ""))
        f.writeframes(both.tobytes())
    return said


def test_speakers_are_told_apart_by_their_channels(tmp_path, capsys):
    source = tmp_path / "in"
    said = two_speak(source / "call.wav")
    args = ["batch", str(source), "-o", str(tmp_path / "out"), "-m", str(DIGITS), "-l", "en"]
    assert main([*args, "--diarize", "channels"]) == 0
    text = (tmp_path / "out" / "call.txt").read_text()
    assert text == f"Speaker 1: {said[0]}\nSpeaker 2: {said[1]}\n"
    assert main(args) == 0
    assert "1 heard" in capsys.readouterr().out, "without speakers it is other work"


def test_watching_takes_what_comes_and_leaves_what_is_still_being_written(tmp_path):
    source, out = tmp_path / "in", tmp_path / "out"
    old = save(source / "a.wav", sentence(1))
    os.utime(old, (1, 1))
    command = f"-m asr batch {source} -o {out} -m pocketsphinx --watch 1".split()
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, *command], cwd=ROOT, **pipes)
    until(lambda: (out / "a.txt").exists())
    save(source / "b.wav", sentence(2))
    until(lambda: (out / "b.txt").exists())
    process.send_signal(signal.SIGINT)
    shown, err = process.communicate(timeout=30)
    assert process.returncode == 130 and b"recordings  2" in shown and b"Traceback" not in err


def until(there, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < end
        time.sleep(0.05)
