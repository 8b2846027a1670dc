"""python -m asr bench live AUDIO --words GOLD: how soon, how steadily and how well we write along.

AUDIO is replayed as a microphone, in real time through the scheduler or (--fast) on a simulated
clock. GOLD holds the words that are really said: lines of start, end and word with tabs between,
or JSON; without it nothing was said, and every word is an invention.

  ours            voice detection, agreement of two passes, speculation at pauses
  localagreement  whisper_streaming's: the whole buffer once a second
  chunked         windows of 4 s, half a second stripped on both sides
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asr import backends
from asr.audio import SAMPLE_RATE, Recording, load_audio, to_pcm16
from asr.backends import Backend
from asr.backends.faster_whisper import weights
from asr.bench.measures import measure
from asr.bench.policies import POLICIES
from asr.bench.replay import Record, fast, real
from asr.bench.shapes import SHAPES, stretched
from asr.bench.words import Gold, plain, read_gold, word_error_rate
from asr.live.pace import Pace
from asr.pipeline import transcribe
from asr.scheduler import Scheduler
from asr.types import Options
from asr.vad import Silero, VoiceDetector


@dataclass(frozen=True, slots=True)
class Trial:
    """What all runs of a benchmark have in common."""

    backend: Backend
    audio: np.ndarray
    gold: Sequence[Gold]
    options: Options
    pace: Pace
    vad: Callable[[], VoiceDetector]


def main(argv: list[str], vad: Callable[[], VoiceDetector] = Silero) -> int:
    args = _arguments(argv)
    audio, gold = load_audio(args.audio), read_gold(args.words) if args.words else []
    backend = loaded(args)
    options, pace = Options(language=args.language), Pace(encoder_seconds=args.encoder_seconds)
    trial = Trial(backend, audio, gold, options, pace, vad)
    report = {
        "audio": str(args.audio),
        "seconds": len(audio) / SAMPLE_RATE,
        "model": backend.spec,
        "clock": "simulated" if args.fast else "real",
        "pass_seconds": args.pass_seconds,
        "encoder_seconds": args.encoder_seconds,
        "offline_wer": offline(trial),
        "policies": {name: run(trial, name, args) for name in args.policy},
    }
    print(table(report))
    if args.json:
        args.json.write_text(json.dumps(report, indent=2), encoding="utf-8")
    return 0


def _arguments(argv: list[str]) -> argparse.Namespace:
    p = argparse.ArgumentParser(
        "python -m asr bench live",
        description=__doc__.partition(": ")[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("audio", metavar="AUDIO", type=Path, help="any recording")
    p.add_argument("--words", metavar="GOLD", type=Path, help="what is said in it, and when")
    p.add_argument(
        "--policy", type=_policies, default=("ours",), metavar="P,P", help=f"{','.join(POLICIES)} (ours)"
    )
    p.add_argument("--fast", action="store_true", help="simulate the clock: the same figures in less time")
    p.add_argument(
        "--pass-seconds", type=float, metavar="S", help="with --fast: every pass counts as so long"
    )
    p.add_argument("--json", metavar="FILE", type=Path, help="write all figures there")
    model_arguments(p)
    return p.parse_args(argv)


def model_arguments(p: argparse.ArgumentParser) -> None:
    """What every live benchmark asks about its model."""
    p.add_argument("-m", "--model", required=True, metavar="M", help="backend:model")
    p.add_argument("-d", "--device", default="auto", metavar="D", help="auto, cpu, cuda or cuda/int8_float16")
    p.add_argument("-l", "--language", metavar="L", help="detected where it is not given")
    p.add_argument(
        "--shape", choices=SHAPES, help="stretch the model, a small Whisper, to one of this size"
    )
    p.add_argument(
        "--encoder-seconds", type=float, metavar="S", help="pad short windows to this, not to 30 s"
    )


def loaded(args: argparse.Namespace) -> Backend:
    if not args.shape:
        return backends.load(args.model, args.device)
    with tempfile.TemporaryDirectory() as folder:
        small = weights.find(args.model.removeprefix("faster_whisper:"))
        return backends.load(
            f"faster_whisper:{stretched(small, args.shape, Path(folder) / args.shape)}", args.device
        )


def _policies(text: str) -> tuple[str, ...]:
    asked = tuple(text.split(","))
    if unknown := set(asked) - set(POLICIES):
        raise argparse.ArgumentTypeError(
            f"there is no policy {unknown.pop()!r}; there are {', '.join(POLICIES)}"
        )
    return asked


def offline(trial: Trial) -> float | None:
    """The word error rate of the same model on the whole recording."""
    recording = Recording(to_pcm16(trial.audio))
    segments = transcribe(recording, trial.backend, trial.options, vad=trial.vad)
    heard = [w for s in segments for w in plain(s.text)]
    return word_error_rate([w for g in trial.gold for w in plain(g.word)], heard)


def run(trial: Trial, policy: str, args: argparse.Namespace) -> dict:
    """One replay, measured."""
    if args.fast:
        live = POLICIES[policy](trial.backend, trial.options, pace=trial.pace, vad=trial.vad)
        record = fast(live, trial.backend, trial.audio, lambda took: args.pass_seconds or took)
    else:
        record = _in_real_time(trial, policy)
    found = measure(record.shown, record.segments, trial.gold, len(trial.audio) / SAMPLE_RATE)
    return found | {"errors": record.errors, "text": " ".join(s.text.strip() for s in record.segments)}


def _in_real_time(trial: Trial, policy: str) -> Record:
    scheduler = Scheduler(trial.backend, pace=trial.pace, policy=POLICIES[policy], vad=trial.vad)
    try:
        return real(scheduler, trial.options, trial.audio)
    finally:
        scheduler.close()


ROWS = (
    ("first seen, s", "first_seen", "aware"),
    ("  on the audio's clock", "first_seen", "unaware"),
    ("confirmed, s", "confirmed", "aware"),
    ("  on the audio's clock", "confirmed", "unaware"),
    ("final after speech, s", "ttfs", "aware"),
)


def table(report: dict) -> str:
    """The report for people."""
    lines = [f"{report['audio']}  {report['seconds']:.0f} s  {report['model']}  {report['clock']} clock"]
    for policy, found in report["policies"].items():
        lines += ["", f"{policy:26}{'mean':>8}{'p50':>8}{'p90':>8}{'p95':>8}{'p99':>8}"]
        lines += [f"{name:26}{_cells(found[measured][clock])}" for name, measured, clock in ROWS]
        lines.append(_sentence(found, report["offline_wer"]))
    return "\n".join(lines)


def _cells(summary: dict | None) -> str:
    if summary is None:
        return "       -"
    return "".join(f"{summary[k]:8.2f}" for k in ("mean", "p50", "p90", "p95", "p99"))


def _sentence(found: dict, offline_wer: float | None) -> str:
    parts = [f"{found['words']} words"]
    if found["wer"] is not None:
        parts.append(f"WER {found['wer']:.1%} (offline {offline_wer:.1%}, {found['wer'] - offline_wer:+.1%})")
    parts.append(f"erasure {found['erasure']:.2f}, {found['erasure_settled']:.2f} in settled text")
    parts.append(f"UPWR {found['upwr']:.2f}")
    if found["invented_per_minute"] is not None:
        parts.append(f"{found['invented_per_minute']:.2f} invented words per minute without speech")
    return "; ".join(parts)
