"""A transcript as a file: a Transcript goes in, a str comes out, or bytes where it is no text. Pure.

- txt: one line per segment; where speakers are known, one paragraph per turn
- docx: a document for word processors, see `asr.formats.document`
- srt, vtt: subtitles, cut and timed as `asr.formats.cues` says
- tsv: start and end in whole milliseconds, text; as Whisper writes it, a column for speakers after it
- json: everything a Transcript holds; `from_json` gives back an equal one, its times to the millisecond
- verbose_json, diarized_json: what OpenAI's API calls by these names

No format tells a time more finely than in milliseconds: what is read back and written again is the same.

`export` gives any of them as bytes, and leaves out what is not wanted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from html import escape
from itertools import groupby
from math import isfinite

from asr import languages
from asr.errors import Unsupported
from asr.formats.cues import Cue, cues
from asr.formats.document import to_docx
from asr.text.pieces import clean, clock, possible
from asr.types import Segment, Transcript, Word


def to_txt(t: Transcript, times: bool = False) -> str:
    """With `times`, each line begins with when it was said, as `[hours:minutes:seconds]`."""
    lines = []
    for speaker, turn in groupby((s for s in t.segments if s.text.strip()), key=lambda s: s.speaker):
        turn = list(turn)
        if speaker is None:
            lines += [(s.start, _plain(s.text)) for s in turn]
        else:
            lines.append((turn[0].start, f"{_plain(speaker)}: {_plain(' '.join(s.text for s in turn))}"))
    return "".join(f"[{clock(start)}] {line}\n" if times else f"{line}\n" for start, line in lines)


def to_srt(t: Transcript) -> str:
    def block(i: int, cue: Cue) -> str:
        # An arrow inside the text would be read as times; players read a blank line as the end.
        lines = "\n".join(re.sub("-{2,}>", "->", line) for line in cue.lines)
        return f"{i}\n{_span(cue, ',')}\n{lines}\n"

    return "\n".join(block(i, cue) for i, cue in enumerate(cues(t), 1))


def to_vtt(t: Transcript) -> str:
    def block(cue: Cue) -> str:
        text = "\n".join(escape(line, quote=False) for line in cue.lines)
        voice = f"<v {escape(_plain(cue.speaker), quote=False)}>" if cue.speaker else ""
        return f"{_span(cue, '.')}\n{voice}{text}\n"

    return "\n".join(["WEBVTT\n", *(block(cue) for cue in cues(t, names=False))])


def to_tsv(t: Transcript) -> str:
    named = any(s.speaker for s in t.segments)
    rows = [["start", "end", "text"] + ["speaker"] * named]
    for s in t.segments:
        rows.append([str(_ms(s.start)), str(_ms(s.end)), _plain(s.text)] + [_plain(s.speaker or "")] * named)
    return "".join("\t".join(row) + "\n" for row in rows)


def to_json(t: Transcript) -> str:
    body = {"text": t.text, "language": t.language, "task": t.task, "duration": possible(t.duration)}
    return _dumps(body | {"segments": [json_segment(s) for s in t.segments]})


def json_segment(s: Segment) -> dict:
    """All that is known of a segment, as `json` has it."""
    body = asdict(s)
    for timed in (body, *body["words"]):
        timed |= {end: possible(timed[end]) for end in ("start", "end")}
    return body


def from_json(text: str | bytes) -> Transcript:
    """The transcript that `to_json` wrote; raises Unsupported for anything else."""
    try:
        body = json.loads(text)
        segments = tuple(
            _made(Segment, s, words=tuple(_made(Word, w) for w in s["words"]), tokens=tuple(s["tokens"]))
            for s in body["segments"]
        )
        if body["task"] not in ("transcribe", "translate"):
            raise ValueError(body["task"])
        return Transcript(segments, float(body["duration"]), body["task"])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise Unsupported(
            "This is not a transcript in the JSON that Parlance writes.",
            "Use a .json file made with -f json.",
        ) from None


def to_verbose_json(t: Transcript) -> str:
    """OpenAI's `verbose_json`. Its schema knows no null: a number the engine did not give is 0.0."""
    language = languages.name(t.language) or ""
    body = {"task": t.task, "language": language, "duration": possible(t.duration), "text": t.text}
    body["segments"] = [
        {
            "id": i,
            "seek": round(possible(s.start) * 100),  # in frames of 10 ms, as Whisper counts
            "start": possible(s.start),
            "end": possible(s.end),
            "text": s.text,
            "tokens": list(s.tokens),
            "temperature": s.temperature or 0.0,
            "avg_logprob": s.avg_logprob or 0.0,
            "compression_ratio": s.compression_ratio or 0.0,
            "no_speech_prob": s.no_speech_prob or 0.0,
        }
        for i, s in enumerate(t.segments)
    ]
    if words := [w for s in t.segments for w in s.words]:
        body["words"] = [
            {"word": w.word.strip(), "start": possible(w.start), "end": possible(w.end)} for w in words
        ]
    return _dumps(body)


