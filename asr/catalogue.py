"""The models that can be had: one card each, and whether it is on this disk already.

To add one, add a Card to CARDS. Any other hub repository or directory in an engine's format works
too: `faster_whisper:owner/name` (CTranslate2), `onnx:/a/directory`, `transformers:owner/name`.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from asr import languages
from asr.config import Config
from asr.errors import UnknownModel
from asr.languages import EUROPEAN

MB, GB = 10**6, 10**9
_V2 = frozenset(languages.NAMES) - {"yue"}  # Cantonese came with large-v3
_V3 = frozenset(languages.NAMES)
_EN, _FLASH = frozenset({"en"}), frozenset({"de", "en", "es", "fr"})
_FILES = ("config.json", "model.bin", "tokenizer.json", "vocabulary.json|vocabulary.txt")
# large-v3 and its children hear 128 mel bands; without this file faster-whisper takes 80 and fails.
_FILES_V3 = (*_FILES, "preprocessor_config.json")
_FILES_HF = (
    *("config.json", "generation_config.json", "preprocessor_config.json", "tokenizer.json"),
    "model.safetensors",
)


@dataclass(frozen=True, slots=True)
class Card:
    spec: str
    says: str  # what it is good for
    languages: frozenset[str]
    licence: str = "MIT"
    download: int = 0  # bytes; 0 where there is nothing to download
    repo: str = ""  # on the Hugging Face hub
    files: tuple[str, ...] = ()  # that a complete download has; "a|b" for one of two
    part: bool = False  # its repository holds much besides these files
    library: str = ""  # that must be importable
    setting: str = ""  # of Config, without which there is no such model
    also: tuple[str, ...] = ()  # other names people type


def _whisper(size: str, download: int, says: str, known=_V2, files=_FILES, **rest) -> Card:
    return Card(
        f"faster_whisper:{size}",
        says,
        known,
        download=download,
        files=files,
        library="faster_whisper",
        repo=rest.get("repo", f"Systran/faster-whisper-{size}"),
        also=(size, *rest.get("also", ())),
    )


def _onnx(name: str, download: int, says: str, known, repo: str) -> Card:
    """One of NVIDIA's models, in the int8 files that a CPU takes."""
    decoder = "decoder" if "canary" in name else "decoder_joint"
    files = ("config.json", "vocab.txt", "encoder-model.int8.onnx", f"{decoder}-model.int8.onnx")
    return Card(
        f"onnx:{name}",
        says,
        known,
        licence="CC-BY-4.0",
        download=download,
        repo=f"istupakov/{repo}-onnx",
        files=files,
        part=True,
        library="onnx_asr",
        also=(name,),
    )


def _transformers(repo: str, download: int, says: str, known=_V3, licence="Apache-2.0") -> Card:
    return Card(
        f"transformers:{repo}",
        says,
        known,
        licence=licence,
        download=download,
        repo=repo,
        files=_FILES_HF,
        part=True,
        library="transformers",
        also=(repo,),
    )


