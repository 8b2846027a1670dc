"""Where to cut audio that is longer than a model hears at once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from asr.audio import SAMPLE_RATE

TENTH = SAMPLE_RATE // 10


def quiet_pieces(audio: np.ndarray, longest: float = 30.0) -> Iterator[tuple[int, int]]:
    """First and last sample of pieces of at most `longest` seconds of audio (n,), together all of it.

    Each ends in the quietest tenth of a second of its later half. (Recordings are cut by the voice
    detector, long before: this is for whoever gives a backend everything at once.)
    """
    start, most = 0, round(longest * SAMPLE_RATE)
    while len(audio) - start > most:
        first = start + most // 2
        later = audio[first : start + most]
        loudness = (later[: len(later) // TENTH * TENTH].reshape(-1, TENTH) ** 2).sum(axis=1)
        stop = first + int(loudness.argmin()) * TENTH + TENTH // 2
        yield start, stop
        start = stop
    yield start, len(audio)
