"""Recordings that need no decoder: WAV files of exactly what we keep, int16 mono 16 kHz.

Read here, strictly; at the first oddity it is FFmpeg's. So many short ones cost no process each.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from struct import Struct
from typing import BinaryIO

import numpy as np

from asr.audio.pcm import SAMPLE_RATE

RIFF, CHUNK, FORMAT = Struct("<4sI4s"), Struct("<4sI"), Struct("<HHIIHH")
OURS = (1, 1, SAMPLE_RATE, 2 * SAMPLE_RATE, 2, 16)  # PCM, channels, rate, bytes a second, bytes a frame, bits
MOST_CHUNKS = 16  # before the samples: who wrote it, when, and the like
BLOCK = 2 * SAMPLE_RATE  # bytes: a second, so that whoever watches hears of each


def samples(file: BinaryIO) -> Iterator[np.ndarray] | None:
    """Its samples as int16 blocks (n,); None where it is not such a file, whole and to the last byte."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    riff, length, wave = RIFF.unpack(file.read(RIFF.size)) if size > RIFF.size else (b"", 0, b"")
    if (riff, wave) != (b"RIFF", b"WAVE") or length + CHUNK.size != size:
        return None
    form = None
    for _ in range(MOST_CHUNKS):
        head = file.read(CHUNK.size)
        name, length = CHUNK.unpack(head) if len(head) == CHUNK.size else (b"", 0)
        if name == b"data":
            fits = length and length % 2 == 0 and file.tell() + length == size
            return _blocks(file) if form == OURS and fits else None
        if name == b"fmt " and length == FORMAT.size:
            form = FORMAT.unpack(file.read(FORMAT.size).ljust(FORMAT.size, b"\0"))
        elif not name or name == b"fmt ":
            return None
        else:
            file.seek(length + length % 2, os.SEEK_CUR)
    return None


def _blocks(file: BinaryIO) -> Iterator[np.ndarray]:
    while piece := file.read(BLOCK):
        yield np.frombuffer(piece, "<i2")
