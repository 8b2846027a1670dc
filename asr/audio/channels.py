"""The channels of a recording one by one, and several recordings of one conversation side by side.

A telephone call often has one speaker per channel, a podcast one file per microphone: who speaks when is
then plain to hear, if nobody mixes them. Like `decode`, block by block: hours never stand in memory.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from asr.audio import apart
from asr.audio.decoding import EVERYTHING, decode
from asr.audio.pcm import SAMPLE_RATE
from asr.audio.recording import Recording, filled, written
from asr.audio.source import Limits, opened

BLOCK = 30.0  # seconds


def count(source: Path, limits: Limits = EVERYTHING) -> int:
    """How many channels the recording says it has. Raises what `decode` raises."""
    with opened(source, limits.bytes) as file:
        return apart.run("count", file, file, limits, None)["channels"]


def channels(source: Path, limits: Limits = EVERYTHING) -> Iterator[np.ndarray]:
    """int16 16 kHz blocks (n, channels), on the clock of `decode`. Raises what it raises."""
    with opened(source, limits.bytes) as file, tempfile.TemporaryFile() as split:
        width = apart.run("split", file, split, limits, None)["channels"]
        split.seek(0)
        while len(block := np.fromfile(split, np.int16, width * round(BLOCK * SAMPLE_RATE))):
            yield block.reshape(-1, width)


def side_by_side(sources: Sequence[Path], limits: Limits = EVERYTHING) -> Iterator[np.ndarray]:
    """Recordings that began together: int16 16 kHz blocks (n, files). A shorter one ends in silence."""
    with ExitStack() as stack:
        recordings = [stack.enter_context(decode(source, limits)) for source in sources]
        longest = max(len(r) for r in recordings)
        step = round(BLOCK * SAMPLE_RATE)
        for first in range(0, longest, step):
            block = np.zeros((min(step, longest - first), len(recordings)), np.int16)
            for column, recording in enumerate(recordings):
                piece = recording.samples[first : first + step]
                block[: len(piece), column] = piece
            yield block


def together(sources: Sequence[Path], limits: Limits = EVERYTHING, into: Path | None = None) -> Recording:
    """Recordings that began together, added up to one, as `decode` would give it; clipped where too loud."""
    blocks = (np.clip(b.sum(axis=1, dtype=np.int32), -32768, 32767) for b in side_by_side(sources, limits))
    return Recording(written(filled(b.astype(np.int16) for b in blocks), into))
