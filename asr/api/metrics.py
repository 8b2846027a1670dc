"""What Prometheus reads at /metrics. Each server has its own registry, so tests do not share one."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000)


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
