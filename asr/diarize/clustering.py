"""How many speakers there are, and which slots are whose.

Windows with one speaker are grouped by likeness into more groups than there are speakers (average
linkage). Then, again and again: what each group sounds like, which slots sound like it; the group with
the least speech is given up when it has nearly none, or the two most alike become one.
"""

from __future__ import annotations

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage

from asr.diarize.answer import Count
from asr.diarize.slots import KNOWING, SLOT, WIDTHS, Slots, ahead, unit

WIDE = WIDTHS[0]
# The figures below were chosen on AMI excerpts, FSDD digit meetings, a telephone call and meetings put
# together from real voices: see docs/diarization.md.
APART = 0.4  # cosine distance at which groups are kept apart at first
PURE = 0.5  # part of a window in which one person must speak to found a group
FOUNDERS = 6  # windows that make a group
BEGIN = 60  # groups to begin with, more than the fewest speakers: each round takes time for each of them
ALIKE = 0.8  # cosine likeness from which on two groups are one speaker ...
NOISE = 0.25  # ... less this, divided by the seconds of each: what is known from little is less alike
HEARD = 3.0  # seconds somebody must speak alone to count as a speaker
ROUNDS = 3  # of settling between two changes
MOST = 3000  # windows compared with each other: their distances take 36 MB


def posterior(slots: Slots, count: Count) -> np.ndarray:
    """Whose voice each slot has: float32 (slots, speakers), rows that sum to 1."""
    groups = _groups(slots, count.bounds[0])
    if len(groups) == 0:
        return np.ones((len(slots), 1), np.float32)
    whose = _found(slots, groups, *count.bounds)
    return slots.posterior(slots.centres(whose), KNOWING)


def _found(slots: Slots, groups: np.ndarray, low: int, high: int) -> np.ndarray:
    """The posterior of `groups` after they have become speakers, `low` to `high` of them."""
    whose = slots.posterior({WIDE: groups})
    while True:
        for _ in range(ROUNDS):
            centres = slots.centres(whose)
            whose = slots.posterior(centres)
        now = whose.shape[1]
        if now <= low:
            return whose
        seconds = _seconds(slots, whose)
        if seconds.min() < HEARD:
            whose = _without(whose, int(seconds.argmin()))
            continue
        alike = centres[WIDE] @ centres[WIDE].T + NOISE * (1 / seconds[:, None] + 1 / seconds)
        np.fill_diagonal(alike, -np.inf)
        if now <= high and alike.max() <= ALIKE:
            return whose
        whose = _joined(whose, *divmod(int(alike.argmax()), now))


def _groups(slots: Slots, low: int) -> np.ndarray:
    """What the first groups sound like, at least `low` of them where there are so many windows."""
    pure = ahead(slots.alone, WIDE)
    for least in (PURE, 0.3, 0.1):
        windows = np.flatnonzero(pure >= least)
        if len(windows) >= max(10, 4 * low):
            break
    windows = windows[:: 1 + len(windows) // MOST] if len(windows) > MOST else windows
    vectors = slots.vectors[WIDE][windows]
    if len(vectors) <= max(1, low):
        return vectors
    tree = linkage(vectors, "average", metric="cosine")
    labels = fcluster(tree, APART, "distance")
    large = _large(labels)
    for more in range(labels.max() + 1, min(len(vectors), low + BEGIN) + 1):
        if len(large) >= low:
            break
        labels = fcluster(tree, more, "maxclust")
        large = _large(labels)
    if len(large) < low:
        labels = fcluster(tree, low, "maxclust")
        large = np.unique(labels)
    return unit(np.stack([vectors[labels == g].mean(axis=0) for g in large[: low + BEGIN]]))


def _large(labels: np.ndarray) -> np.ndarray:
    """The groups that have enough windows, the largest first."""
    sizes = np.bincount(labels)
    by_size = np.argsort(-sizes, kind="stable")
    return by_size[sizes[by_size] >= min(FOUNDERS, 0.1 * len(labels))]


def _seconds(slots: Slots, whose: np.ndarray) -> np.ndarray:
    """How long each speaker speaks alone."""
    leads = whose.argmax(axis=1)
    return np.bincount(leads, slots.alone, minlength=whose.shape[1]) * SLOT + 0.01


def _without(whose: np.ndarray, speaker: int) -> np.ndarray:
    rest = np.delete(whose, speaker, axis=1) + 1e-9
    return rest / rest.sum(axis=1, keepdims=True)


def _joined(whose: np.ndarray, one: int, other: int) -> np.ndarray:
    whose = whose.copy()
    whose[:, one] += whose[:, other]
    return np.delete(whose, other, axis=1)
