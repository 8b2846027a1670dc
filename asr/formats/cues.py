"""Subtitles: which words stand on the screen together, on which line, from when to when.

The rules are those subtitle guides share (Netflix Timed Text Style Guide, BBC Subtitle
Guidelines): at most two lines of 42 columns, a wide (CJK) character counting two; lines of
like length, broken after punctuation where there is some; on the screen for 1 to 7 s and
long enough to be read; never two at once, with two frames of rest between them.

    segments -> pieces -> runs (one speaker, no long pause) -> cues -> times a screen can keep
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

from asr.text.pieces import LINE, Piece, clean, columns, pieces
from asr.types import Segment, Transcript

NAME = 16  # columns that a speaker's name may take from the first line
SHORTEST, LONGEST, REST = 1000, 7000, 83  # milliseconds; 83 is two frames of 24 a second
READING = 50  # milliseconds per column: 20 characters a second, the guides' pace for adults
PAUSE = 1.0  # seconds of silence through which no text should stand


@dataclass(frozen=True, slots=True)
class Cue:
    start: int  # milliseconds
    end: int
    lines: tuple[str, ...]  # one or two
    speaker: str | None = None


def cues(transcript: Transcript, names: bool = True) -> list[Cue]:
    """The subtitles of `transcript`, in time order; with `names` a cue's text begins with its speaker's."""
    found = [cue for run in _runs(transcript.segments) for cue in _cut(run, names)]
    return list(_scheduled(sorted(found, key=lambda c: c.start)))


def label(speaker: str) -> str:
    """A speaker's name as a subtitle begins with it."""
    name = " ".join(clean(speaker).split())
    while columns(name) > NAME:
        name = name[:-2] + "…"
    return f"{name}: "


def _runs(segments: Iterable[Segment]) -> Iterator[list[Piece]]:
    """Pieces that may share a cue."""
    run: list[Piece] = []
    for piece in (p for s in segments for p in pieces(s)):
        if run and (piece.speaker != run[-1].speaker or piece.start - run[-1].end >= PAUSE):
            yield run
            run = []
        if run:  # engines do answer with times that run backwards
            start = max(piece.start, run[-1].start)
            piece = replace(piece, start=start, end=max(piece.end, start))
        run.append(piece)
    if run:
        yield run


def _cut(run: Sequence[Piece], names: bool) -> Iterator[Cue]:
    """The cheapest way to cut a run into cues: dynamic programming over where cues may end."""
    page = _Page(run, label(run[0].speaker) if names and run[0].speaker else "")
    best = [(0.0, 0)] + [(float("inf"), 0)] * len(run)  # of the first k pieces: cost, first of the last cue
    for i in range(len(run)):
        for k in range(i + 1, page.reach(i) + 1):
            if k > i + 1 and run[k - 1].end - run[i].start > LONGEST / 1000:
                break
            best[k] = min(best[k], (best[i][0] + page.cost(i, k), i))
    ends = [len(run)]
    while ends[-1]:
        ends.append(best[ends[-1]][1])
    ends.reverse()
    for i, k in pairwise(ends):
        yield Cue(round(run[i].start * 1000), round(run[k - 1].end * 1000), page.lines(i, k), run[0].speaker)


class _Page:
    """A run's measures: what fits on two lines, what a cut costs, where a cue's first line ends."""

    def __init__(self, run: Sequence[Piece], prefix: str):
        self.run, self.prefix = run, prefix
        self.right = [0, *accumulate(columns(p.text) + p.spaced for p in run)]
        self.sentences = [0, *accumulate(p.ends_sentence for p in run)]

    def width(self, i: int, k: int) -> int:
        return self.right[k] - self.right[i] - self.run[i].spaced if k > i else 0

    def fill(self, i: int, room: int) -> int:
        """How far a line of `room` columns reaches that begins with piece i."""
        if i == len(self.run):
            return i
        return bisect_right(self.right, self.right[i] + self.run[i].spaced + room) - 1

    def reach(self, i: int) -> int:
        """How far a cue reaches that begins with piece i."""
        return self.fill(max(i, self.fill(i, LINE - columns(self.prefix))), LINE)

    def cost(self, i: int, k: int) -> float:
        """Lower is better. Weights chosen by reading results: sentences stay whole, short cues join."""
        last, seconds = self.run[k - 1], self.run[k - 1].end - self.run[i].start
        stops = last.last or k == len(self.run)
        end = 0.0 if last.ends_sentence else 0.2 if stops else 0.6 if last.ends_clause else 2.0
        end += 0.5 * (last.leans_on_next and not stops)
        swallowed = self.sentences[k - 1] - self.sentences[i]
        empty = 1 - self.width(i, k) / (2 * LINE)
        return 0.4 + end + 0.8 * swallowed + 2 * max(0.0, 1 - seconds) + 0.5 * empty**2

    def lines(self, i: int, k: int) -> tuple[str, ...]:
        taken = columns(self.prefix)
        if taken + self.width(i, k) <= LINE:
            return (self.prefix + self.text(i, k),)

        def ugliness(j: int) -> float:
            upper, lower = taken + self.width(i, j), self.width(j, k)
            if (upper > LINE and j > i) or lower > LINE:
                return float("inf")
            last = self.run[j - 1] if j > i else None
            mark = 0.0 if last and (last.ends_sentence or last.ends_clause) else 0.4
            leans = 0.2 if last and last.leans_on_next else 0.0
            return abs(upper - lower) / LINE + mark + leans + (0.1 if upper > lower else 0.0)

        j = min(range(i if self.prefix else i + 1, k), key=ugliness)
        return ((self.prefix + self.text(i, j)).rstrip(), self.text(j, k))

    def text(self, i: int, k: int) -> str:
        return "".join(f" {p.text}" if p.spaced and n else p.text for n, p in enumerate(self.run[i:k]))


def _scheduled(found: Sequence[Cue]) -> Iterator[Cue]:
    """Times that a screen can keep: 1 to 7 s each, apart. A cue that finds no room comes later."""
    free = 0
    for i, cue in enumerate(found):
        start = max(cue.start, free)
        read = max(SHORTEST, READING * sum(map(columns, cue.lines)))
        wished = min(max(cue.end, start + read), start + LONGEST)
        room = found[i + 1].start - REST if i + 1 < len(found) else wished
        end = max(min(wished, room), start + SHORTEST)
        free = end + REST
        yield replace(cue, start=start, end=end)
