"""All that programs can call, as routes to be put into a web application.

demo.launch(app_kwargs={"routes": api.routes(config, models, schedulers, sessions)})
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from starlette.routing import BaseRoute

from asr.api import door, keys, stream
from asr.api.keys import policy
from asr.api.server import Server
from asr.config import Config
from asr.models import Models
from asr.scheduler import Schedulers
from asr.sessions import Sessions

__all__ = ["policy", "routes"]


def routes(
    config: Config,
    models: Models,
    schedulers: Schedulers,
    sessions: Sessions,
    recordings: Callable[[str], int] | None = None,
) -> list[BaseRoute]:
    """OpenAI's HTTP and Realtime APIs under /v1, our own live stream, health and metrics.

    `recordings(state)` counts those of the page, for the metrics.
    """
    server = Server(config, models, schedulers, recordings=recordings)
    policy = stream.Policy(partial(keys.admit, config=config), server.names.spec, models.status)
    return [*stream.routes(sessions, policy), *door.routes(server)]  # /v1 takes all that comes after it
