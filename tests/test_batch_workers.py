"""Archives on engines in processes of their own, ours and Ray's: one that is killed costs only its time."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from asr.__main__ import main
from asr.batch import shares
from asr.batch.archive import Archive, Recipe
from asr.batch.filling import Hall
from asr.batch.manifest import Manifest
from asr.batch.shelf import Shelf
from asr.batch.sources import find
from asr.types import Options
from tests.archiving import save, sentence
from tests.conftest import DIGITS
from tests.test_batch import ROOT, archive, expected, texts, two_speak, until
from tests.tones import Tones, loud

try:
    import ray
except ModuleNotFoundError:
    ray = None

POISON = "my my my my"


class Slow(Tones):
    """Takes its time, says who it is, and does not survive POISON."""

    def transcribe_batch(self, windows, options):
        with open(os.environ["HEARD_BY"], "a") as file:
            file.write(f"{os.getpid()}\n" * len(windows))
        time.sleep(0.05 * len(windows))
        found = super().transcribe_batch(windows, options)
        if any(POISON in s.text for segments in found for s in segments):
            os.kill(os.getpid(), signal.SIGKILL)
        return found


def hall() -> Hall:
    return Hall(Slow(), Options("en"), vad=lambda: loud)


@pytest.fixture(scope="module")
def on_ray(tmp_path_factory):
    log = tmp_path_factory.mktemp("ray") / "heard"
    variables = {"PYTHONPATH": str(ROOT), "HEARD_BY": str(log)}
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env={"env_vars": variables})
    yield log
    ray.shutdown()


@pytest.fixture(params=["processes", "ray"])
def crew(request, tmp_path, monkeypatch):
    """What makes engines, and the file that says which process heard each window."""
    if request.param == "processes":
        from asr.batch import processes

        monkeypatch.setenv("HEARD_BY", str(log := tmp_path / "heard"))
        return log, lambda count: processes.engines(hall, 3600, processes.places(count, ()))
    pytest.importorskip("ray", reason="needs pip install -r requirements-ray.txt")
    log = request.getfixturevalue("on_ray")
    log.write_text("")
    from asr.batch import cluster

    return log, lambda count: cluster.engines(hall, 3600, count, 1, 0)


def run(source, out, engines, done=None, **recipe):
    with closing(Manifest(out / ".parlance" / "manifest.db")) as manifest:
        manifest.look(find([str(source)]), Recipe("tones:slow").key)
        job = Archive(manifest, Shelf(out, ("txt", "json")))
        yield from job.unfinished()
        with engines as workers:
            yield from shares.run(job, workers, done or (lambda seconds: None))


def test_several_engines_share_the_work_and_one_that_is_killed_loses_none(crew, tmp_path, monkeypatch):
    log, engines = crew
    monkeypatch.setattr("asr.batch.shares.MOST", 8)
    source, out = archive(tmp_path / "in", 60), tmp_path / "out"
    for n in range(3):
        os.link(source / "0" / "call-000.wav", source / f"same-{n}.wav")
    killed, how = [], Counter()
    for event in run(source, out, engines(2)):
        how[event.how] += 1
        if how["heard"] == 12 and not killed:
            killed.append(random.choice(log.read_text().split()))
            os.kill(int(killed[0]), signal.SIGKILL)
    pids = set(log.read_text().split())
    assert how == {"heard": 60, "copied": 3} and len(pids) == 3, (
        "two engines, and one in the dead one's place"
    )
    found = texts(out)
    assert {name: found[name] for name in expected(60)} == expected(60) and len(found) == 63
    assert list(run(source, out, engines(1))) == []


def test_a_recording_that_kills_engines_is_set_aside_and_the_rest_is_done(crew, tmp_path):
    source = tmp_path / "in"
    for i, text in enumerate(["ask not", POISON, "for you", "can do"]):
        save(source / f"{i}.wav", text)
    events = list(run(source, tmp_path / "out", crew[1](1)))
    assert Counter(e.how for e in events) == {"heard": 3, "again": 1, "aside": 1}
    assert "died 3 times" in str(events[-1].error)


def test_a_long_recording_goes_on_where_its_engine_was_killed(crew, tmp_path):
    log, engines = crew
    whole = " ".join(sentence(i) for i in range(420))
    save(tmp_path / "in" / "long.wav", whole, gap=0.5)
    done, killed = [], []

    def advanced(seconds):
        done.append(seconds)
        if sum(done) > 120 and not killed:  # in the middle of it
            killed.append(log.read_text().split()[-1])
            os.kill(int(killed[0]), signal.SIGKILL)

    events = list(run(tmp_path / "in", tmp_path / "out", engines(1), advanced))
    assert [(e.how, e.error) for e in events] == [("heard", None)] and killed
    assert (tmp_path / "out" / "long.txt").read_text().split() == whole.split()
    windows = log.read_text().split()
    assert len(set(windows)) == 2, "the engine, and one in its place"
    found = tmp_path / "whole"
    assert [e.how for e in run(tmp_path / "in", found, engines(1))] == ["heard"]
    alone = len(log.read_text().split()) - len(windows)
    assert alone > 12 and len(windows) <= alone + 2 * Tones.batch_size, "what was told is not heard again"
    for name in ("long.txt", "long.json"):
        assert (tmp_path / "out" / name).read_bytes() == (found / name).read_bytes()
    assert sum(done) == pytest.approx(events[0].seconds)


@pytest.mark.parametrize("engine", ["--workers 2", "--engine ray --align"], ids=["processes", "ray"])
def test_words_are_aligned_and_speakers_told_apart_by_the_workers(engine, tmp_path, monkeypatch, capsys):
    if "ray" in engine:
        pytest.importorskip("ray", reason="needs pip install -r requirements-ray.txt")
    monkeypatch.setenv("ASR_ALIGN_MODEL", str(ROOT / "tests" / "models" / "wav2vec2-digits"))
    said = two_speak(tmp_path / "in" / "call.wav")
    argv = ["batch", str(tmp_path / "in"), "-m", str(DIGITS), "-l", "en", "-f", "txt,json"]
    argv += ["--diarize", "channels"]
    assert main([*argv, "-o", str(tmp_path / "here"), *engine.split()[2:]]) == 0
    assert main([*argv, "-o", str(tmp_path / "there"), *engine.split()]) == 0
    assert "1 heard" in capsys.readouterr().out
    text = (tmp_path / "there" / "call.txt").read_text()
    assert text == f"Speaker 1: {said[0]}\nSpeaker 2: {said[1]}\n"
    here, there = (json.loads((tmp_path / where / "call.json").read_text()) for where in ("here", "there"))
    assert here == there and there["segments"][0]["words"]


def test_an_engine_that_cannot_be_made_says_why(tmp_path, capsys):
    save(tmp_path / "in" / "a.wav", "ask not")
    argv = ["batch", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "-m", "faster_whisper:/nowhere"]
    assert main([*argv, "--workers", "2"]) == 2
    shown = capsys.readouterr()
    assert "/nowhere" in shown.err and "Traceback" not in shown.err and "set aside   0" in shown.out


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="only Linux tells whose child a process is")
def test_no_worker_outlives_who_started_it(tmp_path):
    save(tmp_path / "in" / "a.wav", "ask not what your country", repeat=60)
    command = f"-m asr batch {tmp_path}/in -o {tmp_path}/out -m pocketsphinx --workers 2".split()
    process = subprocess.Popen([sys.executable, *command], cwd=ROOT)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    until(lambda: len(children.read_text().split()) >= 3)  # Python's own watcher, and two workers
    started = children.read_text().split()
    process.kill()
    process.wait()
    until(lambda: not any(Path(f"/proc/{child}").exists() for child in started), seconds=120)


def test_gpus_that_are_not_here_are_refused_before_anything_runs(tmp_path, capsys):
    save(tmp_path / "in" / "a.wav", "ask not")
    argv = ["batch", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "-m", str(DIGITS)]
    assert main([*argv, "--gpus", "97"]) == 2
    assert "There is no GPU 97 here" in capsys.readouterr().err
    assert main([*argv, "--gpus", "0", "-d", "cpu"]) == 2


def test_each_worker_has_its_gpu_and_its_share_of_the_processors():
    from asr.batch.processes import places

    found = places(2, (0, 2), {"CUDA_VISIBLE_DEVICES": "4,5,GPU-7"})
    assert [gpu for gpu, _ in found] == ["4", "GPU-7"]
    assert [gpu for gpu, _ in places(2, (0, 1), {})] == ["0", "1"]
    assert [gpu for gpu, _ in places(3, (), {})] == [None] * 3
    if hasattr(os, "sched_getaffinity"):
        shares = [processors for _, processors in places(2, (), {})]
        assert all(shares) and set().union(*shares) == os.sched_getaffinity(0)
