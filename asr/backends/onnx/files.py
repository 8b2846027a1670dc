"""From a model's name to a directory that holds all of it, in the precision that suits."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatch
from pathlib import Path
from typing import get_args

from onnx_asr.loader import AsrNames, AsrTypeNames, create_asr_resolver
from onnx_asr.resolver import model_repos

from asr import hub
from asr.errors import BackendUnavailable, UnknownModel

NAMES, KINDS = get_args(AsrNames), get_args(AsrTypeNames)
ALSO = {  # models that the library knows by their repositories only
    "canary-1b-flash": "istupakov/canary-1b-flash-onnx",
    "canary-180m-flash": "istupakov/canary-180m-flash-onnx",
}
PRECISION = {None: "float32", "int8": "int8", "fp16": "float16"}

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    kind: str  # what the library calls such a model
    folder: Path
    precision: str | None  # the suffix of the files taken; None for float32
    non_commercial: bool = False


def find(model: str, precisions: Sequence[str | None]) -> Found:
    """Where `model` is: a name, a hub repository or a directory; the first of `precisions` there is.

    What is in the hub's cache is taken before anything is downloaded. Raises UnknownModel when there
    is no such model, BackendUnavailable when it cannot be had now or is not whole.
    """
    if folder := hub.local(model):
        return _local(folder, precisions)
    name = next((n for n in (model, f"nemo-{model}") if n in NAMES), None)
    repository = model_repos.get(name) or ALSO.get(model) or model
    if "/" not in repository:
        known = [*(n.removeprefix("nemo-") for n in NAMES), *ALSO]
        near = get_close_matches(model, known, 1)
        raise UnknownModel(
            f"There is no ONNX model {model!r}." if model else "No ONNX model was named.",
            f"Did you mean onnx:{near[0]}?" if near else f"There are: {', '.join(known)}.",
        )
    with hub.in_plain_words(repository, "onnx"):
        return _from_hub(name, repository, precisions)


def _local(folder: Path, precisions: Sequence[str | None]) -> Found:
    kind = _kind(folder / "config.json")
    for precision in precisions:
        if not lacking(folder, kind, precision):
            # The first Canary, and no other of NVIDIA's models here; there is no export of it on the hub.
            return Found(kind, folder, precision, folder.name.lower() in ("canary-1b", "canary-1b-onnx"))
    lacks = " and ".join(lacking(folder, kind, precisions[0]))
    raise BackendUnavailable(
        f"The model in {folder} is not whole, it lacks {lacks}.", "Copy or export it again."
    )


def _from_hub(name: str | None, repository: str, precisions: Sequence[str | None]) -> Found:
    kind = name or _kind(_config(repository))
    for precision in precisions:
        folder = hub.cached(repository, _patterns(kind, precision))
        if folder and not lacking(folder, kind, precision):
            return Found(kind, folder, precision)
    names = hub.offered(repository)
    for precision in precisions:
        needed = _files(kind, precision)
        if all(any(_named(name, pattern) for name in names) for pattern in needed):
            log.info("Downloading %s (%s) from the model hub.", repository, PRECISION[precision])
            folder = hub.download(repository, _patterns(kind, precision))
            if lacks := lacking(folder, kind, precision):
                raise BackendUnavailable(f"{repository} came without {' and '.join(lacks)}.", "Try again.")
            return Found(kind, folder, precision)
    asked = " or ".join(PRECISION[p] for p in precisions)
    raise UnknownModel(
        f"{repository} on the model hub has no {kind} model in {asked}.",
        "Name another precision (cpu/float32) or another repository.",
    )


def lacking(folder: Path, kind: str, precision: str | None) -> list[str]:
    """The files that `folder` lacks; large models keep their weights in a second file beside the first."""
    lacks = []
    for pattern in _files(kind, precision):
        there = [path for path in folder.glob(pattern) if path.is_file()]
        if not there:
            lacks.append(pattern.replace("?", "."))
        for path in there:
            beside = path.with_name(f"{path.name}.data")
            if path.suffix == ".onnx" and not beside.is_file() and beside.name.encode() in path.read_bytes():
                lacks.append(beside.name)
    return lacks


def _kind(config: Path) -> str:
    """What kind of model a config.json says this is."""
    try:
        kind = json.loads(config.read_text(encoding="utf-8")).get("model_type")
    except (OSError, ValueError, AttributeError):
        kind = None
    if kind in KINDS:
        return kind
    raise UnknownModel(
        f"No model that onnx-asr knows is in {config.parent}: its config.json should say which kind it is.",
        'For a Parakeet exported from NeMo write {"model_type": "nemo-conformer-tdt", "features_size": 80} '
        "there (128 for the 0.6b-v2 and -v3; nemo-conformer-aed for Canary).",
    )


def _config(repository: str) -> Path:
    cached = hub.cached(repository, ["config.json"])
    if cached and (cached / "config.json").is_file():
        return cached / "config.json"
    if "config.json" not in hub.offered(repository):
        raise UnknownModel(
            f"{repository} on the model hub is not made for onnx-asr: it has no config.json.",
            "Choose one that is, for example istupakov/parakeet-tdt-0.6b-v3-onnx.",
        )
    return hub.download(repository, ["config.json"]) / "config.json"


def _files(kind: str, precision: str | None) -> list[str]:
    """Patterns of the files that the library opens; any folder that exists does to ask it."""
    return [*create_asr_resolver(kind, Path()).model_type._get_model_files(precision).values()]


def _patterns(kind: str, precision: str | None) -> list[str]:
    files = _files(kind, precision)
    files += [file.removeprefix("**/") for file in files]
    return ["config.json", *files, *(f"{file}?data" for file in files if file.endswith(".onnx"))]


def _named(name: str, pattern: str) -> bool:
    return fnmatch(name, pattern) or fnmatch(name, pattern.removeprefix("**/"))
