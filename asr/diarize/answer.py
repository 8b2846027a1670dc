"""What diarization is asked and what it answers: how many speakers, and who speaks when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from asr.errors import Unsupported
from asr.types import Turn

MOST = 50  # speakers anybody may ask for


@dataclass(frozen=True, slots=True)
class Count:
    """How many people speak: `exact`ly so many, or from `low` to `high`; None where nobody knows.

    Raises Unsupported for numbers that mean nothing.
    """

    exact: int | None = None
    low: int | None = None
    high: int | None = None

    def __post_init__(self):
        given = [n for n in (self.exact, self.low, self.high) if n is not None]
        if any(not 1 <= n <= MOST for n in given):
            raise Unsupported(f"{given} is no number of speakers.", f"Give a number from 1 to {MOST}.")
        if self.low and self.high and self.low > self.high:
            raise Unsupported(
                f"From {self.low} to {self.high} speakers is no range.", "Give the smaller number first."
            )
        if self.exact and (self.low or self.high):
            raise Unsupported("An exact number of speakers needs no range.", "Give the one or the other.")

    @property
    def bounds(self) -> tuple[int, int]:
        """The fewest and the most speakers there may be."""
        return self.exact or self.low or 1, self.exact or self.high or MOST


@dataclass(frozen=True, slots=True)
class Diarization:
    """Who speaks when. Both lists are in time order."""

    turns: tuple[Turn, ...]  # may overlap: people talk at the same time
    exclusive: tuple[Turn, ...]  # one speaker at a time: to give words a speaker
    by: str  # the rung that ran
    says: str  # sentences for people: what ran, why, and what to do for a better answer

    @property
    def speakers(self) -> tuple[str, ...]:
        """In the order in which they first speak."""
        return tuple(dict.fromkeys(turn.speaker for turn in self.turns))


def numbered(found: Diarization, called: Sequence[str] = ()) -> Diarization:
    """The same in time order, with "Speaker 1", "Speaker 2", ... in the order in which they first speak.

    Where it is known how they are `called`, `found` has their numbers in that list: "0", "1", ...
    """
    both = [sorted(turns, key=lambda t: (t.start, t.end)) for turns in (found.turns, found.exclusive)]
    names: dict[str, str] = {}
    for turn in [*both[0], *both[1]]:
        number = f"Speaker {len(names) + 1}"
        names.setdefault(turn.speaker, called[int(turn.speaker)] if called else number)
    turns, exclusive = (tuple(replace(t, speaker=names[t.speaker]) for t in turns) for turns in both)
    return replace(found, turns=turns, exclusive=exclusive)
