"""The real app, with one engine more and somebody who makes trouble: python -m asr.bench.soak.child

Lines of JSON on standard input say what goes wrong, {"fault": "memory", "seconds": 5}, or ask who is
there, {"guests": "a file for the answer"}; when there are no more, the child ends. The app itself knows
nothing of all this.

The clock jumps by replacing `time.time`, which Python code asks; the kernel's own clock stays, so the
times of files do not jump.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
from pathlib import Path
from threading import Thread

from asr import backends
from asr.bench.soak import trouble
from asr.bench.soak.server import APP

HERE = Path(__file__).parent


def main() -> None:
    backends.__path__.append(str(HERE / "engines"))
    Thread(target=_obey, name="orders", daemon=True).start()
    sys.argv = [str(APP)]
    runpy.run_path(str(APP), run_name="__main__")


def _obey() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        if "guests" in order:
            Path(order["guests"]).write_text(json.dumps(trouble.guests()), encoding="utf-8")
        else:
            trouble.begin(order["fault"], order["seconds"])
    os._exit(3)  # whoever started us is gone


if __name__ == "__main__":
    main()
