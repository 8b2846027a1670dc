"""What the page says of a job: how far it is, and what came of it."""

from __future__ import annotations

import time

from asr.diarize import BETTER
from asr.jobs import Job
from asr.types import Transcript
from ui import render
from ui.language import say, sentence, spoken, then


def elapsed(job: Job) -> float:
    """Seconds that it has been worked on."""
    return job.took + (time.time() - job.began if job.state == "working" else 0.0)


def progress(job: Job, heard: float, left: float | None, ahead: int = 0, model: str = "") -> str:
    """The stage, and what is known of it: seconds heard, seconds left, jobs ahead, the state of the model."""
    so_far = say("report.so_far", time=render.clock(elapsed(job)))
    times = [so_far] + ([say("report.left", time=render.roughly(left))] if left is not None else [])
    if job.state in ("uploading", "waiting"):
        before = say("report.ahead", n=ahead) if ahead else ""
        return render.progress(say("report.waiting"), before)
    if job.stage == "decode":
        return render.progress(say("report.decode"), say("report.read", time=render.clock(job.duration)))
    if job.stage in ("align", "diarize"):
        return render.progress(say(f"report.{job.stage}"), " · ".join(times), job.progress or None)
    if not heard and model:
        return render.progress(sentence(model).rstrip(".。"), so_far)
    if not heard:
        return render.progress(say("report.listening"), so_far)
    told = [say("player.of", time=render.clock(heard), length=render.clock(job.duration)), *times]
    return render.progress(say("report.transcribe"), " · ".join(told), job.progress)


def outcome(job: Job, text: Transcript) -> str:
    """The facts, and what people should know."""
    said = [render.summary(facts(job, text))] if text.segments or job.state == "done" else []
    if better := told_apart(job)[1]:
        said.append(render.aside(say("report.better"), better))
    if job.damage:
        said.append(render.notice("warn", say("report.damage"), job.damage))
    if job.state == "failed":
        fix = then(sentence(job.fix), say("report.kept")).strip() if text.segments else job.fix
        said.append(render.notice("error", job.what, fix))
    elif job.state == "cancelled":
        how = "report.cancelled_some" if text.segments else "report.cancelled_none"
        said.append(render.notice("info", say("report.cancelled"), say(how)))
    elif job.what:
        said.append(render.notice("warn", job.what, job.fix))
    elif not text.segments:
        said.append(render.notice("info", say("report.silent"), say("report.silent_fix")))
    if any(s.unsure for s in text.segments):
        said.append(render.unsure_key())
    return "".join(said)


def told_apart(job: Job) -> tuple[str, str]:
    """By what the speakers were told apart; and what would do it better, which takes many more words."""
    by, _, better = job.says.partition(BETTER)
    return sentence(by), sentence(better)


def facts(job: Job, text: Transcript) -> list[str]:
    """What is known of a recording and of how it was recognised."""
    known = [say("report.audio", time=render.clock(job.duration))]
    if text.language:
        sure = f" ({text.language_probability:.0%})" if text.language_probability else ""
        known.append(spoken(text.language) + sure)
    if job.model:
        known.append(render.model_name(job.model))
    known += [s.rstrip(".。") for s in (sentence(job.timed), told_apart(job)[0]) if s]
    return [*known, say("report.took", time=render.clock(max(1.0, elapsed(job))))]
