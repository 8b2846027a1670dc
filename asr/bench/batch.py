"""python -m asr bench batch FOLDER: an archive's run, its recordings one by one, and the engine alone.

  engine      the backend alone, on windows that are ready, in full batches: no run can be faster
  one by one  what `transcribe` does with the same recordings in one call
  batch       what `batch` does: with manifest, hashes and files written
  share       the same with --share
  calls       `transcribe` called anew for each recording, with its start and its model's; on a few of them

The model is loaded and warm before the clock starts, but for calls. The contenders take turns, --runs
times; each one's quickest run counts. Where NAME.txt lies beside a recording, it is the truth for the
word error rate.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from asr import backends, catalogue, machine
from asr.audio import decode
from asr.backends import Batching
from asr.batch.archive import Archive, Recipe
from asr.batch.filling import Hall
from asr.batch.manifest import Manifest
from asr.batch.shelf import Shelf
from asr.batch.sources import find
from asr.bench.words import wer_beside
from asr.config import Config
from asr.cost import keep
from asr.errors import ConfigError
from asr.formats import to_txt
from asr.pipeline import transcribe
from asr.pipeline.windows import windows
from asr.types import Options, Transcript
from asr.vad import Silero

CALLS = 5  # recordings that `transcribe` is called for anew
Texts = dict[str, str]  # path of a recording -> what was heard


@dataclass(frozen=True, slots=True)
class Task:
    folder: str
    files: tuple[str, ...]
    backend: Batching
    options: Options
    threads: int


def engine(task: Task) -> Callable[[], Texts]:
    ready, options = [], replace(task.options, word_timestamps="words" in task.backend.can)
    for file in task.files:
        with decode(file) as recording:
            found = windows(recording, Silero(), join=True, longest=task.backend.window)
            ready += [task.backend.prepare(window.audio(recording)) for window in found]

    def run() -> Texts:
        size = task.backend.batch_size
        for i in range(0, len(ready), size):
            batch = ready[i : i + size]
            task.backend.transcribe_batch(batch, [options] * len(batch))
        return {}

    return run


def one_by_one(task: Task) -> Callable[[], Texts]:
    def run() -> Texts:
        texts = {}
        for file in task.files:
            with decode(file) as recording:
                segments = tuple(transcribe(recording, task.backend, task.options))
                texts[file] = to_txt(Transcript(segments, recording.duration))
        return texts

    return run


def archive(task: Task, share: bool = False) -> Callable[[], Texts]:
    def run() -> Texts:
        with tempfile.TemporaryDirectory() as folder:
            shelf = Shelf(Path(folder), ("txt", "json"))
            with closing(Manifest(shelf.folder / "manifest.db")) as manifest:
                manifest.look(find([task.folder]), Recipe(task.backend.spec).key)
                hall = Hall(task.backend, task.options, task.threads, share)
                rows = [event.row for event in Archive(manifest, shelf).run(hall)]
            return {row.path: shelf.file(row.output, "txt").read_text(encoding="utf-8") for row in rows}

    return run


CONTENDERS: dict[str, Callable[[Task], Callable[[], Texts]]] = {
    "engine": engine,
    "one by one": one_by_one,
    "batch": archive,
    "share": lambda task: archive(task, share=True),
}


def main(argv: list[str]) -> int:
    args = _arguments(argv)
    folder = str(Path(args.folder).resolve())
    files = tuple(source.path for source in find([folder]))
    backend = backends.load(catalogue.spec_of(args.model), args.device)
    if not {"batch", "words"} <= backend.can:
        raise ConfigError(f"{backend.spec} takes no batches.", "Choose a Whisper model.")
    if not files:
        raise ConfigError(f"There is no recording in {folder}.", "Name a folder of recordings.")
    task = Task(folder, files, backend, Options(args.language), args.threads)
    report = _report(task, _measured(task, args.runs))
    if args.calls:
        report["contenders"]["calls"] = _called(task, args)
    print(_table(report))
    keep(report, Config.from_env().data_dir, "batch")
    if args.json:
        Path(args.json).write_text(json.dumps(report, indent=2), encoding="utf-8")
    return 0


def _measured(task: Task, runs: int) -> dict[str, tuple[float, float, Texts]]:
    """Seconds by the clock, of the processor, and the texts of each contender's quickest run."""
    ready = {name: make(task) for name, make in CONTENDERS.items()}
    one_by_one(replace(task, files=task.files[:2]))()
    best: dict[str, tuple[float, float, Texts]] = {}
    for _ in range(runs):
        for name, run in ready.items():
            began, worked = time.perf_counter(), time.process_time()
            texts = run()
            wall, cpu = time.perf_counter() - began, time.process_time() - worked
            if name not in best or wall < best[name][0]:
                best[name] = wall, cpu, texts
    return best


def _called(task: Task, args: argparse.Namespace) -> dict:
    """What a call costs, for as many recordings as there are: measured on CALLS of them, spread over all."""
    files = task.files[:: max(1, len(task.files) // CALLS)][:CALLS]
    began = time.perf_counter()
    for file in files:
        command = [sys.executable, "-m", "asr", "transcribe", file, "-m", args.model, "-l", args.language]
        subprocess.run(command, check=True, capture_output=True)
    wall = (time.perf_counter() - began) / len(files) * len(task.files)
    return {"wall": wall, "cpu": None, "wer": None, "measured_on": len(files)}


def _report(task: Task, best: dict[str, tuple[float, float, Texts]]) -> dict:
    here = machine.look()
    seconds = 0.0
    for file in task.files:
        with decode(file) as recording:
            seconds += recording.duration
    return {
        "machine": {"cpu": here.cpu, "cores": here.cores, "gpus": [gpu.name for gpu in here.gpus]},
        "model": task.backend.spec,
        "batch_size": task.backend.batch_size,
        "recordings": len(task.files),
        "seconds": seconds,
        "contenders": {
            name: {"wall": wall, "cpu": cpu, "wer": wer_beside(texts.items())}
            for name, (wall, cpu, texts) in best.items()
        },
    }


def _table(report: dict) -> str:
    here, rows = report["machine"], report["contenders"]
    lines = [
        f"{report['model']} on {' and '.join(here['gpus']) or here['cpu']}, {here['cores']} cores; "
        f"{report['recordings']} recordings, {report['seconds']:.0f} s, batches of {report['batch_size']}",
        "             seconds    CPU s  x real time  x one by one  x engine    WER",
    ]
    for name, row in rows.items():
        cpu = "" if row["cpu"] is None else f"{row['cpu']:.2f}"
        wer = "" if row["wer"] is None else f"{100 * row['wer']:.1f} %"
        one, bare = (rows[other]["wall"] / row["wall"] for other in ("one by one", "engine"))
        lines.append(
            f"{name:11}{row['wall']:9.2f}{cpu:>9}{report['seconds'] / row['wall']:13.1f}"
            f"{one:14.2f}{bare:10.2f}{wer:>7}"
        )
    return "\n".join(lines)


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m asr bench batch",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("folder", metavar="FOLDER", help="of recordings; many short ones show most")
    add("-m", "--model", default="small", help="as for transcribe (%(default)s)")
    add("-d", "--device", default="auto", help="auto, cpu or cuda, with a compute type if you insist")
    add("-l", "--language", default="en", help="spoken in the recordings (%(default)s)")
    add("--threads", type=int, default=machine.look().cores, help="that decode ahead (%(default)s)")
    add("--runs", type=int, default=2, help="of each (%(default)s)")
    add("--calls", action="store_true", help="measure calls, too")
    add("--json", metavar="FILE", help="write the figures there, too")
    return parser.parse_args(argv)
