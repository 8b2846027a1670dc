"""The Live tab: press a button, speak, read along.

What moves is drawn by assets/live.js from the events of the session's WebSocket: settled text
is added and never sent again, and nothing of it passes through Gradio's queue. The wishes
(model, language, hotwords) are Gradio's; their values reach the script as they change.
"""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import gradio as gr
from starlette.routing import BaseRoute

from asr import catalogue, languages
from asr.api import stream
from asr.api.errors import Refused
from asr.config import Config
from asr.gate import origins
from asr.ice import IceServers
from asr.models import Models
from asr.sessions import Sessions
from ui import choices
from ui.language import filled, say
from ui.microphone import Microphones

CONSOLE, TEXT = (
    (Path(__file__).parent / "assets" / "live.html").read_text(encoding="utf-8").split("<!-- mark -->")
)
QUIET = {"show_progress": "hidden", "api_name": False}
WISH = "(...wishes) => { window.live.wish(...wishes); return []; }"


def tab(page: gr.Blocks, models: Models, config: Config) -> None:
    """Draw the tab."""
    with gr.Row(elem_classes="two live"):
        with gr.Column(elem_classes="card", scale=0):
            gr.HTML(filled(CONSOLE), padding=False)
            with gr.Column(elem_classes="wishes"):
                wishes = _wishes(models, config)
        with gr.Column(elem_classes="card result"):
            gr.HTML(filled(TEXT), padding=False)
    _connect(page, models, *wishes)


def _wishes(models: Models, config: Config) -> tuple[gr.Dropdown, gr.Dropdown, gr.Textbox]:
    model = gr.Dropdown(
        [(choices.default(models), choices.AUTO)],
        value=choices.AUTO,
        label=say("wishes.model"),
        filterable=False,
    )
    language = gr.Dropdown(
        choices.languages_of(models, choices.AUTO),
        value=languages.code(config.language) or choices.AUTO,
        label=say("wishes.language"),
    )
    hotwords = gr.Textbox(
        label=say("wishes.hotwords"),
        info=say("wishes.expected"),
        placeholder="Grażyna Nowak, CTranslate2",
        max_lines=1,
        max_length=500,
    )
    return model, language, hotwords


def _connect(
    page: gr.Blocks, models: Models, model: gr.Dropdown, language: gr.Dropdown, hotwords: gr.Textbox
) -> None:
    def suit(spec: str, chosen: str):
        """Offer what the model knows; a language it does not know is no longer chosen."""
        known = choices.languages_of(models, spec)
        kept = chosen if chosen in (code for _, code in known) else choices.AUTO
        words = gr.Textbox(**choices.offered(models, spec, "hotwords", say("wishes.expected")))
        return gr.Dropdown(known, value=kept), words

    async def offer(spec: str, chosen: str):
        while models.status().state in ("choosing", "loading"):
            await asyncio.sleep(0.5)
        return gr.Dropdown(await asyncio.to_thread(choices.models_here, models)), *suit(spec, chosen)

    wishes = [model, language, hotwords]
    page.load(offer, [model, language], wishes, concurrency_limit=None, **QUIET)
    page.load(None, wishes, None, js=WISH)
    model.change(suit, [model, language], [language, hotwords], queue=False, **QUIET)
    for wish in (model.change, language.change, hotwords.blur, hotwords.submit):
        wish(None, wishes, None, js=WISH)


def routes(sessions: Sessions, models: Models, config: Config) -> list[BaseRoute]:
    """What the tab talks to: its WebSocket, its downloads, WebRTC."""
    policy = stream.Policy(origins.admit, partial(_spec, models), models.status)
    microphones = Microphones(sessions, IceServers(config), origins.admit)
    return [*stream.routes(sessions, policy, "/live/session"), *microphones.routes("/live")]


def _spec(models: Models, name: str) -> str | None:
    """The model a visitor may ask for: the server's own, or one of the catalogue."""
    card = catalogue.card(name)
    if name in ("", "auto") or (models.choice and name == models.choice.spec):
        return None
    if not card:
        raise Refused("This model is not offered here.", "Choose one from the list.", status=404)
    return card.spec
