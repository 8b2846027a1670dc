"""Every recording of this server: a row, its texts, and a folder with its files.

    store = Store(config.data_dir)
    job = store.add(owner, "Board meeting.m4a", upload, Wishes(language="en"))
    store.transcript(job.id)           # what there is of it at this moment
    store.folder(job.id)               # source.m4a as it came, audio.pcm decoded

An owner is the SHA-256 (hex) of the secret that a browser keeps; whose it is not does not exist for him.
"""

from __future__ import annotations

import errno
import hashlib
import hmac
import json
import os
import secrets
import shutil
import time
from dataclasses import asdict
from pathlib import Path

from asr.errors import Conflict, QuotaExceeded
from asr.jobs.changes import Changes
from asr.jobs.job import Job, Stage, Wishes
from asr.jobs.quota import Quota, Usage
from asr.jobs.rows import file_name

AUDIO = "audio.pcm"  # int16 mono 16 kHz, for Recording.open
AS_YOU_LIKE, UNLIMITED = Wishes(), Quota()
ABANDONED = 24.0  # hours after which nobody will come back for an upload


class Store(Changes):
    """Any thread may use it; one process at a time works on its jobs."""

    def __init__(self, data_dir: Path, quota: Quota = UNLIMITED):
        super().__init__(data_dir / "recordings.db")
        self.root, self.quota = data_dir / "recordings", quota
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)

    def add(self, owner: str, name: str, source: Path, wishes: Wishes = AS_YOU_LIKE) -> Job:
        """A recording that waits for its turn. The file is moved into the job's folder, not copied."""
        job = self.expect(owner, name, source.stat().st_size)
        shutil.move(source, self.source(job))
        return self.submit(job.id, wishes)

    def submit(self, id: str, wishes: Wishes, stages: tuple[Stage, ...] = ()) -> Job:
        """As `Rows.submit`; also raises Conflict where its file has not come whole."""
        job = self.job(id)
        if job.state == "uploading" and self.arrived(job) != job.bytes:
            raise Conflict("This recording has not arrived yet.", "Wait for it, or send it again.")
        return super().submit(id, wishes, stages)

    def expect(self, owner: str, name: str, size: int) -> Job:
        """A recording of `size` bytes that is coming; it is to be written to `source(job)`.

        Raises QuotaExceeded, also where the disk has no room for it.
        """
        id, name, now = secrets.token_urlsafe(16), file_name(name), time.time()
        with self.writing() as db:
            self.quota.check(self.usage(owner), self.usage(), size)
            if shutil.disk_usage(self.root).free < size + self.quota.spare:
                raise QuotaExceeded(
                    "The server's disk is nearly full.", "Delete recordings that nobody needs."
                )
            db.execute(
                "INSERT INTO jobs (id, owner, name, suffix, bytes, created, state, stages, wishes)"
                " VALUES (?, ?, ?, ?, ?, ?, 'uploading', '[]', ?)",
                (id, owner, name, _suffix(name), size, now, json.dumps(asdict(Wishes()))),
            )
            self._folder(id).mkdir(mode=0o700)
        return self.job(id)

    def receive(self, job: Job, at: int, piece: bytes) -> int:
        """Write some of its bytes from position `at` on; returns the position after them."""
        try:
            with open(os.open(self.source(job), os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
                file.seek(at)
                file.write(piece)
        except OSError as e:
            self.job(job.id)  # deleted meanwhile
            if e.errno != errno.ENOSPC:
                raise
            raise QuotaExceeded("The server's disk is full.", "Delete recordings that nobody needs.") from e
        return at + len(piece)

    def arrived(self, job: Job) -> int:
        """How many of its bytes are here."""
        here = [self.source(job), *self._folder(job.id).glob("track-*")]  # of a conversation
        return sum(file.stat().st_size for file in here if file.exists())

    def folder(self, id: str) -> Path:
        """Where its files are. Raises UnknownJob."""
        return self._folder(self.job(id).id)

    def source(self, job: Job) -> Path:
        """The recording as it came."""
        return self._folder(job.id) / f"source{job.suffix}"

    def audio(self, job: Job) -> Path:
        """The decoded recording, once there is one."""
        return self._folder(job.id) / AUDIO

    def usage(self, owner: str | None = None) -> Usage:
        """What one owner keeps here, or all of them."""
        sql = "SELECT count(*), ifnull(sum(bytes), 0) FROM jobs WHERE owner = ifnull(?, owner)"
        return Usage(*self.rows(sql, owner)[0])

    def size(self, id: str) -> int:
        """Bytes of its files."""
        return sum(p.stat().st_size for p in self._folder(id).iterdir() if p.is_file())

    def delete(self, id: str) -> None:
        """Audio and text, with every byte of them that we can reach. Raises UnknownJob."""
        folder = self.folder(id)
        with self.writing() as db:
            db.execute("DELETE FROM jobs WHERE id = ?", (id,))
        shutil.rmtree(folder, ignore_errors=True)
        self.forget()

    def expire(self, hours: float) -> int:
        """Delete what nobody has asked anything of for so many hours (0: never); returns how many.

        An upload that was not followed by anything goes after a day in any case.
        """
        now, gone = time.time(), 0
        for job in self.jobs():
            most = min(hours or ABANDONED, ABANDONED) if job.state == "uploading" else hours
            if most and job.state != "working" and now - max(job.created, job.queued) > most * 3600:
                self.delete(job.id)
                gone += 1
        return gone

    def tidy(self) -> None:
        """Finish the deletions that a killed server had begun."""
        known = {job.id for job in self.jobs()}
        for folder in self.root.iterdir():
            if folder.name not in known:
                shutil.rmtree(folder, ignore_errors=True)
        self.forget()

    def key(self, id: str) -> str:
        """What opens this recording's audio and exports to a link, which can send no header."""
        return hmac.new(self._secret(), id.encode(), hashlib.sha256).hexdigest()[:32]

    def opens(self, id: str, key: str) -> bool:
        """Whether `key` is the one that `key(id)` gives."""
        return hmac.compare_digest(self.key(id).encode(), key.encode())

    def _secret(self) -> bytes:
        with self.writing() as db:
            db.execute("INSERT OR IGNORE INTO keys VALUES ('links', ?)", (secrets.token_bytes(32),))
            return db.execute("SELECT value FROM keys WHERE name = 'links'").fetchone()[0]

    def _folder(self, id: str) -> Path:
        return self.root / id


def _suffix(name: str) -> str:
    suffix = Path(name).suffix.lower()
    return suffix if suffix[1:].isalnum() and suffix.isascii() and len(suffix) <= 6 else ""
