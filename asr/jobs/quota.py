"""How much may be kept: by one browser, and by all together. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from asr.config import Config
from asr.errors import QuotaExceeded

GB = 10**9


@dataclass(frozen=True, slots=True)
class Usage:
    recordings: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Quota:
    """The most of each; 0 means that nobody counts."""

    each: Usage = Usage()
    all: Usage = Usage()
    spare: int = 2**28  # bytes that shall stay free on the disk

    @classmethod
    def of(cls, config: Config) -> Quota:
        each = Usage(config.keep_recordings, round(config.keep_gb * GB))
        everybodys = Usage(config.keep_recordings_in_all, round(config.keep_gb_in_all * GB))
        return cls(each, everybodys, config.disk_floor_mb * 2**20)

    def check(self, mine: Usage, everybodys: Usage, size: int) -> None:
        """Raise QuotaExceeded where `size` bytes more are too much."""
        clean_up, wait = "Delete some in My recordings.", "Try again later, or ask whoever runs this server."
        if 0 < self.each.recordings <= mine.recordings:
            raise QuotaExceeded(
                f"You have {mine.recordings} recordings here already, the most there may be.", clean_up
            )
        if 0 < self.each.bytes < mine.bytes + size:
            raise QuotaExceeded(
                f"This would be too much: your recordings take {mine.bytes / GB:.2f} GB,"
                f" this one {size / GB:.2f} GB, and {self.each.bytes / GB:g} GB is the most.",
                clean_up,
            )
        if 0 < self.all.recordings <= everybodys.recordings or 0 < self.all.bytes < everybodys.bytes + size:
            raise QuotaExceeded("This server keeps as many recordings as it may.", wait)
