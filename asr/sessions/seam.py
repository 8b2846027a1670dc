"""Where one recording of a sound lies in another of the same sound.

When a session's audio moves from one transport to another, both carry the same microphone with
different delays. Finding that difference makes the seam inaudible: no syllable twice, none lost.
"""

from __future__ import annotations

import numpy as np

ALIKE = 0.85  # correlation from which two pieces are the same sound; Opus at 32 kbit/s leaves above 0.9
ALONE = 0.9  # of the best correlation that no other place may reach: a hum fits in many places
NEAR = 2400  # samples around the best place that belong to it, 150 ms: a vowel is like itself for as long
QUIET = 1e-3  # RMS below which there is nothing to compare


def offset(piece: np.ndarray, whole: np.ndarray, overlap: int) -> int | None:
    """The index in `whole` at which `piece` begins; None when that cannot be told.

    Both are float32 mono at one rate. It may be negative, and `piece` may reach past the end of
    `whole`, as long as `overlap` samples are in both. Normalized cross-correlation by FFT.
    """
    if min(len(piece), len(whole)) < overlap or min(_rms(piece), _rms(whole)) < QUIET:
        return None
    size = 1 << (len(piece) + len(whole) - 1).bit_length()
    products = np.fft.irfft(np.fft.rfft(whole, size) * np.conj(np.fft.rfft(piece, size)), size)
    shifts = np.arange(overlap - len(piece), len(whole) - overlap + 1)
    first, last = np.maximum(shifts, 0), np.minimum(shifts + len(piece), len(whole))
    energy = _energy(whole, first, last) * _energy(piece, first - shifts, last - shifts)
    alike = products[shifts % size] / np.sqrt(np.maximum(energy, (overlap * QUIET**2) ** 2))
    best = int(alike.argmax())
    others = np.concatenate([alike[: max(0, best - NEAR)], alike[best + NEAR + 1 :]])
    sure = alike[best] >= ALIKE and (not len(others) or others.max() < ALONE * alike[best])
    return int(shifts[best]) if sure else None


def _rms(audio: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(audio, dtype=np.float64))))


def _energy(audio: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """The sums of squares of audio[first:last], for many pairs at once."""
    sums = np.concatenate([[0.0], np.cumsum(np.square(audio, dtype=np.float64))])
    return sums[last] - sums[first]
