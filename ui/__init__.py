"""The web page: one tab per way in.

A tab is a function that draws itself and connects its parts: tab(page, models, config).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import gradio as gr

from asr.config import Config
from asr.gate.owner import is_owner
from asr.models import Models
from ui import header, theme
from ui.events import Page
from ui.language import drawing, say

Tab = Callable[[gr.Blocks, Models, Config], None]
# Seconds: how often the page's files are looked through, and how old they may be. Gradio's arithmetic
# knows no days: an age of 86,400 or more would keep them for ever.
CLEANING = (1800, 6 * 3600)
WAITING = 1000  # events of the page that may wait; on ZeroGPU Gradio's own answer is one, the rest get 503


def build(models: Models, config: Config, tabs: Mapping[str, Tab], own: Mapping[str, Tab] | None = None):
    """The page with these tabs, by the names in `page.*`; those of `own` only the owner sees."""
    theme.dress()
    look = {"title": "Parlance", "theme": theme.gradio()}
    with drawing(), Page(**look, analytics_enabled=False, delete_cache=CLEANING) as page:
        page.space_id = None  # on a Space, Gradio would load the hub's header and its fonts into our page
        header.draw(page, models)
        with gr.Tabs():
            for name, tab in tabs.items():
                with gr.Tab(say(f"page.{name}")):
                    tab(page, models, config)
            for name, tab in (own or {}).items():
                with gr.Tab(say(f"page.{name}"), visible=False) as hidden:
                    tab(page, models, config)
                page.load(_if_owner, None, hidden, queue=False, show_progress="hidden", api_name=False)
    return page.queue(max_size=WAITING)


def _if_owner(request: gr.Request):
    """Shows the tab; what is in it asks again, with every event."""
    return gr.Tab(visible=is_owner(request))
