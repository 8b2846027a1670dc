"""Copies of our engine behind one address, with Ray Serve: one file, any number of GPUs or machines.

    uv venv serve && uv pip install --python serve/bin/python "ray[serve]==2.60.0" faster-whisper==1.2.1 \
        ctranslate2==4.8.5 av==18.1.0 numpy==2.4.6 onnxruntime==1.31.1 huggingface_hub==0.36.2 \
        python-multipart
    ASR_MODEL=small REPLICAS=2 serve/bin/serve run docs.serve:app
    curl -F file=@talk.mp3 -F language=en http://127.0.0.1:8000/v1/audio/transcriptions

An environment of its own, because Ray Serve wants Starlette 1 and Gradio 5 an older one. Requests that
meet at a replica share the engine's batches. The page uses it as any endpoint: ASR_ENDPOINT_URL.
There is no key and no limit here: keep it behind something that has both.
"""

import os
import sys
import tempfile

from fastapi import FastAPI, File, Form, HTTPException, UploadFile
from fastapi.concurrency import run_in_threadpool
from ray import serve

from asr.audio import Limits, decode
from asr.batch.filling import Hall
from asr.batch.together import together
from asr.config import Config
from asr.errors import ASRError
from asr.models import Models
from asr.types import Options

api = FastAPI()


@serve.deployment(
    num_replicas=int(os.environ.get("REPLICAS", 1)),
    max_ongoing_requests=32,
    ray_actor_options={"num_gpus": float(os.environ.get("GPUS", 0)), "num_cpus": 1},
)
@serve.ingress(api)
class Engine:
    def __init__(self):
        self.backend = Models(Config.from_env()).get()

    @api.post("/v1/audio/transcriptions")
    async def transcriptions(self, file: UploadFile = File(), language: str | None = Form(None)):  # noqa: B008
        with tempfile.TemporaryFile() as copy:  # Starlette closes its own when the request has been read
            while block := await file.read(1 << 20):
                copy.write(block)
            copy.seek(0)
            found = await self.hear((copy, language))
        if isinstance(found, Exception):
            raise HTTPException(getattr(found, "status", 500), str(found))
        return {
            "text": found.text,
            "language": found.language,
            "duration": found.duration,
            "pid": os.getpid(),
        }

    @serve.batch(max_batch_size=16, batch_wait_timeout_s=0.02)
    async def hear(self, asked: list) -> list:
        """Transcripts, or errors, of all requests that came together; those of one language share batches."""
        return await run_in_threadpool(self._hear, asked)

    def _hear(self, asked: list) -> list:
        found: dict[int, object] = {}
        for language in dict.fromkeys(language for _, language in asked):
            mine = [(i, self._opener(file)) for i, (file, wanted) in enumerate(asked) if wanted == language]
            try:
                for heard in together(mine, Hall(self.backend, Options(language))):
                    found[heard.key] = heard.error or heard.transcript
            except ASRError as e:
                found |= {i: e for i, _ in mine if i not in found}
        return [found[i] for i in range(len(asked))]

    def _opener(self, file):
        return lambda: decode(file, Limits(bytes=sys.maxsize, seconds=3600))


app = Engine.bind()
