"""Subtitles: which words stand on the screen together, on which line, from when to when.

The rules are those subtitle guides share (Netflix Timed Text Style Guide, BBC Subtitle
Guidelines): at most two lines of 42 columns, a wide (CJK) character counting two; lines of
like length, broken after punctuation where there is some; on the screen for 1 to 7 s and
long enough to be read; never two at once, with two frames of rest between them.

    segments -> pieces (what no line break may cut) -> runs (one voice, no long pause) -> cues

Text is hostile: control characters and lone surrogates do not leave `clean`.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from math import isfinite
from unicodedata import category, east_asian_width

from asr.types import Segment, Transcript

LINE = 42  # columns
NAME = 16  # columns that a speaker's name may take from the first line
SHORTEST, LONGEST, REST = 1000, 7000, 83  # milliseconds; 83 is two frames of 24 a second
READING = 50  # milliseconds per column: 20 characters a second, the guides' pace for adults
PAUSE = 1.0  # seconds of silence through which no text should stand

# Scripts without spaces: a line may end after any character (Han, kana), or where the engine
# or a zero-width space ends a word (Thai, Lao, Burmese, Khmer). Hangul has spaces.
_ANYWHERE = r"\u2e80-\u312f\u3190-\ua4cf\uf900-\ufaff\uff01-\uff9f\U00020000-\U0003ffff"
_AT_WORDS = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
_OPEN = "「『（〔［｛〈《【〖〝"
_CLOSE = "」』）〕］｝〉》】〗〟、。，．・：；！？ー々ゝゞヽヾぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶ"
_MARKS = r"\u0300-\u036f\u3099\u309a\ufe0e\ufe0f"
_PIECE = re.compile(rf"[{_OPEN}]*(?:[{_ANYWHERE}]|[^\s\u200b{_ANYWHERE}]+)[{_CLOSE}{_MARKS}]*")
_UNSPACED = re.compile(rf"[{_ANYWHERE}{_AT_WORDS}]")
_WORD_SCRIPT = re.compile(rf"[{_AT_WORDS}]")
_SENTENCE = re.compile(r"[.!?…。！？؟।]['\")\]»”’」』]*$")
_CLAUSE = re.compile(r"[,;:،、，；：–—-]['\")\]»”’」』]*$")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\s]")
_INVISIBLE = re.compile(r"[\u202a-\u202e\u2066-\u2069\ufeff]")  # reorder the text around them
_SURROGATE = re.compile(r"[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Cue:
    start: int  # milliseconds
    end: int
    lines: tuple[str, ...]  # one or two
    speaker: str | None = None


@dataclass(frozen=True, slots=True)
class _Piece:
    text: str
    start: float  # seconds
    end: float
    spaced: bool  # a space stands before it
    speaker: str | None
    closes: bool = False  # the last of its segment


def cues(transcript: Transcript, names: bool = True) -> list[Cue]:
    """The subtitles of `transcript`, in time order; with `names` a cue's text begins with its speaker's."""
    found = [cue for run in _runs(transcript.segments) for cue in _cut(run, names)]
    return list(_scheduled(sorted(found, key=lambda c: c.start)))


def clean(text: str) -> str:
    """`text` on one line, without characters that control a terminal, a parser or the order of reading."""
    return _SURROGATE.sub("\ufffd", _INVISIBLE.sub("", _CONTROL.sub(" ", text)))


def columns(text: str) -> int:
    """How wide `text` stands in a fixed-width font: wide characters take two columns, marks none."""
    if text.isascii():
        return len(text)
    return sum(
        2 if east_asian_width(c) in "WF" else 0 if category(c) in ("Mn", "Me", "Cf") else 1 for c in text
    )


def label(speaker: str) -> str:
    """A speaker's name as a subtitle begins with it."""
    name = " ".join(clean(speaker).split())
    while columns(name) > NAME:
        name = name[:-2] + "…"
    return f"{name}: "


def _runs(segments: Iterable[Segment]) -> Iterator[list[_Piece]]:
    """Pieces that may share a cue: one speaker, no long pause."""
    run: list[_Piece] = []
    for piece in (p for s in segments for p in _pieces(s)):
        if run:
            # Engines do answer with times that run backwards.
            start = max(piece.start, run[-1].start)
            piece = replace(piece, start=start, end=max(piece.end, start))
            if piece.speaker != run[-1].speaker or start - run[-1].end >= PAUSE:
                yield run
                run = []
        run.append(piece)
    if run:
        yield run


def _pieces(segment: Segment) -> list[_Piece]:
    """The segment cut wherever a line may break; times from its words, or by proportion."""
    spoken = [(w.word, w.start, w.end, w.speaker or segment.speaker) for w in segment.words]
    text, clock = "", []  # clock: (first character, start, end, speaker) of each stretch of known time
    for said, start, end, speaker in spoken or [(segment.text, segment.start, segment.end, segment.speaker)]:
        said = clean(said)
        if _WORD_SCRIPT.match(text[-1:]) and _WORD_SCRIPT.match(said) and category(said[0]) == "Lo":
            text += "\u200b"
        start = max(0.0, start) if isfinite(start) else 0.0
        text += said[: len(said) - len(said.lstrip())]
        clock.append((len(text), start, max(start, end) if isfinite(end) else start, speaker))
        text += said.lstrip()
    firsts = [first for first, *_ in clock]
    lasts = [*firsts[1:], len(text)]

    def at(i: int) -> tuple[float, str | None]:
        k = max(0, bisect_right(firsts, i) - 1)
        first, start, end, speaker = clock[k]
        return start + (end - start) * min(1.0, (i - first) / max(1, lasts[k] - first)), speaker

    made, done = [], 0
    for i, j in _breaks(text):
        start, speaker = at(i)
        k = bisect_right(firsts, j - 1) - 1
        end = clock[k][2] if j >= len(text[: lasts[k]].rstrip("\u200b ")) else at(j)[0]
        spaced = " " in text[done:i] or (not made and not _UNSPACED.match(text[i]))
        made.append(_Piece(text[i:j], start, max(start, end), spaced, speaker))
        done = j
    return made[:-1] + [replace(p, closes=True) for p in made[-1:]]


