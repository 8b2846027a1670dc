"""Whisper's sizes for who has only a small one: how fast a model is, without its weights.

`stretched` makes a Whisper of base's shape, say, that writes exactly what a small one writes: its
vectors are the small one's, several times over. A layer norm does not see a repeated vector, heads
and rows are repeated, columns share the sum; further layers compute but add nothing, further
tokens are never likely. So a benchmark pays a real model's price and hears real text.
"""

from __future__ import annotations

import json
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from shutil import copy
from typing import BinaryIO

import numpy as np
from ctranslate2.specs import WhisperSpec

from asr.errors import UnknownModel

VOCABULARY = 51_865
NEVER = -1.0  # a further token's weight on each of the dimensions that are always 1
TYPES = [np.float32, np.int8, np.int16, np.int32, np.float16]  # by their numbers in CTranslate2's files
ASIDE = ("num_heads", "activation", "alibi", "alignment_heads", "alignment_layer")
SIDES = ("encoder", "decoder")
ADDS = re.compile("(self_attention/linear_1|/attention/linear_2|ffn/linear_1)/")  # to what a layer was given


@dataclass(frozen=True, slots=True)
class Shape:
    width: int
    encoder_layers: int
    decoder_layers: int


# large-v3's 128 mels are left at 80: they cost its first convolution alone.
SHAPES = {
    "tiny": Shape(384, 4, 4),
    "base": Shape(512, 6, 6),
    "small": Shape(768, 12, 12),
    "medium": Shape(1024, 24, 24),
    "large-v3": Shape(1280, 32, 32),
    "large-v3-turbo": Shape(1280, 32, 4),
    "distil-large-v3.5": Shape(1280, 32, 2),
}


