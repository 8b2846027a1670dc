"""What is done to a recording, stage by stage; the result of each is saved before the next begins.

A stage reads what it needs from the store and leaves there what it made. It raises Cancelled as soon
as nobody wants the job any more, and an ASRError where it cannot be done.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from asr import audio, pipeline
from asr.audio import SAMPLE_RATE, Limits, Recording, channels
from asr.backends import Backend
from asr.config import Config
from asr.errors import Cancelled
from asr.held import held
from asr.jobs import tracks
from asr.jobs.job import Job
from asr.jobs.store import Store
from asr.types import Options, Segment

OFTEN = 0.3  # seconds between two notes of how far a stage is
LEAST = 0.1  # seconds of audio that are worth listening to

Transcribe = Callable[[Recording, Backend, Options], Iterator[Segment]]


@dataclass(frozen=True, slots=True)
class Tools:
    """What the stages work with."""

    store: Store
    config: Config
    model: Callable[[str | None], Backend]  # loads it if need be
    transcribe: Transcribe = pipeline.transcribe


class Work:
    """One job in one thread."""

    def __init__(self, tools: Tools, id: str):
        self.tools, self.store, self.id = tools, tools.store, id
        self.stopped = False  # nobody wants it any more, or the server stops
        self._told = 0.0

    @property
    def job(self) -> Job:
        return self.store.job(self.id)

    def go_on(self) -> None:
        if self.stopped:
            raise Cancelled("The work was cancelled.")

    def tell(self, progress: float = 0.0, **facts) -> None:
        """How far it is, saved now and then; raises Cancelled."""
        self.go_on()
        if time.monotonic() - self._told > OFTEN:
            self._told = time.monotonic()
            self.store.note(self.id, progress=min(1.0, max(0.0, progress)), **facts)


def decode(work: Work) -> None:
    job, store, config = work.job, work.store, work.tools.config
    for left in store.folder(job.id).glob("*.part"):  # by a server that was killed
        left.unlink()
    limits = Limits.of(config)
    source, target, parts = store.source(job), store.audio(job), tracks.files(store, job)

    def tell(seconds: float) -> None:
        work.tell(duration=seconds)

    decoded = (
        channels.together(parts, limits, into=target)
        if parts
        else audio.decode(source, limits, into=target, progress=tell)
    )
    with decoded as recording:
        facts = {"duration": recording.duration, "damage": recording.damage}
        store.skip(job.id, "decode", bytes=store.size(job.id), **facts)


def transcribe(work: Work) -> None:
    """From the last segment that an earlier try has saved."""
    job, store = work.job, work.store
    backend = work.tools.model(job.wishes.model or None)
    store.note(job.id, model=backend.spec)
    with held(backend), Recording.open(store.audio(job)) as whole:
        for n, segment in _heard(work, whole, backend, store.heard(job.id)):
            work.go_on()
            store.hear(job.id, n, segment)
            work.tell(segment.end / whole.duration)
    text = store.continued(job.id)
    if text.segments and text.task == "transcribe" and not any(s.words for s in text.segments):
        store.also(job.id, "align")  # whoever listens wants to see which word it is
    store.keep(job.id, "transcribe", text, model=backend.spec, timed="")


def _heard(
    work: Work, whole: Recording, backend: Backend, saved: list[Segment]
) -> Iterator[tuple[int, Segment]]:
    start = saved[-1].end if saved else 0.0
    if whole.duration - start < LEAST and saved:
        return
    options = replace(work.job.wishes.options, word_timestamps="words" in backend.can)
    if saved:  # the same language as before
        options = replace(options, language=options.language or saved[0].language)
    rest = Recording(whole.samples[round(start * SAMPLE_RATE) :]) if saved else whole
    for n, segment in enumerate(work.tools.transcribe(rest, backend, options), len(saved)):
        yield n, segment.shifted(start)


def align(work: Work) -> None:
    """Word times by forced alignment; of the text as people have corrected it."""
    from asr.align import align

    job, store = work.job, work.store
    text = store.edited(job.id)
    with Recording.open(store.audio(job)) as recording:
        how = {"config": work.tools.config, "progress": work.tell}
        segments, says = align(recording, text.segments, text.language, **how)
    if segments == text.segments:
        store.skip(job.id, "align", timed=says)
    else:
        found = store.diarization(job.id)
        store.keep(job.id, "align", replace(text, segments=segments), found, timed=says)


def diarize(work: Work) -> None:
    from asr.diarize import Count, diarize

    job, store = work.job, work.store
    wishes, parts = job.wishes, tracks.files(store, job)
    with Recording.open(store.audio(job)) as recording:
        found = diarize(
            recording,
            wishes.rung,
            Count(wishes.exact, wishes.low, wishes.high),
            source=parts or store.source(job),
            **({"names": tracks.names(store, job)} if parts else {}),
            config=work.tools.config,
            progress=work.tell,
        )
    store.name_speakers(job.id, found, says=found.says)


STAGES = {"decode": decode, "transcribe": transcribe, "align": align, "diarize": diarize}
