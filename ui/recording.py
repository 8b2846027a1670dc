"""The Recording tab: a file or the microphone in, a transcript to hear and to take away out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import gradio as gr

from asr import languages
from asr.audio import Limits
from asr.config import Config
from asr.errors import Busy
from asr.models import Models, Status
from asr.types import Options
from ui import choices, files, render, report
from ui.running import Line, Run

BLOCK = 60  # lines; full blocks are sent once, only what is below them at every look
LOOK = 0.4  # seconds between two looks at a run
QUIET = {"show_progress": "hidden", "api_name": False}
GONE = {"visible": False}


def tab(page: gr.Blocks, models: Models, config: Config) -> None:
    """Draw the tab and connect its parts."""
    with gr.Row(elem_classes="two"):
        with gr.Column(elem_classes="card", scale=0):
            asking = _source(config) | _wishes(models, config)
        with gr.Column(elem_classes="card result"):
            at = SimpleNamespace(**asking, **_result())
    _connect_source(at)
    _connect_model(page, at, models)
    _connect_work(at, models, config)


def _source(config: Config) -> dict:
    """Where the recording comes from; assets/source.js hands it over through `picked` and `file`."""
    source = gr.HTML(render.source(config.max_upload_mb, config.max_audio_hours), padding=False)
    picked, file = gr.Button(visible="hidden", elem_id="picked"), gr.File(visible=False)
    chosen = gr.HTML(visible=False, padding=False)
    another = gr.Button("Choose another recording", size="sm", visible=False, elem_classes="quiet")
    return dict(source=source, picked=picked, file=file, chosen=chosen, another=another)


def _wishes(models: Models, config: Config) -> dict:
    """How it is to be heard, and the button."""
    default = [(choices.default(models), choices.AUTO)]
    model = gr.Dropdown(default, value=choices.AUTO, label="Model", filterable=False)
    language = gr.Dropdown(
        choices.languages_of(models, choices.AUTO),
        value=languages.code(config.language) or choices.AUTO,
        label="Language spoken",
    )
    with gr.Accordion("More options", open=False, elem_classes="more"):
        tasks = [("Write what is said", "transcribe"), ("Translate to English", "translate")]
        task = gr.Radio(tasks, value="transcribe", label="Task")
        hotwords = gr.Textbox(
            label="Hotwords",
            info="Names and terms to expect, separated by commas.",
            placeholder="Grażyna Nowak, CTranslate2",
            max_length=500,
        )
    start = gr.Button("Transcribe", variant="primary", size="lg", interactive=False, elem_id="start")
    stop = gr.Button("Cancel", variant="stop", size="lg", visible=False, elem_id="stop")
    return dict(model=model, language=language, task=task, hotwords=hotwords, start=start, stop=stop)


def _result() -> dict:
    """The player, what is going on, the ways to take the text away, the text."""
    player = gr.HTML(visible=False, padding=False, elem_classes="stick")
    news = gr.HTML(render.empty(), padding=False)
    with gr.Row(visible=False, elem_classes="take") as take:
        gr.Button("Copy text", size="sm", elem_id="copy")
        saved = [gr.DownloadButton(n.upper(), size="sm", elem_id=f"take-{n}") for n in files.TAKE_AWAY]
    settled, latest = (gr.HTML(visible=False, padding=False) for _ in range(2))
    path, run = gr.State(), gr.State()  # of the uploaded file; what works on it
    shown = dict(player=player, news=news, take=take, saved=saved, settled=settled, latest=latest)
    return shown | dict(path=path, run=run)


def _connect_source(at: SimpleNamespace) -> None:
    def pick(path: str):
        file = Path(path)
        sound = gr.HTML(render.player(file), visible=True) if files.played(file) else gr.HTML("", **GONE)
        return _cleared(at) | {
            at.path: path,
            at.source: gr.HTML(**GONE),
            at.chosen: gr.HTML(render.chosen(file.name, render.size(file.stat().st_size)), visible=True),
            at.another: gr.Button(visible=True),
            at.start: gr.Button(interactive=True),
            at.player: sound,
            at.news: render.ready(),
        }

    def let_go():
        return _cleared(at) | {
            at.path: None,
            at.source: gr.HTML(visible=True),
            at.chosen: gr.HTML(**GONE),
            at.another: gr.Button(**GONE),
            at.start: gr.Button(interactive=False),
            at.player: gr.HTML("", **GONE),
            at.news: render.empty(),
        }

    touched = [at.path, at.source, at.chosen, at.another, at.start, at.player, at.news, *_cleared(at)]
    at.picked.click(pick, at.file, touched, js="() => [window.parlancePicked]", queue=False, **QUIET)
    at.another.click(let_go, None, touched, queue=False, **QUIET)


def _connect_model(page: gr.Blocks, at: SimpleNamespace, models: Models) -> None:
    def suit(spec: str, language: str):
        """Offer what the model knows; a language that it does not know is no longer chosen."""
        known = choices.languages_of(models, spec)
        kept = language if language in (code for _, code in known) else choices.AUTO
        return [
            gr.Dropdown(known, value=kept),
            gr.Radio(interactive=not choices.cannot(models, spec, "translate")),
            gr.Textbox(interactive=not choices.cannot(models, spec, "hotwords")),
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


def _connect_work(at: SimpleNamespace, models: Models, config: Config) -> None:
    line = Line(config.recordings_at_once, config.recordings_waiting)
    limits = Limits(config.max_upload_mb * 2**20, config.max_audio_hours * 3600)

    async def go(path: str, spec: str, language: str, task: str, hotwords: str):
        options = Options(language or None, task, hotwords=(hotwords or "").strip() or None)
        try:
            run = Run(path, partial(models.get, spec or None), options, limits, line)
        except Busy as e:
            yield {at.news: render.notice("error", e.what, e.fix)}
            return
        run.start()
        try:
            async for changes in _followed(at, run, partial(models.status, spec or None)):
                yield changes
        finally:
            run.cancel()  # when the page has gone; a run that is over does not mind

    asked = [at.path, at.model, at.language, at.task, at.hotwords]
    told = [at.start, at.stop, at.another, at.player, at.news, at.run, *at.saved, *_cleared(at)]
    at.start.click(go, asked, told, concurrency_limit=None, **QUIET)
    at.stop.click(lambda run: run and run.cancel(), at.run, None, queue=False, **QUIET)


async def _followed(at: SimpleNamespace, run: Run, status: Callable[[], Status]):
    """What changes on the page while a run goes on, and when it has ended."""
    seen = SimpleNamespace(lines=0, sound=None)
    yield _cleared(at) | _buttons(at, busy=True) | {at.run: run}
    while not run.over and not run.cancelling:
        yield _news(at, run, seen) | {at.news: report.progress(run, status().says)}
        await asyncio.sleep(LOOK)
    last = _news(at, run, seen)
    if run.segments:
        saved = await asyncio.to_thread(files.take_away, run.transcript, Path(run.path).stem)
        last |= {at.take: gr.Row(visible=True)} | dict(zip(at.saved, map(str, saved), strict=True))
    yield last | _buttons(at, busy=False) | {at.news: report.outcome(run)}


def _news(at: SimpleNamespace, run: Run, seen: SimpleNamespace) -> dict:
    """The lines and the sound that the page lacks; `seen` is what it has, and is brought up to date."""
    said = list(run.segments)  # the run goes on
    full = len(said) // BLOCK * BLOCK
    changes = {at.latest: gr.HTML(render.lines(said[full:], full + 1), visible=len(said) > full)}
    if full > seen.lines:
        changes[at.settled] = gr.HTML(render.lines(said[:full]), visible=True)
    if run.sound != seen.sound:
        at.player.temp_files.add(str(run.sound))  # so that Gradio deletes it in time
        changes[at.player] = gr.HTML(render.player(run.sound), visible=True)
    seen.lines, seen.sound = full, run.sound
    return changes


def _buttons(at: SimpleNamespace, busy: bool) -> dict:
    return {
        at.start: gr.Button(visible=not busy),
        at.stop: gr.Button(visible=busy),
        at.another: gr.Button(interactive=not busy),
    }


def _cleared(at: SimpleNamespace) -> dict:
    """No transcript."""
    return {at.take: gr.Row(**GONE), at.settled: gr.HTML("", **GONE), at.latest: gr.HTML("", **GONE)}

