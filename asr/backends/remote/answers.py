"""What servers answer, made into segments: JSON of several dialects, events, plain text. Pure.

Nothing is taken on trust: times may be strings, missing or beyond the audio, words may lack their
spaces and punctuation, segments may lack the end of the text. Text is never dropped for any of it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from asr import languages
from asr.backends.remote.refusals import Answer
from asr.types import Segment, Word

_UNSPACED = re.compile("[\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\\s]")  # scripts without spaces
_SCORES = ("avg_logprob", "compression_ratio", "no_speech_prob", "temperature")


class Garbled(ValueError):
    """The answer is not one that a transcription can be read from."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One window as the server heard it; times in seconds of the window."""

    segments: tuple[Segment, ...]
    language: str | None
    words: bool  # it is a server that gives word times
    names_languages: bool  # and one that says which language it heard, if it heard any


def heard(answer: Answer, seconds: float) -> Heard:
    """Read an answer about a window of so many `seconds`. Raises Garbled."""
    text = answer.body.decode("utf-8", "replace")
    if answer.is_page:
        raise Garbled("a web page")
    if answer.media == "text/event-stream" or text.startswith("data:"):
        return _of({"text": _streamed(text)}, seconds)
    if answer.media.endswith("json") or text.lstrip()[:1] in ("{", "["):
        return _of(_json(text), seconds)
    return _of(text, seconds)


def event_of(data: str | bytes) -> dict:
    """One event of a stream. Raises Garbled."""
    event = _json(data)
    if not isinstance(event, dict):
        raise Garbled("an event that is no object")
    return event


def timed(event: dict, seconds: float) -> Segment:
    """A segment as another Parlance tells it, of `seconds` of audio. Raises Garbled."""
    if not isinstance(event.get("text"), str):
        raise Garbled("a segment without text")
    words = tuple(_word(w, seconds) for w in _dicts(event.get("words")) if isinstance(w.get("word"), str))
    tokens = event.get("tokens")
    tokens = tuple(t for t in tokens if isinstance(t, int)) if isinstance(tokens, list) else ()
    language = event.get("language")
    return replace(
        _segment(event, languages.code(language) if isinstance(language, str) else None, seconds),
        text=event["text"],
        words=words if "".join(w.word for w in words) == event["text"] else (),
        language_probability=_number(event.get("language_probability")),
        tokens=tokens,
        unsure=event.get("unsure") is True,
    )


def _json(text: str | bytes):
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise Garbled("broken JSON") from None


def _streamed(text: str) -> str:
    """The text of server-sent events, in OpenAI's dialect or in vLLM's; both at once in neither."""
    pieces, whole = [], ""
    for line in text.splitlines():
        data = line.removeprefix("data:").strip() if line.startswith("data:") else ""
        if not data or data == "[DONE]":
            continue
        event = event_of(data)
        if "error" in event:
            raise Garbled("an error amid its events")
        if event.get("type") == "transcript.text.delta":
            pieces.append(str(event.get("delta") or ""))
        elif event.get("type") == "transcript.text.done":
            whole = str(event.get("text") or "")  # speaches leaves it empty
        for choice in event.get("choices") or ():
            pieces.append(str((choice.get("delta") or {}).get("content") or ""))
    return whole or "".join(pieces)


def _of(found, seconds: float) -> Heard:
    found = {"text": found} if isinstance(found, str) else found
    if not isinstance(found, dict) or not isinstance(found.get("text", ""), str):
        raise Garbled("no text")
    listed = [s for s in _dicts(found.get("segments")) if isinstance(s.get("text"), str)]
    listed = [s for s in listed if s["text"].strip()]
    if "text" not in found and not isinstance(found.get("segments"), list):
        raise Garbled("no text")
    language = _language(found)
    words = [w for w in _dicts(found.get("words")) if isinstance(w.get("word"), str)]
    words = words or [w for s in listed for w in _dicts(s.get("words")) if isinstance(w.get("word"), str)]
    segments = [_segment(s, language, seconds) for s in listed]
    segments = _complete(segments, found.get("text", ""), language, seconds)
    timed = _timed(segments, [_word(w, seconds) for w in words]) if words else segments
    gives = isinstance(found.get("words"), list) or bool(words)
    names = "language" in found or "languages" in found
    return Heard(tuple(sorted(timed, key=lambda s: s.start)), language, gives, names)


