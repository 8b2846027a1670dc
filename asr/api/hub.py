"""Hugging Face's way to ask for the same thing: `POST /v1/models/{id}` with the audio as the body.

So that `huggingface_hub.InferenceClient` works unchanged, with this address as its model:

    InferenceClient("http://127.0.0.1:7860/v1/models/auto").automatic_speech_recognition("talk.mp3")

The form is that of the Hub's task automatic-speech-recognition: bare audio, or JSON with `inputs`
(the audio in Base64) and `parameters`; the answer has `text`, and `chunks` when asked for.
"""

from __future__ import annotations

import base64
import binascii
import json
from contextlib import AsyncExitStack
from io import BytesIO
from typing import Literal

import anyio
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from asr.api import schema, upload
from asr.api.errors import Refused, refusal
from asr.api.limits import unless_gone
from asr.api.openapi import PROBLEMS
from asr.api.rest import collected, recognising
from asr.api.server import Server
from asr.types import Segment

LONGEST = 64 * 2**20  # bytes of a JSON body, which has to be read into memory


class Generation(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    temperature: float | None = Field(None, ge=0, le=1)
    language: str | None = None
    task: Literal["transcribe", "translate"] = "transcribe"


class Parameters(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    return_timestamps: bool | Literal["word"] = False
    generation_parameters: Generation = Generation()


class Ask(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    inputs: str = Field(description="The recording in Base64.")
    parameters: Parameters = Parameters()


class Chunk(BaseModel):
    text: str
    timestamp: tuple[float, float]


class Answer(BaseModel):
    text: str
    chunks: list[Chunk] | None = None


def router(server: Server) -> APIRouter:
    routes = APIRouter()
    body = {
        "audio/*": {"schema": {"type": "string", "format": "binary"}},
        "application/json": {"schema": {"$ref": "#/components/schemas/Ask"}},
    }

    @routes.post(
        "/models/{id:path}",
        tags=["Models"],
        responses=PROBLEMS,
        response_model_exclude_none=True,
        openapi_extra={"requestBody": {"required": True, "content": body}},
    )
    async def infer(id: str, request: Request) -> Answer:
        """Text of a recording, asked as Hugging Face's InferenceClient asks."""
        await anyio.to_thread.run_sync(server.names.spec, id)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(server.places.place())
            form, asked = await _read(request, server.config.max_upload_mb * 2**20)
            stack.callback(form.close)
            server.metrics.uploaded.inc(form.size)
            ask = _as_openai(id, asked)
            opening = stack.enter_async_context(
                recognising(server, ask, form, asked.generation_parameters.task)
            )
            _, segments = await unless_gone(request, opening)
            heard = await unless_gone(request, collected(segments))
        return Answer(text="".join(s.text for s in heard).strip(), chunks=_chunks(heard, asked))

    return routes


async def _read(request: Request, most: int) -> tuple[upload.Form, Parameters]:
    if not request.headers.get("content-type", "").startswith("application/json"):
        return await upload.receive_raw(request, most), Parameters()
    form = await upload.receive_raw(request, min(most, LONGEST))
    try:
        ask = Ask.model_validate(json.loads(form.file.read()))
        data = base64.b64decode(ask.inputs, validate=True)
    except ValidationError as e:
        raise refusal(e, {}) from None
    except (binascii.Error, ValueError, RecursionError):
        raise Refused(
            "The body is no JSON with Base64 in 'inputs'.", param="inputs", code="invalid_value"
        ) from None
    finally:
        form.close()
    return upload.Form(file=BytesIO(data), size=len(data)), ask.parameters


def _as_openai(id: str, asked: Parameters) -> schema.Transcription:
    generation = asked.generation_parameters
    return schema.Transcription(
        model=id,
        language=generation.language,
        temperature=generation.temperature,
        response_format="verbose_json",
        timestamp_granularities=["word"] if asked.return_timestamps == "word" else [],
    )


def _chunks(heard: tuple[Segment, ...], asked: Parameters) -> list[Chunk] | None:
    if asked.return_timestamps == "word":
        return [Chunk(text=w.word, timestamp=(w.start, w.end)) for s in heard for w in s.words]
    if asked.return_timestamps:
        return [Chunk(text=s.text, timestamp=(s.start, s.end)) for s in heard]
    return None
