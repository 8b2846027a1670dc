"""What is wrong at the moment, inside the soak's server: its engine asks before every call."""

from __future__ import annotations

import gc
import time
from collections import Counter

SLOW = 2.0  # seconds that a call takes more while the engine is slow
# What has to be gone when nobody uses the server any more.
GUESTS = (
    "Session", "Leg", "Source", "LiveStream", "LiveTranscriber", "Connection", "Ear", "RTCPeerConnection",
    "Call", "Item", "Work", "Recording", "Form", "Body",
)  # fmt: skip

_until: dict[str, float] = {}
_ahead = 0.0
_wall = time.time


def begin(fault: str, seconds: float) -> None:
    """The engine `raise`s, is out of `memory` or `slow` for so many seconds; or the `clock` jumps by them."""
    global _ahead
    if fault == "clock":
        _ahead += seconds
        time.time = lambda: _wall() + _ahead
    else:
        _until[fault] = time.monotonic() + seconds


def meet() -> None:
    """Raise what the engine would; the texts are those of CTranslate2."""
    if _on("slow"):
        time.sleep(SLOW)
    if _on("memory"):
        raise RuntimeError("CUDA failed with error out of memory")
    if _on("raise"):
        raise RuntimeError("No position encodings are defined for positions >= 448")


def _on(fault: str) -> bool:
    return time.monotonic() < _until.get(fault, 0.0)


def guests() -> Counter:
    """How many objects of ours, and of the libraries that serve live audio, there are of each kind."""
    gc.collect()
    ours = ("asr.", "ui.", "aiortc.")
    kinds = (type(thing) for thing in gc.get_objects())
    return Counter(k.__name__ for k in kinds if k.__name__ in GUESTS and k.__module__.startswith(ours))
