"""Whose recording comes next: people take turns, however many recordings each of them has. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from asr.jobs.job import Job


def order(waiting: Iterable[Job], working: Iterable[Job], served: Mapping[str, float]) -> list[Job]:
    """Those who wait, in the order in which they will begin if nobody else comes.

    First whoever has the fewest at work, then whoever was `served` (wall clock) the longest ago;
    each one's own recordings in the order they were given.
    """
    lines: dict[str, list[Job]] = {}
    for job in sorted(waiting, key=lambda j: (j.queued, j.created)):
        lines.setdefault(job.owner, []).append(job)
    busy, last = Counter(job.owner for job in working), dict(served)
    turns = []
    while lines:
        owner = min(lines, key=lambda o: (busy[o], last.get(o, 0.0), lines[o][0].queued))
        turns.append(lines[owner].pop(0))
        busy[owner] += 1
        last[owner] = float("inf")
        if not lines[owner]:
            del lines[owner]
    return turns
