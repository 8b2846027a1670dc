"""What breaks in an event of the page: its reader is told, with the id under which the log has it.

Gradio leads every event through `process_api`, those that wait in its queue and those that do not. By itself
it prints what broke with all that it quotes, and tells nothing to who pressed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from html import escape

import gradio as gr

from asr import logs
from asr.api.errors import Refused
from asr.gate import diary
from ui import language, visitor

SHOWN = 30  # seconds: long enough to write an id down


class Page(gr.Blocks):
    """gr.Blocks in which no event ends without a word."""

    async def process_api(self, *args, request: gr.Request, **kwargs):
        with _told(request):
            return await super().process_api(*args, request=request, **kwargs)

    async def preprocess_data(self, *args, **kwargs):
        """A value that its input refuses is no fault of ours: the page is of an earlier start, or no page."""
        try:
            return await super().preprocess_data(*args, **kwargs)
        except Exception:
            raise Refused("The server has changed since this page was opened.", "Reload the page.") from None


@contextmanager
def _told(request: gr.Request) -> Iterator[None]:
    """What is raised becomes Gradio's error with our sentence; what is logged carries the request's id."""
    asking = request.request
    known = logs.about.set(diary.id_of(asking) or logs.about.get())  # the queue's own is another request's
    try:
        yield
    except Exception as e:
        with language.speaking(language.of(asking)):
            error = visitor.worded(e)
            said = language.then(error.what, error.fix).strip()
        raise gr.Error(escape(said), duration=SHOWN, print_exception=False) from None
    finally:
        logs.about.reset(known)
