"""What must be left of memory and disk: new work is refused before the system ends all of it."""

from __future__ import annotations

import logging

from asr import machine
from asr.config import Config
from asr.errors import Busy

log = logging.getLogger(__name__)
LATER = 30  # seconds until it is worth asking again


def admit(config: Config) -> None:
    """Raise Busy where so little is left that a new recording, call or live session could end the others."""
    memory = machine.free_memory() if config.memory_floor_mb else None
    if memory is not None and memory < config.memory_floor_mb * 2**20:
        raise _refusal("memory", memory)
    if config.disk_floor_mb:
        disk = machine.free_bytes(config.data_dir)
        if disk < config.disk_floor_mb * 2**20:
            raise _refusal("disk space", disk)


def _refusal(what: str, left: int) -> Busy:
    log.warning("new work is refused: %d MB of %s left", max(0, left) >> 20, what)
    busy = Busy(
        f"The server has only {max(0, left) >> 20} MB of {what} left, so it begins nothing new now.",
        "What is being worked on goes on. Try again in a minute.",
    )
    busy.retry_after = LATER
    return busy
