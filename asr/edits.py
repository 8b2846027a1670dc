"""Corrections of a transcript, each of them one operation as plain JSON. Pure.

An edited transcript is what was recognised with its operations replayed, so nothing recognised is
ever lost, and undoing is leaving out the last one. Lines (segments) are counted from 0, as they
are when the operation comes.

    {"op": "text", "line": 3, "text": "..."}             its text; an empty one removes the line
    {"op": "split", "line": 3, "at": 5}                  its sixth word begins a line of its own
    {"op": "join", "line": 3}                            with the line after it
    {"op": "speaker", "first": 3, "last": 4, "speaker": "Anna"}   who said these lines; null: nobody knows
    {"op": "rename", "speaker": "Speaker 1", "name": "Anna"}      everywhere; the name must be new
    {"op": "merge", "speaker": "Speaker 2", "into": "Anna"}       they are the same person; null: nobody
    {"op": "replace", "find": "...", "put": "...", "case": false, "whole": true}   in all lines
    {"op": "sure", "line": 3}                            somebody listened: it is as it should be
    {"op": "speakers", "turns": [[0.5, 2.0, "Speaker 1"]], "exclusive": [...]}   another diarization
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from inspect import signature

from asr.errors import Unsupported
from asr.speakers import assign, merged, names, renamed
from asr.text.pieces import clean
from asr.text.wording import reworded, words
from asr.types import Segment, Transcript, Turn

LONGEST_LINE = 20_000  # characters
LONGEST_TEXT = 5_000_000  # characters of a transcript; ten hours of fast speech are a tenth of it
LONGEST_NAME = 80
MOST_TURNS = 100_000
Lines = tuple[Segment, ...]


def replayed(transcript: Transcript, operations: Iterable[Mapping]) -> Transcript:
    """The transcript after these operations, in their order."""
    return reduce(apply, operations, transcript)


def apply(transcript: Transcript, operation: Mapping) -> Transcript:
    """The transcript after one operation; raises Unsupported where it is none, or not possible here."""
    asked = dict(operation)
    change = _OPERATIONS.get(asked.pop("op", None) if isinstance(asked.get("op"), str) else None)
    if not change or set(asked) != set(list(signature(change).parameters)[1:]):
        raise Unsupported("This edit cannot be understood.", "Reload the page.")
    for name, value in asked.items():
        if not _FIELDS[name](value):
            raise Unsupported(f"This edit has an impossible {name}.", _LIMITS.get(name, "Reload the page."))
    after = change(transcript.segments, **asked)
    if sum(len(s.text) for s in after) > LONGEST_TEXT:
        raise Unsupported("The text would become too long.", "Undo, or edit in smaller steps.")
    return replace(transcript, segments=after)


def heard(turns: Iterable[Turn], operations: Iterable[Mapping]) -> tuple[Turn, ...]:
    """Whose voice was heard when, by the names they have after these operations."""
    turns = tuple(turns)
    for o in operations:
        if o["op"] == "speakers":
            turns = _turns(o["turns"])
        elif o["op"] in ("rename", "merge"):
            name = _name(o["name"] if o["op"] == "rename" else o["into"])
            turns = tuple(replace(t, speaker=name) if t.speaker == o["speaker"] else t for t in turns)
    return turns


def cast(first: Iterable[str], operations: Iterable[Mapping]) -> list[str | None]:
    """The speakers after these operations, each in the place that it had from the start.

    `first` are those before any. The place of one who was merged into another stays, as None.
    """
    places: list[str | None] = list(first)
    for o in operations:
        if o["op"] == "speakers":
            places = list(dict.fromkeys(row[2] for row in o["turns"]))
        elif o["op"] == "merge" and o["speaker"] and o["speaker"] in places:
            places[places.index(o["speaker"])] = None
        elif o["op"] == "rename" and o["speaker"] and o["speaker"] in places:
            places[places.index(o["speaker"])] = _name(o["name"])
        elif o["op"] in ("rename", "speaker"):
            name = _name(o["name"] if o["op"] == "rename" else o["speaker"])
            places += [name] if name and name not in places else []
    return places


# ---- the operations ----


def _text(lines: Lines, line: int, text: str) -> Lines:
    new = reworded(_at(lines, line), text)
    return _put(lines, line, new) if new.text.strip() else _put(lines, line)


def _split(lines: Lines, line: int, at: int) -> Lines:
    whole = _at(lines, line)
    said = words(whole)
    if not 0 < at < len(said):
        raise Unsupported("A line is split between two of its words.", "Choose a place inside the line.")
    parts = [replace(whole.part(said[:at]), start=whole.start), replace(whole.part(said[at:]), end=whole.end)]
    return _put(lines, line, *(part if whole.words else replace(part, words=()) for part in parts))


def _join(lines: Lines, line: int) -> Lines:
    first, second = _at(lines, line), _at(lines, line + 1)
    said = words(first) + words(second) if first.words or second.words else ()
    one = replace(
        first,
        end=max(first.end, second.end),
        text=first.text + second.text,
        words=tuple(replace(w, speaker=first.speaker) for w in said),
        tokens=(),
        unsure=first.unsure or second.unsure,
    )
    return _put(_put(lines, line + 1), line, one)


def _speaker(lines: Lines, first: int, last: int, speaker: str | None) -> Lines:
    _at(lines, first), _at(lines, max(first, last))
    name = _name(speaker)
    return lines[:first] + tuple(_said_by(s, name) for s in lines[first : last + 1]) + lines[last + 1 :]


def _rename(lines: Lines, speaker: str | None, name: str) -> Lines:
    name = _name(name)
    if name in names(lines):
        raise Unsupported(f"There is a {name} already.", "Choose another name, or merge the two.")
    return renamed(lines, _known(lines, speaker), name)


def _merge(lines: Lines, speaker: str | None, into: str | None) -> Lines:
    return merged(lines, {_known(lines, speaker)}, into and _known(lines, into))


def _replace(lines: Lines, find: str, put: str, case: bool, whole: bool) -> Lines:
    pattern = re.escape(find)
    if whole:
        pattern = rf"(?<!\w){pattern}(?!\w)"
    sought, put = re.compile(pattern, 0 if case else re.IGNORECASE), clean(put)

    def changed(s: Segment) -> Segment:
        text = sought.sub(lambda _: put, s.text)
        if len(text) > LONGEST_LINE:
            raise Unsupported("A line would become too long.", "Replace it by something shorter.")
        return s if text == s.text else replace(reworded(s, text), unsure=s.unsure)

    after = ((s, changed(s)) for s in lines)
    return tuple(new for old, new in after if new is old or new.text.strip())


def _sure(lines: Lines, line: int) -> Lines:
    s = _at(lines, line)
    said = tuple(replace(w, probability=None) for w in s.words)
    return _put(lines, line, replace(s, words=said, unsure=False))


@dataclass(frozen=True)
class _Diarized:
    turns: Sequence[Turn]
    exclusive: Sequence[Turn]


def _speakers(lines: Lines, turns: list, exclusive: list) -> Lines:
    return assign(lines, _Diarized(_turns(turns), _turns(exclusive)))


_OPERATIONS: dict[str | None, Callable[..., Lines]] = {
    "text": _text,
    "split": _split,
    "join": _join,
    "speaker": _speaker,
    "rename": _rename,
    "merge": _merge,
    "replace": _replace,
    "sure": _sure,
    "speakers": _speakers,
}


# ---- what they are made of ----


def _at(lines: Lines, line: int) -> Segment:
    if not 0 <= line < len(lines):
        raise Unsupported("This line is not there any more.", "Reload the page.")
    return lines[line]


def _put(lines: Lines, line: int, *new: Segment) -> Lines:
    return lines[:line] + new + lines[line + 1 :]


def _said_by(s: Segment, speaker: str | None) -> Segment:
    return replace(s, speaker=speaker, words=tuple(replace(w, speaker=speaker) for w in s.words))


def _known(lines: Lines, speaker: str | None) -> str | None:
    if speaker not in {s.speaker for s in lines}:
        raise Unsupported(f"Nobody here is called {speaker}.", "Reload the page.")
    return speaker


def _name(speaker: str | None) -> str | None:
    name = speaker and " ".join(clean(speaker).split())
    if name == "":
        raise Unsupported("A speaker needs a name.", "Type one.")
    return name


def _turns(rows: Iterable[Sequence]) -> tuple[Turn, ...]:
    return tuple(Turn(float(start), float(end), speaker) for start, end, speaker in rows)


# ---- what may come in ----


def _whole_number(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9


def _text_of(least: int, most: int) -> Callable[[object], bool]:
    return lambda value: isinstance(value, str) and least <= len(value) <= most


def _some_turns(value) -> bool:
    return isinstance(value, list) and len(value) <= MOST_TURNS and all(map(_turn, value))


def _turn(row) -> bool:
    return (
        isinstance(row, (list, tuple))
        and len(row) == 3
        and all(isinstance(t, (int, float)) and not isinstance(t, bool) and 0 <= t < 1e7 for t in row[:2])
        and _text_of(1, LONGEST_NAME)(row[2])
    )


_FIELDS: dict[str, Callable[[object], bool]] = {
    **dict.fromkeys(("line", "first", "last", "at"), _whole_number),
    "text": _text_of(0, LONGEST_LINE),
    **dict.fromkeys(("speaker", "into"), lambda value: value is None or _text_of(1, LONGEST_NAME)(value)),
    "name": _text_of(1, LONGEST_NAME),
    "find": _text_of(1, 200),
    "put": _text_of(0, 500),
    **dict.fromkeys(("case", "whole"), lambda value: isinstance(value, bool)),
    **dict.fromkeys(("turns", "exclusive"), _some_turns),
}
_LIMITS = {
    "text": f"A line has at most {LONGEST_LINE} characters.",
    "name": f"A name has at most {LONGEST_NAME} characters.",
    "find": "Look for 1 to 200 characters.",
    "put": "Put at most 500 characters in their place.",
}