_TURBO, _DISTIL = "mobiuslabsgmbh/faster-whisper-large-v3-turbo", "Systran/faster-distil-whisper"
CARDS = (
    _whisper("tiny", 78 * MB, "the fastest; drafts, very small machines"),
    _whisper("base", 148 * MB, "live captions on two CPU cores"),
    _whisper("small", 486 * MB, "the best that keeps up on most CPUs"),
    _whisper("medium", 1530 * MB, "recordings on a CPU, when waiting is fine"),
    _whisper("large-v3-turbo", 1620 * MB, "live captions and recordings on a GPU", _V3, _FILES_V3,
             repo=_TURBO, also=("turbo",)),
    _whisper("large-v3", 3090 * MB, "many and low-resource languages, translation", _V3, _FILES_V3,
             also=("large",)),
    _whisper("distil-large-v3.5", 1520 * MB, "English, fast, on a GPU", _EN, _FILES_V3,
             repo="distil-whisper/distil-large-v3.5-ct2"),
    _whisper("tiny.en", 78 * MB, "English drafts on very small machines", _EN),
    _whisper("base.en", 148 * MB, "English live captions on two CPU cores", _EN),
    _whisper("small.en", 486 * MB, "English on most CPUs", _EN),
    _whisper("medium.en", 1530 * MB, "English recordings on a CPU, when waiting is fine", _EN),
    _whisper("large-v2", 3090 * MB, "the large model before v3"),
    _whisper("large-v1", 3090 * MB, "the first large model, for comparison"),
    _whisper("distil-large-v3", 1520 * MB, "English; distil-large-v3.5 is better", _EN, _FILES_V3,
             repo=f"{_DISTIL}-large-v3"),
    _whisper("distil-large-v2", 1520 * MB, "English; distil-large-v3.5 is better", _EN,
             repo=f"{_DISTIL}-large-v2"),
    _whisper("distil-medium.en", 794 * MB, "English recordings on a CPU", _EN, repo=f"{_DISTIL}-medium.en"),
    _whisper("distil-small.en", 336 * MB, "English on small CPUs", _EN, repo=f"{_DISTIL}-small.en"),
    _onnx("parakeet-tdt-0.6b-v3", 670 * MB, "25 European languages, the best for them on a CPU", EUROPEAN,
          "parakeet-tdt-0.6b-v3"),
    _onnx("parakeet-tdt-0.6b-v2", 661 * MB, "English, the best for it on a CPU", _EN, "parakeet-tdt-0.6b-v2"),
    # The sizes of Canary v2 and the 180m are reckoned from their parameters.
    _onnx("canary-1b-v2", 1030 * MB, "25 European languages, translation; say which is spoken", EUROPEAN,
          "canary-1b-v2"),
    _onnx("canary-1b-flash", 939 * MB, "four languages, translation; say which is spoken", _FLASH,
          "canary-1b-flash"),
    _onnx("canary-180m-flash", 210 * MB, "the same on small machines", _FLASH, "canary-180m-flash"),
    _transformers("openai/whisper-small", 967 * MB, "the engine others are compared with", _V2),
    _transformers("openai/whisper-large-v3-turbo", 1620 * MB, "the same, on a GPU", licence="MIT"),
    _transformers("openai/whisper-large-v3", 3090 * MB, "the same, on a GPU"),
    Card("remote:auto", "a server of your own choice: ASR_ENDPOINT_URL says which", _V3, "its own",
         library="httpx", setting="endpoint_url", also=("remote", "remote:")),
    Card("pocketsphinx:en-us", "offline fallback, English, low accuracy; nothing to download", _EN,
         "BSD-2-Clause", library="pocketsphinx", also=("pocketsphinx", "pocketsphinx:")),
)  # fmt: skip
FALLBACK = CARDS[-1].spec
_BY_NAME = {name: card for card in CARDS for name in (card.spec, *card.also)} | {
    f"faster_whisper:{name}": card for card in CARDS if card.repo for name in card.also
}


def card(spec: str) -> Card | None:
    """The card of a model, by its spec or any name people type; None for a model without one."""
    return _BY_NAME.get(spec)


def spec_of(name: str) -> str:
    """`"backend:model"` for what somebody typed: "small", "turbo", a directory; raises UnknownModel."""
    name = name.strip()
    if known := card(name):
        return known.spec
    if ":" in name and not Path(name).is_dir():
        return name
    folder = Path(name).expanduser()
    if folder.is_dir():
        return f"{_engine(folder)}:{folder}"
    raise UnknownModel(f"There is no model {name!r}.", "python -m asr models lists what there is.")


def cached(card: Card) -> bool:
    """Whether the model can be loaded without a network: every file is there and finished."""
    if card.library and find_spec(card.library) is None:
        return False
    if card.setting and not getattr(Config.from_env(), card.setting):
        return False
    if not card.repo:
        return True
    from huggingface_hub import try_to_load_from_cache

    def there(file: str) -> bool:
        return isinstance(try_to_load_from_cache(card.repo, file), str)

    return all(any(map(there, files.split("|"))) for files in card.files)


def begun(card: Card, cache: Path) -> bool:
    """Whether something of the model lies in the hub's cache folder, finished or not."""
    return bool(card.repo) and (cache / f"models--{card.repo.replace('/', '--')}").is_dir()


def fetch(card: Card) -> str:
    """The line that downloads the model."""
    return " ".join(["hf download", card.repo, *(card.files if card.part else ())])


def missing(folder: Path) -> list[str]:
    """What a directory lacks to be a CTranslate2 Whisper: the names of files; empty when it has all.

    Empty as well when it holds a model of another engine, which knows best what it needs.
    """
    if _engine(folder) != "faster_whisper":
        return []
    return [
        names.partition("|")[0]
        for names in _FILES
        if not any((folder / name).is_file() for name in names.split("|"))
    ]


def _engine(folder: Path) -> str:
    """Which backend the files in a directory are made for."""
    if (folder / "model.bin").is_file():
        return "faster_whisper"
    if any(folder.glob("*.onnx")) or any(folder.glob("*/*.onnx")):
        return "onnx"
    return "transformers" if any(folder.glob("*.safetensors")) else "faster_whisper"
