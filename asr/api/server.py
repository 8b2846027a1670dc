"""What all requests of one server share."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from asr import spare
from asr.api.limits import Places
from asr.api.metrics import Metrics
from asr.api.names import Names
from asr.config import Config
from asr.models import Models
from asr.scheduler import Schedulers
from asr.vad import Silero, VoiceDetector


class Server:
    def __init__(
        self,
        config: Config,
        models: Models,
        schedulers: Schedulers,
        *,
        vad: Callable[[], VoiceDetector] = Silero,
        recordings: Callable[[str], int] | None = None,
    ):
        """`recordings(state)` counts those of the page, for the metrics."""
        self.config, self.models, self.schedulers, self.vad = config, models, schedulers, vad
        self.names = Names(config, models)
        admit = partial(spare.admit, config)
        self.places = Places(config.api_at_once, config.api_waiting, admit)
        self.metrics = Metrics()
        self.metrics.watch(schedulers, config, recordings)
        self.started = int(time.time())
        self.calls = Places(config.live_sessions, 0, admit)  # realtime sessions
