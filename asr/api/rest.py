"""The HTTP API: OpenAI's audio endpoints, the list of models, health and metrics.

    POST /v1/audio/transcriptions    POST /v1/audio/translations
    GET  /v1/models                  GET  /v1/models/{id}       GET /v1/docs, /v1/openapi.json
    GET  /healthz, /healthz/ready    GET  /metrics

A request is let in by its key, gets a place, sends its form (bounded while it comes in), waits
for its turn, and is recognised segment by segment, so that a client that hangs up stops the work.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager

import anyio
from fastapi import APIRouter, Request
from fastapi.responses import Response

from asr.api import answers, chunking, openapi, pcm, schema, speakers, upload
from asr.api.errors import Refused
from asr.api.events import Stream, told
from asr.api.limits import unless_gone
from asr.api.server import Server
from asr.audio import Limits, Recording, decode
from asr.backends import Backend, check
from asr.errors import AudioError, TooLarge, Unsupported
from asr.held import held
from asr.pipeline import transcribe
from asr.types import Options, Segment, Task, Transcript

_WIRE = {  # field of Options -> the parameter that a client would have to leave out
    "language": "language",
    "prompt": "prompt",
    "hotwords": "keywords[]",
    "temperature": "temperature",
    "word_timestamps": "timestamp_granularities[]",
    "task": None,
}


_BY_WORDS = ("srt", "vtt", "diarized_json")


def router(server: Server) -> APIRouter:
    """The routes below /v1."""
    routes = APIRouter()

    @routes.post("/audio/transcriptions", **openapi.documented(schema.Transcription), tags=["Audio"])
    async def transcriptions(request: Request) -> Response:
        """Text of a recording, in the language that is spoken."""
        return await _serve(server, request, schema.Transcription, "transcribe")

    @routes.post("/audio/translations", **openapi.documented(schema.Translation), tags=["Audio"])
    async def translations(request: Request) -> Response:
        """English text of a recording in another language."""
        return await _serve(server, request, schema.Translation, "translate")

    @routes.get("/models", tags=["Models"], responses={401: openapi.PROBLEMS[401]})
    def models() -> openapi.Models:
        """The models a client may name. OpenAI's names work too; they mean the first one."""
        return openapi.Models(data=[_model(server, spec) for spec in server.names.listed()])

    @routes.get("/models/{id:path}", tags=["Models"], responses={s: openapi.PROBLEMS[s] for s in (401, 404)})
    def model(id: str) -> openapi.Model:
        """One model, by its own name or one of OpenAI's."""
        server.names.spec(id)
        return _model(server, id)

    return routes


async def _serve(server: Server, request: Request, kind: type[schema.Translation], task: Task) -> Response:
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(server.places.place())
        form = await upload.receive(request, server.config.max_upload_mb * 2**20, kind.model_fields)
        stack.callback(form.close)
        server.metrics.uploaded.inc(form.size)
        ask = schema.parse(kind, form.fields)
        if form.file is None:
            raise Refused(
                "Missing required parameter: 'file'.", param="file", code="missing_required_parameter"
            )
        known = await unless_gone(request, speakers.known(server, ask, form.file))
        opening = stack.enter_async_context(recognising(server, ask, form, task))
        recording, segments = await unless_gone(request, opening)
        if isinstance(ask, schema.Transcription) and ask.stream:
            return Stream(told(server, ask, recording, segments, known), stack.pop_all())
        heard = await unless_gone(request, collected(segments))
        if ask.response_format == "diarized_json":
            heard = await unless_gone(request, speakers.told_apart(server, recording, heard, known))
        text, media = answers.body(ask, Transcript(heard, recording.duration, task))
        return Response(text.encode("utf-8", "replace"), media_type=media)


@asynccontextmanager
async def recognising(server: Server, ask: schema.Translation, form: upload.Form, task: Task):
    """The decoded recording and its segments as they are recognised, when it is this request's turn."""
    backend = await server.names.backend(ask.model)
    options = options_for(ask, backend, task)
    limits = Limits.of(server.config)
    async with server.places.turn_for(form.size):
        with held(backend), await anyio.to_thread.run_sync(_decoded, form, limits) as recording:
            shared = server.schedulers.get(backend).files  # live speech goes before recordings
            vad = chunking.detector(server.vad, getattr(ask, "chunking_strategy", None))
            segments = transcribe(recording, shared, options, vad=vad)
            async with aclosing(_timed(server, recording, segments)) as heard:
                yield recording, heard


def _decoded(form: upload.Form, limits: Limits) -> Recording:
    if not pcm.bare(form.media):
        return decode(form.file, limits, None, _still_wanted)
    recording = Recording(form.file)
    if not 0 < recording.duration <= limits.seconds:
        recording.close()
        if not recording.duration:
            raise AudioError("The file is empty.", "Send the samples.")
        raise TooLarge(f"The audio is longer than the {limits.seconds / 3600:.3g} hours allowed here.")
    return recording


def _still_wanted(_: float) -> None:
    """Asked while decoding, in its thread: raises when the client has gone."""
    anyio.from_thread.check_cancelled()


async def _timed(server: Server, recording: Recording, segments: Iterator[Segment]) -> AsyncIterator[Segment]:
    """The segments, each recognised in a thread; closing this stops the recognising."""
    begun = time.monotonic()
    try:
        while (segment := await anyio.to_thread.run_sync(next, segments, None)) is not None:
            yield segment
        server.metrics.audio.labels("rest").inc(recording.duration)
    finally:
        server.metrics.work.inc(time.monotonic() - begun)
        with anyio.CancelScope(shield=True):  # the thread must have stopped before the audio goes
            await anyio.to_thread.run_sync(segments.close)


async def collected(segments: AsyncIterator[Segment]) -> tuple[Segment, ...]:
    return tuple([segment async for segment in segments])


def options_for(ask: schema.Translation, backend: Backend, task: Task) -> Options:
    """What the request means to an engine. Raises Refused, naming the parameter the engine cannot serve."""
    words = answers.wants_words(ask)
    options = Options(
        language=schema.language_of(getattr(ask, "language", None), getattr(ask, "languages", [])),
        task=task,
        prompt=ask.prompt,
        hotwords=", ".join(filter(None, getattr(ask, "keywords", []))) or None,
        # Subtitles are cut better by words, and speakers told better, where the engine has them.
        word_timestamps=words or (ask.response_format in _BY_WORDS and "words" in backend.can),
        # To OpenAI 0 means what None means here: hotter only where scores fail.
        temperature=ask.temperature or None,
    )
    for name, param in _WIRE.items():
        try:
            check(backend, Options(**{name: getattr(options, name)}))
        except Unsupported as e:
            raise Refused(e.what, e.fix, param=param, code="unsupported_value") from e
    return options


def _model(server: Server, id: str) -> openapi.Model:
    owner = id.partition(":")[0] if ":" in id else "parlance"
    return openapi.Model(id=id, created=server.started, owned_by=owner, window=server.names.window(id))
