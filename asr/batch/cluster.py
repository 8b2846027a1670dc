"""Engines on Ray, on this machine or on the cluster that RAY_ADDRESS names."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

import ray
from ray.exceptions import ActorUnavailableError, RayActorError

from asr.batch.engine import Died, Engine, Looked
from asr.batch.filling import Hall, Heard, Part
from asr.batch.shares import LANES

PATIENCE = 300  # seconds for an engine to come back: a new machine, and a model to load

@dataclass(frozen=True, slots=True)
class Remote:
    """An Engine that is a Ray actor; Ray starts it again where it can."""

    actor: object

    def look(self, rows) -> list[Looked]:
        """Waits while Ray starts the engine again: that is no other death."""
        for waited in count():
            with _deaths():
                try:
                    return ray.get(self.actor.look.remote(rows))
                except ActorUnavailableError:
                    if waited >= PATIENCE:
                        raise
                    time.sleep(1)

    def hear(self, rows, others, known) -> Iterator[Heard | Part]:
        with _deaths():
            for told in self.actor.hear.options(num_returns="streaming").remote(rows, others, known):
                yield ray.get(told)


def resources(on_gpus: bool) -> tuple[int, int]:
    """The processors and GPUs of all machines; connects to Ray first, or starts it here."""
    ray.init(ignore_reinit_error=True, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    here = ray.cluster_resources()
    return int(here.get("CPU", 1)), int(here.get("GPU", 0)) if on_gpus else 0


@contextmanager
def engines(
    hall: Callable[[], Hall], longest: float, number: int, cpus: float, gpus: float
) -> Iterator[list[Remote]]:
    """So many, each with so many processors and GPUs; `hall` makes an engine's Hall where it runs."""
    actor = ray.remote(Engine).options(
        max_restarts=-1, max_concurrency=2 * LANES, num_cpus=cpus, num_gpus=gpus
    )
    workers = [Remote(actor.remote(hall, longest)) for _ in range(number)]
    try:
        yield workers
    finally:
        for worker in workers:
            ray.kill(worker.actor)


@contextmanager
def _deaths() -> Iterator[None]:
    try:
        yield
    except RayActorError as e:
        raise Died(str(e).strip().splitlines()[-1]) from e
