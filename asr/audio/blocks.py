"""The sound of an open container as blocks of samples: bounded, and on the clock of a player.

Damaged packets are skipped and a file that was cut off gives what is there; both are said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

import av
import numpy as np
from av.container import InputContainer

from asr.audio.demuxing import COMMON, claimed, demuxed, frames, reason, track
from asr.audio.pcm import SAMPLE_RATE, Mixer, Splitter
from asr.audio.source import Limits
from asr.audio.wish import Wish
from asr.errors import AudioError, TooLarge

GAP = 0.2  # seconds: the timestamps of a track without gaps wobble by less
LONGEST_GAP = 3600.0  # seconds: a longer jump is a clock that was set, not a pause
REWOUND = -10.0  # seconds: so is a jump back; chained files start again at 0

Progress = Callable[[float], None]
Tell = Callable[..., None]  # of facts by their names


def pour(file: BinaryIO, target: BinaryIO, wish: Wish, tell: Tell) -> None:
    """Decode `file` into `target` as it was wished: int16 at 16 kHz, channels of one moment side by side.

    `tell` is told channels, seconds as they come, and damage at the end. Raises what `decode` raises.
    """
    limits, damage = Limits(seconds=wish.seconds), []
    with demuxed(file) as container:
        width = track(container).channels
        tell(channels=width)
        if wish.how == "count":
            return
        mixer = Mixer() if wish.how == "mix" else Splitter()
        blocks = blocks_of(container, limits, damage, mixer)
        for block in bounded(blocks, limits, lambda seconds: tell(seconds=seconds)):
            if wish.how == "split" and block.ndim == 1:  # a gap, silent in every channel
                block = np.repeat(block[:, None], width, axis=1)
            target.write(block.tobytes())
    target.flush()
    tell(damage=" ".join(damage))


def bounded(blocks: Iterable[np.ndarray], limits: Limits, progress: Progress | None) -> Iterator[np.ndarray]:
    """The same blocks, while they are not too many; raises where there is nothing in them."""
    count = told = 0
    for block in blocks:
        count += len(block)
        if count > limits.seconds * SAMPLE_RATE:
            raise too_long(limits)
        yield block
        if progress and count - told >= SAMPLE_RATE:
            progress(count / SAMPLE_RATE)
            told = count
    if not count:
        raise AudioError("No sound in it can be decoded.", "It may be cut off or empty: record it again.")


def too_long(limits: Limits) -> TooLarge:
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
        raise too_long(limits)
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
    except MemoryError:
        raise
    except (av.FFmpegError, ValueError) as e:
        raise AudioError(f"Its sound cannot be converted ({reason(e)}).", COMMON) from e
    if promised - heard > max(1.0, 0.01 * promised):
        damage.append(f"It says that it lasts {promised:.0f} s, but ends after {heard:.0f} s.")


def _silence(seconds: float) -> Iterator[np.ndarray]:
    left = round(seconds * SAMPLE_RATE)
    while left > 0:
        yield np.zeros(min(left, 10 * SAMPLE_RATE), np.int16)
        left -= 10 * SAMPLE_RATE
