"""Archives on Ray: the same outputs; an engine that is killed costs nothing but its time."""

import os
import random
import signal
import time
from collections import Counter
from contextlib import closing

import pytest

from asr.batch.archive import Archive, Recipe
from asr.batch.filling import Hall
from asr.batch.manifest import Manifest
from asr.batch.shelf import Shelf
from asr.batch.sources import find
from asr.types import Options
from tests.archiving import save
from tests.test_batch import ROOT, archive, expected, texts
from tests.tones import Tones, loud

ray = pytest.importorskip("ray", reason="needs pip install -r requirements-ray.txt")


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
def cluster(tmp_path_factory):
    log = tmp_path_factory.mktemp("ray") / "heard"
    variables = {"PYTHONPATH": str(ROOT), "HEARD_BY": str(log)}
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env={"env_vars": variables})
    yield log
    ray.shutdown()


def run(source, out, count=2):
    from asr.batch.cluster import engines
    from asr.batch.shares import run as shared

    with closing(Manifest(out / ".parlance" / "manifest.db")) as manifest:
        manifest.look(find([str(source)]), Recipe("tones:slow").key)
        job = Archive(manifest, Shelf(out, ("txt",)))
        yield from job.unfinished()
        with engines(hall, job.longest, count, 1, 0) as workers:
            yield from shared(job, workers)


def test_several_engines_share_the_work_and_one_that_is_killed_loses_none(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr("asr.batch.shares.MOST", 8)
    source, out = archive(tmp_path / "in", 60), tmp_path / "out"
    for n in range(3):
        os.link(source / "0" / "call-000.wav", source / f"same-{n}.wav")
    killed, how = [], Counter()
    for event in run(source, out):
        how[event.how] += 1
        if how["heard"] == 12 and not killed:
            killed.append(random.choice(cluster.read_text().split()))
            os.kill(int(killed[0]), signal.SIGKILL)
    pids = set(cluster.read_text().split())
    assert how == {"heard": 60, "copied": 3} and len(pids) == 3, (
        "two engines, and one in the dead one's place"
    )
    found = texts(out)
    assert {name: found[name] for name in expected(60)} == expected(60) and len(found) == 63
    assert list(run(source, out)) == []


def test_a_recording_that_kills_engines_is_set_aside_and_the_rest_is_done(cluster, tmp_path):
    source = tmp_path / "in"
    for i, text in enumerate(["ask not", POISON, "for you", "can do"]):
        save(source / f"{i}.wav", text)
    events = list(run(source, tmp_path / "out", count=1))
    assert Counter(e.how for e in events) == {"heard": 3, "again": 1, "aside": 1}
    assert "died 3 times" in str(events[-1].error)
