"""The top of every page: the name of the house, and which model runs, where, and why."""

from __future__ import annotations

from urllib.parse import urlsplit

import gradio as gr

from asr.config import Config, space
from asr.models import Models, Status
from ui import render
from ui.language import say, then
from ui.theme import URL

SOON, LATER = 1.0, 20.0  # seconds between two looks: while a model is loading, and afterwards


def draw(page: gr.Blocks, models: Models) -> None:
    """Draws it, and keeps it true while a model is loading or a better one takes over."""
    gr.HTML(render.masthead(URL, space()), padding=False)
    with gr.Row(elem_classes="model-row"):
        line = gr.HTML(model_line(models), padding=False)
        again = gr.Button(say("model.again"), size="sm", visible=False, scale=0)
    banner = gr.HTML(padding=False, visible=False)
    gr.HTML(render.welcome(privacy(models.config)), padding=False)
    clock = gr.Timer(SOON)

    def look():
        said, settled = warning(models), models.status().state in ("ready", "failed")
        return (
            model_line(models),
            gr.update(value=said, visible=bool(said)),
            gr.update(visible=models.status().state == "failed"),
            gr.Timer(LATER if settled else SOON),
        )

    def retry():
        models.start_loading()
        return gr.Timer(SOON)

    quiet = {"queue": False, "show_progress": "hidden", "api_name": False}
    gr.on([page.load, clock.tick], look, None, [line, banner, again, clock], **quiet)
    again.click(retry, None, clock, **quiet)


def privacy(config: Config) -> str:
    """What happens to what people say: true sentences, by what this server is told to do."""
    host = urlsplit(config.endpoint_url).hostname
    relayed = config.turn or config.ice_servers
    heard = say("about.remote", host=host) if host else say("about.relayed" if relayed else "about.here")
    kept = say("about.hours", hours=f"{config.keep_hours:g}") if config.keep_hours else say("about.forever")
    spoken = say("about.spoken", hours=f"{config.live_keep_hours:g}")
    return then(then(heard, spoken), then(kept, say("about.owner")))


def model_line(models: Models) -> str:
    choice, status = models.choice, models.status()
    if choice is None:
        failed = status.state == "failed"
        return render.model_line(_state(status), "", "", status.says if failed else say("model.looking"))
    why = choice.why if status.state == "ready" else status.says
    if choice.fallback:
        why = say("model.fallback")  # the banner says the rest
    return render.model_line(_state(status), render.model_name(choice.spec), where(models), why)


def where(models: Models) -> str:
    """Where the default model computes; what nobody knows is not said."""
    device = models.get().device if models.status().state == "ready" else "machine"
    return say(f"model.on_{device}") if device in ("cpu", "cuda", "machine") else device


def warning(models: Models) -> str:
    """The banner over everything where a low-accuracy engine stands in for a better one."""
    choice = models.choice
    if not choice or not choice.fallback:
        return ""
    return render.notice("warn", choice.why, choice.fix, css="banner")


def _state(status: Status) -> str:
    return {"choosing": "loading", "absent": "loading"}.get(status.state, status.state)