def stretched(folder: Path, name: str, into: Path, shapes: dict[str, Shape] = SHAPES) -> Path:
    """Write a Whisper of the shape `name` into `into`, out of the small one in `folder`; int8.

    Both are directories in CTranslate2's format. Raises UnknownModel for a shape that there is not,
    or that is smaller than the model, or no multiple of its width.
    """
    if name not in shapes:
        raise UnknownModel(f"There is no Whisper of the shape {name!r}.", f"There are: {', '.join(shapes)}.")
    small, shape = _weights(folder / "model.bin"), shapes[name]
    width = small["encoder/layer_norm/gamma"].shape[0]
    layers = [sum(f"{side}/layer_{i}/ffn/layer_norm/beta" in small for i in range(99)) for side in SIDES]
    fewer = layers[0] > shape.encoder_layers or layers[1] > shape.decoder_layers
    if shape.width % width or shape.width < 2 * width or fewer:
        raise UnknownModel(
            f"{folder.name} cannot be stretched to the shape {name!r}.",
            "Take a model of half its width or less, with fewer layers.",
        )
    heads = shape.width // width * int(small["encoder/num_heads"])
    spec = WhisperSpec(shape.encoder_layers, heads, shape.decoder_layers, heads)
    stretch = _Stretch(small, shape.width // width)
    for variable in _names(small, shape):
        _put(spec, variable, stretch(variable))
    _describe(spec, folder)
    spec.validate()
    spec.optimize(quantization="int8")
    into.mkdir(parents=True, exist_ok=True)
    spec.save(str(into))
    copy(folder / "tokenizer.json", into)
    return into


class _Stretch:
    """A variable of the big model, out of the small one's."""

    def __init__(self, small: dict[str, np.ndarray], copies: int):
        self.small, self.copies = small, copies
        self.random = np.random.default_rng(0)

    def __call__(self, name: str) -> np.ndarray:
        if name == "decoder/projection/weight":
            return self._projection()
        if name in self.small:
            return self._repeated(name, self.small[name])
        first = re.sub(r"layer_\d+", "layer_0", name)  # a layer that is too many
        shape = self._repeated(first, self.small[first]).shape
        return np.zeros(shape, np.float32) if ADDS.search(name) else self._noise(*shape)

    def _repeated(self, name: str, values: np.ndarray) -> np.ndarray:
        copies = self.copies
        if name == "decoder/layer_norm/gamma":  # the last copy becomes a row of ones
            return np.r_[np.tile(values, copies - 1), np.zeros_like(values)]
        if name == "decoder/layer_norm/beta":
            return np.r_[np.tile(values, copies - 1), np.ones_like(values)]
        if name == "decoder/embeddings/weight":
            known = np.tile(values, (1, copies))
            return np.concatenate([known, self._noise(VOCABULARY - len(known), known.shape[1])])
        if "encodings" in name:
            return np.tile(values, (1, copies))
        parts = np.split(values, _parts(name))  # queries, keys and values stand one after the other
        if values.ndim == 1:
            return np.concatenate([np.tile(part, copies) for part in parts])
        if name == "encoder/conv1/weight":
            return np.tile(values, (copies, 1, 1))
        more = (copies, copies) + (1,) * (values.ndim - 2)
        return np.concatenate([np.tile(part, more) for part in parts]) / np.float32(copies)

    def _projection(self) -> np.ndarray:
        """Scores of tokens: the known ones do not look at the row of ones, the others at nothing else."""
        values, copies = self.small["decoder/embeddings/weight"], self.copies
        known = np.tile(values, (1, copies)) / np.float32(copies - 1)
        known[:, -values.shape[1] :] = 0
        further = np.zeros((VOCABULARY - len(known), known.shape[1]), np.float32)
        further[:, -values.shape[1] :] = NEVER
        return np.concatenate([known, further])

    def _noise(self, *shape: int) -> np.ndarray:
        return self.random.standard_normal(shape, np.float32) * np.float32(0.02)


def _parts(name: str) -> int:
    if "self_attention/linear_0" in name:
        return 3
    return 2 if "/attention/linear_1" in name else 1


def _names(small: dict[str, np.ndarray], shape: Shape) -> list[str]:
    """What the big model has to be given."""
    plain = [n for n in small if not n.endswith(ASIDE) and "_scale" not in n and "/scale_" not in n]
    plain = [n for n in plain if not n.endswith(("pre_norm", "start_from_zero_embedding", "_positions"))]
    names = [n for n in plain if "/layer_0/" not in n and not re.search(r"/layer_\d", n)]
    for side, count in zip(SIDES, (shape.encoder_layers, shape.decoder_layers), strict=True):
        first = [n for n in plain if n.startswith(f"{side}/layer_0/")]
        names += [n.replace("layer_0/", f"layer_{i}/", 1) for i in range(count) for n in first]
    return [*names, "decoder/projection/weight"]


def _put(spec: WhisperSpec, name: str, values: np.ndarray) -> None:
    *path, last = name.split("/")
    part = spec
    for step in path:
        listed = re.fullmatch(r"(layer|linear)_(\d+)", step)
        part = getattr(part, step) if hasattr(part, step) else getattr(part, listed[1])[int(listed[2])]
    setattr(part, last, np.ascontiguousarray(values, np.float32))


def _describe(spec: WhisperSpec, folder: Path) -> None:
    tokens = json.loads((folder / "vocabulary.json").read_text("utf-8"))
    spec.register_vocabulary(tokens + [f"<further {i}>" for i in range(VOCABULARY - len(tokens))])
    for name, value in json.loads((folder / "config.json").read_text("utf-8")).items():
        setattr(spec.config, name, value)


def _weights(file: Path) -> dict[str, np.ndarray]:
    """What a model.bin of CTranslate2 holds, in float32."""
    with open(file, "rb") as f:
        _number(f, "I")  # the format's version
        _string(f), _number(f, "I")
        raw = dict(_variable(f) for _ in range(_number(f, "I")))
    scaled = {n: v for n, v in raw.items() if f"{n}_scale" in raw}
    for name, values in scaled.items():
        scale = raw[f"{name}_scale"]
        raw[name] = values.astype(np.float32) / scale.reshape(-1, *[1] * (values.ndim - 1))
    return raw


def _variable(f: BinaryIO) -> tuple[str, np.ndarray]:
    name = _string(f)
    shape = [_number(f, "I") for _ in range(_number(f, "B"))]
    kind = TYPES[_number(f, "B")]
    return name, np.frombuffer(f.read(_number(f, "I")), kind).reshape(shape)


def _number(f: BinaryIO, kind: str) -> int:
    return struct.unpack(f"<{kind}", f.read(struct.calcsize(kind)))[0]


def _string(f: BinaryIO) -> str:
    return f.read(_number(f, "H"))[:-1].decode()
