"""Any recording, decoded once, block by block, to a file of bare samples: ten hours never stand in memory.

Damaged packets are skipped and a file that was cut off gives what is there; both are said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
from av.container import InputContainer

from asr.audio.demuxing import COMMON, claimed, demuxed, frames, reason, track
from asr.audio.pcm import SAMPLE_RATE, Mixer, Splitter, to_pcm16
from asr.audio.recording import Recording, write
from asr.audio.source import Limits, opened
from asr.errors import AudioError, TooLarge

GAP = 0.2  # seconds: the timestamps of a track without gaps wobble by less
LONGEST_GAP = 3600.0  # seconds: a longer jump is a clock that was set, not a pause
REWOUND = -10.0  # seconds: so is a jump back; chained files start again at 0
EVERYTHING = Limits()

Progress = Callable[[float], None]


def decode(
    source: str | Path | BinaryIO | np.ndarray,
    limits: Limits = EVERYTHING,
    into: Path | None = None,
    progress: Progress | None = None,
) -> Recording:
    """A recording as int16 mono 16 kHz: its default audio track, all channels mixed to one.

    `source` is a path, a binary stream (read from its start, left open) or float32 mono 16 kHz
    samples (n,). With `into`, the samples are kept in that file; otherwise they vanish with the
    Recording. `progress` is told the seconds decoded so far, once per second of audio; what it
    raises stops the decoding and comes through. Nothing is left on disk then.

    Raises AudioError when there is no audio in it that we can decode, TooLarge beyond `limits`.
    """
    if isinstance(source, np.ndarray):
        blocks = _bounded([_checked(source)], limits, progress)
        return Recording(next(blocks)) if into is None else Recording(write(blocks, into))
    damage: list[str] = []
    with opened(source, limits.bytes) as file, demuxed(file) as container:
        blocks = _bounded(blocks_of(container, limits, damage, Mixer()), limits, progress)
        return Recording(write(blocks, into), " ".join(damage))


def _checked(audio: np.ndarray) -> np.ndarray:
    if audio.ndim != 1 or audio.dtype.kind != "f":
        what = f"These samples are {audio.dtype} of shape {audio.shape}."
        raise AudioError(what, "Give float32 (n,), mono, at 16 kHz.")
    if not np.isfinite(audio).all():
        raise AudioError("Some of these samples are NaN or infinite.", "Look where they come from.")
    return to_pcm16(audio)


def _bounded(blocks: Iterable[np.ndarray], limits: Limits, progress: Progress | None) -> Iterator[np.ndarray]:
    """The same blocks, while they are not too many; raises where there is nothing in them."""
    count = told = 0
    for block in blocks:
        count += len(block)
        if count > limits.seconds * SAMPLE_RATE:
            raise _too_long(limits)
        yield block
        if progress and count - told >= SAMPLE_RATE:
            progress(count / SAMPLE_RATE)
            told = count
    if not count:
        raise AudioError("No sound in it can be decoded.", "It may be cut off or empty: record it again.")


def _too_long(limits: Limits) -> TooLarge:
    return TooLarge(
        f"The audio is longer than the {limits.seconds / 3600:.3g} hours allowed here.",
        "Cut it into shorter recordings, or raise ASR_MAX_AUDIO_HOURS.",
    )


def blocks_of(
    container: InputContainer, limits: Limits, damage: list[str], mixer: Mixer | Splitter
) -> Iterator[np.ndarray]:
    """int16 blocks of the track as `mixer` makes them, with silence (n,) where its timestamps leave gaps.

    So times are those of a player, and what was said after a damaged stretch is where it belongs.
    """
    audio = track(container)
    promised = claimed(container, audio)
    if promised > limits.seconds:
        raise _too_long(limits)
    zero, heard = (container.start_time or 0) / av.time_base, 0.0
    try:
        for frame in frames(container, audio, damage):
            late = 0.0 if frame.time is None else frame.time - zero - heard
            if GAP < late <= LONGEST_GAP:
                yield from mixer.flush()
                yield from _silence(late)
                heard += late
            elif late > LONGEST_GAP or late < REWOUND:
                zero += late
                promised = 0.0  # by that clock
            heard += frame.samples / frame.sample_rate
            yield from mixer.mix(frame)
        yield from mixer.flush()
    except (av.FFmpegError, ValueError) as e:
        raise AudioError(f"Its sound cannot be converted ({reason(e)}).", COMMON) from e
    if promised - heard > max(1.0, 0.01 * promised):
        damage.append(f"It says that it lasts {promised:.0f} s, but ends after {heard:.0f} s.")


def _silence(seconds: float) -> Iterator[np.ndarray]:
    left = round(seconds * SAMPLE_RATE)
    while left > 0:
        yield np.zeros(min(left, 10 * SAMPLE_RATE), np.int16)
        left -= 10 * SAMPLE_RATE
