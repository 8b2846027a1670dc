"""Turns to the frame: the segmentation knows when somebody speaks, the slots know who that is."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.optimize import linear_sum_assignment

from asr.audio import SAMPLE_RATE
from asr.diarize.segmentation import FIELD, FRAMES, HOP, Local, seconds
from asr.diarize.slots import SLOT
from asr.types import Turn

GAP, SHORTEST = 0.2, 0.1  # seconds: a shorter pause is none, a shorter turn neither
SHORT = 3  # frames: a voice of fewer is no voice
ENOUGH = 12  # frames in which a voice is alone, to judge it by them


def scores(local: Local, whose: np.ndarray) -> np.ndarray:
    """How surely each speaker speaks: float32 (frames, speakers), from the slots' posterior `whose`.

    In each window each voice becomes another speaker, whom its slots sound like; windows that cover the
    same frame vote. The slots' own word counts as much: windows mistake two similar voices for one.
    """
    voice = _in_frames(whose, local.frames)
    votes = np.zeros_like(voice)
    for window, (first, active) in enumerate(zip(local.first, local.active, strict=True)):
        here = voice[first : first + FRAMES]
        voices = np.flatnonzero(active.sum(axis=0) >= SHORT)
        likely = [_likely(here, active, k) for k in voices]
        if likely:
            for row, speaker in zip(*linear_sum_assignment(np.array(likely), maximize=True), strict=True):
                votes[first : first + FRAMES, speaker] += local.voices[window, :, voices[row]]
    votes /= local.cover[:, None]
    votes += voice
    return votes


def _likely(voice: np.ndarray, active: np.ndarray, k: int) -> np.ndarray:
    """How much the slots say that voice `k` of a window is each speaker; more where it speaks longer."""
    alone = active[:, k] & (active.sum(axis=1) == 1)
    frames = alone if alone.sum() >= ENOUGH else active[:, k]
    return voice[frames].mean(axis=0) * np.sqrt(frames.sum())


def _in_frames(whose: np.ndarray, frames: int) -> np.ndarray:
    """The posterior of slots at each frame, between two slots some of both: float32 (frames, speakers)."""
    at = (np.arange(frames) * HOP + FIELD / 2) / SAMPLE_RATE / SLOT - 0.5
    first = np.clip(at.astype(int), 0, len(whose) - 1)
    part = np.clip(at - first, 0, 1)[:, None].astype(np.float32)
    return whose[first] * (1 - part) + whose[np.minimum(first + 1, len(whose) - 1)] * part


def turns(scores: np.ndarray, many: np.ndarray, duration: float) -> tuple[Turn, ...]:
    """The `many` (frames,) likeliest speakers of each frame, as turns of speakers "0", "1", ..."""
    on = (-scores).argsort(axis=1, kind="stable").argsort(axis=1) < many[:, None]
    found = []
    for speaker in range(on.shape[1]):
        last = None
        for a, b in _runs(on[:, speaker]):
            start, end = max(0.0, seconds(a)), min(duration, seconds(b))
            if last and start - last[1] < GAP:
                last[1] = end
            else:
                last = [start, end]
                found.append((last, str(speaker)))
    return tuple(Turn(round(a, 3), round(b, 3), who) for (a, b), who in found if b - a >= SHORTEST)


def exclusive(scores: np.ndarray, many: np.ndarray, duration: float) -> tuple[Turn, ...]:
    """The same, where several speak at once only who is likeliest. None overlap."""
    who = np.where(many > 0, scores.argmax(axis=1), -1)
    edges = np.flatnonzero(np.diff(who, prepend=-1, append=-1))
    return tuple(
        Turn(round(max(0.0, seconds(a)), 3), round(min(duration, seconds(b)), 3), str(who[a]))
        for a, b in pairwise(edges.tolist())
        if who[a] >= 0 and seconds(b) - seconds(a) >= SHORTEST
    )


def _runs(on: np.ndarray) -> list[tuple[int, int]]:
    """Where it is true without a break: (first, after the last)."""
    edges = np.flatnonzero(np.diff(on.astype(np.int8), prepend=0, append=0))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
