"""What Prometheus reads at /metrics. Each server has its own registry, so tests do not share one.

docs/dashboard.json draws it; a test looks that every name there is one of these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import nan

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from asr import machine
from asr.config import Config
from asr.scheduler import Schedulers

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000)
LIVE = {  # what the schedulers count -> how several of them make one number, and what it says
    "streams": (sum, GaugeMetricFamily, "Live streams that are open."),
    "behind_max": (max, GaugeMetricFamily, "Seconds of speech the model has not heard, in the worst stream."),
    "wait_mean": (max, GaugeMetricFamily, "Seconds that a live pass waited for its turn, lately."),
    "took_mean": (max, GaugeMetricFamily, "Seconds that a live pass took, lately."),
    "batch_mean": (max, GaugeMetricFamily, "Windows in a live call to the model, lately."),
    "finals_only": (max, GaugeMetricFamily, "1 while live speech waits so long that drafts stand back."),
    "file_wait": (max, GaugeMetricFamily, "Seconds that a recording's call to the model waited last."),
    "opened": (sum, CounterMetricFamily, "Live streams opened."),
    "refused": (sum, CounterMetricFamily, "Live streams refused as all places were taken."),
    "passes": (sum, CounterMetricFamily, "Live passes of the model."),
    "errors": (sum, CounterMetricFamily, "Live passes that failed; they are tried again."),
}


class Metrics:
    def __init__(self):
        self.registry = CollectorRegistry()
        new = {"registry": self.registry, "namespace": "parlance"}
        self.requests = Counter("requests", "API requests answered.", ["endpoint", "status"], **new)
        self.seconds = Histogram(
            "request_seconds",
            "Seconds from an API request to its last byte.",
            ["endpoint"],
            buckets=_SECONDS,
            **new,
        )
        self.audio = Counter("audio_seconds", "Seconds of audio recognised for the API.", ["endpoint"], **new)
        self.work = Counter("recognition_seconds", "Seconds spent recognising recordings for the API.", **new)
        self.uploaded = Counter("upload_bytes", "Bytes of audio received by the API.", **new)
        self.places = Gauge("places_taken", "API requests being served or waiting.", **new)
        self.sessions = Gauge("realtime_sessions", "Realtime sessions that are open.", **new)
        self.models = Gauge("model_ready", "1 for a model that is loaded.", ["model"], **new)

    def text(self) -> bytes:
        """Prometheus's text format."""
        return generate_latest(self.registry)

    def watch(self, schedulers: Schedulers, config: Config, recordings: Callable[[str], int] | None) -> None:
        """What is read when it is asked for: `recordings(state)` counts those on the page."""
        self.registry.register(_Live(schedulers))
        new = {"registry": self.registry, "namespace": "parlance"}
        free = Gauge(
            "memory_free_bytes", "Memory that may still be taken, the container's limit counted.", **new
        )
        free.set_function(lambda: _known(machine.free_memory()))
        disk = Gauge("disk_free_bytes", "Left on the disk where recordings are kept.", **new)
        disk.set_function(lambda: machine.free_bytes(config.data_dir))
        if recordings:
            jobs = Gauge("recordings", "Recordings of the page that wait or are worked on.", ["state"], **new)
            for state in ("waiting", "working"):
                jobs.labels(state).set_function(lambda state=state: recordings(state))
        ProcessCollector(registry=self.registry)


class _Live:
    def __init__(self, schedulers: Schedulers):
        self.schedulers = schedulers

    def collect(self) -> Iterator[Metric]:
        stats = [scheduler.stats() for scheduler in self.schedulers.all()]
        for name, (of, family, says) in LIVE.items():
            unit = "_seconds" if says.startswith("Seconds") else ""
            values = [float(found[name]) for found in stats] or [0.0]
            yield family(f"parlance_live_{name}{unit}", says, of(values))


def _known(value: int | None) -> float:
    return nan if value is None else value
