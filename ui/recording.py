"""The Recording tab: files or the microphone in, jobs that go on by themselves, a transcript to hear out.

Everything a handler needs to know comes from the page with each event, in one text: the browser's
secret and the recordings it shows. So a page goes on after a refresh, and after a restart of the server.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import gradio as gr

from asr import languages
from asr.config import Config
from asr.errors import ASRError
from asr.jobs import Job, Worker, tracks
from asr.jobs.job import todo
from asr.models import Models
from ui import choices, files, following, render
from ui.following import GONE, asked, followed, refused
from ui.language import say

QUIET = {"show_progress": "hidden", "api_name": False}
ASKS = "(_, ...rest) => [window.parlanceAsks(), ...rest]"  # assets/recordings.js


def tab(page: gr.Blocks, models: Models, config: Config, worker: Worker) -> None:
    """Draw the tab and connect its parts."""
    with gr.Row(elem_classes="two"):
        with gr.Column(elem_classes="card", scale=0):
            asking = _source(config) | _wishes(models, config)
        with gr.Column(elem_classes="card result"):
            at = SimpleNamespace(**asking, **_result())
    _connect_model(page, at, models)
    _connect_work(page, at, models, worker)


def _source(config: Config) -> dict:
    """Where recordings come from; assets/source.js sends them and presses `picked`."""
    source = gr.HTML(render.source(config.max_upload_mb, config.max_audio_hours), padding=False)
    picked = gr.Button(visible="hidden", elem_id="picked")
    who = gr.Textbox(visible=False)  # the browser's secret and the recordings that the page shows
    chosen = gr.HTML(visible=False, padding=False)
    another = gr.Button(
        say("recording.others"), size="sm", visible=False, elem_id="another", elem_classes="quiet"
    )
    together = gr.Checkbox(
        label=say("recording.together"),
        info=say("recording.together_says"),
        visible=False,
        elem_id="together",
    )
    return dict(source=source, picked=picked, who=who, chosen=chosen, another=another, together=together)


def _wishes(models: Models, config: Config) -> dict:
    """How they are to be heard, and the button."""
    default = [(choices.default(models), choices.AUTO)]
    model = gr.Dropdown(default, value=choices.AUTO, label=say("wishes.model"), filterable=False)
    language = gr.Dropdown(
        choices.languages_of(models, choices.AUTO),
        value=languages.code(config.language) or choices.AUTO,
        label=say("wishes.language"),
    )
    rung = gr.Dropdown(choices.rungs(), value="none", label=say("wishes.speakers"), filterable=False)
    count = gr.Textbox(
        label=say("wishes.count"),
        info=say("wishes.count_says"),
        visible=False,
        max_lines=1,
        max_length=20,
    )
    rung.change(lambda rung: gr.Textbox(visible=rung != "none"), rung, count, queue=False, **QUIET)
    with gr.Accordion(say("wishes.more"), open=False, elem_classes="more"):
        tasks = [(say("wishes.transcribe"), "transcribe"), (say("wishes.translate"), "translate")]
        task = gr.Radio(tasks, value="transcribe", label=say("wishes.task"))
        hotwords = gr.Textbox(
            label=say("wishes.hotwords"),
            info=say("wishes.expected"),
            placeholder="Grażyna Nowak, CTranslate2",
            max_length=500,
        )
    large = {"size": "lg"}
    start = gr.Button(
        say("recording.transcribe"), variant="primary", **large, interactive=False, elem_id="start"
    )
    stop = gr.Button(say("recording.cancel"), variant="stop", **large, visible=False, elem_id="stop")
    wishes = dict(model=model, language=language, task=task, hotwords=hotwords, rung=rung, count=count)
    return wishes | dict(start=start, stop=stop)


def _result() -> dict:
    """The player, what is going on, the ways to take the text away, the text."""
    player = gr.HTML(visible=False, padding=False, elem_classes="stick")
    news = gr.HTML(render.empty(), padding=False)
    take, settled, latest = (gr.HTML(visible=False, padding=False) for _ in range(3))
    return dict(player=player, news=news, take=take, settled=settled, latest=latest)


def _connect_model(page: gr.Blocks, at: SimpleNamespace, models: Models) -> None:
    def suit(spec: str, language: str):
        """Offer what the model knows; a language that it does not know is no longer chosen."""
        known = choices.languages_of(models, spec)
        kept = language if language in (code for _, code in known) else choices.AUTO
        return [
            gr.Dropdown(known, value=kept),
            gr.Radio(**choices.offered(models, spec, "translate")),
            gr.Textbox(**choices.offered(models, spec, "hotwords", say("wishes.expected"))),
        ]

    async def offer(spec: str, language: str):
        """Once the model is chosen, and again once it is loaded and can be asked."""
        for passed in (("choosing",), ("choosing", "loading")):
            while models.status().state in passed:
                await asyncio.sleep(0.5)
            yield [gr.Dropdown(await asyncio.to_thread(choices.models_here, models)), *suit(spec, language)]

    fields = [at.language, at.task, at.hotwords]
    page.load(offer, [at.model, at.language], [at.model, *fields], concurrency_limit=None, **QUIET)
    at.model.change(suit, [at.model, at.language], fields, queue=False, **QUIET)


def _connect_work(page: gr.Blocks, at: SimpleNamespace, models: Models, worker: Worker) -> None:
    desk = Desk(at, models, worker)
    wishes = [at.together, at.model, at.language, at.task, at.hotwords, at.rung, at.count]
    told = [
        at.source,
        at.chosen,
        at.another,
        at.together,
        at.start,
        at.stop,
        at.player,
        at.news,
        at.take,
        at.settled,
        at.latest,
    ]
    forever = {"concurrency_limit": None, "trigger_mode": "multiple", **QUIET}
    goes = [
        at.picked.click(desk.pick, at.who, told, js=ASKS, **forever),
        at.start.click(desk.go, [at.who, *wishes], told, js=ASKS, **forever),
        page.load(desk.come_back, at.who, told, js=ASKS, **forever),
    ]
    at.another.click(desk.let_go, None, told, cancels=goes, queue=False, **QUIET)
    at.stop.click(desk.stop, at.who, None, js=ASKS, queue=False, **QUIET)


class Desk:
    """What happens when somebody presses something. Each handler answers with what changes on the page."""

    def __init__(self, at: SimpleNamespace, models: Models, worker: Worker):
        self.at, self.models, self.worker, self.store = at, models, worker, worker.store

    async def pick(self, who: str):
        """Recordings have arrived."""
        try:
            jobs = await asyncio.to_thread(self._mine, who)
        except ASRError as e:
            yield refused(self.at, e)
            return
        yield self._ready(jobs)

    async def go(self, who: str, together: bool, *asked: str):
        """Queue them, then follow them; `asked` is what choices.wishes makes wishes of."""
        try:
            wishes = choices.wishes(*asked)
            jobs = await asyncio.to_thread(self._mine, who)
            if together and len(jobs) > 1:
                names = files.titles(job.name for job in jobs)
                jobs = [await asyncio.to_thread(tracks.join, self.store, jobs, names)]
                yield self._chosen(jobs)
            if len(jobs) == 1 and tracks.files(self.store, jobs[0]):  # the files say who speaks
                wishes = replace(wishes, rung="channels", exact=None, low=None, high=None)
            for job in jobs:
                if job.state not in ("waiting", "working"):
                    await asyncio.to_thread(self.worker.submit, job.id, wishes, todo(job, wishes))
        except ASRError as e:
            yield refused(self.at, e)
            return
        async for changes in self._follow(who, jobs):
            yield changes

    async def come_back(self, who: str):
        """After a refresh: what the page showed, or what is being worked on."""
        try:
            jobs = await asyncio.to_thread(self._found, who)
        except ASRError:
            jobs = []  # a browser that keeps nothing
        if not jobs:
            yield {self.at.stop: gr.Button(visible=False)}
        elif any(job.state == "uploading" for job in jobs):
            yield self._ready(jobs)
        else:
            yield self._chosen(jobs)
            async for changes in self._follow(who, jobs):
                yield changes

    def let_go(self):
        """Back to where recordings are chosen; what is being worked on goes on."""
        at = self.at
        return following.cleared(at) | {
            at.source: gr.HTML(visible=True),
            at.chosen: gr.HTML("", **GONE),
            at.another: gr.Button(**GONE),
            at.together: gr.Checkbox(False, **GONE),
            at.start: following.start(visible=True, interactive=False),
            at.stop: gr.Button(**GONE),
            at.player: gr.HTML("", **GONE),
            at.news: render.empty(),
        }

    def stop(self, who: str) -> None:
        for job in self._mine(who):
            self.worker.cancel(job.id)

    async def _follow(self, who: str, jobs: list[Job]):
        says = partial(_says, self.models)
        try:
            async for changes in followed(self.at, self.worker, jobs[0].owner, [j.id for j in jobs], says):
                yield changes
        except ASRError as e:  # deleted, by the same person in another window
            yield self.let_go() | {self.at.news: render.notice("info", e.what, e.fix)}

    def _mine(self, who: str) -> list[Job]:
        owner, ids = asked(who)
        return [self.store.job(id, owner) for id in ids]

    def _found(self, who: str) -> list[Job]:
        """The recordings that the page showed, as far as they are still there, or else what is being done."""
        owner, ids = asked(who)
        jobs = self.store.jobs(owner)
        shown = [job for job in jobs if job.id in ids and self.store.arrived(job) >= min(job.bytes, 1)]
        return shown or [job for job in jobs if job.state in ("waiting", "working")][:1]

    def _ready(self, jobs: list[Job]) -> dict:
        """They have come; several may be one conversation."""
        at, several = self.at, 1 < len(jobs) <= tracks.MOST
        return self._chosen(jobs) | {
            at.news: render.ready(),
            at.start: following.start(interactive=True),
            at.together: gr.Checkbox(False, visible=several),
        }

    def _chosen(self, jobs: list[Job]) -> dict:
        at, store = self.at, self.store
        given = [(j.id, j.name, render.size(store.arrived(j))) for j in jobs]
        sound = following.address(self.worker, jobs[0]) if len(jobs) == 1 else ""
        return following.cleared(at) | {
            at.source: gr.HTML(**GONE),
            at.chosen: gr.HTML(render.chosen(given), visible=True),
            at.another: gr.Button(visible=True),
            at.together: gr.Checkbox(False, **GONE),
            at.player: gr.HTML(render.player(sound), visible=True) if sound else gr.HTML("", **GONE),
        }


def _says(models: Models, spec: str) -> str:
    status = models.status(spec or None)
    return "" if status.state == "ready" else status.says
