"""What the Recording tab shows while jobs go on, look by look; whoever looks away misses nothing.

The work does not depend on anybody who follows it: a page that is closed, and opened again, follows on.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace

import gradio as gr

from asr.errors import ASRError
from asr.jobs import Job, Worker
from asr.types import Segment, Transcript
from ui import files, render, report, shelf, visitor
from ui.language import say

BLOCK = 60  # lines; full blocks are sent once, only what is below them at every look
LOOK = 0.4  # seconds between two looks
GONE = {"visible": False}
Says = Callable[[str], str]  # what there is to say of a model, by its spec


@dataclass
class Seen:
    """What a page has of a job."""

    lines: int = 0  # in full blocks
    state: tuple = ()  # of the text that it has: version and revision
    said: list[Segment] = field(default_factory=list)
    sound: str = ""
    stage: str = ""
    since: tuple[float, float] = (0.0, 0.0)  # when that stage was first seen, and how far it was


def asked(text: str) -> tuple[str, list[str]]:
    """Who asks, and about which recordings: {"browser": secret, "ids": [...]}. Raises Refused."""
    try:
        body = json.loads(text or "{}")
        secret, ids = str(body.get("browser", "")), [str(id) for id in body.get("ids", [])]
    except (ValueError, AttributeError, TypeError):
        secret, ids = "", []
    return visitor.owner_of(secret), ids[:100]


async def followed(
    at: SimpleNamespace, worker: Worker, owner: str, ids: Sequence[str], says: Says
) -> AsyncIterator[dict]:
    """What changes on the page until all these jobs are over."""
    seen = Seen()
    yield cleared(at) | _buttons(at, busy=True)
    while True:
        jobs = await asyncio.to_thread(lambda: [worker.store.job(id, owner) for id in ids])
        over = all(job.over for job in jobs)
        changes = await asyncio.to_thread(_one if len(jobs) == 1 else _many, at, worker, jobs, seen, says)
        again = all(job.state == "done" for job in jobs)
        yield changes | (_buttons(at, busy=False, again=again) if over else {})
        if over:
            return
        await asyncio.sleep(LOOK)


def _one(at: SimpleNamespace, worker: Worker, jobs: Sequence[Job], seen: Seen, says: Says) -> dict:
    """Its text as it grows, its sound, how far it is."""
    (job,) = jobs
    changes = _lines(at, worker, job, seen) | _sound(at, worker, job, seen)
    if not job.over:
        heard = job.progress * job.duration if job.stage == "transcribe" else 0.0
        model = "" if seen.said else says(job.wishes.model)
        told = report.progress(job, heard, _left(job, seen), worker.ahead(job.id), model)
        return changes | {at.news: _beat(told)}
    text = Transcript(tuple(seen.said), job.duration, job.wishes.task)
    take = shelf.take(job, worker.store.key(job.id)) if text.segments else ""
    return changes | {at.news: report.outcome(job, text), at.take: gr.HTML(take, visible=bool(take))}


def _many(at: SimpleNamespace, worker: Worker, jobs: Sequence[Job], seen: Seen, says: Says) -> dict:
    """A list of them, which the page keeps up to date by itself: each has a page of its own."""
    first, seen.state = not seen.state, ("listed",)
    frame = {at.settled: gr.HTML(shelf.some(jobs), visible=True)} if first else {}
    done = sum(job.over for job in jobs)
    if done == len(jobs):
        failed = sum(job.state == "failed" for job in jobs)
        said = [say("report.recordings", n=done)] + ([say("report.failed", n=failed)] if failed else [])
        return frame | {at.news: render.summary(said)}
    so_far = say("report.done", n=done, all=len(jobs))
    return frame | {at.news: _beat(render.progress(say("report.working"), so_far, done / len(jobs)))}


def _lines(at: SimpleNamespace, worker: Worker, job: Job, seen: Seen) -> dict:
    """The lines that the page lacks."""
    store = worker.store
    if job.version:
        if seen.state == (state := (job.version, job.revision)):
            return {}
        seen.said, seen.state, seen.lines = list(store.edited(job.id).segments), state, 0
    else:
        seen.said += store.heard(job.id, len(seen.said))
    said = seen.said
    full = len(said) // BLOCK * BLOCK
    changes = {at.latest: gr.HTML(render.lines(said[full:], full + 1), visible=len(said) > full)}
    if full != seen.lines or job.version:
        changes[at.settled] = gr.HTML(render.lines(said[:full]), visible=full > 0)
    seen.lines = full
    return changes


def _sound(at: SimpleNamespace, worker: Worker, job: Job, seen: Seen) -> dict:
    sound = address(worker, job)
    if sound == seen.sound:
        return {}
    seen.sound = sound
    return {at.player: gr.HTML(render.player(sound), visible=True) if sound else gr.HTML("", **GONE)}


def address(worker: Worker, job: Job) -> str:
    """Where browsers get its sound; empty as long as they could not play it, and where nobody can read it."""
    store = worker.store
    read = store.audio(job).exists()
    playable = read or (files.played(store.source(job)) and job.state != "failed")
    return f"recordings/{job.id}/audio?key={store.key(job.id)}" if playable else ""


def _left(job: Job, seen: Seen) -> float | None:
    """Seconds that the stage will still take if it goes on as so far; None while that says nothing."""
    now = time.monotonic()
    if seen.stage != job.stage:
        seen.stage, seen.since = job.stage, (now, job.progress)
    so_far, done = now - seen.since[0], job.progress - seen.since[1]
    return so_far * (1 - job.progress) / done if so_far > 3 and done > 0.02 else None


def _beat(told: str) -> str:
    """With a sign of life, so that the page notices when nobody tells it anything any more."""
    hint = f'<p class="hint">{say("report.goes_on")}</p>'
    return f'<div class="following" data-beat="{int(time.time())}">{told}{hint}</div>'


def start(again: bool = False, **more) -> gr.Button:
    """The button that begins the work; once all is done, there are better things to press."""
    word, variant = ("recording.again", "secondary") if again else ("recording.transcribe", "primary")
    return gr.Button(say(word), variant=variant, **more)


def _buttons(at: SimpleNamespace, busy: bool, again: bool = False) -> dict:
    return {
        at.start: start(again, visible=not busy, interactive=True),
        at.stop: gr.Button(visible=busy),
        at.another: gr.Button(visible=True),
    }


def cleared(at: SimpleNamespace) -> dict:
    """No transcript."""
    return {part: gr.HTML("", **GONE) for part in (at.take, at.settled, at.latest)}


def refused(at: SimpleNamespace, error: ASRError) -> dict:
    return {at.news: render.notice("error", error.what, error.fix)} | _buttons(at, busy=False)
