"""Log lines: what happened, to which request; never what was said, who asked, or a token.

An error that nobody foresaw is told by its kind and where it arose, not by its message: that may
quote a transcript, a file's name or an address.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from contextvars import ContextVar
from hashlib import sha256
from pathlib import Path
from traceback import extract_tb

from asr.errors import ASRError, ConfigError

_DETAILS = "The server's log has the details."
KINDS, LEVELS = ("text", "json"), ("debug", "info", "warning")
# What is being worked on here: req_..., job_..., live_...; people are told it where something breaks.
about: ContextVar[str] = ContextVar("about", default="")
# What a record may carry with its message.
FACTS = ("method", "route", "status", "ms", "outcome", "seconds", "took", "model")


def start(kind: str, out=None, level: str = "info") -> None:
    """Lines of `kind`, from our own rooms at `level` and above, from libraries only warnings.

    Raises ConfigError where there is no such kind or level.
    """
    for name, said, known in (("ASR_LOG", kind, KINDS), ("ASR_LOG_LEVEL", level, LEVELS)):
        if said not in known:
            raise ConfigError(f"{name}={said!r} is none we know.", f"There are: {', '.join(known)}.")
    handler = logging.StreamHandler(out or sys.stderr)
    handler.setFormatter(Lines(kind))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    for room in ("asr", "ui"):
        logging.getLogger(room).setLevel(level.upper())


class Lines(logging.Formatter):
    def __init__(self, kind: str):
        super().__init__()
        self.kind = kind

    def format(self, record: logging.LogRecord) -> str:
        told = {"at": _clock(record.created), "level": record.levelname.lower(), "room": record.name}
        told["says"] = record.getMessage()
        if id := getattr(record, "about", "") or about.get():
            told["about"] = id
        told |= {fact: getattr(record, fact) for fact in FACTS if hasattr(record, fact)}
        if record.exc_info and record.exc_info[1]:
            told["error"] = described(record.exc_info[1])
        if self.kind == "json":
            return json.dumps(told)
        at, level, room, says, *rest = told.values()
        return " ".join([at, level.upper(), f"{room}:", says, *map(str, rest)])


def seen() -> str:
    """For who is told that something broke: where the details are."""
    return f"The server's log has the details under {about.get()}." if about.get() else _DETAILS


def short(id: str) -> str:
    """What stands for an id that opens something: enough to find its lines again."""
    return sha256(id.encode()).hexdigest()[:12]


def described(error: BaseException) -> str:
    """Its kind, and the ways it came, the innermost last: "KeyError asr/a.py:12 f, asr/b.py:3 g"."""
    frames = extract_tb(error.__traceback__)[-8:]
    ways = [f"{'/'.join(Path(f.filename).parts[-2:])}:{f.lineno} {f.name}" for f in frames]
    ours = [str(error)] if isinstance(error, ASRError) else []
    return " ".join([type(error).__name__, *ours, ", ".join(ways)])


def _clock(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1000):03}Z"
