"""A soak's report for people."""

from __future__ import annotations

from collections import Counter


def told(report: dict) -> str:
    lines = [f"{'':2}{'guests':12}{'came':>7}{'words':>9}{'lost':>7}{'invented':>10}"]
    for kind, came in sorted(report["conversations"].items()):
        words, lost, invented = (report[column].get(kind, 0) for column in ("said", "lost", "invented"))
        lines.append(f"{'':2}{kind:12}{came:7}{words:9,}{lost:7}{invented:10}")
    faults = Counter(name for name, _, _ in report["faults"])
    for title, found in (
        ("faults", faults),
        ("they did", report["events"]),
        ("refused, with a sentence", report["refused"]),
        ("in the log", report["log"]),
    ):
        lines += ["", f"{title}: " + (", ".join(f"{n} {what}" for what, n in found.items()) or "none")]
    lines += [report["missing"]] if report["missing"] else []
    lines += ["", *(f"{'ok ' if v['ok'] else 'BAD'} {v['name']:12}{v['says']}" for v in report["verdicts"])]
    lines += [f"    {what}" for what in report["wrong"]]
    return "\n".join(lines)
