"""What was said and what came of it: kept by all clients, judged at the end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Container
from dataclasses import dataclass, field

from asr.bench.words import align

STRAINS = ("raise", "memory", "slow", "kill")  # faults that make text come late
AFTERMATH = 30.0  # seconds after a fault in which delays still tell of it
NOTES = 50  # sentences that are kept


@dataclass
class Ledger:
    """Times are seconds since `began` (time.monotonic)."""

    began: float = field(default_factory=time.monotonic)
    exact: bool = True  # the server hears what is said, so that texts can be compared
    done: Counter = field(default_factory=Counter)  # conversations, by their kind
    said: Counter = field(default_factory=Counter)  # words, by kind
    lost: Counter = field(default_factory=Counter)
    invented: Counter = field(default_factory=Counter)
    told: Counter = field(default_factory=Counter)  # refusals that came with a sentence: (kind, status)
    events: Counter = field(default_factory=Counter)  # what clients did: cuts, resumes, cancels, ...
    wrong: list[str] = field(default_factory=list)  # what must not be
    delays: list[tuple[float, float]] = field(default_factory=list)  # undisturbed: (when, seconds)
    faults: list[tuple[str, float, float]] = field(default_factory=list)  # (name, from, to)

    @property
    def now(self) -> float:
        return time.monotonic() - self.began

    def heard(self, kind: str, said: str, heard: str) -> None:
        """Compare what a client said with the text it got."""
        self.done[kind] += 1
        if not self.exact:
            return
        expected, found = said.split(), heard.split()
        edits = align(expected, found)
        self.said[kind] += len(expected)
        self.lost[kind] += edits.deleted + edits.substituted
        self.invented[kind] += edits.inserted
        if edits.errors:
            self.blame(f"{kind}: said [{said}], heard [{heard}]")

    def delay(self, seconds: float) -> None:
        """From the end of what was said to its settled text; only where nobody made trouble."""
        if not self.met(STRAINS, self.now - seconds - AFTERMATH):
            self.delays.append((self.now, seconds))

    def killed(self, since: float) -> bool:
        """Whether the server died between then and now: the one excuse for a connection without an end."""
        return self.met(("kill",), since)

    def met(self, names: Container[str], since: float) -> bool:
        """Whether one of these faults was on between then and now."""
        return any(name in names and end >= since for name, _, end in self.faults)

    def blame(self, what: str) -> None:
        """Note something that must not be."""
        if len(self.wrong) < NOTES:
            self.wrong.append(f"{self.now:7.1f} s  {what}")
