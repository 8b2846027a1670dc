"""What the OpenAPI page says beyond what FastAPI knows: forms we read and answers we write ourselves."""

from __future__ import annotations

from typing import Literal

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import Response
from pydantic import BaseModel, Field
from pydantic.json_schema import models_json_schema

from asr.api.schema import WIRE, Transcription, Translation


class Duration(BaseModel):
    type: Literal["duration"]
    seconds: float = Field(description="Length of the audio.")


class Code(BaseModel):
    code: str


class Logprob(BaseModel):
    token: str
    logprob: float
    bytes: list[int]


class Text(BaseModel):
    """response_format json."""

    text: str
    usage: Duration | None = None
    languages: list[Code] | None = None
    logprobs: list[Logprob] | None = None


class SegmentOut(BaseModel):
    id: int
    seek: int
    start: float
    end: float
    text: str
    tokens: list[int]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float


class WordOut(BaseModel):
    word: str
    start: float
    end: float


class Verbose(BaseModel):
    """response_format verbose_json."""

    task: Literal["transcribe", "translate"]
    language: str
    duration: float
    text: str
    segments: list[SegmentOut] | None = None
    words: list[WordOut] | None = None
    usage: Duration | None = None


class DiarizedSegment(BaseModel):
    """Who said what; in a stream an event."""

    type: Literal["transcript.text.segment"]
    id: str
    start: float
    end: float
    speaker: str
    text: str


class Diarized(BaseModel):
    """response_format diarized_json."""

    task: Literal["transcribe"]
    duration: float
    text: str
    segments: list[DiarizedSegment]
    usage: Duration | None = None


class TimedWord(BaseModel):
    start: float
    end: float
    word: str
    probability: float | None
    speaker: str | None
    overlap: bool
    interpolated: bool


class TimedSegment(BaseModel):
    """An event of a stream with verbose_json: a segment as it is recognised. Parlance's own."""

    type: Literal["transcript.text.segment"]
    id: str
    start: float
    end: float
    text: str
    words: list[TimedWord]
    language: str | None
    language_probability: float | None
    speaker: str | None
    avg_logprob: float | None
    compression_ratio: float | None
    no_speech_prob: float | None
    temperature: float | None
    tokens: list[int]
    unsure: bool


class Delta(BaseModel):
    """An event of a stream: more text."""

    type: Literal["transcript.text.delta"]
    delta: str
    logprobs: list[Logprob] | None = None


class Tokens(BaseModel):
    type: Literal["tokens"]
    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_token_details: dict[str, int]


class Done(BaseModel):
    """The last event of a stream: all of the text."""

    type: Literal["transcript.text.done"]
    text: str
    languages: list[Code] | None = None
    logprobs: list[Logprob] | None = None
    usage: Tokens | None = None


class Model(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    # Parlance's own: seconds of audio it hears best in one go; null until it is loaded.
    window: float | None = None


class Models(BaseModel):
    object: Literal["list"] = "list"
    data: list[Model]


class Error(BaseModel):
    message: str
    type: str
    param: str | None
    code: str | None


class Failure(BaseModel):
    error: Error


PROBLEMS = {
    status: {"model": Failure, "description": says}
    for status, says in {
        400: "A parameter or the audio cannot be used.",
        401: "No API key, or a wrong one.",
        404: "There is no such model.",
        408: "The upload came too slowly.",
        413: "The file or the form is too large.",
        415: "The body is no multipart form.",
        503: "Every place is taken, or the model cannot be had now; Retry-After says when to come back.",
    }.items()
}


def described(api: FastAPI, *more: type[BaseModel]) -> dict:
    """The OpenAPI description of the application; `more` are bodies that other rooms read themselves."""
    if not api.openapi_schema:
        found = get_openapi(
            title=api.title, version=api.version, description=api.description, routes=api.routes
        )
        found["components"]["schemas"].update(components(*more))
        found["servers"] = [{"url": "/v1"}]
        api.openapi_schema = found
    return api.openapi_schema


def documented(kind: type[Translation]) -> dict:
    """What the OpenAPI page says of an endpoint whose form we read ourselves."""
    diarized = ["Diarized"] if kind is Transcription else []
    content = {
        "application/json": {"schema": _any_of("Text", "Verbose", *diarized)},
        "text/plain": {"schema": {"type": "string"}},
    }
    if kind is Transcription:
        data = {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": _any_of("Delta", "TimedSegment", "DiarizedSegment", "Done", "Failure"),
        }
        event = {"type": "object", "properties": {"data": data}, "required": ["data"]}
        content["text/event-stream"] = {"schema": event}
    form = {"multipart/form-data": {"schema": _any_of(kind.__name__)}}
    return {
        "openapi_extra": {"requestBody": {"required": True, "content": form}},
        "responses": {
            200: {"description": "The text, as response_format asks.", "content": content},
            **PROBLEMS,
        },
        "response_class": Response,
    }


def _any_of(*names: str) -> dict:
    found = [{"$ref": f"#/components/schemas/{name}"} for name in names]
    return {"anyOf": found} if len(found) > 1 else found[0]


def components(*more: type[BaseModel]) -> dict[str, dict]:
    """JSON schemas for the OpenAPI page: forms under the names their fields have on the wire."""
    found = definitions(Transcription, Translation, Text, Verbose, Diarized, Delta, TimedSegment, Done, *more)
    for name in ("Transcription", "Translation"):
        form = found[name]
        form["properties"] = {WIRE.get(field, field): rest for field, rest in form["properties"].items()}
        form["required"] = ["file", "model"]
        for field in form["properties"].values():  # a form has no null: what is not wanted is left out
            kinds = [kind for kind in field.get("anyOf", []) if kind.get("type") != "null"]
            if len(kinds) == 1:
                del field["anyOf"]
                field.update(kinds[0])
            elif kinds:
                field["anyOf"] = kinds
            if field.get("default", "") is None:
                del field["default"]
    return found


def definitions(*kinds: type[BaseModel]) -> dict[str, dict]:
    """The JSON schemas of these models and of all they are made of."""
    wanted = [(kind, "validation") for kind in kinds]
    return models_json_schema(wanted, ref_template="#/components/schemas/{model}")[1]["$defs"]
