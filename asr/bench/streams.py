"""python -m asr bench streams AUDIO --words GOLD --max N: how many people one model can write along with.

1, 2, 4, ... streams replay AUDIO in real time through the scheduler, each starting at another
moment, with batching on and off, until the words of one are confirmed too late: 95 % of all
words within 2.5 s is the goal. With --calls the clock is simulated: a call of n windows takes
FIXED + n * EACH seconds, as `python -m tests.live_cost` finds them, whatever else the machine does.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from asr.audio import SAMPLE_RATE, load_audio
from asr.bench.crowd import Crowd, Speaker, remembering
from asr.bench.live import Trial, loaded, model_arguments
from asr.bench.measures import Track, confirmed, measure, summary
from asr.bench.replay import Record, real
from asr.bench.words import read_gold
from asr.live import LiveTranscriber
from asr.live.pace import Pace
from asr.live.passes import hear
from asr.scheduler import Scheduler
from asr.types import Options
from asr.vad import Silero, VoiceDetector

GOAL = 2.5  # seconds
SPREAD = 3.0  # seconds between the first and the last stream's start
NAMES = {True: "batching", False: "one call per stream"}


def main(argv: list[str], vad: Callable[[], VoiceDetector] = Silero) -> int:
    args = _arguments(argv)
    audio, gold, backend = load_audio(args.audio), read_gold(args.words), loaded(args)
    options, pace = Options(language=args.language), Pace(encoder_seconds=args.encoder_seconds)
    runs, trial = [], Trial(backend, audio, gold, options, pace, vad)
    go = simulated(trial, args.calls) if args.calls else partial(together, trial)
    print(HEAD)
    for batching in (True, False):
        for found in sweep(go, batching, args.max):
            runs.append(found)
            print(row(found), flush=True)
    held = {
        name: max((r["streams"] for r in runs if r["batching"] is on and r["held"]), default=0)
        for on, name in NAMES.items()
    }
    print("Streams held: " + ", ".join(f"{n} with {name}" for name, n in held.items()) + ".")
    if args.json:
        report = {"audio": str(args.audio), "model": backend.spec, "goal": GOAL, "max": args.max}
        args.json.write_text(json.dumps(report | {"held": held, "runs": runs}, indent=2), encoding="utf-8")
    return 0


def _arguments(argv: list[str]) -> argparse.Namespace:
    p = argparse.ArgumentParser(
        "python -m asr bench streams",
        description=__doc__.partition(": ")[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("audio", metavar="AUDIO", type=Path, help="speech, about half a minute of it")
    p.add_argument("--words", metavar="GOLD", type=Path, required=True, help="what is said in it, and when")
    p.add_argument("--max", type=int, default=16, metavar="N", help="streams at the most (16)")
    p.add_argument("--calls", type=_cost, metavar="FIXED,EACH", help="simulate the clock: what calls take")
    p.add_argument("--json", metavar="FILE", type=Path, help="write all figures there")
    model_arguments(p)
    return p.parse_args(argv)


def _cost(text: str) -> tuple[float, float]:
    fixed, each = text.split(",")
    return float(fixed), float(each)


def sweep(go: Callable[[bool, int], dict], batching: bool, most: int) -> Iterator[dict]:
    """One run per number of streams: doubled until the goal is missed, then halving in between."""
    good, bad, count = 0, most + 1, 1
    while bad - good > 1:
        found = go(batching, count)
        yield found
        good, bad = (count, bad) if found["held"] else (good, count)
        count = min(2 * count, most) if bad > most else (good + bad) // 2


def together(trial: Trial, batching: bool, count: int) -> dict:
    """`count` streams at once, each starting a little later than the one before."""
    scheduler = Scheduler(trial.backend, max_streams=count, batching=batching, pace=trial.pace, vad=trial.vad)
    cpu, began = _cpu_seconds(), time.monotonic()
    try:
        with ThreadPoolExecutor(count) as speakers:
            records = list(
                speakers.map(lambda s: real(scheduler, trial.options, trial.audio, s), _starts(count))
            )
    finally:
        scheduler.close()
    return _found(trial, records) | {
        "streams": count,
        "batching": batching,
        "cpu": (_cpu_seconds() - cpu) / (time.monotonic() - began),
        "stats": scheduler.stats(),
    }


def simulated(trial: Trial, cost: tuple[float, float]) -> Callable[[bool, int], dict]:
    """The same on a simulated clock, on which calls cost what they are said to."""
    once = remembering(partial(hear, trial.backend))

    def go(batching: bool, count: int) -> dict:
        lives = [
            LiveTranscriber(trial.backend, trial.options, pace=trial.pace, vad=trial.vad)
            for _ in range(count)
        ]
        speakers = [Speaker(*s) for s in zip(lives, [trial.audio] * count, _starts(count), strict=True)]
        crowd = Crowd(speakers, once, trial.backend.batch_size if batching else 1, cost)
        crowd.run()
        nan = float("nan")
        means = {"batch_mean": crowd.windows / crowd.calls, "took_mean": crowd.busy / crowd.calls}
        found = _found(trial, [s.record for s in speakers])
        busy = {"cpu": crowd.busy / crowd.now, "stats": means | {"wait_mean": nan}}
        return found | {"streams": count, "batching": batching} | busy

    return go


def _starts(count: int) -> list[float]:
    return [SPREAD * i / count for i in range(count)]


def _found(trial: Trial, records: Sequence[Record]) -> dict:
    seconds = len(trial.audio) / SAMPLE_RATE
    each = [measure(r.shown, r.segments, trial.gold, seconds) for r in records]
    tracks = [Track(r.shown, r.segments, trial.gold) for r in records]
    found = summary([aware for t in tracks for aware, _ in t.late(confirmed)])
    return {
        "confirmed": found,
        "held": found is not None and found["p95"] <= GOAL,
        "wer": sum(m["wer"] for m in each) / len(each),
        "erasure_settled": max(m["erasure_settled"] for m in each),
        "errors": sum(len(r.errors) for r in records),
    }


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


HEAD = "streams  batching  confirmed: mean    p50    p95    WER   batch  pass, s  wait, s  cores"


def row(found: dict) -> str:
    delay, stats = found["confirmed"] or dict.fromkeys(("mean", "p50", "p95"), float("nan")), found["stats"]
    cells = (
        f"{found['streams']:7}",
        f"{'on' if found['batching'] else 'off':>8}",
        f"{delay['mean']:13.2f}{delay['p50']:7.2f}{delay['p95']:7.2f}{found['wer']:7.1%}",
        f"{stats['batch_mean']:6.1f}{stats['took_mean']:9.2f}{stats['wait_mean']:9.2f}{found['cpu']:7.1f}",
    )
    return "  ".join(cells)
