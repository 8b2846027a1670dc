"""python -m asr doctor: what this machine has, which model it would run and why, and what to mend."""

from __future__ import annotations

import argparse

from asr import doctor, machine
from asr.config import Config
from asr.pieces import clean

MARKS = {"fine": " ", "note": "-", "problem": "!"}


def main(argv: list[str]) -> int:
    argparse.ArgumentParser(
        "python -m asr doctor",
        description=__doc__.partition(": ")[2],
        epilog="Exit code: 0 all well, 1 there is a problem (marked !).",
    ).parse_args(argv)
    problems = 0
    for finding in doctor.examine(Config.from_env(), machine.look()):
        problems += finding.state == "problem"
        print(f"{MARKS[finding.state]} {finding.topic:11}{clean(finding.says)}", flush=True)
        if finding.fix:
            print(f"{'':13}-> {clean(finding.fix)}")
    print("\nAll is well." if not problems else f"\nProblems: {problems}. The lines with -> mend them.")
    return 1 if problems else 0
