"""Recordings that go on without anybody watching: kept on disk, worked on in turn, never lost."""

from __future__ import annotations

from asr.jobs.job import OVER, STAGES, Job, Stage, State, Wishes
from asr.jobs.store import Store

__all__ = ["OVER", "STAGES", "Job", "Stage", "State", "Store", "Wishes"]
