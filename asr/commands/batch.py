"""python -m asr batch: archives of recordings to transcripts; goes on where it stopped, whatever stopped it.

SRC is a folder with all that is below it, a recording, a glob, an address that fsspec opens (s3://...), or
a list of those: .txt with one per line, .csv or .jsonl with a column audio_filepath, path, file, audio, wav
or url.

Each recording gets its files below -o once. Start the same line again and only what is new, changed, lost or
not done yet is done; a renamed or copied recording gets copies of its files. What fails is tried again
after all others, then set aside with its reason.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from contextlib import closing
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from asr.commands.progress import Progress, clock
from asr.commands.stages import After, add_stages, stages, timed
from asr.commands.wishes import add_wishes, asked, configured, load, spoken
from asr.config import Config
from asr.errors import ASRError, BackendUnavailable
from asr.formats.writing import unwritable, write_whole
from asr.types import Transcript

EXIT = (
    "Exit code: 0 all done, 1 some were set aside or it could not go on, 2 not understood, 130 interrupted."
)


def main(argv: list[str]) -> int:
    args = _parse(argv)
    from asr.batch.manifest import Manifest  # these take long to import; help must not
    from asr.batch.shelf import Shelf

    config = configured(args)
    shelf = Shelf(args.output, args.format)
    with closing(Manifest(shelf.folder / ".parlance" / "manifest.db")) as manifest:
        return _Run(args, config, shelf, manifest).main()


def _parse(argv: list[str]) -> argparse.Namespace:
    p = argparse.ArgumentParser(
        "python -m asr batch",
        description=__doc__.partition(": ")[2],
        epilog=EXIT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = p.add_argument
    add("sources", nargs="+", metavar="SRC", help="folders, recordings, globs, lists, addresses")
    add(
        "-o",
        "--output",
        type=Path,
        metavar="DIR",
        required=True,
        help="write files and the manifest into DIR",
    )
    add_wishes(p)
    add_stages(p)
    add("--share", action="store_true", help="short recordings share a window of the model: several times as "
        "fast, but a word at an edge may fall to a neighbour; needs -l")  # fmt: skip
    add("--workers", type=_positive, default=os.cpu_count() or 1, metavar="N",
        help="recordings decoded at the same time, ahead of the model (%(default)s)")  # fmt: skip
    add("--engine", choices=("local", "ray"), default="local", help="ray: engines in processes of their own, "
        "on this machine or on the cluster that RAY_ADDRESS names")  # fmt: skip
    add("--engines", type=_positive, metavar="N", help="on Ray; one per GPU where there are any, or one")
    add(
        "--tries",
        type=_positive,
        default=2,
        metavar="N",
        help="before a recording is set aside (%(default)s)",
    )
    add("--again", action="store_true", help="try again what was set aside")
    add(
        "--watch", type=_positive, nargs="?", const=10, metavar="S", help="look for more every S seconds (10)"
    )
    add("--price", type=float, metavar="P", help="of an hour of this machine: the cost so far is shown")
    args = p.parse_args(argv)
    if why := unwritable(args.output):
        p.error(f"-o {args.output}: {why}")
    if args.engine == "ray" and (args.align or args.diarize or args.speakers):
        p.error("--align, --diarize and --speakers need --engine local")
    if args.share and (not args.language or args.task == "translate"):
        p.error("--share needs one language for all: add -l, and leave --task out")
    return args


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 up")
    return int(text)


class _Run:
    """One call of the command."""

    def __init__(self, args: argparse.Namespace, config: Config, shelf, manifest):
        from asr.batch.archive import Archive, Recipe
        from asr.batch.report import Tally

        self.args, self.shelf, self.manifest = args, shelf, manifest
        self.wanted = stages(args)
        self.config = replace(config, model=_model(config))
        self.recipe = Recipe(
            model=self.config.model,
            language=spoken(args, config),
            task=args.task,
            prompt=args.prompt,
            hotwords=args.hotwords,
            words=args.words or not {"srt", "vtt"}.isdisjoint(args.format),
            share=args.share,
            stages=str(self.wanted) if self.wanted.any else "",
        )
        self.archive = Archive(manifest, shelf, config.max_audio_hours * 3600, args.tries)
        self.tally, self.progress, self.backend = Tally(), Progress("batch"), None

    def main(self) -> int:
        from asr.batch.pace import Pace

        self.pace = Pace()
        try:
            self._look()
            while self.args.watch:
                self.progress.show("waiting for more")
                time.sleep(self.args.watch)
                self._look()
        finally:
            report = self._report()
        return 1 if report["recordings"]["set_aside"] or report["recordings"]["left"] else 0

    def _look(self) -> None:
        """Do all there is to do now."""
        from asr.batch.pace import Pace
        from asr.batch.sources import find

        settled = time.time() - self.args.watch if self.args.watch else None
        sources = (s for s in find(self.args.sources, self.shelf.folder) if not _growing(s, settled))
        self.manifest.look(sources, self.recipe.key, self.args.again)
        self.args.again = False
        for event in self.archive.unfinished():
            self.tally.count(event)
        counts = self.manifest.counts()
        if counts.total == counts.done + counts.failed:
            return
        run = self._local if self.args.engine == "local" else self._on_ray
        events = run()
        self.pace = self.pace if self.pace.seconds else Pace(counts.left)
        for event in events:
            self._tell(event)

    def _local(self):
        self.backend = self.backend or load(self.config)
        hall = _hall(self.args, self.config, self.backend)
        after = self._after if self.wanted.any else None
        return self.archive.run(replace(hall, advanced=self._advanced, after=after))

    def _after(self, id, recording, transcript) -> tuple[Transcript, str]:
        """Alignment and speakers of one recording; what was not to be had is told."""
        path, notes = self.manifest.row(id).path, _Notes()
        source = None if "://" in path else Path(path)
        after = After(recording, source, self.config, notes)
        better, done = after.run(self.wanted, transcript, spoken(self.args, self.config))
        return better, "" if done else " ".join(notes.said)

    def _on_ray(self):
        """The engines, all told: each decodes ahead with its share of the processors."""
        try:
            import ray

            from asr.batch.cluster import Engines, run
        except ModuleNotFoundError as e:
            raise BackendUnavailable(
                "Ray is not installed.", "Do: pip install -r requirements-ray.txt"
            ) from e
        ray.init(
            ignore_reinit_error=True, include_dashboard=False, logging_level="ERROR", log_to_driver=False
        )
        here = ray.cluster_resources()
        gpus = 0 if self.config.device.startswith("cpu") else int(here.get("GPU", 0))
        count = self.args.engines or gpus or 1
        cpus = max(1, int(here.get("CPU", 1) / count))
        args = argparse.Namespace(**vars(self.args) | {"workers": cpus})
        for event in run(self.archive, Engines(partial(_hall, args, self.config), count, cpus, min(1, gpus))):
            if event.how == "heard":
                self.pace.advanced(event.seconds)
            yield event

    def _advanced(self, seconds: float) -> None:
        self.pace.advanced(seconds)
        self.progress.show(self._says())

    def _tell(self, event) -> None:
        self.tally.count(event)
        if event.how != "again":
            self.pace.finished(event.row.guess, event.seconds)
        if event.error:
            then = "set aside" if event.how == "aside" else "tried again later"
            self.progress.say(f"{event.row.path}: {then}. {event.error}")
        elif event.damage:
            self.progress.say(f"{event.row.path}: {event.damage}")
        self.progress.show(self._says())

    def _says(self) -> str:
        pace, tally = self.pace, self.tally
        parts = [
            f"{tally.heard + tally.copied:,} recordings",
            f"{pace.seconds / 3600:,.2f} of {(pace.seconds + pace.audio_left) / 3600:,.2f} h",
            f"{pace.now:,.1f}x real time",
        ]
        if (left := pace.time_left) is not None:
            parts.append(f"{clock(left)} left")
        if self.args.price is not None:
            parts.append(f"{pace.cost(self.args.price):.4f} so far")
        if tally.aside:
            parts.append(f"{tally.aside:,} set aside")
        return ", ".join(parts)

    def _report(self) -> dict:
        from asr.batch.report import report, table

        found = report(self.manifest, self.tally, self.pace, asdict(self.recipe), self.args.price)
        self.progress.clear()
        path = self.shelf.folder / ".parlance" / "report.json"
        print(table(found))
        try:
            write_whole(path, (json.dumps(found, indent=1) + "\n").encode())
            print(f"report      {path}", flush=True)
        except ASRError as e:  # a full disk, say, which has ended the run already: that is what counts
            self.progress.say(str(e))
        return found


def _hall(args: argparse.Namespace, config: Config, backend=None):
    """Who listens; without a backend, the model is loaded here, in a process of Ray."""
    from asr.batch.filling import Hall
    from asr.models import Models

    backend = backend or Models(config).get()
    options = timed(asked(args, config, backend), stages(args), backend)
    return Hall(backend, options, args.workers, args.share)


class _Notes:
    """What a recording's stages say: kept, where `transcribe` would print it."""

    def __init__(self):
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def show(self, text: str) -> None:
        """Every recording's progress would be too much."""


def _model(config: Config) -> str:
    """The model by its whole name: it is part of what makes two runs the same."""
    from asr import machine
    from asr.choice import choose

    return choose(config, machine.look()).spec


def _growing(source, settled: float | None) -> bool:
    """Whether somebody may still be writing it."""
    return settled is not None and source.stamp.isdecimal() and int(source.stamp) > settled * 1e9
