"""python -m asr.audio.process: FFmpeg in processes of their own. `asr.audio.apart` starts it.

It reads FFmpeg once, then forks for each recording: that takes milliseconds where a new interpreter
takes a quarter of a second. A wish comes in over a socket with three open files: the recording, where
its samples go, and a pipe for news, lines of JSON. Each recording gets a watcher, which tells how the
decoder ended, and a decoder, which can open nothing: no file, no address, no pipe.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from traceback import extract_tb

# What PyAV would read only when it needs it: too late, where nothing can be opened.
import av.subtitles.codeccontext
import av.subtitles.stream
import av.video.codeccontext
import av.video.stream  # noqa: F401

from asr.audio.blocks import Tell, pour
from asr.audio.demuxing import COMMON
from asr.audio.pcm import SAMPLE_RATE
from asr.audio.wish import MOST, WISH, Wish
from asr.errors import ASRError


def main() -> int:
    """Serve until whoever started us is gone."""
    home = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the watchers
    while True:
        message, files, *_ = socket.recv_fds(home, WISH.size, 3)
        if not message:
            return 0
        if os.fork() == 0:
            home.close()
            _alone(_watched, Wish.unpacked(message), *files)
        for file in files:
            os.close(file)


def _alone(work: Callable[..., None], *args) -> None:
    """The rest of this process's life."""
    try:
        work(*args)
    finally:
        os._exit(0)


def _watched(wish: Wish, source: int, target: int, news: int) -> None:
    os.setsid()  # whoever wants to end this ends the group
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    tell = partial(_tell, news)
    tell(group=os.getpid())
    if (decoder := os.fork()) == 0:
        _alone(_decode, wish, source, target, tell)
    tell(ended=os.waitstatus_to_exitcode(os.waitpid(decoder, 0)[1]))


def _tell(news: int, **facts) -> None:
    os.write(news, json.dumps(facts).encode() + b"\n")


def _decode(wish: Wish, source: int, target: int, tell: Tell) -> None:
    try:
        _bind(wish)
        os.lseek(source, 0, os.SEEK_SET)
        with os.fdopen(source, "rb") as file, os.fdopen(target, "wb") as out:
            pour(file, out, wish, tell)
    except ASRError as e:
        tell(kind=type(e).__name__, what=e.what, fix=e.fix)
    except MemoryError:
        tell(memory=True)
    except OSError as e:
        tell(errno=e.errno)
    except Exception as e:
        frame = extract_tb(e.__traceback__, limit=-1)[0]
        where = f"{type(e).__name__} at {Path(frame.filename).name}:{frame.lineno}"
        tell(kind="AudioError", what=f"It cannot be decoded ({where}).", fix=COMMON)


def _bind(wish: Wish) -> None:
    """No more than this, whatever is made of us. (macOS does not heed RLIMIT_AS.)"""
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write("1000")  # where memory runs out, we go, and not the server
    wide = MOST if wish.how == "split" else 1
    seconds = round(wish.patience) + 1
    for kind, soft, hard in (
        (resource.RLIMIT_AS, wish.memory, wish.memory),
        (resource.RLIMIT_CPU, seconds, seconds + 5),
        (resource.RLIMIT_FSIZE, *2 * (2 * SAMPLE_RATE * wide * round(wish.seconds + 60),)),
        (resource.RLIMIT_CORE, 0, 0),  # it would hold what was said
        (resource.RLIMIT_NOFILE, 0, 0),
    ):
        most = resource.getrlimit(kind)[1]
        fits = most if most != resource.RLIM_INFINITY else hard
        with suppress(ValueError, OSError):
            resource.setrlimit(kind, (min(soft, fits), min(hard, fits)))


if __name__ == "__main__":
    sys.exit(main())
