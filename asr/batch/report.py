"""What became of an archive: as JSON, and as a table for people."""

from __future__ import annotations

from dataclasses import dataclass, field

from asr.batch.archive import Event
from asr.batch.manifest import Manifest
from asr.batch.pace import Pace


@dataclass(slots=True)
class Tally:
    """Of one run."""

    heard: int = 0
    copied: int = 0
    again: int = 0
    aside: int = 0
    damage: dict[str, str] = field(default_factory=dict)  # path -> what of it could not be read

    def count(self, event: Event) -> None:
        setattr(self, event.how, getattr(self, event.how) + 1)
        if event.damage:
            self.damage[event.row.path] = event.damage


def report(manifest: Manifest, tally: Tally, pace: Pace, asked: dict, price: float | None) -> dict:
    """`asked`: model and options; `price`: of an hour of this machine, in whatever currency."""
    counts, seconds = manifest.counts(), pace.seconds
    return {
        "asked": asked,
        "recordings": {
            "found": counts.total,
            "done": counts.done,
            "done_before": counts.done - tally.heard - tally.copied,
            "heard": tally.heard,
            "copied": tally.copied,
            "set_aside": counts.failed,
            "left": counts.total - counts.done - counts.failed,
        },
        "hours": {"of_all_done": counts.seconds / 3600, "now": seconds / 3600},
        "seconds": pace.spent,
        "rtfx": pace.overall,
        "cost": None if price is None else pace.cost(price),
        "set_aside": [
            {"path": r.path, "what": r.what, "fix": r.fix, "tries": r.tries} for r in manifest.aside()
        ],
        "damaged": tally.damage,
    }


def table(report: dict, most: int = 20) -> str:
    """The report for people; `most` recordings that were set aside are named."""
    n, hours = report["recordings"], report["hours"]
    rows = [
        ("recordings", f"{n['found']:,}"),
        ("done", f"{n['done']:,} ({hours['of_all_done']:,.1f} hours)"),
        ("  before", f"{n['done_before']:,}"),
        ("  now", f"{n['heard']:,} heard, {n['copied']:,} of the same content"),
        ("set aside", f"{n['set_aside']:,}"),
        ("left", f"{n['left']:,}"),
        (
            "time",
            f"{report['seconds']:,.1f} s for {hours['now']:,.2f} hours: {report['rtfx']:,.1f}x real time",
        ),
    ]
    if report["cost"] is not None:
        rows.append(("cost", f"{report['cost']:,.4f}"))
    lines = [f"{name:12}{value}" for name, value in rows]
    for each in report["set_aside"][:most]:
        lines.append(f"! {each['path']}: {each['what']} {each['fix'] or ''}".rstrip())
    if more := report["set_aside"][most:]:
        lines.append(f"! and {len(more):,} more: see the report")
    return "\n".join(lines)
