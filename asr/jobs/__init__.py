"""Recordings that go on without anybody watching: kept on disk, worked on in turn, never lost."""

from __future__ import annotations

from asr.jobs.job import OVER, STAGES, Job, Stage, State, Wishes
from asr.jobs.quota import Quota
from asr.jobs.stages import Tools
from asr.jobs.store import Store
from asr.jobs.worker import Worker

__all__ = ["OVER", "STAGES", "Job", "Quota", "Stage", "State", "Store", "Tools", "Wishes", "Worker"]
