"""Hostile media meets FFmpeg in a process that has little and can do little; its death costs a sentence.

What that process may have is bounded in `asr.audio.process`: address space, CPU, bytes written, no new
file, none of our environment's secrets. How long it may take is bounded here.
"""

from __future__ import annotations

import atexit
import errno
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import BinaryIO

from asr import errors
from asr.audio.blocks import Progress, pour, too_long
from asr.audio.demuxing import COMMON
from asr.audio.source import Limits
from asr.audio.wish import Wish
from asr.errors import ASRError, AudioError, TooLarge

BEAT = 0.5  # seconds: so soon a caller who wants to stop is heard
LINE = 1 << 16  # bytes; the process says less at a time
ROOT = Path(__file__).parents[2]
KEPT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "LANG", "LC_ALL")
FORKS = hasattr(os, "fork")  # Windows cannot: there FFmpeg stays with us


class _Forker:
    """The process that forks for each recording: started by the first one, gone when we are."""

    def __init__(self):
        self._lock, self._process, self._socket, self._owner = Lock(), None, None, 0

    def send(self, wish: Wish, files: tuple[int, int, int]) -> None:
        with self._lock:
            for last in (False, True):
                if self._owner != os.getpid():  # none yet, or our parent's, whom we were forked from
                    self._start()
                try:
                    socket.send_fds(self._socket, [wish.packed()], files)
                    return
                except (BrokenPipeError, ConnectionResetError):  # it was killed
                    self._stop()
                    if last:
                        raise _gone() from None

    def _start(self) -> None:
        self._socket, theirs = socket.socketpair()
        few = {name: os.environ[name] for name in KEPT if name in os.environ}
        quiet = {"OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}  # one that has threads must not fork
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "asr.audio.process", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                cwd=ROOT,
                env=few | quiet,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl+C is for us
            )
        self._owner = os.getpid()

    def _stop(self) -> None:
        if self._owner == os.getpid():
            self._socket.close()  # it ends by itself then
            self._process.wait()
            self._owner = 0


FORKER = _Forker()
atexit.register(FORKER._stop)


def run(how: str, file: BinaryIO, target: BinaryIO, limits: Limits, progress: Progress | None) -> dict:
    """Decode `file` into `target`, int16 at 16 kHz; returns what there is to say: channels, damage.

    `progress` is told the seconds decoded so far, at least every BEAT; what it raises ends the process.
    Raises AudioError, TooLarge or ASRError, and OSError for what the disk says. When this returns or
    raises nobody else touches the files any more.
    """
    wish = Wish(how, limits.seconds, limits.memory, limits.patience)
    told: dict = {"seconds": 0.0}
    if not FORKS:
        return _here(file, target, wish, told, progress)
    end = time.monotonic() + limits.patience
    with _descriptor(file) as source, _news(wish, (source, target.fileno()), told) as messages:
        for message in messages:
            told |= message
            if time.monotonic() > end:
                raise _too_slow(limits)
            if progress and told["seconds"]:
                progress(told["seconds"])
    _checked(told, limits)
    return told


def _here(file: BinaryIO, target: BinaryIO, wish: Wish, told: dict, progress: Progress | None) -> dict:
    def tell(**facts) -> None:
        told.update(facts)
        if progress and "seconds" in facts:
            progress(told["seconds"])

    pour(file, target, wish, tell)
    return told


@contextmanager
def _news(wish: Wish, files: tuple[int, int], told: dict) -> Iterator[Iterator[dict]]:
    """What the process says; it is gone when this is."""
    ours, theirs = os.pipe()
    try:
        try:
            FORKER.send(wish, (*files, theirs))
        finally:
            os.close(theirs)
        yield _messages(ours)
    finally:
        if group := "ended" not in told and told.get("group"):
            with suppress(OSError):
                os.killpg(group, signal.SIGKILL)
            while os.read(ours, LINE):  # until nobody is left who could write
                pass
        os.close(ours)


def _messages(pipe: int) -> Iterator[dict]:
    """Each message, and an empty one after each BEAT of silence, until it ends."""
    rest, poll = b"", select.poll()  # select() knows no descriptor above 1023
    poll.register(pipe, select.POLLIN)
    while True:
        if not poll.poll(1000 * BEAT):
            yield {}
            continue
        *lines, rest = (rest + (piece := os.read(pipe, LINE))).split(b"\n")
        if not piece:
            return
        try:
            yield from map(dict, map(json.loads, lines))
        except (ValueError, TypeError):
            raise AudioError("Decoding it went astray.", COMMON) from None


@contextmanager
def _descriptor(file: BinaryIO) -> Iterator[int]:
    """Of the file, or of a copy of what is in memory only; it stands afterwards where it stood before."""
    try:
        descriptor = file.fileno()
    except (AttributeError, OSError):
        with tempfile.TemporaryFile() as copy:
            shutil.copyfileobj(file, copy)
            copy.flush()
            yield copy.fileno()
            return
    stood = os.lseek(descriptor, 0, os.SEEK_CUR)
    try:
        yield descriptor
    finally:
        os.lseek(descriptor, stood, os.SEEK_SET)


def _checked(told: dict, limits: Limits) -> None:
    """Raise what went wrong."""
    if what := told.get("what"):
        raise getattr(errors, str(told.get("kind")), AudioError)(str(what), str(told.get("fix", "")))
    if told.get("memory"):
        raise TooLarge(
            f"Decoding it takes more than the {limits.memory >> 20} MB of memory allowed here.",
            f"Export it again as an ordinary recording, or raise ASR_DECODING_MB. {COMMON}",
        )
    if told.get("errno") == errno.EFBIG:
        raise too_long(limits)
    if number := told.get("errno"):
        raise OSError(number, os.strerror(number))
    if code := told.get("ended", 1):
        raise _died(code, limits)


def _died(code: int, limits: Limits) -> ASRError:
    if -code == signal.SIGXCPU:
        return _too_slow(limits)
    if -code in (signal.SIGKILL, signal.SIGTERM) or code > 0:
        return _gone()
    name = signal.Signals(-code).name
    fix = f"It is damaged, or made to do harm: export it again with another program. {COMMON}"
    return AudioError(f"The decoder crashed on it ({name}); nothing else was hurt.", fix)


def _gone() -> ASRError:
    return ASRError(
        "The decoder was stopped from outside, most likely because memory ran out.",
        "Try again; if it happens again, the machine needs more memory.",
    )


def _too_slow(limits: Limits) -> AudioError:
    return AudioError(
        f"Decoding it took longer than the {limits.patience / 60:.3g} minutes allowed here.",
        f"Cut it into shorter recordings, or raise ASR_DECODING_MINUTES. {COMMON}",
    )
