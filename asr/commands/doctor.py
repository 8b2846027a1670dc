"""python -m asr doctor: what this machine has, which model it would run and why, and what to mend."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import TYPE_CHECKING

from asr.config import Config
from asr.text.pieces import clean

if TYPE_CHECKING:
    from asr.doctor import Finding

MARKS = {"fine": " ", "note": "-", "problem": "!"}


def main(argv: list[str]) -> int:
    argparse.ArgumentParser(
        "python -m asr doctor",
        description=__doc__.partition(": ")[2],
        epilog="Exit code: 0 all well, 1 there is a problem (marked !).",
    ).parse_args(argv)
    from asr import doctor, machine  # these take long to import; help must not

    problems = told(doctor.examine(Config.from_env(), machine.look()))
    print("\nAll is well." if not problems else f"\nProblems: {problems}. The lines with -> mend them.")
    return 1 if problems else 0


def told(findings: Iterable[Finding]) -> int:
    """Print them; returns how many are problems."""
    problems = 0
    for finding in findings:
        problems += finding.state == "problem"
        print(f"{MARKS[finding.state]} {finding.topic:11}{clean(finding.says)}", flush=True)
        if finding.fix:
            print(f"{'':13}-> {clean(finding.fix)}")
    return problems
