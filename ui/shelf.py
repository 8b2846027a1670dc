"""The list of somebody's recordings, as HTML; assets/recordings.js gives its buttons life. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from html import escape

from asr.jobs import Job
from ui import render, report
from ui.language import say, then

TAKE_AWAY = ("txt", "srt", "docx")
FORMATS = {"docx": "format.docx", "txt": "format.plain"}  # how the page calls them
FORMATS |= {name: f"format.{name}" for name in ("srt", "vtt", "tsv", "json")}


def shelf(keep_hours: float) -> str:
    """The list of all of them, and what people should know of it."""
    kept = say("shelf.hours", hours=f"{keep_hours:g}") if keep_hours else say("shelf.forever")
    head = f'<h2>{say("page.recordings")}</h2><p class="hint">{then(say("shelf.private"), kept)}</p>'
    return f'<section class="shelf" aria-label="{say("page.recordings")}">{head}{frame()}</section>'


def some(jobs: Iterable[Job]) -> str:
    """The list of these only."""
    return f'<div class="shelf">{frame(" ".join(job.id for job in jobs))}</div>'


def frame(only: str = "") -> str:
    """What assets/recordings.js fills, and where it says why it cannot."""
    chosen = f' data-only="{only}"' if only else ""
    return (
        f'<div class="notice error complaint" role="alert" hidden>{render.icon("error")}'
        f'<div><p></p><p></p></div></div><div class="mine"{chosen}></div>'
    )


def listed(jobs: Iterable[Job], key: Callable[[str], str], ahead: Callable[[str], int]) -> str:
    """The recordings, the newest first; `key` opens downloads, `ahead` is how many come before it."""
    rows = "".join(_row(job, key, ahead) for job in jobs)
    return f'<ul class="jobs">{rows}</ul>' if rows else _none()


def _none() -> str:
    first = f'<button type="button" class="button primary first">{say("shelf.first")}</button>'
    return f'<div class="none">{render.picture(say("shelf.none"), say("shelf.none_says"), first)}</div>'


def take(job: Job, key: str) -> str:
    """Below a transcript: the way into the editor, and the ways to take the text away."""
    files = "".join(
        f'<a id="take-{n}" href="{address(job, n, key)}" download>{say(called)} <small>.{n}</small></a>'
        for n, called in FORMATS.items()
    )
    files = (
        f'<details id="take" class="download"><summary class="button">{say("live.download")}</summary>'
        f'<div role="group" aria-label="{say("live.formats")}">{files}</div></details>'
    )
    opens = f'<a class="button primary" id="open" href="{address(job)}">{say("shelf.open")}</a>'
    copy = f'<button type="button" class="button" id="copy">{say("shelf.copy")}</button>'
    return f'<div class="take">{opens}{copy}{files}</div>'


def address(job: Job, export: str = "", key: str = "") -> str:
    """Where its editor is, or a file of its text."""
    return f"recordings/{job.id}" + (f"/export/{export}?key={key}&speakers=1" if export else "")


def _row(job: Job, key: Callable[[str], str], ahead: Callable[[str], int]) -> str:
    return (
        f'<li data-id="{job.id}" data-state="{job.state}"><p class="what">'
        f'<a href="{address(job)}">{escape(job.name)}</a> <time data-at="{job.created:.0f}"></time></p>'
        f"{_how(job, ahead)}<p class='do'>{_doings(job, key)}</p></li>"
    )


def _how(job: Job, ahead: Callable[[str], int]) -> str:
    """How it stands, in a sentence."""
    if job.state == "uploading":
        return '<p class="how">' + say("shelf.uploading") + "</p>"
    if not job.over:
        heard = job.progress * job.duration if job.stage == "transcribe" else 0.0
        return report.progress(job, heard, None, ahead(job.id)).replace(" data-busy", "")
    said = [render.clock(job.duration)] if job.duration else []
    said += [render.model_name(job.model)] if job.model else []
    said += [say(f"shelf.{job.state}")] if job.state in ("cancelled", "failed") else []
    said += [report.told_apart(job)[0].rstrip(".。")] if job.says else []
    trouble = (
        render.notice("error" if job.state == "failed" else "warn", job.what, job.fix) if job.what else ""
    )
    return f'<p class="how">{escape(" · ".join(said))}</p>{trouble}'


def _doings(job: Job, key: Callable[[str], str]) -> str:
    """What can be done with it."""
    opens = f'<a class="open" href="{address(job)}">{say("shelf.open")}</a>'
    parts = [opens] if job.version or job.state in ("waiting", "working") else []
    if job.version:
        parts += [f'<a href="{address(job, n, key(job.id))}" download>{n.upper()}</a>' for n in TAKE_AWAY]
    if job.over and job.stages:
        parts.append(_button("again", say("shelf.again" if job.state == "failed" else "shelf.continue")))
    elif job.state == "uploading":
        parts.append(_button("again", say("recording.transcribe")))
    elif job.over and job.what and job.wishes.rung != "none":
        parts.append(_button("speakers", say("shelf.speakers")))
    elif not job.over:
        parts.append(_button("cancel", say("recording.cancel")))
    return "".join([*parts, _button("rename", say("shelf.rename")), _button("delete", say("shelf.delete"))])


def _button(act: str, label: str) -> str:
    return f'<button type="button" data-act="{act}">{label}</button>'
