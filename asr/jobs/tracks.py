"""Several files of one conversation, a speaker in each: they become one recording.

    job = join(store, jobs, ["Anna", "Ben"])     # the first of them, with the files of all
    files(store, job)                            # track-1.wav, track-2.m4a in its folder; none of most
    names(store, job)                            # of the speakers, in the order of the files
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from asr.errors import Conflict, Unsupported
from asr.jobs.job import Job
from asr.jobs.rows import file_name, update
from asr.jobs.store import Store

MOST = 8  # files; one more has no colour of its own either
NAMES = "tracks.json"


def join(store: Store, jobs: Sequence[Job], speakers: Sequence[str]) -> Job:
    """The first of these, which have come and were not transcribed yet; the others are gone.

    Nothing is lost where the server is killed on the way: they are as they were until the end. Raises
    Unsupported for too many, Conflict where one of them is being worked on or has not come whole.
    """
    if not 2 <= len(jobs) <= MOST:
        raise Unsupported(f"A conversation has from 2 to {MOST} files.", "Give as many, or transcribe each.")
    with store.writing() as db:
        first, *others = jobs = [store.job(job.id) for job in jobs]
        if any(job.state != "uploading" or store.arrived(job) != job.bytes for job in jobs):
            raise Conflict("This recording is being worked on already.", "Wait for it, or cancel it first.")
        folder = store.folder(first.id)
        for n, job in enumerate(jobs, 1):
            _linked(store.source(job), folder / f"track-{n}{job.suffix}")
        (folder / NAMES).write_text(json.dumps(list(speakers)), encoding="utf-8")
        name = file_name(", ".join(speakers))
        update(db, first.id, name=name, suffix="", bytes=sum(job.bytes for job in jobs))
        for job in others:
            db.execute("DELETE FROM jobs WHERE id = ?", (job.id,))
    store.source(first).unlink(missing_ok=True)
    for job in others:
        shutil.rmtree(store.root / job.id, ignore_errors=True)
    return store.job(first.id)


def files(store: Store, job: Job) -> list[Path]:
    """Of a conversation, a speaker in each; empty for a recording that is one file."""
    folder = store.folder(job.id)
    return sorted(folder.glob("track-*")) if not job.suffix and (folder / NAMES).exists() else []


def names(store: Store, job: Job) -> list[str]:
    """Who speaks in them."""
    return json.loads((store.folder(job.id) / NAMES).read_text(encoding="utf-8"))


def _linked(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)  # of a try that was killed
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        shutil.copyfile(source, target)
