"""Requests and answers of the HTTP API as OpenAI defines them, for checking and for the OpenAPI page.

Field names, bounds and defaults are those of OpenAI's API reference (audio: create transcription,
create translation) as its Python SDK 3.54 has them. What OpenAI has and we do not is still a field
here, so that it is refused by name and with a reason, not as something unheard of.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema

from asr import languages
from asr.api.errors import Refused, refusal

Format = Literal["json", "text", "srt", "verbose_json", "vtt", "diarized_json"]
Upload = Annotated[Any, WithJsonSchema({"type": "string", "format": "binary"})]


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("Input should be a number")
    return value


def _truth(value: Any) -> Any:
    return {"true": True, "false": False}.get(value.lower(), "neither") if isinstance(value, str) else value


Truth = Annotated[bool, BeforeValidator(_truth)]
Whole = Annotated[int, BeforeValidator(_no_bool)]
Number = Annotated[float, BeforeValidator(_no_bool)]


class VoiceDetection(BaseModel):
    """`chunking_strategy` as an object."""

    model_config = ConfigDict(extra="forbid")
    type: Literal["server_vad"]
    threshold: Number = Field(
        0.5, ge=0, le=1, description="How sure the detector must be that somebody speaks."
    )
    prefix_padding_ms: Whole = Field(300, ge=0, le=5000, description="Audio kept from before the speech.")
    silence_duration_ms: Whole = Field(
        200, ge=0, le=10000, description="Silence that ends a stretch of speech."
    )


def _strategy(value: Any) -> Any:
    """A form carries it as JSON text, or as fields chunking_strategy[type], ..."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


class Translation(BaseModel):
    """What `POST /v1/audio/translations` takes."""

    model_config = ConfigDict(extra="forbid")
    file: Upload = Field(
        None,
        description="The recording: anything FFmpeg reads (WAV, MP3, M4A, OGG, FLAC, WebM, ...), or bare "
        "16-bit samples, mono, as audio/pcm;rate=16000.",
    )
    model: str = Field(
        min_length=1,
        description="An id from /v1/models, or one of OpenAI's names for this server's own model.",
    )
    prompt: str | None = Field(None, description="Text the model should believe it has just heard.")
    response_format: Literal["json", "text", "srt", "verbose_json", "vtt"] = "json"
    temperature: float | None = Field(
        None, ge=0, le=1, description="0 or nothing: sure at first, warmer only where the result looks wrong."
    )


class Transcription(Translation):
    """What `POST /v1/audio/transcriptions` takes."""

    response_format: Format = "json"
    language: str | None = Field(
        None, description="The language spoken, as ISO 639-1; otherwise it is detected."
    )
    languages: list[str] = Field(
        [], max_length=16, description="Languages that may be spoken. Here: at most one."
    )
    keywords: list[str] = Field([], max_length=100, description="Names and terms to listen for.")
    timestamp_granularities: list[Literal["word", "segment"]] = Field(
        [], max_length=2, description="For verbose_json: segments (the default), words, or both."
    )
    include: list[Literal["logprobs"]] = Field(
        [], max_length=1, description="logprobs: how sure each word is."
    )
    stream: Truth = Field(False, description="Send text as it is recognised, as server-sent events.")
    chunking_strategy: Annotated[Literal["auto"] | VoiceDetection | None, BeforeValidator(_strategy)] = Field(
        None, description="How the recording is cut: auto, or the settings of the voice detector."
    )
    known_speaker_names: list[Annotated[str, Field(min_length=1, max_length=64)]] = Field(
        [], max_length=4, description="For diarized_json: people who may speak, each with a reference."
    )
    known_speaker_references: list[str] = Field(
        [], max_length=4, description="2 to 10 seconds of each of them speaking, as data URLs."
    )


LISTS = {name for name, f in Transcription.model_fields.items() if "list[" in str(f.annotation)}
WIRE = {name: f"{name}[]" for name in LISTS}


def parse(kind: type[Translation], fields: list[tuple[str, str]]) -> Translation:
    """The request that these form fields make; raises Refused. An empty field is as good as none."""
    values: dict[str, Any] = {}
    for wire, text in fields:
        name, _, key = wire.removesuffix("[]").partition("[")
        if name in LISTS:
            values.setdefault(name, []).append(text)
        elif not text:
            continue
        elif key:
            part = values.setdefault(name, {})
            if not isinstance(part, dict):
                raise _twice(name)
            part[key.removesuffix("]")] = text
        elif name in values:
            raise _twice(name)
        else:
            values[name] = text
    try:
        request = kind.model_validate(values)
    except ValidationError as e:
        raise refusal(e, WIRE) from None
    return _sensible(request)


def _twice(name: str) -> Refused:
    return Refused(f"'{name}' is given twice.", param=name, code="invalid_value")


def _sensible(request: Translation) -> Translation:
    """Refuse what OpenAI refuses about combinations, and what this server cannot do."""
    if not isinstance(request, Transcription):
        return request
    _acquainted(request)
    if request.timestamp_granularities and request.response_format != "verbose_json":
        raise Refused(
            "timestamp_granularities[] needs response_format verbose_json.",
            param="timestamp_granularities[]",
            code="invalid_value",
        )
    if request.include and request.response_format != "json":
        raise Refused(
            "include[]=logprobs needs response_format json.", param="include[]", code="invalid_value"
        )
    if request.stream and request.response_format in ("srt", "vtt"):
        raise Refused(
            f"stream needs response_format json, text, verbose_json or diarized_json, "
            f"not {request.response_format}.",
            param="stream",
            code="invalid_value",
        )
    return request


def _acquainted(request: Transcription) -> None:
    """Refuse known speakers that nobody asks for, and names that do not fit their references."""
    people, clips = request.known_speaker_names, request.known_speaker_references
    if len(people) != len(clips):
        what, param = "Each known speaker needs a name and a reference.", "known_speaker_references[]"
    elif len(set(people)) < len(people) or "unknown" in people:
        what, param = "Known speakers need names that differ, and no 'unknown'.", "known_speaker_names[]"
    elif people and request.response_format != "diarized_json":
        what, param = "Known speakers need response_format diarized_json.", "known_speaker_names[]"
    else:
        return
    raise Refused(what, param=param, code="invalid_value")


def language_of(language: str | None, languages: list[str]) -> str | None:
    """ISO 639-1, from `language` or from `languages` with one in it; raises Refused."""
    given = [language] if language else []
    wanted = list(dict.fromkeys(_code(text) for text in [*given, *languages]))
    if len(wanted) > 1:
        raise Refused(
            "The models here take one language, or detect it.",
            "Send one language, or none to have it detected.",
            param="languages" if languages else "language",
            code="unsupported_value",
        )
    return wanted[0] if wanted else None


def _code(text: str) -> str:
    if found := languages.code(text):
        return found
    raise Refused(
        f"'{text[:40]}' is no language we know.",
        "Write it as ISO 639-1, for example en.",
        param="language",
        code="invalid_value",
    )