def _breaks(text: str) -> Iterator[tuple[int, int]]:
    """Where each piece begins and ends; one wider than a line is cut, marks staying with their letter."""
    for match in _PIECE.finditer(text):
        first, width = match.start(), 0
        for i in range(match.start(), match.end()):
            wide = columns(text[i])
            if width + wide > LINE and wide:
                yield first, i
                first, width = i, 0
            width += wide
        yield first, match.end()


def _cut(run: Sequence[_Piece], names: bool) -> Iterator[Cue]:
    """The cheapest way to cut a run into cues: dynamic programming over where cues may end."""
    page = _Page(run, label(run[0].speaker) if names and run[0].speaker else "")
    best = [(0.0, 0)] + [(float("inf"), 0)] * len(run)  # of the first k: cost, last cue's first
    for i in range(len(run)):
        for k in range(i + 1, page.reach(i) + 1):
            if k > i + 1 and run[k - 1].end - run[i].start > LONGEST / 1000:
                break
            best[k] = min(best[k], (best[i][0] + page.cost(i, k), i))
    ends, k = [], len(run)
    while k:
        ends.append((best[k][1], k))
        k = best[k][1]
    for i, k in reversed(ends):
        yield Cue(round(run[i].start * 1000), round(run[k - 1].end * 1000), page.lines(i, k), run[0].speaker)


class _Page:
    """A run's measures: what fits on two lines, what a cut costs, where a cue's first line ends."""

    def __init__(self, run: Sequence[_Piece], prefix: str):
        self.run, self.prefix = run, prefix
        self.right = [0, *accumulate(columns(p.text) + p.spaced for p in run)]
        self.sentences = [0, *accumulate(bool(_SENTENCE.search(p.text)) for p in run)]

    def width(self, i: int, k: int) -> int:
        return self.right[k] - self.right[i] - self.run[i].spaced if k > i else 0

    def fill(self, i: int, room: int) -> int:
        """How far a line of `room` columns reaches that begins with piece i."""
        if i == len(self.run):
            return i
        return bisect_right(self.right, self.right[i] + self.run[i].spaced + room) - 1

    def reach(self, i: int) -> int:
        return self.fill(max(i, self.fill(i, LINE - len(self.prefix))), LINE)

    def cost(self, i: int, k: int) -> float:
        """Lower is better; weights chosen by reading results: sentences stay whole, short cues join."""
        p, seconds = self.run[k - 1], self.run[k - 1].end - self.run[i].start
        whole = self.sentences[k] > self.sentences[k - 1]
        paused = p.closes or k == len(self.run)
        end = 0 if whole else 0.2 if paused else 0.6 if _CLAUSE.search(p.text) else 2.0
        swallowed = self.sentences[k - 1] - self.sentences[i]
        short = 2 * max(0.0, 1 - seconds)
        return 0.4 + end + 0.5 * swallowed + short + 0.5 * (1 - self.width(i, k) / (2 * LINE)) ** 2

    def lines(self, i: int, k: int) -> tuple[str, ...]:
        taken = columns(self.prefix)
        if taken + self.width(i, k) <= LINE:
            return (self.prefix + self.text(i, k),)

        def ugliness(j: int) -> float:
            upper, lower = taken + self.width(i, j), self.width(j, k)
            if (upper > LINE and j > i) or lower > LINE:
                return float("inf")
            after = self.run[j - 1].text if j > i else ""
            mark = 0 if _SENTENCE.search(after) or _CLAUSE.search(after) else 0.4
            return mark + abs(upper - lower) / LINE + (0.1 if upper > lower else 0)

        j = min(range(i if self.prefix else i + 1, k), key=ugliness)
        return ((self.prefix + self.text(i, j)).rstrip(), self.text(j, k))

    def text(self, i: int, k: int) -> str:
        return "".join(f" {p.text}" if p.spaced and n else p.text for n, p in enumerate(self.run[i:k]))


def _scheduled(found: Sequence[Cue]) -> Iterator[Cue]:
    """Times that a screen can keep: 1 to 7 s each, apart. A cue that finds no room comes later."""
    free = 0
    for i, cue in enumerate(found):
        start = max(cue.start, free)
        read = SHORTEST + READING * max(0, sum(map(columns, cue.lines)) - 20)
        wished = min(max(cue.end, start + read), start + LONGEST)
        room = found[i + 1].start - REST if i + 1 < len(found) else wished
        end = max(min(wished, room), start + SHORTEST)
        free = end + REST
        yield replace(cue, start=start, end=end)
