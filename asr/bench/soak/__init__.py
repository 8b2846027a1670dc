"""python -m asr bench soak --minutes 60: people use the whole app at once, while things go wrong.

Starts the real app in a process of its own, with an exact engine that hears a made-up voice. Live
speakers (the page's WebSocket, WebRTC, the programs' WebSocket, OpenAI's Realtime), uploads and API
calls run until the time is over; they lose connections, hang up, cancel and come back. Meanwhile the
engine raises, is slow or out of GPU memory, the endpoint is down, the disk full, the clock jumps, and
the server is killed. At the end every word has to be there, and nothing else left.

The faults are the engine's, the endpoint's, the clock's of the bench's own process and, for root, a
disk's of its own; the app knows nothing of them. Linux only: /proc says what the server holds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path
from random import Random

from asr.bench.soak.place import Ours, Theirs
from asr.bench.soak.report import told
from asr.bench.soak.run import Soak


def main(argv: list[str]) -> int:
    args = _arguments(argv)
    if not sys.platform.startswith("linux"):
        print("The soak reads /proc: it runs on Linux.", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        place = Theirs(args.url) if args.url else Ours(Path(folder))
        report = asyncio.run(Soak(place, args, Random(args.seed)).run())
    print(told(report))
    if args.json:
        args.json.write_text(json.dumps(report, indent=2), encoding="utf-8")
    return 0 if report["passed"] else 1


def _arguments(argv: list[str]) -> argparse.Namespace:
    p = argparse.ArgumentParser(
        "python -m asr bench soak",
        description=__doc__.partition(": ")[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--minutes", type=float, default=60, help="how long new guests come (60)")
    p.add_argument("--live", type=int, default=4, metavar="N", help="live speakers at a time (4)")
    p.add_argument("--uploads", type=float, default=4, metavar="N", help="recordings uploaded a minute (4)")
    p.add_argument("--calls", type=float, default=6, metavar="N", help="API calls a minute (6)")
    p.add_argument("--faults", type=float, default=1, metavar="N", help="faults a minute; 0: none (1)")
    p.add_argument("--speech", type=float, default=60, metavar="S", help="seconds a speaker speaks (60)")
    p.add_argument(
        "--url", help="a server that runs already on this machine: it is used as hard, and not harmed"
    )
    p.add_argument("--seed", type=int, default=1, help="of all chance (1)")
    p.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    return p.parse_args(argv)
