"""Timed tokens to timed words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from math import exp

from onnx_asr.asr import TimestampedResult

from asr.types import Word

# A token is timed by where it begins, the one that ends a word as well. How long that one lasts is a guess:
# a long syllable, cut off where the next word begins. (The pipeline trims what the voice detector denies.)
TAIL = 0.5  # seconds
CLINGS = re.compile(r"[.,!?;:%…)\]}»”’。，、！？؟।]+")

Token = tuple[str, float, float]  # text with its leading space, seconds, log-probability


def words(result: TimestampedResult, length: float) -> list[Word]:
    """The words of a result that has times; seconds from the start of a window of `length` seconds."""
    groups: list[list[Token]] = []
    for token in zip(result.tokens, result.timestamps, result.logprobs or (), strict=True):
        if not groups or token[0].startswith(" "):
            groups.append([])
        if token[0] != "<unk>":
            groups[-1].append(token)
    spoken: list[list[Token]] = []
    for group in filter(_text, groups):
        if spoken and CLINGS.fullmatch(_text(group)):
            spoken[-1] += group
        else:
            spoken.append(group)
    ends = [
        min(after[0][1], group[-1][1] + TAIL) for group, after in pairwise([*spoken, [("", length, 0.0)]])
    ]
    return [_word(group, end, length) for group, end in zip(spoken, ends, strict=True)]


def _word(group: Sequence[Token], end: float, length: float) -> Word:
    start = min(group[0][1], length)
    probability = exp(min(0.0, sum(p for _, _, p in group) / len(group)))
    return Word(round(start, 2), round(max(start, min(end, length)), 2), f" {_text(group)}", probability)


def _text(group: Sequence[Token]) -> str:
    return "".join(token.strip() for token, _, _ in group)
