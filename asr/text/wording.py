"""A line's words, and what becomes of them when somebody writes another text over them. Pure.

A word that is still there is the same object as before, with its times and its probability. One
that is spelled otherwise keeps its times; what is new gets its share, by length, of the time of
the words it stands for, or of the gap it was put into. No word that a person wrote has a probability.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from difflib import SequenceMatcher

from asr.text.pieces import clean
from asr.types import Segment, Word

COSTLY = 250_000  # comparisons, above which unlike texts are no longer compared word by word

_ANYWHERE = "\u2e80-\u312f\u3190-\ua4cf\uf900-\ufaff\uff01-\uff9f\U00020000-\U0003ffff"  # Han, kana
_AT_WORDS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
_TOKEN = re.compile(r"\s*\S+(?:\s+$)?")
_UNSPACED = re.compile(f"[{_ANYWHERE}{_AT_WORDS}]")
_ALONE = re.compile(f"[{_ANYWHERE}]")


def words(segment: Segment) -> tuple[Word, ...]:
    """The segment's words; where it has none, its text in tokens that share its time by their length."""
    if segment.words:
        return segment.words
    return tuple(_shared(_tokens(segment.text), segment.start, segment.end, segment.speaker))


def reworded(segment: Segment, text: str) -> Segment:
    """The segment as somebody corrected it: nothing but single spaces inside, outside what was there."""
    bare = segment.text.strip()
    lead, _, tail = segment.text.partition(bare) if bare else (segment.text, "", "")
    text = f"{lead}{' '.join(clean(text).split())}{tail}"
    said = tuple(_aligned(segment, list(_tokens(text, segment.words)))) if segment.words else ()
    return replace(segment, text=text, words=said, tokens=(), unsure=False)


def _tokens(text: str, known: Iterable[Word] = ()) -> Iterator[str]:
    """`text` cut into words: at spaces; in scripts without any, around words that are `known`."""
    first: dict[str, list[str]] = {}
    for word in sorted({w.word.strip() for w in known} - {""}, key=len, reverse=True):
        first.setdefault(word[0], []).append(word)
    for chunk in _TOKEN.findall(text):
        yield from _unspaced(chunk, first) if _UNSPACED.search(chunk) else (chunk,)


def _unspaced(chunk: str, known: dict[str, list[str]]) -> Iterator[str]:
    done = i = len(chunk) - len(chunk.lstrip())
    begun = 0  # where the token that is not yet cut off begins, its space included
    while i < len(chunk.rstrip()):
        word = next((w for w in known.get(chunk[i], ()) if chunk.startswith(w, i)), "")
        length = len(word) or 1
        if (word or _ALONE.match(chunk[i])) and i > done:
            yield chunk[begun:i]
            begun = done = i
        i += length
        if word or _ALONE.match(chunk[i - 1]):
            rest = len(chunk) if i == len(chunk.rstrip()) else i
            yield chunk[begun:rest]
            begun = done = rest
    if begun < len(chunk):
        yield chunk[begun:]


def _aligned(segment: Segment, tokens: Sequence[str]) -> Iterator[Word]:
    old = segment.words
    for i, j, k, m in _matched([same(w.word) for w in old], [same(t) for t in tokens]):
        if j - i == m - k:
            pairs = zip(old[i:j], tokens[k:m], strict=True)
            yield from (w if w.word == t else replace(w, word=t, probability=None) for w, t in pairs)
        elif m > k:
            start = old[i].start if j > i else old[i - 1].end if i else segment.start
            end = old[j - 1].end if j > i else old[i].start if i < len(old) else segment.end
            yield from _shared(tokens[k:m], start, max(start, end), segment.speaker)


def _matched(old: list[str], new: list[str]) -> Iterator[tuple[int, int, int, int]]:
    """What stands for what: stretches old[i:j] and new[k:m] in order, none of them left out."""
    most = min(len(old), len(new))
    head = next((n for n in range(most) if old[n] != new[n]), most)
    most -= head
    tail = next((n for n in range(most) if old[-1 - n] != new[-1 - n]), most)
    yield 0, head, 0, head
    a, b = old[head : len(old) - tail], new[head : len(new) - tail]
    if len(a) * len(b) > COSTLY:
        yield head, head + len(a), head, head + len(b)
    else:
        for _, i, j, k, m in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
            yield head + i, head + j, head + k, head + m
    yield len(old) - tail, len(old), len(new) - tail, len(new)


def same(word: str) -> str:
    """What two words have in common that are the same one: not their case, not their punctuation."""
    return re.sub(r"\W+", "", word.casefold()) or word.strip()


def _shared(tokens: Iterable[str], start: float, end: float, speaker: str | None) -> Iterator[Word]:
    """Words that fill a time together, each its share of it by its length."""
    tokens = list(tokens)
    each, done = (end - start) / max(1, sum(map(len, tokens))), 0
    for text in tokens:
        a, done = done, done + len(text)
        yield Word(start + each * a, start + each * done, text, speaker=speaker, interpolated=True)
