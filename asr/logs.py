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
from pathlib import Path
from traceback import extract_tb

from asr.errors import ASRError, ConfigError

KINDS = ("text", "json")
request: ContextVar[str] = ContextVar("request", default="")  # the id of the request being answered
FACTS = ("method", "route", "status", "ms")  # that a record may carry with its message


def start(kind: str, out=None) -> None:
    """Lines of `kind`, from our own rooms at INFO and above, from libraries only warnings.

    Raises ConfigError where there is no such kind.
    """
    if kind not in KINDS:
        raise ConfigError(f"ASR_LOG={kind!r} is none we know.", "Say text or json.")
    handler = logging.StreamHandler(out or sys.stderr)
    handler.setFormatter(Lines(kind))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    for room in ("asr", "ui"):
        logging.getLogger(room).setLevel(logging.INFO)


class Lines(logging.Formatter):
    def __init__(self, kind: str):
        super().__init__()
        self.kind = kind

    def format(self, record: logging.LogRecord) -> str:
        told = {"at": _clock(record.created), "level": record.levelname.lower(), "room": record.name}
        told["says"] = record.getMessage()
        if id := request.get():
            told["request"] = f"req_{id}"
        told |= {fact: getattr(record, fact) for fact in FACTS if hasattr(record, fact)}
        if record.exc_info and record.exc_info[1]:
            told["error"] = described(record.exc_info[1])
        if self.kind == "json":
            return json.dumps(told)
        at, level, room, says, *rest = told.values()
        return " ".join([at, level.upper(), f"{room}:", says, *map(str, rest)])


def described(error: BaseException) -> str:
    """Its kind, and the ways it came, the innermost last: "KeyError asr/a.py:12 f, asr/b.py:3 g"."""
    frames = extract_tb(error.__traceback__)[-8:]
    ways = [f"{'/'.join(Path(f.filename).parts[-2:])}:{f.lineno} {f.name}" for f in frames]
    ours = [str(error)] if isinstance(error, ASRError) else []
    return " ".join([type(error).__name__, *ours, ", ".join(ways)])


def _clock(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1000):03}Z"
