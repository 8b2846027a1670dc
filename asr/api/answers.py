"""Transcripts as OpenAI answers them: bodies of every response format, and the events of a stream. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable

from asr.api.schema import Transcription, Translation
from asr.errors import Unsupported
from asr.formats import FORMATS, json_segment
from asr.types import Segment, Transcript

TOKENS_A_SECOND = 10  # OpenAI counts audio so: one token per 100 ms of a user's speech


def body(request: Translation, t: Transcript) -> tuple[str, str]:
    """The whole answer and its media type."""
    match request.response_format:
        case "json":
            return _json(_plain(request, t))
        case "verbose_json":
            return _json(_verbose(request, t))
        case "diarized_json":
            return _json(json.loads(FORMATS["diarized_json"](t)) | {"usage": duration(t.duration)})
        case "text":
            return t.text + "\n", "text/plain; charset=utf-8"
        case subtitles:
            return FORMATS[subtitles](t), "text/plain; charset=utf-8"


def delta(before: str, after: str, segment: Segment, logprobs: bool) -> dict:
    """`transcript.text.delta`: what the text gained with `segment`. All deltas together are the text."""
    event = {"type": "transcript.text.delta", "delta": after.strip()[len(before.strip()) :]}
    return event | ({"logprobs": _logprobs([segment])} if logprobs else {})


def done(t: Transcript, logprobs: bool) -> dict:
    """`transcript.text.done`: the last event."""
    event = {"type": "transcript.text.done", "text": t.text}
    if t.language:
        event["languages"] = [{"code": t.language}]
    if logprobs:
        event["logprobs"] = _logprobs(t.segments)
    if tokens := sum(len(s.tokens) for s in t.segments):  # engines that name no tokens cannot be counted
        heard = math.ceil(t.duration * TOKENS_A_SECOND)
        event["usage"] = {
            "type": "tokens",
            "input_tokens": heard,
            "output_tokens": tokens,
            "total_tokens": heard + tokens,
            "input_token_details": {"audio_tokens": heard},
        }
    return event


def timed(i: int, segment: Segment) -> dict:
    """`transcript.text.segment` with verbose_json: all that is known of it, null where nothing is."""
    return {"type": "transcript.text.segment", "id": f"seg_{i}", **json_segment(segment)}


def sse(event: dict) -> bytes:
    return f"data: {json.dumps(event, ensure_ascii=False)}\n\n".encode("utf-8", "replace")


def duration(seconds: float) -> dict:
    return {"type": "duration", "seconds": round(seconds, 3)}


def wants_words(request: Translation) -> bool:
    """Whether the client asked for something that only word times can give."""
    return isinstance(request, Transcription) and bool(
        "word" in request.timestamp_granularities or request.include
    )


def _plain(request: Translation, t: Transcript) -> dict:
    if not isinstance(request, Transcription):
        return {"text": t.text}
    found = {"text": t.text, "usage": duration(t.duration)}
    if t.language:
        found["languages"] = [{"code": t.language}]
    if request.include:
        found["logprobs"] = _logprobs(t.segments)
    return found


def _verbose(request: Translation, t: Transcript) -> dict:
    found = json.loads(FORMATS["verbose_json"](t))
    if not isinstance(request, Transcription):
        found.pop("words", None)
        return found | {"language": "english"}  # of the text that came out, says OpenAI
    wanted = request.timestamp_granularities
    if wanted and "segment" not in wanted:
        del found["segments"]
    if "word" in wanted:
        found.setdefault("words", [])
    else:
        found.pop("words", None)
    return found | {"usage": duration(t.duration)}


def _logprobs(segments: Iterable[Segment]) -> list[dict]:
    """One entry per word: the logarithm of the mean probability of its tokens, which is what engines give."""
    words = [w for s in segments for w in s.words]
    if any(w.probability is None for w in words):
        raise Unsupported(
            "This model does not say how sure it is of its words.", "Leave out include[]=logprobs."
        )
    return [
        {"token": w.word, "logprob": math.log(max(w.probability, 1e-10)), "bytes": list(w.word.encode())}
        for w in words
    ]


def _json(value: dict) -> tuple[str, str]:
    return json.dumps(value, ensure_ascii=False), "application/json"
