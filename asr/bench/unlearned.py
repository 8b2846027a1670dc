"""Whispers of the real sizes that have learned nothing: random weights, the same arithmetic, no download."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ctranslate2.specs import WhisperSpec, model_spec

from asr.bench.shapes import SHAPES, Shape
from asr.errors import UnknownModel

VOCABULARY, CONTEXT, FRAMES = 51_866, 448, 1500  # large-v3's; frames: of an encoded window
END, START, ENGLISH, TRANSCRIBE, UNTIMED = 50_257, 50_258, 50_259, 50_360, 50_364
PROMPT = [START, ENGLISH, TRANSCRIBE, UNTIMED]
SPECIAL = {END: "<|endoftext|>", START: "<|startoftranscript|>", ENGLISH: "<|en|>", 50_359: "<|translate|>",
           TRANSCRIBE: "<|transcribe|>", 50_361: "<|startoflm|>", 50_362: "<|startofprev|>",
           50_363: "<|nospeech|>", UNTIMED: "<|notimestamps|>"}  # fmt: skip
HEAD = 64  # of every Whisper


def mels(name: str) -> int:
    return 128 if "large-v3" in name else 80


def unlearned(name: str, into: Path, quantization: str | None = "float16") -> Path:
    """Write a Whisper of the shape `name` in CTranslate2's format into `into`.

    Raises UnknownModel for a shape that there is not.
    """
    if name not in SHAPES:
        raise UnknownModel(f"There is no Whisper of the shape {name!r}.", f"There are: {', '.join(SHAPES)}.")
    shape, heads = SHAPES[name], SHAPES[name].width // HEAD
    spec = WhisperSpec(shape.encoder_layers, heads, shape.decoder_layers, heads)
    noise = np.random.default_rng(0).standard_normal(2**20, np.float32) * np.float32(0.02)

    def fill(part, variable: str, value) -> None:
        last = variable.rsplit("/", 1)[-1]
        if value is None or last in ("bias", "encodings"):
            setattr(part, last, _values(variable, shape, mels(name), noise))

    model_spec.visit_spec(spec, fill)
    spec.register_vocabulary([SPECIAL.get(i, f"<{i}>") for i in range(VOCABULARY)])
    for setting in ("suppress_ids", "suppress_ids_begin", "lang_ids", "alignment_heads"):
        setattr(spec.config, setting, [])
    spec.config.lang_ids = [ENGLISH]
    spec.validate()
    spec.optimize(quantization=quantization)
    into.mkdir(parents=True, exist_ok=True)
    spec.save(str(into))
    return into


def _values(variable: str, shape: Shape, channels: int, noise: np.ndarray) -> np.ndarray:
    size = _size(variable, shape.width, channels)
    if variable.endswith("gamma"):
        return np.ones(size, np.float32)
    if variable.endswith(("beta", "bias")):
        return np.zeros(size, np.float32)
    return np.resize(noise, size)


def _size(variable: str, width: int, channels: int) -> tuple[int, ...]:
    """Of a variable, by where it stands in the model."""
    place, last = variable.split("/")[-2:]
    if last == "encodings":
        return (FRAMES if variable.startswith("encoder") else CONTEXT, width)
    if place == "embeddings" or place == "projection":
        return (VOCABULARY,) if last == "bias" else (VOCABULARY, width)
    rows = width
    if "ffn/linear_0" in variable:
        rows = 4 * width
    elif "self_attention/linear_0" in variable:
        rows = 3 * width
    elif "/attention/linear_1" in variable:
        rows = 2 * width
    if last != "weight":
        return (rows,)
    columns = {"conv1": (channels, 3), "conv2": (width, 3)}
    return (rows, *columns.get(place, (4 * width if "ffn/linear_1" in variable else width,)))
