"""From a language, or a model's name, to what whisperX can load: a torchaudio bundle or a directory."""

from __future__ import annotations

import urllib.request
from pathlib import Path
from types import ModuleType

from asr import hub, languages
from asr.errors import ASRError, BackendUnavailable, UnknownModel

PATIENCE = 5.0  # seconds that download.pytorch.org may take to answer
LOCAL = "A directory with a wav2vec2 model for it can be named with ASR_ALIGN_MODEL."


def find(language: str, model: str, whisperx: ModuleType) -> str | Path:
    """`model`, or whisperX's for the language; downloaded if need be.

    Raises UnknownModel where there is none, BackendUnavailable where it cannot be had now.
    """
    model = model or _usual(language, whisperx)
    path = Path(model).expanduser()
    if path.is_dir():
        return path
    if model in whisperx.torchaudio.pipelines.__all__:
        _reachable(model, whisperx)
        return model
    if model.count("/") != 1 or model.startswith((".", "/", "~")):
        raise UnknownModel(f"There is no alignment model {model}.", "Check ASR_ALIGN_MODEL.")
    try:
        return _from_hub(model)
    except ASRError as e:
        raise type(e)(e.what, f"{e.fix.partition(' Or copy')[0]} {LOCAL}") from e


def _usual(language: str, whisperx: ModuleType) -> str:
    for known in (whisperx.DEFAULT_ALIGN_MODELS_TORCH, whisperx.DEFAULT_ALIGN_MODELS_HF):
        if language in known:
            return known[language]
    name = (languages.name(language) or language).title()
    raise UnknownModel(f"There is no alignment model for {name}.", LOCAL)


def _from_hub(repository: str) -> Path:
    with hub.in_plain_words(repository, "align"):
        cached = hub.cached(repository, ["*.json", "*.safetensors", "pytorch_model*.bin"])
        if cached and (cached / "vocab.json").is_file() and _weights({p.name for p in cached.iterdir()}):
            return cached
        if not (weights := _weights(hub.offered(repository))):
            raise UnknownModel(f"{repository} on the hub has no weights for PyTorch.", "Choose another.")
        return hub.download(repository, ["*.json", *weights])


def _weights(names: set[str]) -> list[str]:
    """The files of the weights: those for safetensors if there are some."""
    safe = sorted(n for n in names if n.endswith(".safetensors"))
    return safe or sorted(n for n in names if n.startswith("pytorch_model") and n.endswith(".bin"))


def _reachable(bundle: str, whisperx: ModuleType) -> None:
    """Raise BackendUnavailable where a bundle would be downloaded and cannot: torch waits for ever."""
    file = whisperx.torchaudio.pipelines.__dict__[bundle]._path
    if (Path(whisperx.torch.hub.get_dir()) / "checkpoints" / file).is_file():
        return
    url = f"https://download.pytorch.org/torchaudio/models/{file}"
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=PATIENCE).close()
    except OSError as e:
        raise BackendUnavailable(
            f"The alignment model {bundle} is not here yet, and download.pytorch.org cannot be reached.",
            f"Check the network or the proxy. {LOCAL}",
        ) from e
