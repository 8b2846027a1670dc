"""Who spoke when, where everybody has a channel or a file: no model guesses, each is listened to alone.

A microphone also hears the others a little. In a channel, somebody speaks where there is speech and it
is louder than what leaks in from the others, which is learned from the moments when one channel is far
louder than the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from asr.audio import SAMPLE_RATE, from_pcm16
from asr.types import Turn
from asr.vad import VoiceDetector
from asr.vad.spans import FRAME, HOP, THRESHOLD, speech_spans

MARGIN = 6.0  # dB by which a channel has to stand out
FLOOR = -90.0  # dBFS: below the last bit of 16
ECHO = 10  # frames (0.32 s) that a leak may come late: a telephone network's echo
ALONE = 0.6  # of the speech must come from one channel that stands out
LEAST = 2.0  # seconds that somebody must speak, and ...
SHARE = 0.03  # ... of all the speech
PAD, SILENCE = 0.1, 0.4  # seconds around a turn, and of silence that ends it
BLOCK = 1000  # frames


@dataclass(frozen=True, slots=True)
class Heard:
    """Every frame of every channel."""

    speech: np.ndarray  # float32 (frames, channels): Silero's probability
    level: np.ndarray  # float32 (frames, channels): dBFS
    length: int  # samples

    def of(self, columns: np.ndarray) -> Heard:
        return Heard(self.speech[:, columns], self.level[:, columns], self.length)


def listen(
    blocks: Iterable[np.ndarray], vad: Callable[[], VoiceDetector], told: Callable[[float], None]
) -> Heard:
    """Every channel of int16 16 kHz blocks (n, channels); `told` are the seconds heard so far."""
    detectors, speech, level, length = [], [], [], 0
    for frames, count in _whole(blocks):
        length += count
        audio = [from_pcm16(np.ascontiguousarray(column)) for column in frames.T]
        detectors = detectors or [vad() for _ in audio]
        speech.append(np.stack([hears(a) for hears, a in zip(detectors, audio, strict=True)], axis=1))
        power = np.stack([(a.reshape(-1, FRAME) ** 2).mean(axis=1) for a in audio], axis=1)
        level.append(10 * np.log10(np.maximum(power, 10 ** (FLOOR / 10))))
        told(length / SAMPLE_RATE)
    return Heard(np.concatenate(speech), np.concatenate(level).astype(np.float32), length)


def _whole(blocks: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, int]]:
    """Blocks of whole frames, the last one filled up with silence, and how many samples they really are."""
    rest, size = None, BLOCK * FRAME
    for block in blocks:
        rest = block if rest is None else np.concatenate([rest, block])
        while len(rest) >= size:
            yield rest[:size], size
            rest = rest[size:]
    if rest is not None and len(rest):
        yield np.pad(rest, ((0, -len(rest) % FRAME), (0, 0))), len(rest)


def apart(heard: Heard) -> np.ndarray:
    """The channels that have a speaker of their own; fewer than two where they are not such channels.

    Dual mono, stereo music and a stereo microphone in a room have everybody on all channels: no channel
    stands out while somebody speaks.
    """
    speaking = (heard.speech >= THRESHOLD).any(axis=1)
    if heard.level.shape[1] < 2 or not speaking.any():
        return np.zeros(0, int)
    loudest, margin = _leader(heard.level[speaking])
    clear = margin >= MARGIN
    if clear.mean() < ALONE:
        return np.zeros(0, int)
    # Who only ever leaks in the others' channels, or is heard for a moment, is no speaker.
    own = np.bincount(loudest[clear], minlength=heard.level.shape[1]) * HOP
    return np.flatnonzero((own >= LEAST) & (own >= SHARE * own.sum()))


def _leader(level: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The loudest channel of each frame, and by how many dB: int (frames,) and float (frames,)."""
    ranked = np.sort(level, axis=1)
    return level.argmax(axis=1), ranked[:, -1] - ranked[:, -2]


def turns(heard: Heard) -> tuple[list[Turn], list[Turn]]:
    """All turns, which may overlap, and those with one speaker at a time; speakers are "0", "1", ..."""
    above = heard.level - _leak(heard)
    speech = np.where(above >= MARGIN, heard.speech, 0)
    spans = [
        Turn(span.start, span.end, str(channel))
        for channel in range(speech.shape[1])
        for span in speech_spans(speech[:, channel], heard.length, silence=SILENCE, pad=PAD)
    ]
    return spans, _exclusive(spans, above, heard.length)


def _leak(heard: Heard) -> np.ndarray:
    """What of the other channels is to be expected in each: dBFS (frames, channels)."""
    level, count = heard.level, heard.level.shape[1]
    loudest, margin = _leader(level)
    clear = (margin >= MARGIN) & (heard.speech.max(axis=1) >= THRESHOLD)
    late = np.max([np.pad(level, ((i, 0), (0, 0)), "edge")[: len(level)] for i in range(ECHO + 1)], axis=0)
    leak = np.full(level.shape, FLOOR, np.float32)
    for source in range(count):
        here = clear & (loudest == source)
        for channel in range(count):
            if channel != source and here.any():
                usual = np.median(level[here, channel] - level[here, source])
                leak[:, channel] = np.maximum(leak[:, channel], late[:, source] + usual)
    return leak


def _exclusive(spans: list[Turn], above: np.ndarray, length: int) -> list[Turn]:
    """The same, where several speak at once only who is loudest for their channel."""
    rank = np.full(above.shape, -np.inf, np.float32)
    for span in spans:
        a, b = round(span.start / HOP), max(round(span.start / HOP) + 1, round(span.end / HOP))
        rank[a:b, int(span.speaker)] = above[a:b, int(span.speaker)]
    who = np.where(np.isfinite(rank).any(axis=1), rank.argmax(axis=1), -1)
    edges = np.flatnonzero(np.diff(who, prepend=-1, append=-1))
    end = length / SAMPLE_RATE
    return [Turn(a * HOP, min(b * HOP, end), str(who[a])) for a, b in pairwise(edges) if who[a] >= 0]
