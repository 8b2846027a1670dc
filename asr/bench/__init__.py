"""python -m asr bench NAME: how fast and how accurate, measured on this machine.

A benchmark is a module here with `main(argv) -> exit code`, and a line in BENCHES. It prints a
table, and writes the same as JSON where `--json` says.
"""

from __future__ import annotations

import argparse
from importlib import import_module

BENCHES = {
    "live": "how soon and how steadily we write along, beside two other ways to do it",
    "streams": "how many people one model can write along with at once",
    "batch": "an archive's run beside its recordings one by one, and beside the engine alone",
    "wer": "word error rates of several models on folders, lists and the Open ASR Leaderboard's sets",
    "diarize": "who spoke when: diarization error rates, speaker counts, words with the wrong speaker",
    "soak": "the whole app under mixed use while things go wrong: words, leaks, memory, delay",
    "gpu": "Whisper's shapes on a GPU: speed by batch, streams, and how near its limit",
    "speed": "time, memory and errors beside bare CTranslate2, faster-whisper and whisperx",
}


def main(argv: list[str]) -> int:
    lines = [f"  {name:10}{says}" for name, says in BENCHES.items()]
    parser = argparse.ArgumentParser(
        prog="python -m asr bench",
        description=__doc__.partition("\n")[0],
        epilog="\n".join(["benchmarks:", *lines, "", "python -m asr bench NAME --help tells more."]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", metavar="NAME", choices=BENCHES, help="one of those below")
    name = parser.parse_args(argv[:1]).name
    return import_module(f"{__name__}.{name}").main(argv[1:])
