"""The channels of a recording one by one, and several recordings of one conversation side by side.

A telephone call often has one speaker per channel, a podcast one file per microphone: who speaks when is
then plain to hear, if nobody mixes them. Like `decode`, block by block: hours never stand in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from asr.audio.decoding import EVERYTHING, blocks_of, decode
from asr.audio.demuxing import demuxed, track
from asr.audio.pcm import SAMPLE_RATE, Splitter
from asr.audio.recording import Recording, write
from asr.audio.source import Limits, opened

MOST = 8  # channels or files: one more has no speaker of its own
BLOCK = 30.0  # seconds


def count(source: Path, limits: Limits = EVERYTHING) -> int:
    """How many channels the recording says it has. Raises what `decode` raises."""
    with opened(source, limits.bytes) as file, demuxed(file) as container:
        return track(container).channels


def channels(source: Path, limits: Limits = EVERYTHING) -> Iterator[np.ndarray]:
    """int16 16 kHz blocks (n, channels), on the clock of `decode`. Raises what it raises."""
    with opened(source, limits.bytes) as file, demuxed(file) as container:
        width = track(container).channels
        for block in blocks_of(container, limits, [], Splitter()):
            yield block if block.ndim == 2 else np.repeat(block[:, None], width, axis=1)


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
    return Recording(write((b.astype(np.int16) for b in blocks), into))
