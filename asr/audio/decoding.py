"""Any recording, decoded once, block by block, to a file of bare samples: ten hours never stand in memory.

Files are read by FFmpeg in a process of their own (`asr.audio.apart`), but for those that need no decoder.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np

from asr.audio import apart, plain
from asr.audio.blocks import Progress, bounded
from asr.audio.pcm import to_pcm16
from asr.audio.recording import Recording, filled, written
from asr.audio.source import Limits, opened
from asr.errors import AudioError

EVERYTHING = Limits()


def decode(
    source: str | Path | BinaryIO | np.ndarray,
    limits: Limits = EVERYTHING,
    into: Path | None = None,
    progress: Progress | None = None,
) -> Recording:
    """A recording as int16 mono 16 kHz: its default audio track, all channels mixed to one.

    `source` is a path, a binary stream (read from its start, left open) or float32 mono 16 kHz
    samples (n,). With `into`, the samples are kept in that file; otherwise they vanish with the
    Recording. `progress` is told the seconds decoded so far, at least once per second of audio; what it
    raises stops the decoding and comes through. Nothing is left on disk then.

    Raises AudioError when there is no audio in it that we can decode, TooLarge beyond `limits`, ASRError
    where the decoder was stopped from outside or the disk is full.
    """
    if isinstance(source, np.ndarray):
        blocks = bounded([_checked(source)], limits, progress)
        return Recording(next(blocks)) if into is None else Recording(written(filled(blocks), into))
    told = {}
    with opened(source, limits.bytes) as file:
        if (blocks := plain.samples(file)) is not None:
            return Recording(written(filled(bounded(blocks, limits, progress)), into))
        file.seek(0)
        target = written(lambda out: told.update(apart.run("mix", file, out, limits, progress)), into)
    return Recording(target, told["damage"])


def _checked(audio: np.ndarray) -> np.ndarray:
    if audio.ndim != 1 or audio.dtype.kind != "f":
        what = f"These samples are {audio.dtype} of shape {audio.shape}."
        raise AudioError(what, "Give float32 (n,), mono, at 16 kHz.")
    if not np.isfinite(audio).all():
        raise AudioError("Some of these samples are NaN or infinite.", "Look where they come from.")
    return to_pcm16(audio)
