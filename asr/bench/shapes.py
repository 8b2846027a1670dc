"""Whisper's sizes with random weights: how fast a model is, without having it.

Speed does not depend on the weights once the number of tokens is fixed. `Burdened` answers like a
small real model and does, for every call, the work a bigger one would: encode the same windows,
write as many tokens, align them. Its own small model's time comes on top, so figures err on the slow side.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import ctranslate2
import numpy as np

from asr.backends import Batching
from asr.backends.faster_whisper.device import cores, place_of
from asr.backends.faster_whisper.features import FRAMES, room
from asr.errors import UnknownModel
from asr.types import Options, Segment

VOCABULARY, CONTEXT, HOP = 51_865, 448, 160
END, START, ENGLISH, TRANSCRIBE = 50_257, 50_258, 50_259, 50_359  # tokens of the multilingual models
NAMES = {
    END: "<|endoftext|>",
    START: "<|startoftranscript|>",
    ENGLISH: "<|en|>",
    TRANSCRIBE: "<|transcribe|>",
    50_362: "<|nospeech|>",
    50_363: "<|notimestamps|>",
}
TOKENS_PER_WORD, MARKS = 1.4, 3  # of English text; timestamps and end


@dataclass(frozen=True, slots=True)
class Shape:
    width: int
    encoder_layers: int
    decoder_layers: int
    mels: int = 80

    @property
    def heads(self) -> int:
        return self.width // 64


SHAPES = {
    "tiny": Shape(384, 4, 4),
    "base": Shape(512, 6, 6),
    "small": Shape(768, 12, 12),
    "medium": Shape(1024, 24, 24),
    "large-v3": Shape(1280, 32, 32, 128),
    "large-v3-turbo": Shape(1280, 32, 4, 128),
}


class Burdened:
    """`backend`'s answers at the price of a Whisper of that shape."""

    def __init__(self, backend: Batching, shape: str, device: str = "auto"):
        if shape not in SHAPES:
            raise UnknownModel(
                f"There is no Whisper of the shape {shape!r}.", f"There are: {', '.join(SHAPES)}."
            )
        self.spec, self.can, self.languages = f"{backend.spec} as {shape}", backend.can, backend.languages
        self.batch_size, self._backend, self._mels = backend.batch_size, backend, SHAPES[shape].mels
        with tempfile.TemporaryDirectory() as folder:
            _spec(SHAPES[shape]).save(folder)
            place, compute = place_of(device, (Path(folder) / "model.bin").stat().st_size)
            self._model = ctranslate2.models.Whisper(
                folder, device=place, compute_type=compute, intra_threads=cores()
            )
        self.device = place

    def prepare(self, audio: np.ndarray) -> np.ndarray:
        return self._backend.prepare(audio)

    def transcribe(self, audio: np.ndarray, options: Options) -> Iterator[Segment]:
        for segment in self._backend.transcribe(audio, options):
            self._work([[segment]], [options], FRAMES)
            yield segment

    def transcribe_batch(
        self, windows: Sequence[np.ndarray], options: Sequence[Options]
    ) -> list[list[Segment]]:
        lengths = [w.shape[1] if w.ndim == 2 else len(w) // HOP for w in windows]
        answers = self._backend.transcribe_batch(windows, options)
        frames = room([np.empty((0, n)) for n in lengths], options[0].encoder_seconds)
        self._work(answers, options, frames)
        return answers

    def _work(self, answers: Sequence[Sequence[Segment]], options: Sequence[Options], frames: int) -> None:
        silence = np.zeros((len(answers), self._mels, frames), np.float32)
        encoded = self._model.encode(ctranslate2.StorageView.from_array(silence))
        words = max(sum(len(s.text.split()) for s in answer) for answer in answers)
        tokens = round(TOKENS_PER_WORD * words) + MARKS
        start = [START, ENGLISH, TRANSCRIBE]
        written = self._model.generate(
            encoded, [start] * len(answers), beam_size=1, max_length=2 * tokens, suppress_tokens=[END]
        )
        if any(o.word_timestamps for o in options):
            self._model.align(encoded, start, [w.sequences_ids[0][:tokens] for w in written], frames)


def _spec(shape: Shape) -> ctranslate2.specs.WhisperSpec:
    spec = ctranslate2.specs.WhisperSpec(shape.encoder_layers, shape.heads, shape.decoder_layers, shape.heads)
    random, width = np.random.default_rng(0), shape.width

    def weights(*size: int) -> np.ndarray:
        return random.standard_normal(size, np.float32) * np.float32(0.02)

    def linear(part, out: int, into: int = width) -> None:
        part.weight, part.bias = weights(out, into), np.zeros(out, np.float32)

    def norm(part) -> None:
        part.gamma, part.beta = np.ones(width, np.float32), np.zeros(width, np.float32)

    def attention(part, *outs: int) -> None:
        norm(part.layer_norm)
        for layer, out in zip(part.linear, outs, strict=True):
            linear(layer, out)

    for conv, into in ((spec.encoder.conv1, shape.mels), (spec.encoder.conv2, width)):
        conv.weight, conv.bias = weights(width, into, 3), np.zeros(width, np.float32)
    spec.encoder.position_encodings.encodings = weights(FRAMES // 2, width)
    spec.decoder.position_encodings.encodings = weights(CONTEXT, width)
    spec.decoder.embeddings.weight = weights(VOCABULARY, width)
    linear(spec.decoder.projection, VOCABULARY)
    for part in (spec.encoder, spec.decoder):
        norm(part.layer_norm)
        for layer in part.layer:
            attention(layer.self_attention, 3 * width, width)
            if part is spec.decoder:
                attention(layer.attention, width, 2 * width, width)
            norm(layer.ffn.layer_norm)
            linear(layer.ffn.linear_0, 4 * width)
            linear(layer.ffn.linear_1, width, 4 * width)
    spec.register_vocabulary([NAMES.get(i, f"<{i}>") for i in range(VOCABULARY)])
    spec.config.suppress_ids, spec.config.suppress_ids_begin = [END], []
    spec.config.lang_ids = [ENGLISH]
    half = range(shape.decoder_layers // 2, shape.decoder_layers)
    spec.config.alignment_heads = list(itertools.product(half, range(shape.heads)))[:10]
    spec.validate()
    return spec
