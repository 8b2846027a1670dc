"""How many speakers there are, and what each sounds like, from many short samples of voices."""

from __future__ import annotations

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage

from asr.diarize.answer import Count

THRESHOLD = 0.28  # cosine distance above which two groups of vectors are two speakers
ENOUGH = 0.8  # seconds a voice must be heard alone to found a speaker
MOST = 3000  # vectors compared with each other: their distances take 36 MB


def centres(vectors: np.ndarray, clean: np.ndarray, count: Count) -> np.ndarray:
    """What each speaker sounds like: float32 (speakers, SIZE), rows of length 1.

    `vectors` (n, SIZE) have length 1, and each speaker's were heard alone for `clean` (n,) seconds.
    """
    founders = np.flatnonzero(clean >= ENOUGH)
    if len(founders) < count.bounds[0]:
        founders = np.argsort(-clean)[: max(5, count.bounds[0])]
    if len(founders) > MOST:
        founders = founders[np.linspace(0, len(founders) - 1, MOST).astype(int)]
    vectors, clean = vectors[founders], clean[founders]
    if len(vectors) == 1:
        return vectors
    tree = linkage(vectors, "average", metric="cosine")
    low, high = count.bounds
    heavy = min(1.5 * 4, 0.1 * clean.sum())
    labels = fcluster(tree, THRESHOLD, "distance")
    many = _heavy(labels, clean, heavy)
    if not low <= len(many) <= high:
        want = min(max(len(many), low), high)
        for k in range(want, min(len(vectors), want + 40) + 1):
            labels = fcluster(tree, k, "maxclust")
            many = _heavy(labels, clean, heavy)
            if len(many) >= want:
                break
        many = sorted(np.unique(labels), key=lambda group: -clean[labels == group].sum())[:want]
    found = np.stack([clean[labels == group] @ vectors[labels == group] for group in many])
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def _heavy(labels, clean, least):
    heavy = [group for group in np.unique(labels) if clean[labels == group].sum() >= least]
    return heavy or [max(np.unique(labels), key=lambda group: clean[labels == group].sum())]
