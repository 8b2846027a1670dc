"""python -m asr.diarize.process: one diarization in a process of its own. `asr.diarize.apart` starts it.

One line of JSON comes in on stdin and says what to do; lines of JSON go out on stdout: how far it is,
and at the end the turns or what went wrong. When stdin closes, whoever asked is gone, and so are we.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from threading import Thread

from asr.audio import Recording
from asr.diarize.answer import Count
from asr.errors import ASRError

WORKERS = {"embedded": "asr.diarize.embedded", "pyannote": "asr.diarize.pyannote"}


def main() -> int:
    tell = _teller()
    wish = json.loads(sys.stdin.readline())
    Thread(target=_end_with_whoever_asked, daemon=True).start()
    worker = import_module(WORKERS[wish["rung"]])
    try:
        with Recording.open(Path(wish["audio"])) as recording:
            found = worker.diarize(
                recording, Count(**wish["count"]), lambda part: tell({"progress": part}), **wish["more"]
            )
        tell({"found": asdict(found)})
    except ASRError as e:
        tell({"what": e.what, "fix": e.fix, "kind": type(e).__name__})
    return 0


def _teller() -> Callable[[dict], None]:
    """Writes lines to what was stdout; what libraries print there goes to stderr from now on."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return lambda message: print(json.dumps(message), file=out, flush=True)


def _end_with_whoever_asked() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
