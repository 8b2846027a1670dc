"""From a model's name to a directory that holds all of it: local, cached, or downloaded."""

from __future__ import annotations

import logging
from difflib import get_close_matches
from pathlib import Path

from faster_whisper.utils import _MODELS as REPOSITORIES  # short name -> hub repository

from asr import hub
from asr.errors import BackendUnavailable, UnknownModel

FILES = ("config.json", "preprocessor_config.json", "model.bin", "tokenizer.json", "vocabulary.*")
PATIENCE = hub.PATIENCE

log = logging.getLogger(__name__)


def find(model: str) -> Path:
    """The directory of `model`: a name faster-whisper knows, a hub repository or a directory.

    Downloads it if need be. Raises UnknownModel when there is no such model, BackendUnavailable
    when it cannot be had now or is not whole.
    """
    if folder := hub.local(model):
        return _whole(folder)
    if "/" in model:
        return _from_hub(model)
    if model in REPOSITORIES:
        return _from_hub(REPOSITORIES[model])
    near = get_close_matches(model, REPOSITORIES, 1)
    raise UnknownModel(
        f"There is no Whisper model {model!r}." if model else "No Whisper model was named.",
        f"Did you mean faster_whisper:{near[0]}?" if near else f"There are: {', '.join(REPOSITORIES)}.",
    )


def missing(folder: Path) -> list[str]:
    """The files that `folder` lacks to be a whole CTranslate2 model."""
    needed = ["config.json", "model.bin", "tokenizer.json"]
    lacks = [name for name in needed if not (folder / name).is_file()]
    return lacks if any(folder.glob("vocabulary.*")) else [*lacks, "vocabulary.json"]


def _whole(folder: Path) -> Path:
    lacks = missing(folder)
    if not lacks:
        return folder
    if any(folder.glob("*.safetensors")) or any(folder.glob("pytorch_model*.bin")):
        raise BackendUnavailable(
            f"{folder} holds a Transformers model, not a CTranslate2 one.",
            f"Convert it: ct2-transformers-converter --model {folder} --output_dir NEW "
            "--copy_files tokenizer.json preprocessor_config.json",
        )
    raise BackendUnavailable(
        f"The model in {folder} is not whole, it lacks {' and '.join(lacks)}.", "Copy or download it again."
    )


def _from_hub(repository: str) -> Path:
    with hub.in_plain_words(repository, "faster_whisper"):
        cached = hub.cached(repository, FILES)
        if cached and not missing(cached):
            return cached
        if "model.bin" not in hub.offered(repository, PATIENCE):
            raise UnknownModel(
                f"{repository} on the model hub is not in CTranslate2 format: it has no model.bin.",
                "Choose one that is, for example Systran/faster-whisper-small.",
            )
        log.info("Downloading %s from the model hub.", repository)
        return _whole(hub.download(repository, FILES))
