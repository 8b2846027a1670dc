"""Who runs this server: shown what it costs and how it fares, which visitors are not.

    if is_owner(request): ...          # Starlette's request, or the gr.Request of an event of the page

With ASR_PASSWORD, whoever has logged in. Without, whoever asks from this machine itself, as the API
does without keys (asr/api/keys.py). So on a Space without a password nobody is.
"""

from __future__ import annotations

from starlette.requests import HTTPConnection

from asr.api import keys
from asr.config import Config

MARK = "parlance.owner"


def mark(asking: HTTPConnection, config: Config) -> None:
    """Note it in the scope of a request that has passed the login, where there is one."""
    asking.scope[MARK] = bool(config.password) or keys.is_local(asking, config)


def is_owner(request) -> bool:
    """Whether the owner asks: False for whatever has not come through the gate."""
    asking = getattr(request, "request", request)  # Gradio's is a shell around Starlette's
    return isinstance(asking, HTTPConnection) and asking.scope.get(MARK) is True
