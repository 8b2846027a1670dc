"""Alignment models stay for the next recording: a few, and not for ever.

with borrowed("en", config.align_model, config.device) as aligner:
    aligner.letters(audio, text)

Whoever has a model has it alone. Two recordings at the same time load two; MOST of them are kept.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock, Timer

from asr.align.aligner import Aligner

MOST = 2  # models that wait: whisperX's take 0.4 to 1.3 GB each
IDLE = 300.0  # seconds they wait

_Key = tuple[str | None, str, str]
_kept: list[tuple[_Key, Aligner, float]] = []  # the longest unused first, and since when
_lock = Lock()


@contextmanager
def borrowed(language: str | None, model: str, device: str) -> Iterator[Aligner]:
    """The model, loaded if none is waiting; afterwards it waits itself. Raises what loading raises."""
    key = language, model, device
    aligner = _taken(key) or Aligner(*key)
    try:
        yield aligner
    finally:
        if not aligner.says:  # a model that had to move to the CPU is no longer what the next one asks for
            _keep(key, aligner)


def _taken(key: _Key) -> Aligner | None:
    with _lock:
        at = next((i for i, kept in enumerate(_kept) if kept[0] == key), None)
        return None if at is None else _kept.pop(at)[1]


def _keep(key: _Key, aligner: Aligner) -> None:
    with _lock:
        _kept.append((key, aligner, time.monotonic()))
        del _kept[:-MOST]
    timer = Timer(IDLE, _let_go)
    timer.daemon = True
    timer.start()


def _let_go() -> None:
    """Forget the models nobody has wanted for IDLE seconds."""
    with _lock:
        _kept[:] = [kept for kept in _kept if time.monotonic() - kept[2] < IDLE]
