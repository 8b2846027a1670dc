"""A segment cut wherever a line of text may break, each piece with its time and its width on the screen.

Most scripts break at spaces. Han and kana break after any character, but never before a closing
mark nor after an opening one (the commonest of the rules called kinsoku). Thai, Lao, Burmese and
Khmer break where the engine or a zero-width space ends a word. What is wider than a line is cut.

Text is hostile: control characters, marks that reorder what stands around them, and lone
surrogates do not leave `clean`.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import isfinite
from unicodedata import category, east_asian_width

from asr.types import Segment

LINE = 42  # columns
LATEST = 1e7  # seconds, 115 days

_ANYWHERE = (
    r"\u2e80-\u312f\u3190-\ua4cf\uf900-\ufaff\uff01-\uff9f\U00020000-\U0003ffff"  # not Hangul: it has spaces
)
_AT_WORDS = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
_OPENING = "「『（〔［｛〈《【〖〝"
_CLOSING = "」』）〕］｝〉》】〗〟、。，．・：；！？ー々ゝゞヽヾぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶ"
_MARKS = r"\u0300-\u036f\u3099\u309a\ufe0e\ufe0f"
_PIECE = re.compile(rf"[{_OPENING}]*(?:[{_ANYWHERE}]|[^\s\u200b{_ANYWHERE}]+)[{_CLOSING}{_MARKS}]*")
_UNSPACED = re.compile(rf"[{_ANYWHERE}{_AT_WORDS}]")
_WORDS_ONLY = re.compile(rf"[{_AT_WORDS}]")
_SENTENCE = re.compile(r"[.!?…。！？؟।]['\")\]»”’」』]*$")
_CLAUSE = re.compile(r"[,;:،、，；：–—-]['\")\]»”’」』]*$")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\s]")
_REORDERING = re.compile(r"[\u202a-\u202e\u2066-\u2069\ufeff]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Piece:
    text: str  # no space in it
    start: float  # seconds
    end: float
    spaced: bool  # a space stands before it
    speaker: str | None
    last: bool = False  # of its segment

    @property
    def ends_sentence(self) -> bool:
        return ends_sentence(self.text)

    @property
    def leans_on_next(self) -> bool:
        """Articles, prepositions and conjunctions, by a rule of thumb for many languages: they are short."""
        return len(self.text) <= 3 and self.text.isalpha() and not _UNSPACED.match(self.text)

    @property
    def ends_clause(self) -> bool:
        return bool(_CLAUSE.search(self.text))


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Characters from `first` to `last` of a text, said evenly between two times."""

    first: int
    last: int
    start: float
    end: float
    speaker: str | None

    def at(self, i: int) -> float:
        return self.start + (self.end - self.start) * min(1.0, (i - self.first) / (self.last - self.first))


def pieces(segment: Segment) -> list[Piece]:
    """The segment's pieces in order; timed by its words, or by proportion where it has none."""
    text, stretches = _timed(segment)
    firsts = [s.first for s in stretches]
    made, done = [], 0
    for i, j in _breaks(text):
        a, b = (stretches[bisect_right(firsts, k) - 1] for k in (i, j - 1))
        spaced = " " in text[done:i] or (not made and not _UNSPACED.match(text[i]))
        made.append(Piece(text[i:j], a.at(i), max(a.at(i), b.at(j)), spaced, a.speaker))
        done = j
    return made[:-1] + [replace(p, last=True) for p in made[-1:]]


def ends_sentence(text: str) -> bool:
    """Whether `text` ends with the punctuation of a sentence's end, quotes and brackets after it or not."""
    return bool(_SENTENCE.search(text))


def clean(text: str) -> str:
    """`text` on one line, without characters that control a terminal, a parser or the order of reading."""
    return _SURROGATE.sub("\ufffd", _REORDERING.sub("", _CONTROL.sub(" ", text)))


def possible(seconds: float) -> float:
    """`seconds` as a time that a clock can show, to the millisecond: engines do answer with NaN, with less
    than nothing, and with 0.9319999999999999."""
    return round(min(max(0.0, seconds), LATEST), 3) if isfinite(seconds) else 0.0


def clock(seconds: float) -> str:
    """`hours:minutes:seconds`, rounded down: 3661.9 is 01:01:01."""
    minutes, rest = divmod(int(possible(seconds)), 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest:02d}"


def columns(text: str) -> int:
    """How wide `text` stands in a fixed-width font: wide characters take two columns, marks none."""
    if text.isascii():
        return len(text)
    return sum(
        2 if east_asian_width(c) in "WF" else 0 if category(c) in ("Mn", "Me", "Cf") else 1 for c in text
    )


def _timed(segment: Segment) -> tuple[str, list[_Stretch]]:
    """The segment's text, and when its parts are said."""
    spoken = [(w.word, w.start, w.end, w.speaker) for w in segment.words]
    text, stretches = "", []
    for said, start, end, speaker in spoken or [(segment.text, segment.start, segment.end, None)]:
        said, speaker = clean(said), speaker or segment.speaker
        bare = said.strip()
        text += " " if said[:1] == " " else _word_break(text, said)
        if bare:
            start = possible(start)
            end = max(start, possible(end))
            stretches.append(_Stretch(len(text), len(text) + len(bare), start, end, speaker))
            text += bare + " " * said.endswith(" ")
    return text, stretches


def _word_break(before: str, after: str) -> str:
    """A zero-width space between words of a script that writes none; never before a vowel sign."""
    both = _WORDS_ONLY.match(before[-1:]) and _WORDS_ONLY.match(after)
    return "\u200b" if both and category(after[0]) == "Lo" else ""


def _breaks(text: str) -> Iterator[tuple[int, int]]:
    """Where each piece begins and ends; one wider than a line is cut, marks staying with their letter."""
    for match in _PIECE.finditer(text):
        first, width = match.start(), 0
        for i in range(match.start(), match.end()):
            wide = columns(text[i])
            if wide and width + wide > LINE:
                yield first, i
                first, width = i, 0
            width += wide
        yield first, match.end()
