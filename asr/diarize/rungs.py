"""One function per rung: what it needs is checked first, then it runs, and says how."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from asr.audio import Recording
from asr.audio import channels as audio
from asr.config import Config
from asr.diarize import apart, channels, terms
from asr.diarize.answer import Count, Diarization
from asr.errors import Unsupported
from asr.vad import Silero

OTHERWISE = "Choose another way to tell the speakers apart, or auto."


@dataclass(frozen=True, slots=True)
class Ask:
    """One diarization as it was asked for."""

    recording: Recording
    count: Count
    sources: tuple[Path, ...]  # the file it was decoded from, or one file per speaker
    config: Config
    progress: Callable[[float], None]


def by_channels(ask: Ask) -> Diarization:
    """Exact, where everybody has a channel or a file. Raises Unsupported elsewhere."""
    if not ask.sources:
        raise Unsupported("The recording's own channels are not at hand.", OTHERWISE)
    files = len(ask.sources) > 1
    if not files and audio.count(ask.sources[0]) < 2:
        raise Unsupported("The recording has one channel only.", OTHERWISE)
    blocks = audio.side_by_side(ask.sources) if files else audio.channels(ask.sources[0])
    duration = max(ask.recording.duration, 1e-9)
    heard = channels.listen(blocks, Silero, lambda s: ask.progress(min(1.0, s / duration)))
    own = np.arange(len(ask.sources)) if files else channels.apart(heard)
    if len(own) < 2:
        raise Unsupported("Its channels do not have a speaker each: all of them hear everybody.", OTHERWISE)
    low, high = ask.count.bounds
    if not low <= len(own) <= high:
        raise Unsupported(
            f"{len(own)} of its channels have a speaker, which is not how many you asked for.", OTHERWISE
        )
    turns, exclusive = channels.turns(heard.of(own))
    what = f"{len(own)} files, one per speaker" if files else f"{len(own)} channels with a speaker each"
    return Diarization(tuple(turns), tuple(exclusive), "channels", f"Speakers by: {what} (exact).")


def by_pyannote(ask: Ask) -> Diarization:
    """The best for one channel. Raises BackendUnavailable, with what to do, where it cannot be had."""
    model = ask.config.pyannote_model
    terms.check(model)
    found = apart.run(
        "pyannote",
        ask.recording,
        ask.count,
        ask.progress,
        offline=terms.complete(model),
        model=terms.location(model),
        token=terms.get_token(),
        device="cuda" if ask.config.device != "cpu" and _cuda() else "cpu",
    )
    return replace(found, says=f"Speakers by: pyannote {Path(model).name}. {found.says}".strip())


def by_embedded(ask: Ask) -> Diarization:
    """Always there, approximate."""
    found = apart.run("embedded", ask.recording, ask.count, ask.progress)
    return replace(found, says="Speakers by: built-in voices model (approximate).")


@cache
def _cuda() -> bool:
    import torch

    return torch.cuda.is_available()
