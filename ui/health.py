"""What the server finds out about itself (python -m asr doctor), on a tab that only its owner sees."""

from __future__ import annotations

import asyncio
import re
import time
from html import escape

import gradio as gr

from asr import doctor, machine
from asr.config import Config
from asr.doctor import Finding
from asr.gate.owner import is_owner
from asr.models import Models
from ui import render
from ui.language import say, sentence

PATIENCE = 30.0  # seconds for a look; the hub alone may take ten
FRESH = 600.0  # seconds for which what was found is believed, unless somebody presses the button
QUIET = {"queue": False, "show_progress": "hidden", "api_name": False}
_PASSWORD = re.compile(r"(?<=://)[^/\s@]+@")  # in an address


def tab(page: gr.Blocks, models: Models, config: Config) -> None:
    """Draw it and let it look, behind the page."""
    look = Look(config)
    with gr.Column(elem_classes="card"):
        shown = gr.HTML(heading() + f'<p class="hint">{say("health.looking")}</p>', padding=False)
        again = gr.Button(say("health.again"), size="sm", elem_id="look-again")

    async def told(request: gr.Request, fresh: float = FRESH):
        if not is_owner(request):
            return gr.skip()
        try:
            found = await asyncio.wait_for(asyncio.shield(look.found(fresh)), PATIENCE)
        except asyncio.TimeoutError:
            return heading() + render.notice("warn", say("health.slow"), say("health.slow_fix"))
        return heading() + findings(found)

    async def anew(request: gr.Request):
        return await told(request, 0.0)

    page.load(told, None, shown, **QUIET)
    again.click(anew, None, shown, **QUIET)


class Look:
    """One look at a time; whoever asks meanwhile gets what it finds."""

    def __init__(self, config: Config):
        self.config, self._at, self._task = config, 0.0, None

    async def found(self, fresh: float) -> list[Finding]:
        """What the last look found, or a new one if that is older than `fresh` seconds."""
        if not self._task or (self._task.done() and time.monotonic() - self._at >= fresh):
            self._at = time.monotonic()
            self._task = asyncio.ensure_future(asyncio.to_thread(self._look))
        return await self._task

    def _look(self) -> list[Finding]:
        return list(doctor.examine(self.config, machine.look()))


def heading() -> str:
    return f'<h2>{say("page.configuration")}</h2><p class="hint">{say("health.says")}</p>'


def findings(found: list[Finding]) -> str:
    """Those that somebody has to look at, each with what to do; the others behind a summary."""
    bad = [f for state in ("problem", "note") for f in found if f.state == state]
    fine = [f for f in found if f.state == "fine"]
    problems = sum(f.state == "problem" for f in found)
    verdict = say("health.problems", n=problems) if problems else say("health.fine")
    rest = f"<details><summary>{say('health.rest')}</summary>{_list(fine)}</details>"
    notice = render.notice("warn" if problems else "info", verdict)
    return f'<div class="health">{notice}{_list(bad)}{rest}</div>'


def _list(found: list[Finding]) -> str:
    items = "".join(
        f'<li data-state="{f.state}"><b>{escape(f.topic)}</b><span>{_plain(f.says)}</span>'
        + (f"<p>{render.with_code(sentence(f.fix))}</p></li>" if f.fix else "</li>")
        for f in found
    )
    return f'<ul class="findings">{items}</ul>' if items else ""


def _plain(said: str) -> str:
    """Without the password that an address may carry."""
    return escape(_PASSWORD.sub("…@", said))
