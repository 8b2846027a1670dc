"""Looks an installation over: what is there, what is missing, and the line that mends it. Loads no model."""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from asr import catalogue, logs
from asr.catalogue import Card
from asr.choice import GPU_MEMORY, choose, get_whisper
from asr.config import Config
from asr.errors import ASRError
from asr.ice import IceServers
from asr.machine import Machine, free_bytes

LIBRARIES = ("faster-whisper", "ctranslate2", "pocketsphinx", "av", "onnxruntime", "gradio", "fastrtc")
DATA_ROOM = 2 << 30  # bytes; twelve hours of audio, decoded, take 1.4 GB
Cached = Callable[[Card], bool]


@dataclass(frozen=True, slots=True)
class Finding:
    topic: str
    says: str
    state: Literal["fine", "note", "problem"] = "fine"  # a note could be better, a problem stops somebody
    fix: str = ""


def examine(config: Config, machine: Machine, cached: Cached = catalogue.cached) -> Iterator[Finding]:
    """All there is to say about this machine and these settings; the model that would run comes last."""
    memory = f", {_gb(machine.memory)} of memory" if machine.memory else ""
    yield Finding("CPU", f"{machine.cpu}, {_many(machine.cores, 'core')} for us{memory}")
    yield from _gpus(machine)
    yield from _libraries()
    yield from _settings(config)
    here = [card for card in catalogue.CARDS if card.repo and cached(card)]
    yield _hub(machine, here)
    yield Finding("token", "set" if machine.token else "none; only gated models, for speakers, need one")
    yield from _downloads(machine, here)
    yield from _disk("models", machine.cache, machine.free, 0)
    yield from _disk("data", config.data_dir, free_bytes(config.data_dir), DATA_ROOM)
    yield _model(config, machine, cached)


def _gpus(machine: Machine) -> Iterator[Finding]:
    for gpu in machine.gpus:
        small = 0 < gpu.memory < GPU_MEMORY
        says = f"{gpu.name}, {_gb(gpu.memory)}" + (", too little for large-v3-turbo" if small else "")
        yield Finding("GPU", says, "note" if small else "fine")
    for gpu in machine.unseen_gpus:
        yield Finding(
            "GPU",
            f"{gpu.name}: the driver lists it, CTranslate2 does not see it",
            "problem",
            "Update the NVIDIA driver (CUDA 12); look at CUDA_VISIBLE_DEVICES; in Docker, --gpus all.",
        )
    if not machine.gpus and not machine.unseen_gpus:
        yield Finding("GPU", "no NVIDIA GPU; Whisper runs on the CPU")
    for library in machine.missing_cuda:
        says = f"{library} is not found, and the GPU needs it"
        yield Finding("CUDA", says, "problem", "pip install nvidia-cublas-cu12")


def obstacles(config: Config) -> Iterator[Finding]:
    """What would keep the app from starting here and now, or from being used by those it is for."""
    with socket.socket(socket.AF_INET6 if ":" in config.host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((config.host, config.port))
        except OSError as e:
            says = f"port {config.port} of {config.host} cannot be opened: {e.strerror}"
            yield Finding("port", says, "problem", "Choose another, for example ASR_PORT=7861.")
    try:
        IceServers(config)
    except ASRError as e:
        yield Finding("WebRTC", e.what, "problem", e.fix)
    if config.log_level not in logs.LEVELS:
        says = f"ASR_LOG_LEVEL={config.log_level!r} is none we know"
        yield Finding("logs", says, "problem", f"Say {', '.join(logs.LEVELS)}.")
    if config.log not in logs.KINDS:
        yield Finding("logs", f"ASR_LOG={config.log!r} is none we know", "problem", "Say text or json.")


def _libraries() -> Iterator[Finding]:
    found, absent = [f"Python {platform.python_version()}"], []
    for name in LIBRARIES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            absent.append(name)
    yield Finding("software", ", ".join(found))
    for name in absent:
        yield Finding("software", f"{name} is not installed", "problem", "pip install -r requirements.txt")


def _settings(config: Config) -> Iterator[Finding]:
    for field in fields(config):
        value = getattr(config, field.name)
        if value != field.default:
            shown = "(set, not shown)" if field.metadata.get("secret") else value
            yield Finding("setting", f"ASR_{field.name.upper()}={shown}")


def _hub(machine: Machine, here: list[Card]) -> Finding:
    hub = machine.hub()
    if hub.reachable:
        return Finding("hub", hub.says)
    fix = "To download models: a network; HTTPS_PROXY where there is a proxy, HF_ENDPOINT for a mirror."
    return Finding("hub", hub.says, "note" if here else "problem", fix)


def _downloads(machine: Machine, here: list[Card]) -> Iterator[Finding]:
    names = ", ".join(card.spec for card in here)
    yield Finding("downloaded", names or "no Whisper model yet")
    for card in catalogue.CARDS:
        if card not in here and catalogue.begun(card, machine.cache):
            yield Finding(
                "downloaded",
                f"{card.spec} only in part",
                "note",
                f"{catalogue.fetch(card)} goes on where it stopped.",
            )


def _disk(topic: str, folder: Path, free: int, needed: int) -> Iterator[Finding]:
    there = folder = folder.absolute()
    says = f"{folder}, {_gb(free)} free"
    while not there.exists():
        there = there.parent
    if not os.access(there, os.W_OK):
        variable = "HF_HOME" if topic == "models" else "ASR_DATA_DIR"
        yield Finding(
            topic, f"{says}, but we may not write there", "problem", f"Set {variable} to a folder of yours."
        )
    elif free < needed:
        yield Finding(topic, f"{says}; long recordings need {_gb(needed)}", "note", "Make room on that disk.")
    else:
        yield Finding(topic, says)


def _model(config: Config, machine: Machine, cached: Cached) -> Finding:
    """What would run, and whether it could."""
    try:
        choice = choose(config, machine, cached)
    except ASRError as e:
        return Finding("model", e.what, "problem", e.fix)
    says = f"{choice.spec} on {choice.device}. {choice.why}"
    if choice.fallback:
        return Finding("model", says, "problem", choice.fix)
    card = catalogue.card(choice.spec)
    if card is None:
        return _uncharted(choice.spec, says)
    if card.setting and not cached(card):
        fix = f"Set ASR_{card.setting.upper()}."
        return Finding("model", f"{choice.spec} needs a server", "problem", fix)
    if not cached(card) and not machine.hub().reachable:
        return Finding("model", f"{says} It is not downloaded.", "problem", get_whisper(choice.spec))
    if not cached(card) and machine.free < card.download:
        need = f"It takes {_gb(card.download)}, the disk has {_gb(machine.free)}."
        return Finding(
            "model", f"{says} {need}", "problem", "Make room, or set HF_HOME to a folder on another disk."
        )
    return Finding("model", says)


def _uncharted(spec: str, says: str) -> Finding:
    """A model without a card: a directory can be looked into, a repository cannot."""
    folder = Path(spec.partition(":")[2])
    if folder.is_dir() and (lacks := catalogue.missing(folder)):
        return Finding(
            "model", f"{folder} lacks {', '.join(lacks)}", "problem", "Download or convert it again."
        )
    return Finding("model", says)


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"


def _many(n: int, thing: str) -> str:
    return f"{n} {thing}{'s' * (n != 1)}"
