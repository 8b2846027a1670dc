"""What the page says of a job: how far it is, and what came of it."""

from __future__ import annotations

import time

from asr import languages
from asr.jobs import Job
from asr.types import Transcript
from ui import render

QUIET_ROOM = (
    "If somebody speaks in it: is it very quiet, or another language than the chosen one? "
    "A larger model may hear more."
)
GOES_ON = "You may close this page: the work goes on, and My recordings keeps it."
DOES = {"align": "Timing the words", "diarize": "Telling speakers apart"}


def elapsed(job: Job) -> float:
    """Seconds that it has been worked on."""
    return job.took + (time.time() - job.began if job.state == "working" else 0.0)


def progress(job: Job, heard: float, left: float | None, ahead: int = 0, model: str = "") -> str:
    """The stage, and what is known of it: seconds heard, seconds left, jobs ahead, the state of the model."""
    so_far = f"{render.clock(elapsed(job))} so far"
    times = [so_far] + ([f"{render.roughly(left)} left"] if left is not None else [])
    if job.state in ("uploading", "waiting"):
        before = f"{ahead} recording{'s' * (ahead > 1)} before yours" if ahead else ""
        return render.progress("Waiting for a place", before)
    if job.stage == "decode":
        return render.progress("Reading the recording", f"{render.clock(job.duration)} read")
    if job.stage in DOES:
        return render.progress(DOES[job.stage], " · ".join(times), job.progress or None)
    if not heard and model:
        return render.progress(model.rstrip("."), so_far)
    if not heard:
        return render.progress("Listening for speech", so_far)
    told = [f"{render.clock(heard)} of {render.clock(job.duration)}", *times]
    return render.progress("Transcribing", " · ".join(told), job.progress)


def outcome(job: Job, text: Transcript) -> str:
    """The facts, and what people should know."""
    said = [render.summary(facts(job, text))] if text.segments or job.state == "done" else []
    if job.damage:
        said.append(render.notice("warn", "Part of this recording could not be read.", job.damage))
    if job.state == "failed":
        kept = " What was recognised before that is below." if text.segments else ""
        said.append(render.notice("error", job.what + kept, job.fix))
    elif job.state == "cancelled":
        kept = "What was recognised until then is below." if text.segments else "Nothing was recognised yet."
        said.append(render.notice("info", "Cancelled.", f"{kept} Transcribe goes on from there."))
    elif job.what:
        said.append(render.notice("warn", job.what, job.fix))
    elif not text.segments:
        said.append(render.notice("info", "No speech was found in this recording.", QUIET_ROOM))
    if any(s.unsure for s in text.segments):
        said.append(render.unsure_key())
    return "".join(said)


def facts(job: Job, text: Transcript) -> list[str]:
    """What is known of a recording and of how it was recognised."""
    known = [f"{render.clock(job.duration)} of audio"]
    if text.language:
        sure = f" ({text.language_probability:.0%} sure)" if text.language_probability else ""
        known.append(languages.name(text.language).title() + sure)
    if job.model:
        known.append(render.model_name(job.model))
    known += [s.rstrip(".") for s in (job.timed, job.says) if s]
    return [*known, f"took {render.clock(elapsed(job))}"]
