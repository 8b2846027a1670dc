"""Which model runs when nobody says, and the sentence that says why.

ASR_MODEL, where it is set
ASR_ENDPOINT_URL        that server does the work
a GPU that works        large-v3-turbo
the CPU                 Parakeet, where it is downloaded and knows the language that ASR_LANGUAGE names;
                        a Whisper size that keeps up; one downloaded already goes first
no hub, nothing cached  the engine that needs no download, under its own name: a fallback
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from asr import catalogue
from asr.catalogue import Card
from asr.config import Config
from asr.errors import ASRError
from asr.machine import Hub, Machine

GPU_MEMORY = 4 << 30  # bytes; turbo in float16 takes 2.5 GB (faster-whisper's README), a batch comes on top
# A live stream asks for a pass about once a second: the encoder over a window padded to 30 s, then some 25
# tokens. What that takes in seconds of one core, measured with random weights of these shapes: CTranslate2
# 4.8, int8, beam 5, a 2.6 GHz Xeon with AMX. Cores are taken to add up, and a quarter of the second is left
# free. Slower CPUs lag more behind a live stream; recordings, in batches, are far faster than real time.
PASS = {"small": 2.9, "base": 1.1, "tiny": 0.5}
KEEPS_UP = 0.75  # seconds

# Parakeet in int8 is about as fast on a CPU as Whisper base (onnx-asr's own table, i7-7700HQ: 9.5 and 9.2
# times real time) and errs less than large-v3 (Open ASR Leaderboard, English: 6.3 and 7.4 % of the words);
# docs/models.md says more. It has but its own languages and cannot be told one, so it is taken where the
# language is known; where it is not, only before something would have to be downloaded.
PARAKEETS = ("parakeet-tdt-0.6b-v2", "parakeet-tdt-0.6b-v3")  # English's own goes first
PASS_OF_PARAKEET = PASS["base"]

Cached = Callable[[Card], bool]


@dataclass(frozen=True, slots=True)
class Choice:
    spec: str
    device: str
    why: str  # one sentence
    fallback: bool = False  # the low-accuracy engine stands in for what could not be had
    stands_in: bool = False  # a good one does, for a better one that could not be loaded
    fix: str = ""  # what brings something better


def choose(config: Config, machine: Machine, cached: Cached = catalogue.cached) -> Choice:
    """The model for this machine; raises UnknownModel where ASR_MODEL names none."""
    if config.model != "auto":
        return Choice(catalogue.spec_of(config.model), config.device, "Chosen by the owner of this server.")
    if config.endpoint_url:
        return Choice("remote:auto", config.device, "ASR_ENDPOINT_URL names a server that recognises for us.")
    gpu, no_gpu = _gpu(config, machine)
    device = config.device if config.device != "auto" else "cuda" if gpu else "cpu"
    suits = f"it suits {gpu}" if gpu else f"it should keep up on {_cores(machine)} ({no_gpu})"
    good = ["large-v3-turbo"] if gpu else _that_keep_up(machine.cores)
    parakeet = None if gpu else _parakeet(config, machine, cached)
    if parakeet and config.language:
        return Choice(parakeet.spec, device, f"It is downloaded already, and {_WHY_PARAKEET}.")
    for card in map(catalogue.card, good):
        if cached(card):
            return Choice(card.spec, device, f"It is downloaded already, and {suits}.")
    if parakeet:
        only = f"for {len(parakeet.languages)} European languages {_WHY_PARAKEET}"
        return Choice(parakeet.spec, device, f"It is downloaded already, and {only}.")
    wanted = Choice(catalogue.card(good[0]).spec, device, f"{suits[0].upper()}{suits[1:]}.")
    if machine.hub().reachable:
        return wanted
    if here := [card for card in catalogue.CARDS if card.repo and cached(card)]:
        return _best_of(here, config, machine, device)
    if config.device.startswith("cuda"):
        return wanted  # and the error says what is missing: the fallback would not run where it was asked to
    why = f"Offline fallback, English, low accuracy: no Whisper model is downloaded. {machine.hub().says}"
    return Choice(catalogue.FALLBACK, "cpu", why, fallback=True, fix=get_whisper(good[0]))


def instead_of(
    failed: Mapping[str, ASRError], config: Config, machine: Machine, cached: Cached = catalogue.cached
) -> Choice:
    """What runs when chosen models could not be loaded: the next best on this disk, or the fallback.

    `failed`: what was tried, by its spec, the best first; it is part of the reason.
    """
    here = replace(machine, hub=lambda: Hub(False, ""))
    found = choose(config, here, lambda card: card.spec not in failed and cached(card))
    reasons = " ".join(f"{spec} could not be loaded. {error.what}" for spec, error in failed.items())
    best, error = next(iter(failed.items()))
    fix = error.fix or get_whisper(best)
    if found.fallback:
        return replace(found, why=f"Offline fallback, English, low accuracy: {reasons}", fix=fix)
    return replace(found, why=f"The next best on this disk: {reasons}", stands_in=True, fix=fix)


def get_whisper(spec: str) -> str:
    """The line that gets a model, most often a Whisper, onto this machine."""
    card = catalogue.card(spec)
    return (
        f"Where there is a network: {catalogue.fetch(card)} --local-dir model; "
        f"then here: ASR_MODEL={card.spec.partition(':')[0]}:/path/to/model"
    )


def _that_keep_up(cores: int) -> list[str]:
    """The sizes to run on so many cores, the best first; tiny only where nothing else keeps up."""
    return [size for size in ("small", "base") if PASS[size] / cores <= KEEPS_UP] or ["tiny"]


_WHY_PARAKEET = "no Whisper that keeps up on a CPU errs as little (docs/models.md)"


def _parakeet(config: Config, machine: Machine, cached: Cached) -> Card | None:
    """The Parakeet on this disk that hears the language asked for; of none, the one that hears several."""
    if PASS_OF_PARAKEET / machine.cores > KEEPS_UP or config.device not in ("auto", "cpu"):
        return None
    for card in map(catalogue.card, PARAKEETS):
        hears = config.language in card.languages if config.language else len(card.languages) > 1
        if hears and cached(card):
            return card
    return None


def _best_of(here: list[Card], config: Config, machine: Machine, device: str) -> Choice:
    """Of what is downloaded: the largest for a GPU, the fastest for a CPU; English-only ones last."""
    sign = -1 if device.startswith("cuda") else 1

    def order(card: Card) -> tuple:
        deaf = config.language not in card.languages if config.language else "canary" in card.spec
        return deaf, len(card.languages) == 1, card.library != "faster_whisper", sign * card.download

    card = min(here, key=order)
    return Choice(card.spec, device, f"It is what is downloaded. {machine.hub().says}")


def _gpu(config: Config, machine: Machine) -> tuple[str, str]:
    """The GPU that will be used, or why none is."""
    if config.device.startswith("cpu"):
        return "", "ASR_DEVICE asks for the CPU"
    if config.device.startswith("cuda"):
        return machine.gpus[0].name if machine.gpus else "the GPU that ASR_DEVICE asks for", ""
    if not machine.gpus:
        return "", "no GPU was found"
    if machine.missing_cuda:
        return "", f"the GPU needs {' and '.join(machine.missing_cuda)}"
    gpu = machine.gpus[0]
    if 0 < gpu.memory < GPU_MEMORY:
        return "", f"{gpu.name} has less than {GPU_MEMORY >> 30} GB"
    return gpu.name, ""


def _cores(machine: Machine) -> str:
    return "one CPU core" if machine.cores == 1 else f"{machine.cores} CPU cores"
