"""Who spoke when, without a token or a download: the networks that this package and whisperx bring.

Windows of five seconds tell voices apart (`segmentation`); each voice of each window becomes a vector
(`voices`); vectors of one speaker are found together (`clustering`); and the windows, now with names, are
put together again.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import linear_sum_assignment

from asr.audio import SAMPLE_RATE, Recording
from asr.diarize import clustering
from asr.diarize.answer import Count, Diarization
from asr.diarize.segmentation import FRAMES, HOP, WINDOW, Local, seconds, segment
from asr.diarize.voices import LENGTH, MEL_HOP, Encoder
from asr.types import Turn

Progress = Callable[[float], None]


def diarize(recording: Recording, count: Count, progress: Progress = lambda _: None) -> Diarization:
    """Who speaks when; `progress` is told the part done."""
    local = segment(recording, lambda part: progress(0.5 * part))
    units = Units(recording, local, lambda part: progress(0.5 + 0.45 * part))
    if not len(units.vectors):
        return Diarization((), (), "embedded", "")
    centres = clustering.centres(units.vectors, units.clean, count)
    speaks = assembled(local, units, centres)
    many = np.rint(local.mean(local.active.sum(axis=2))).astype(int)
    many[int(recording.duration * SAMPLE_RATE / HOP) + 1 :] = 0
    turns, exclusive = (_turns(speaks, n, recording.duration) for n in (many, np.minimum(many, 1)))
    return Diarization(tuple(turns), tuple(exclusive), "embedded", "")


class Units:
    """Every voice of every window that says enough to be known by."""

    def __init__(self, recording: Recording, local: Local, progress: Progress):
        encoder, vectors, rows = Encoder(), [], []
        for w, (first, active) in enumerate(zip(local.first, local.active, strict=True)):
            alone = active.sum(axis=1) == 1
            start = first * HOP / SAMPLE_RATE
            mel = None
            for voice in np.flatnonzero(active.any(axis=0)):
                clean = active[:, voice] & alone
                chosen = clean if clean.sum() >= 12 else active[:, voice]
                if mel is None:
                    mel = _window_mel(encoder, recording, start)
                vectors.append(_vector(encoder, mel, chosen))
                rows.append((w, voice, clean.sum() * HOP / SAMPLE_RATE))
            progress((w + 1) / len(local.first))
        self.vectors = np.array(vectors, np.float32)
        self.window = np.array([r[0] for r in rows], int)
        self.voice = np.array([r[1] for r in rows], int)
        self.clean = np.array([r[2] for r in rows], np.float32)  # seconds alone


def _window_mel(encoder: Encoder, recording: Recording, start: float) -> np.ndarray:
    audio = recording.read(start, start + WINDOW)
    return encoder.mel(np.pad(audio, (0, round(WINDOW * SAMPLE_RATE) - len(audio))))


def _vector(encoder: Encoder, mel: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """The mean vector of a voice that speaks in the `chosen` frames of a window."""
    frame = np.minimum(np.arange(len(mel)) * MEL_HOP // HOP, FRAMES - 1)
    mel = mel[chosen[frame]]
    if len(mel) < LENGTH:
        mel = np.tile(mel, (-(-LENGTH // len(mel)), 1))[:LENGTH]
    starts = np.unique(np.linspace(0, len(mel) - LENGTH, 1 + -(-(len(mel) - LENGTH) // 80)).astype(int))
    vector = encoder([mel[s : s + LENGTH] for s in starts]).mean(axis=0)
    return vector / np.linalg.norm(vector)


def assembled(local: Local, units: Units, centres: np.ndarray) -> np.ndarray:
    """How surely each speaker speaks: float32 (frames, speakers)."""
    scores = np.zeros((*local.voices.shape[:2], len(centres)), np.float32)
    likeness = units.vectors @ centres.T
    for w in np.unique(units.window):
        mine = np.flatnonzero(units.window == w)
        weight = np.sqrt(units.clean[mine] + 0.1)[:, None]
        for unit, speaker in zip(*linear_sum_assignment(-likeness[mine] * weight), strict=True):
            scores[w, :, speaker] = local.voices[w, :, units.voice[mine[unit]]]
    return local.mean(scores)


def _turns(speaks: np.ndarray, many: np.ndarray, duration: float) -> list[Turn]:
    """The `many` likeliest speakers of each frame as turns."""
    rank = (-speaks).argsort(axis=1, kind="stable").argsort(axis=1)
    on = rank < many[:, None]
    turns = []
    for speaker in range(on.shape[1]):
        edges = np.flatnonzero(np.diff(np.pad(on[:, speaker], 1).astype(np.int8)))
        last = None
        for a, b in zip(edges[::2], edges[1::2], strict=True):
            start, end = max(0.0, seconds(a)), min(duration, seconds(b))
            if last and start - last[1] < 0.2:
                last[1] = end
            else:
                last = [start, end]
                turns.append((last, speaker))
    return [Turn(round(s, 3), round(e, 3), str(k)) for (s, e), k in turns if e - s >= 0.1]
