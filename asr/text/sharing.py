"""Text without word times, as words that share its time by their length."""

from __future__ import annotations

import re

from asr.types import Word

# Scripts written without spaces (Thai, Lao, Khmer, kana, Han) count by the character, others by the space.
_UNSPACED = "\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
_TOKEN = re.compile(rf"\s*(?:[{_UNSPACED}]|[^\s{_UNSPACED}]+)")


def shared_out(text: str, start: float, end: float) -> list[Word]:
    """The words of `text`, each with the space before it; `start` and `end` in seconds."""
    tokens = _TOKEN.findall(text)
    total, at, words = sum(map(len, tokens)), 0, []
    for token in tokens:
        first, at = at, at + len(token)
        words.append(Word(start + (end - start) * first / total, start + (end - start) * at / total, token))
    return words