def to_diarized_json(t: Transcript) -> str:
    """OpenAI's `diarized_json`. Its schema knows no null: whoever is not known is "unknown"."""
    body = {"task": t.task, "duration": possible(t.duration), "text": t.text}
    body["segments"] = [diarized_segment(i, s) for i, s in enumerate(t.segments)]
    return _dumps(body)


def diarized_segment(i: int, s: Segment) -> dict:
    """The i-th segment in `diarized_json`, and the event of a stream that tells it."""
    return {
        "type": "transcript.text.segment",
        "id": f"seg_{i}",
        "start": possible(s.start),
        "end": possible(s.end),
        "speaker": s.speaker or "unknown",
        "text": s.text,
    }


FORMATS: dict[str, Callable[[Transcript], str | bytes]] = {
    "txt": to_txt,
    "srt": to_srt,
    "vtt": to_vtt,
    "tsv": to_tsv,
    "json": to_json,
    "verbose_json": to_verbose_json,
    "diarized_json": to_diarized_json,
    "docx": to_docx,
}
SUFFIX = {name: f".{name.replace('_', '.')}" for name in FORMATS}
MEDIA_TYPE = {
    "txt": "text/plain; charset=utf-8",
    "srt": "application/x-subrip; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
    "tsv": "text/tab-separated-values; charset=utf-8",
    "json": "application/json",
    "verbose_json": "application/json",
    "diarized_json": "application/json",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
}
_TIMED = {"txt": to_txt, "docx": to_docx}  # with times only if they are wanted


def export(t: Transcript, name: str, *, speakers: bool = True, times: bool = False) -> bytes:
    """`t` as a file of the format `name`. Subtitles, tsv and json have times anyway."""
    if not speakers:
        t = _anonymous(t)
    made = _TIMED[name](t, times=True) if times and name in _TIMED else FORMATS[name](t)
    return made if isinstance(made, bytes) else made.encode("utf-8")


def timestamp(seconds: float, mark: str = ".") -> str:
    """`hours:minutes:seconds` with milliseconds after `mark`: 3661.5 is 01:01:01.500."""
    return _stamp(_ms(seconds), mark)


def _anonymous(t: Transcript) -> Transcript:
    def unnamed(s: Segment) -> Segment:
        return replace(s, speaker=None, words=tuple(replace(w, speaker=None) for w in s.words))

    return replace(t, segments=tuple(map(unnamed, t.segments)))


def _ms(seconds: float) -> int:
    """Whole milliseconds: rounded once, here, before anything is split off."""
    return round(possible(seconds) * 1000)


def _stamp(ms: int, mark: str) -> str:
    seconds, ms = divmod(ms, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{mark}{ms:03d}"


def _span(cue: Cue, mark: str) -> str:
    return f"{_stamp(cue.start, mark)} --> {_stamp(cue.end, mark)}"


def _plain(text: str) -> str:
    return " ".join(clean(text).split())


def _made(kind, values: dict, **rest):
    """A `kind` without fields it does not know, whose times are numbers; an older version wrote fewer."""
    names = {f.name for f in fields(kind)}
    if not set(values) <= names or not all(isinstance(values[n], (int, float)) for n in ("start", "end")):
        raise ValueError(f"not a {kind.__name__}")
    return kind(**values | rest)


def _dumps(body: dict) -> str:
    """JSON that any reader takes: no NaN, no lone surrogates in the file's UTF-8."""
    text = json.dumps(_finite(body), ensure_ascii=False, allow_nan=False)
    return re.sub("[\ud800-\udfff]", lambda m: f"\\u{ord(m[0]):04x}", text) + "\n"


def _finite(value):
    if isinstance(value, float) and not isfinite(value):
        return None
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    return [_finite(v) for v in value] if isinstance(value, (list, tuple)) else value
