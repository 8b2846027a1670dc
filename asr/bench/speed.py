"""python -m asr bench speed AUDIO...: our pipeline beside its rivals, on one model and machine.

Every contender runs in a process of its own, on the same weights, device, arithmetic, threads,
beam and batch size; its model is loaded and has heard 30 s before the clock starts.

  engine      CTranslate2's encode and generate alone, on our windows and ready features: the floor
  sequential  faster-whisper's transcribe, as it comes
  whisperx    whisperx's transcribe, with its own voice detector

Where AUDIO.txt lies beside AUDIO, its text is the truth for the word error rate.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import ctranslate2
import numpy as np

from asr import backends, machine
from asr.audio import Recording, decode, to_pcm16
from asr.backends.faster_whisper import device, weights
from asr.backends.faster_whisper.decode import BEAM
from asr.backends.faster_whisper.features import padded
from asr.bench.shapes import SHAPES, stretched
from asr.bench.words import wer_beside
from asr.config import Config
from asr.cost import keep
from asr.errors import ASRError, ConfigError
from asr.pipeline import transcribe
from asr.pipeline.windows import windows
from asr.types import Options
from asr.vad import Silero

WARM = 30.0  # seconds of audio heard before the clock starts
RIVALS = ("engine", "sequential", "whisperx")
Run = Callable[[], Iterable[str]]  # what is timed; gives pieces of text
Contender = Callable[[Recording], Run]  # what must be done before


@dataclass(frozen=True, slots=True)
class Task:
    """What every contender is asked to do."""

    files: tuple[str, ...]
    model: str  # "faster_whisper:..."
    device: str
    language: str


@dataclass(frozen=True, slots=True)
class Result:
    wall: float  # seconds, of all files
    cpu: float  # seconds of processor time, of all files; steadier than `wall` on a busy machine
    first: float  # seconds until the first text of the first file
    peak: int  # bytes resident at most
    above: int  # of them, beyond what the process held with its model loaded
    texts: tuple[str, ...]  # one per file


def ours(task: Task) -> Contender:
    backend = backends.load(task.model, task.device)
    return lambda recording: lambda: (s.text for s in transcribe(recording, backend, Options(task.language)))


def engine(task: Task) -> Contender:
    backend = backends.load(task.model, task.device)
    whisper, tokenizer = backend.decoder.whisper, backend.decoder.tokenizer(task.language, "transcribe")

    def ready(recording: Recording) -> Run:
        found = windows(recording, Silero(), True, backend.window)
        whole = [padded(backend.prepare(w.audio(recording)), backend.decoder.frames) for w in found]
        size = backend.batch_size
        batches = [np.stack(whole[i : i + size]) for i in range(0, len(whole), size)]

        def run() -> Iterator[str]:
            for batch in batches:
                encoded = whisper.encode(ctranslate2.StorageView.from_array(batch))
                prompts = [[*tokenizer.sot_sequence, tokenizer.no_timestamps]] * len(batch)
                for result in whisper.generate(encoded, prompts, beam_size=BEAM):
                    yield tokenizer.decode(result.sequences_ids[0])

        return run

    return ready


def sequential(task: Task) -> Contender:
    model = backends.load(task.model, task.device).decoder.model

    def ready(recording: Recording) -> Run:
        audio = recording.read(0, recording.duration)
        return lambda: (s.text for s in model.transcribe(audio, language=task.language)[0])

    return ready


def whisperx(task: Task) -> Contender:
    from whisperx import load_model

    folder = weights.find(task.model.partition(":")[2])
    place, compute = device.place_of(task.device, (folder / "model.bin").stat().st_size)
    loaded = load_model(
        str(folder), place, compute_type=compute, language=task.language, threads=device.cores()
    )

    def ready(recording: Recording) -> Run:
        audio = recording.read(0, recording.duration)
        size = device.batch_size(loaded.model, folder)
        return lambda: (s["text"] for s in loaded.transcribe(audio, size, language=task.language)["segments"])

    return ready


CONTENDERS = {"ours": ours, "engine": engine, "sequential": sequential, "whisperx": whisperx}


def main(argv: list[str]) -> int:
    args = _arguments(argv)
    rivals = [name for name in args.against.split(",") if name]
    if unknown := set(rivals) - set(RIVALS):
        raise ConfigError(f"There is no rival {unknown.pop()!r}.", f"There are: {', '.join(RIVALS)}.")
    if (rivals or args.shape) and not args.model.startswith("faster_whisper:"):
        fix = "Say --against '' to measure ours alone, as it is."
        raise ConfigError("Only Whisper models have rivals and shapes here.", fix)
    names = ["ours", *rivals]
    with tempfile.TemporaryDirectory() as folder:
        model = args.model
        if args.shape:
            small = weights.find(model.removeprefix("faster_whisper:"))
            model = f"faster_whisper:{stretched(small, args.shape, Path(folder) / args.shape)}"
        task = Task(tuple(args.audio), model, args.device, args.language)
        runs = [{name: measured(name, task) for name in names} for _ in range(args.runs)]
    results = {name: min((run[name] for run in runs), key=lambda r: r.wall) for name in names}
    report = _report(task, results)
    print(_table(report))
    if not args.shape:  # such a model hears nothing: no recording costs what it takes
        keep(report, Config.from_env().data_dir, "speed")
    if args.json:
        Path(args.json).write_text(json.dumps(report, indent=2), encoding="utf-8")
    return 0


def measured(name: str, task: Task) -> Result:
    """One contender's run, in a process of its own."""
    with tempfile.NamedTemporaryFile("r", suffix=".json") as answer:
        command = [sys.executable, "-m", "asr.bench.speed", name, json.dumps(asdict(task)), answer.name]
        child = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if child.returncode:
            last = child.stderr.strip().splitlines()[-1:] or ["it was killed"]
            raise ASRError(f"The contender {name} failed: {last[0]}")
        found = json.load(answer)
    return Result(**found | {"texts": tuple(found["texts"])})