def _segment(s: dict, language: str | None, seconds: float) -> Segment:
    start = _within(s.get("start"), seconds, 0.0)
    end = max(start, _within(s.get("end"), seconds, seconds))
    scores = {name: _number(s.get(name)) for name in _SCORES}
    # Where the engine behind it gives no scores, a server that must send numbers sends zeros.
    scores = {name: score for name, score in scores.items() if score or name == "temperature"}
    return Segment(start, end, spaced(s["text"]), language=language, **scores)


def _complete(segments: list[Segment], text: str, language: str | None, seconds: float) -> list[Segment]:
    """The segments, with what only the whole text has: some servers drop the last one."""
    have, whole = _letters("".join(s.text for s in segments)), _letters(text)
    if len(whole) <= len(have):
        return segments
    if not whole.startswith(have) or not segments:
        return [Segment(0.0, seconds, spaced(text), language=language)]
    tail = _after(text, len(have))
    return [*segments, Segment(segments[-1].end, seconds, spaced(tail), language=language)]


def _letters(text: str) -> str:
    return "".join(text.split())


def _after(text: str, letters: int) -> str:
    """`text` without its first so many characters, spaces not counted."""
    for i, c in enumerate(text):
        if not letters:
            return text[i:]
        letters -= not c.isspace()
    return ""


def _timed(segments: Sequence[Segment], words: Sequence[Word]) -> list[Segment]:
    """Each segment with its words, whose text is the segment's own: it has the punctuation."""
    if not segments:
        return [Segment.of([replace(w, word=spaced(w.word.strip())) for w in words])]
    rest, timed = sorted(words, key=lambda w: w.start), []
    for segment in segments:
        pieces, whole = _cut(segment.text, [w.word.strip() for w in rest])
        mine = tuple(replace(w, word=piece) for w, piece in zip(rest, pieces, strict=False))
        rest = rest[len(mine) :]
        if not whole:  # the words say something else than the text, and the text is what counts
            rest = [w for w in rest if (w.start + w.end) / 2 > segment.end]
        if mine:
            start, end = min(segment.start, mine[0].start), max(segment.end, mine[-1].end)
            segment = replace(segment, start=start, end=end, words=mine)
        timed.append(segment)
    return timed


def _cut(text: str, words: list[str]) -> tuple[list[str], bool]:
    """`text` in a piece for each of the first words, as far as they are its own, and whether that is all."""
    cuts, at, low = [], 0, text.casefold()
    low = low if len(low) == len(text) else text
    for word in words:
        found = low.find(word.casefold() if low is not text else word, at) if word else -1
        if found < 0:
            break
        # Marks between two words belong to the first, up to the last space.
        cuts.append(max((i for i in range(at, found) if text[i].isspace()), default=found) if cuts else 0)
        at = found + len(word)
    pieces = [text[a:b] for a, b in zip(cuts, [*cuts[1:], len(text)], strict=True)]
    return pieces, not any(c.isalnum() for c in text[at:])


def _word(w: dict, seconds: float) -> Word:
    start = _within(w.get("start"), seconds, 0.0)
    end = max(start, _within(w.get("end"), seconds, start))
    probability = _number(w.get("probability"))
    sure = None if probability is None else min(max(probability, 0.0), 1.0)
    return Word(start, end, w["word"], sure)


def _language(found: dict) -> str | None:
    named = found.get("language")
    for one in _dicts(found.get("languages"))[:1]:
        named = named or one.get("code")
    return languages.code(named) if isinstance(named, str) else None


def _dicts(value) -> list[dict]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _number(value) -> float | None:
    """A finite number, also one written as text."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _within(value, seconds: float, otherwise: float) -> float:
    number = _number(value)
    return otherwise if number is None else min(max(number, 0.0), seconds)


def spaced(text: str) -> str:
    """With a space before it, as Whisper writes, so that texts can be joined; some scripts have none."""
    text = text.rstrip()
    return text if not text or _UNSPACED.match(text) else f" {text}"
