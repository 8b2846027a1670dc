"""The verdicts on a soak: each is a name, whether it holds, and the figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import linear_regression, median

from asr.bench.soak.ledger import Ledger
from asr.bench.soak.server import Vitals

THREADS, DESCRIPTORS = 12, 4  # more than after the warm-up: pools of threads fill up to their bounds
MEMORY = 60.0  # MiB an hour that anonymous memory may seem to grow: allocators keep what they had
SPAN = 900.0  # seconds of one process without which a slope says nothing: heaps grow in steps
Verdict = tuple[str, bool, str]


def texts(ledger: Ledger) -> Iterator[Verdict]:
    said, lost, invented = (sum(c.values()) for c in (ledger.said, ledger.lost, ledger.invented))
    if ledger.exact:
        yield (
            "words",
            said > 0 and not lost and not invented,
            f"{said:,} said, {lost} lost, {invented} invented",
        )
    else:
        yield "words", True, "not compared: its model does not hear the made-up voice"
    yield "conduct", not ledger.wrong, f"{len(ledger.wrong)} things that must not be"


def leaks(before: Vitals, after: Vitals, guests: tuple[Counter, Counter]) -> Iterator[Verdict]:
    def grown(name: str, may: int) -> Verdict:
        was, now = getattr(before, name), getattr(after, name)
        return name, now <= was + may, f"{was} after the warm-up, {now} at the end"

    yield grown("descriptors", DESCRIPTORS)
    yield grown("threads", THREADS)
    yield grown("children", 0)
    more = guests[1] - guests[0]
    yield "guests", not more, ", ".join(f"{n} {kind} left" for kind, n in more.items()) or "all gone"


def files(data: Path) -> Verdict:
    """Every client deletes what it made, so nothing may be left."""
    left = [p for p in data.rglob("*") if p.is_file() and not p.name.startswith(("recordings.", "login."))]
    names = ", ".join(str(p.relative_to(data)) for p in left[:5])
    return "files", not left, f"{len(left)} left {names}".strip()


def memory(samples: Sequence[Vitals]) -> Verdict:
    """The slope of the last process' anonymous memory in the second half of its life."""
    settled = samples[len(samples) // 2 :]
    if not settled or settled[-1].at - settled[0].at < SPAN:
        return "memory", True, f"not judged: needs {SPAN / 30:.0f} minutes of one process"
    slope = linear_regression([v.at for v in settled], [v.anonymous for v in settled]).slope * 3600
    first, last = (median(v.anonymous for v in part) for part in (settled[:30], settled[-30:]))
    minutes = (settled[-1].at - settled[0].at) / 60
    says = f"{slope:+.0f} MiB an hour over {minutes:.0f} minutes ({first:.0f} to {last:.0f} MiB)"
    return "memory", slope <= MEMORY, says


def delay(delays: Sequence[tuple[float, float]]) -> Verdict:
    """Of settled text that no fault delayed: the last third beside the first."""
    seconds, third = [s for _, s in delays], len(delays) // 3
    if third < 10:
        return "delay", True, f"not judged: {len(delays)} undisturbed texts"
    first, last = sorted(seconds[:third]), sorted(seconds[-third:])
    flat = median(last) <= 1.5 * median(first) + 0.3
    says = " / ".join(f"{median(part):.2f} (p95 {part[int(0.95 * len(part))]:.2f})" for part in (first, last))
    return "delay", flat, f"s, first third / last third: {says}"
