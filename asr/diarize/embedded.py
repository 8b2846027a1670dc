"""Who spoke when, without a token or a download: the networks that this package and whisperx bring.

Windows of five seconds tell voices apart (`segmentation`); every 0.2 s a vector says what the voice there
is like (`slots`); the vectors of one speaker are found (`clustering`); and with these the voices of the
windows get their names (`resegmentation`). Runs in `asr.diarize.process`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from asr.audio import SAMPLE_RATE, Recording
from asr.diarize import clustering, resegmentation, slots
from asr.diarize.answer import Count, Diarization
from asr.diarize.segmentation import HOP, segment

Progress = Callable[[float], None]


def diarize(recording: Recording, count: Count, progress: Progress = lambda _: None) -> Diarization:
    """Who speaks when; `progress` is told the part done, in [0, 1]."""
    # The work is many small operations: threads of one of them wait for each other, worst on a busy machine.
    torch.set_num_threads(1)
    local = segment(recording, lambda part: progress(0.35 * part))
    many = np.rint(local.mean(local.active.sum(axis=2))).astype(int)
    many[len(recording) // HOP + 1 :] = 0
    if not many.any():
        return Diarization((), (), "embedded", "")
    heard = slots.hear(recording, many, lambda part: progress(0.35 + 0.55 * part))
    whose = clustering.posterior(heard, count)
    progress(0.95)
    scores = resegmentation.scores(local, whose)
    length = len(recording) / SAMPLE_RATE
    turns = resegmentation.turns(scores, np.minimum(many, whose.shape[1]), length)
    return Diarization(turns, resegmentation.exclusive(scores, many, length), "embedded", "")
