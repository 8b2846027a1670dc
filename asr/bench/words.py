"""Gold words with their times, and what was recognised set against them.

GOLD files hold one word per line: start, end (seconds) and the word, separated by tabs; lines
that begin with # are ignored. Or JSON: a list of {"start", "end", "word"}, or an object whose
"words", or whose "segments"' "words", are such a list, so a transcript written with `-f json`
can be corrected and used.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from asr.errors import ASRError


@dataclass(frozen=True, slots=True)
class Gold:
    start: float  # seconds
    end: float
    word: str


@dataclass(frozen=True, slots=True)
class Alignment:
    """The fewest edits between two texts."""

    pairs: tuple[tuple[int, int], ...]  # positions of the words that are the same in both
    substituted: int
    deleted: int
    inserted: int

    @property
    def errors(self) -> int:
        return self.substituted + self.deleted + self.inserted


def read_gold(path: Path) -> list[Gold]:
    """Raises ASRError when `path` holds no gold words in a format named above."""
    try:
        text = path.read_text(encoding="utf-8")
        found = _from_json(json.loads(text)) if text.lstrip()[:1] in ("[", "{") else _from_lines(text)
        return sorted(found, key=lambda g: (g.start, g.end))
    except OSError as e:
        raise ASRError(f"{path} cannot be read: {e.strerror}.") from e
    except (ValueError, KeyError, TypeError) as e:
        raise ASRError(
            f"{path} is no list of words with times ({e}).",
            "Write lines of start, end and word, with tabs between.",
        ) from e


def _from_lines(text: str) -> list[Gold]:
    lines = [line.split("\t") for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [Gold(float(start), float(end), word.strip()) for start, end, word in lines]


def wer_beside(heard: Iterable[tuple[str, str]]) -> float | None:
    """Of (recording, what was heard in it), over all whose text is in NAME.txt beside them, or None."""
    errors = words = 0
    for recording, text in heard:
        truth = Path(recording).with_suffix(".txt")
        if truth.exists():
            said = plain(truth.read_text(encoding="utf-8"))
            errors, words = errors + align(said, plain(text)).errors, words + len(said)
    return errors / words if words else None


def _from_json(found) -> list[Gold]:
    if isinstance(found, dict):
        found = found["words"] if "words" in found else [w for s in found["segments"] for w in s["words"]]
    return [Gold(float(w["start"]), float(w["end"]), w["word"].strip()) for w in found]


def plain(text: str) -> list[str]:
    """The words of `text` as they are compared: no case, no punctuation."""
    marked = "".join(" " if unicodedata.category(c)[0] in "PSZC" and c != "'" else c for c in text.casefold())
    return re.findall(r"\S+", marked.replace("'", ""))


def align(reference: Sequence[str], heard: Sequence[str]) -> Alignment:
    """Levenshtein by words."""
    rows = [list(range(len(heard) + 1))]
    for i, word in enumerate(reference, 1):
        row = [i]
        for j, other in enumerate(heard, 1):
            row.append(min(rows[-1][j - 1] + (word != other), rows[-1][j] + 1, row[-1] + 1))
        rows.append(row)
    return _walk(rows, reference, heard)


def _walk(rows, reference, heard) -> Alignment:
    i, j, pairs, counts = len(reference), len(heard), [], [0, 0, 0]
    while i or j:
        if i and j and rows[i][j] == rows[i - 1][j - 1] + (reference[i - 1] != heard[j - 1]):
            i, j = i - 1, j - 1
            if reference[i] == heard[j]:
                pairs.append((i, j))
            else:
                counts[0] += 1
        elif i and rows[i][j] == rows[i - 1][j] + 1:
            i, counts[1] = i - 1, counts[1] + 1
        else:
            j, counts[2] = j - 1, counts[2] + 1
    return Alignment(tuple(reversed(pairs)), *counts)


def word_error_rate(reference: Sequence[str], heard: Sequence[str]) -> float | None:
    """Errors per reference word; None where there is nothing to recognise."""
    return align(reference, heard).errors / len(reference) if reference else None