def _measure(name: str, task: Task) -> Result:
    ready = CONTENDERS[name](task)
    with decode(task.files[0]) as recording:
        list(ready(Recording(to_pcm16(recording.read(0, WARM))))())
    held = _resident("VmRSS")
    _forget_peak()
    wall, cpu, first, texts = 0.0, 0.0, None, []
    for file in task.files:
        with decode(file) as recording:
            run, pieces = ready(recording), []
            began, worked = time.perf_counter(), time.process_time()
            for piece in run():
                first = first or time.perf_counter() - began
                pieces.append(piece)
            wall, cpu = wall + time.perf_counter() - began, cpu + time.process_time() - worked
        texts.append("".join(pieces))
    peak = _resident("VmHWM")
    return Result(wall, cpu, first or wall, peak, max(0, peak - held), tuple(texts))


def _resident(name: str) -> int:
    """Bytes of this process in memory, now (VmRSS) or at most (VmHWM); 0 where the system is not Linux."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name)), 0)


def _forget_peak() -> None:
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM, see proc(5)


def _report(task: Task, results: dict[str, Result]) -> dict:
    here = machine.look()
    seconds = sum(_duration(file) for file in task.files)
    rows = {
        name: {
            "wall": result.wall,
            "cpu": result.cpu,
            "rtfx": seconds / result.wall,
            "first": result.first,
            "peak": result.peak,
            "above": result.above,
            "wer": wer_beside(zip(task.files, result.texts, strict=True)),
        }
        for name, result in results.items()
    }
    mine = results["ours"].wall
    ratios = {name: results[name].wall / mine for name in RIVALS if name in results}
    return {
        "machine": {"cpu": here.cpu, "cores": here.cores, "gpus": [gpu.name for gpu in here.gpus]},
        "versions": {name: version(name) for name in ("faster-whisper", "ctranslate2", "whisperx")},
        "asked": asdict(task),
        "seconds": seconds,
        "contenders": rows,
        "times_ours": ratios,
    }


def _duration(file: str) -> float:
    with decode(file) as recording:
        return recording.duration


def _table(report: dict) -> str:
    here, mib = report["machine"], 1024**2
    lines = [
        f"{report['asked']['model']} on {' and '.join(here['gpus']) or here['cpu']}, {here['cores']} cores; "
        f"{report['seconds']:.0f} s of audio",
        "            seconds    CPU s  x real time  first text  peak MiB  above model     WER",
    ]
    for name, row in report["contenders"].items():
        wer = "" if row["wer"] is None else f"{100 * row['wer']:.1f} %"
        lines.append(
            f"{name:10}{row['wall']:9.2f}{row['cpu']:9.2f}{row['rtfx']:13.1f}{row['first']:12.2f}"
            f"{row['peak'] / mib:10.0f}{row['above'] / mib:13.0f}{wer:>8}"
        )
    for name, ratio in report["times_ours"].items():
        lines.append(f"{name} took {ratio:.2f} times as long as ours")
    return "\n".join(lines)


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m asr bench speed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("audio", nargs="+", metavar="AUDIO", help="recordings")
    parser.add_argument("--model", default="faster_whisper:small", help="backend:model (%(default)s)")
    parser.add_argument(
        "--device", default="auto", help="auto, cpu or cuda, with a compute type if you insist"
    )
    parser.add_argument("--language", default="en", help="spoken in the recordings (%(default)s)")
    parser.add_argument("--against", default=",".join(RIVALS), help="rivals (%(default)s)")
    parser.add_argument("--shape", choices=SHAPES, help="stretch the small model to a Whisper of this size")
    parser.add_argument("--runs", type=int, default=1, help="of each; the quickest counts (%(default)s)")
    parser.add_argument("--json", metavar="FILE", help="write the figures there, too")
    return parser.parse_args(argv)


if __name__ == "__main__":  # one contender, in the process that `measured` started
    contender, asked, answer = sys.argv[1:]
    found = _measure(contender, Task(**json.loads(asked)))
    Path(answer).write_text(json.dumps(asdict(found)), encoding="utf-8")
