"""Engines on Ray, on this machine or on the cluster that RAY_ADDRESS names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import ray
from ray.exceptions import RayActorError

from asr.batch.engine import Died, Engine, Looked
from asr.batch.filling import Hall, Heard, Part
from asr.batch.shares import LANES


@dataclass(frozen=True, slots=True)
class Remote:
    """An Engine that is a Ray actor; Ray starts it again where it can."""

    actor: object

    def look(self, rows) -> list[Looked]:
        with _deaths():
            return ray.get(self.actor.look.remote(rows))

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
    hall: Callable[[], Hall], longest: float, count: int, cpus: float, gpus: float
) -> Iterator[list[Remote]]:
    """So many, each with so many processors and GPUs; `hall` makes an engine's Hall where it runs."""
    actor = ray.remote(Engine).options(
        max_restarts=-1, max_concurrency=2 * LANES, num_cpus=cpus, num_gpus=gpus
    )
    workers = [Remote(actor.remote(hall, longest)) for _ in range(count)]
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
