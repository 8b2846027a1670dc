"""A recording that somebody gave us: what is wanted of it, and how far it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from asr.types import Options, Task

# A job goes uploading -> waiting -> working -> done | failed | cancelled, and back to waiting when
# somebody asks for more, or when a server that was stopped in the middle starts again.
State = Literal["uploading", "waiting", "working", "done", "failed", "cancelled"]
Stage = Literal["decode", "transcribe", "align", "diarize"]
STAGES: tuple[Stage, ...] = ("decode", "transcribe", "align", "diarize")
OVER = ("done", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Wishes:
    """What somebody wants of a recording. An empty text means: as the server thinks best."""

    model: str = ""  # "backend:model"
    language: str = ""  # ISO 639-1
    task: Task = "transcribe"
    hotwords: str = ""
    align: bool = False  # word times by forced alignment, also where the model gives some
    rung: str = "none"  # of asr.diarize: how the speakers are found
    exact: int | None = None  # so many speakers
    low: int | None = None  # or at least
    high: int | None = None  # and at most so many

    @property
    def words(self) -> tuple:
        """Those that decide which words are recognised."""
        return self.model, self.language, self.task, self.hotwords

    @property
    def speakers(self) -> tuple:
        """Those that decide who has said them."""
        return self.rung, self.exact, self.low, self.high

    @property
    def options(self) -> Options:
        """As the recogniser is asked."""
        return Options(self.language or None, self.task, hotwords=self.hotwords.strip() or None)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """What a new recording goes through."""
        wanted = {"align": self.align and self.task == "transcribe", "diarize": self.rung != "none"}
        return tuple(stage for stage in STAGES if wanted.get(stage, True))


@dataclass(frozen=True, slots=True)
class Job:
    """As it is in the database. `what` and `fix` say why it failed; of a job that is done, they warn."""

    id: str  # cannot be guessed
    owner: str  # SHA-256 in hex of a browser's secret
    name: str  # of the file, as its owner gave it; escape it
    suffix: str  # ".mp3"; "" where the name has none
    bytes: int  # on disk; of one that is uploading, what it will have
    created: float  # wall clock, seconds
    state: State
    stages: tuple[Stage, ...]  # still to be done, the present one first
    wishes: Wishes
    progress: float = 0.0  # of the present stage, in [0, 1]
    queued: float = 0.0  # when it began to wait for its turn
    began: float = 0.0  # when it was last worked on
    took: float = 0.0  # seconds of work until now or its end
    tries: int = 0  # how often the present stage was begun: what kills the server must not do so for ever
    duration: float = 0.0  # seconds of audio; while it is decoded, of what has been read
    damage: str = ""  # what could not be read of it
    model: str = ""  # that recognised it
    timed: str = ""  # how the words got their times, where there is something to say about that
    says: str = ""  # how the speakers were found: sentences
    what: str = ""
    fix: str = ""
    version: int = 0  # of the transcript; 0 while the first is being made
    revision: int = 0  # grows with everything that changes what the editor shows

    @property
    def stage(self) -> str:
        """What is being done, or what comes next; empty when nothing is left to do."""
        return self.stages[0] if self.stages else ""

    @property
    def over(self) -> bool:
        return self.state in OVER


def todo(job: Job, wishes: Wishes) -> tuple[Stage, ...]:
    """What is to be done when somebody has these wishes now: no more than they make necessary."""
    if not job.over:
        return wishes.stages
    left, after = set(job.stages), ("transcribe", "align", "diarize")
    if job.wishes.words != wishes.words:
        left.update(after)
    if job.wishes.speakers != wishes.speakers:
        left.add("diarize")
    if wishes.align and not job.wishes.align:
        left.add("align")
    return tuple(s for s in wishes.stages if s in (left or after))
