"""A recording in slots of 0.2 s: who is heard there, by vectors of windows that begin in each slot.

Windows of 1.6 s know a voice best, windows of 0.8 s know better when it changes; both are asked, each
with what speakers sound like in windows of its own length. All arrays are small: three hours are 54,000
slots.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from asr.audio import SAMPLE_RATE, Recording
from asr.diarize.segmentation import HOP
from asr.diarize.voices import MEL_HOP, SIZE, Encoder
from asr.machine import cores

SLOT = 0.2  # seconds
MELS = round(SLOT * SAMPLE_RATE / MEL_HOP)  # frames of a slot
WIDTHS = (8, 4)  # slots of a window: 1.6 s, by which a voice is known, and 0.8 s
# How much a likeness counts, by width: the concentration of a von Mises-Fisher distribution. While speakers
# are being found long windows are worth as much as short ones; once they are known, the short ones tell
# better when they change.
FINDING, KNOWING = {8: 30.0, 4: 30.0}, {8: 5.0, 4: 60.0}
PURITY = 4  # exponent: windows with more than one speaker say little of either
STRIDE = 150  # slots whose windows are computed at a time, an even number: 30 s


@dataclass(frozen=True, slots=True)
class Slots:
    speech: np.ndarray  # float32 (slots,): the part of each slot in which somebody speaks
    alone: np.ndarray  # float32 (slots,): ... in which one person speaks
    vectors: dict[int, np.ndarray]  # by width: float32 (slots, SIZE), of the window that begins there

    def __len__(self) -> int:
        return len(self.speech)

    def posterior(self, centres: dict[int, np.ndarray], sureness: dict[int, float] = FINDING) -> np.ndarray:
        """Whose voice each slot has: float32 (slots, speakers), rows that sum to 1.

        `centres` has, by width, what each speaker sounds like: (speakers, SIZE), of length 1.
        """
        likeness = sum(sureness[width] * self._likeness(width, found) for width, found in centres.items())
        weight = np.exp(likeness - likeness.max(axis=1, keepdims=True))
        return weight / weight.sum(axis=1, keepdims=True)

    def _likeness(self, width: int, centres: np.ndarray) -> np.ndarray:
        """The mean likeness of the windows around each slot; a window counts most for its middle."""
        trust = ahead(self.speech, width) * (0.2 + ahead(self.alone, width)) + 1e-6
        values = trust[:, None] * (self.vectors[width] @ centres.T)
        return _spread(values, width) / _spread(trust[:, None], width)

    def centres(self, posterior: np.ndarray) -> dict[int, np.ndarray]:
        """What speakers sound like, whose slots are known."""
        found = {}
        for width, vectors in self.vectors.items():
            weight = ahead(posterior * self.alone[:, None], width) ** PURITY
            found[width] = unit(weight.T @ vectors)
        return found


def ahead(values: np.ndarray, width: int) -> np.ndarray:
    """The mean over `width` slots from each slot on; beyond the end there is nothing: (slots, ...)."""
    padded = np.pad(values, ((1, width), *((0, 0),) * (values.ndim - 1)))
    sums = np.cumsum(padded, axis=0, dtype=np.float64)
    return ((sums[width:-1] - sums[: -width - 1]) / width).astype(np.float32)


def _spread(values: np.ndarray, width: int) -> np.ndarray:
    """What the windows that cover each slot say together, (slots, n)."""
    total = np.zeros_like(values)
    for offset, weight in enumerate(1.05 - np.abs(np.linspace(-1, 1, width))):
        total[offset:] += np.float32(weight) * values[: len(values) - offset]
    return total


def unit(vectors: np.ndarray) -> np.ndarray:
    """Rows of length 1."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


def hear(recording: Recording, many: np.ndarray, progress: Callable[[float], None]) -> Slots:
    """`many` (frames,) is how many people speak in each frame of the segmentation."""
    count = max(1, -(-len(recording) // (MELS * MEL_HOP)))
    frame = np.arange(count * MELS) * MEL_HOP // HOP
    people = many[np.minimum(frame, len(many) - 1)].reshape(count, MELS)
    speech, alone = ((people > 0).mean(axis=1), (people == 1).mean(axis=1))
    wanted = {width: ahead(speech, width) > 0 for width in WIDTHS}
    encoder, vectors = Encoder(cores()), {width: np.zeros((count, SIZE), np.float32) for width in WIDTHS}
    for first in range(0, count, STRIDE):
        slots = np.arange(first, min(first + STRIDE, count), 2)  # every second: all of them tell no more
        mel = _mel(encoder, recording, first, STRIDE + max(WIDTHS))
        for width in WIDTHS:
            heard = slots[wanted[width][slots]]
            starts = (heard - first) * MELS
            vectors[width][heard] = encoder([mel[s : s + width * MELS] for s in starts])
        progress(min(1.0, (first + STRIDE) / count))
    vectors = {width: _between(found) for width, found in vectors.items()}
    return Slots(speech.astype(np.float32), alone.astype(np.float32), vectors)


def _between(vectors: np.ndarray) -> np.ndarray:
    """`vectors` of every second slot are known: those in between are what both neighbours say."""
    known = vectors[::2]
    both = unit(known + np.concatenate([known[1:], known[-1:]]))
    vectors[1::2] = both[: len(vectors) // 2]
    return vectors


def _mel(encoder: Encoder, recording: Recording, first: int, slots: int) -> np.ndarray:
    """Mel frames from slot `first` on, silence where the recording has ended: (slots * MELS, 80)."""
    start = first * SLOT
    audio = recording.read(start, start + slots * SLOT)
    return encoder.mel(np.pad(audio, (0, slots * MELS * MEL_HOP - len(audio))))
