"""One hearing of a live stream's buffer: what the model is asked, and how urgently."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from asr.backends import Backend, Stream
from asr.types import Options, Segment


class Rank(IntEnum):
    """What a pass is for. A final one goes before all others."""

    FINAL = 0  # the utterance is over and waits for its words
    PAUSE = 1  # silence has begun: if it lasts, this is the final text
    DRAFT = 2


@dataclass(frozen=True, slots=True, eq=False)
class Pass:
    """Samples `start` to `until` of a stream, counted from its beginning."""

    audio: np.ndarray  # float32 (n,)
    options: Options
    start: int
    until: int
    rank: Rank
    origin: int  # the sample that is time zero in the engine's answer
    careful: bool = False  # its scores failed once: hear it again with the temperature ladder
    stream: Stream | None = None  # the engine's own stream, where it has one


def hear(backend: Backend, passes: Sequence[Pass]) -> list[list[Segment]]:
    """The segments of each pass; all windows in one call where the backend takes several."""
    answers = [None if _joins(backend, p) else _alone(backend, p) for p in passes]
    together = [p for p in passes if _joins(backend, p)]
    if together:
        windows, options = [p.audio for p in together], [p.options for p in together]
        batch = iter(backend.transcribe_batch(windows, options))
        answers = [next(batch) if a is None else a for a in answers]
    return answers


def _joins(backend: Backend, job: Pass) -> bool:
    return "batch" in backend.can and job.stream is None and not job.careful


def _alone(backend: Backend, job: Pass) -> list[Segment]:
    if job.stream is None:
        return list(backend.transcribe(job.audio, job.options))
    words = job.stream.feed(job.audio)
    if job.rank is Rank.FINAL:
        words = job.stream.finish()
    return [Segment.of(words, language=job.stream.language)] if words else []
