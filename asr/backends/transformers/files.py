"""From a Whisper's name to a directory that holds all of it, as transformers keeps models."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from asr import hub
from asr.errors import BackendUnavailable, UnknownModel

WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")  # the best first
SHARDS = "model-0*.safetensors"
BESIDES = (
    *("config.json", "generation_config.json", "preprocessor_config.json"),
    *("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt", "normalizer.json"),
    *("added_tokens.json", "special_tokens_map.json"),
)

log = logging.getLogger(__name__)


def find(model: str) -> Path:
    """The directory of `model`: a directory, or a repository of the hub, which is downloaded if need be.

    Raises UnknownModel where there is no such Whisper, BackendUnavailable where it cannot be had now or
    is not whole.
    """
    if folder := hub.local(model):
        return _whole(folder)
    if "/" not in model:
        raise UnknownModel(
            f"There is no repository {model!r} on the model hub.",
            f"Write its owner as well: transformers:openai/{model or 'whisper-small'}.",
        )
    with hub.in_plain_words(model, "transformers"):
        cached = hub.cached(model, BESIDES)
        if cached and not lacking(cached):
            return _whole(cached)
        names = hub.offered(model)
        weights = next((name for name in WEIGHTS if name in names), None)
        if weights is None or "config.json" not in names:
            raise UnknownModel(
                f"{model} on the model hub is not made for transformers: no weights, or no config.json.",
                "Choose one that is, for example openai/whisper-small.",
            )
        log.info("Downloading %s from the model hub.", model)
        return _whole(hub.download(model, [*BESIDES, weights, *([SHARDS] if "index" in weights else [])]))


def lacking(folder: Path) -> list[str]:
    """The files that `folder` lacks."""
    lacks = [] if (folder / "config.json").is_file() else ["config.json"]
    if not any((folder / name).is_file() for name in ("tokenizer.json", "vocab.json")):
        lacks.append("tokenizer.json")
    index = folder / "model.safetensors.index.json"
    if (folder / WEIGHTS[0]).is_file() or (folder / WEIGHTS[2]).is_file():
        return lacks
    if not index.is_file():
        return [*lacks, WEIGHTS[0]]
    shards = sorted(set(json.loads(index.read_text())["weight_map"].values()))
    return lacks + [name for name in shards if not (folder / name).is_file()]


def _whole(folder: Path) -> Path:
    if lacks := lacking(folder):
        raise BackendUnavailable(
            f"The model in {folder} is not whole, it lacks {' and '.join(lacks)}.",
            "Copy or download it again.",
        )
    try:
        kind = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
    except (ValueError, AttributeError):
        kind = None
    if kind != "whisper":
        raise UnknownModel(
            f"The model in {folder} is no Whisper but {kind or 'something unknown'}.",
            "transformers: is for Whisper; python -m asr models lists what else there is.",
        )
    return folder
