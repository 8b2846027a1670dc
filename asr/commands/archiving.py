"""What `python -m asr batch` does: looks, hears, tells how far it is, and writes its report."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from asr.commands.progress import Progress, clock
from asr.commands.stages import After, Stages, stages, timed
from asr.commands.wishes import asked, load, spoken
from asr.config import Config
from asr.errors import ASRError, BackendUnavailable, ConfigError
from asr.formats.writing import write_whole
from asr.types import Transcript


class Run:
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
        longest = config.max_audio_hours * 3600
        self.archive = Archive(manifest, shelf, longest, args.tries, lambda s: self.pace.resumed(s))
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
        apart = self.args.engine == "ray" or self.args.gpus or (self.args.workers or 1) > 1
        events = self._shared() if apart else self._alone()
        self.pace = self.pace if self.pace.seconds else Pace(counts.left)
        for event in events:
            self._tell(event)

    def _alone(self):
        """With one engine, in this process."""
        self.backend = self.backend or load(self.config)
        hall = hall_of(self.args, self.config, self.args.threads, self.backend)
        return self.archive.run(replace(hall, advanced=self._advanced))

    def _shared(self):
        """With engines in processes of their own."""
        from asr.batch.shares import run

        with self._engines() as workers:
            yield from run(self.archive, workers, self._advanced)

    def _engines(self):
        args, longest = self.args, self.archive.longest
        if args.engine == "local":
            from asr.batch.processes import engines, places

            _there(args.gpus, self.config)
            device = "cuda" if args.gpus and self.config.device == "auto" else self.config.device
            hall = partial(hall_of, args, replace(self.config, device=device), args.threads)
            return engines(hall, longest, places(len(args.gpus) or args.workers, args.gpus))
        try:
            from asr.batch.cluster import engines, resources
        except ModuleNotFoundError as e:
            raise BackendUnavailable(
                "Ray is not installed.", "Do: pip install -r requirements-ray.txt"
            ) from e
        cpus, gpus = resources(not self.config.device.startswith("cpu"))
        count = args.workers or gpus or 1
        each = max(1, int(cpus / count))
        hall = partial(hall_of, args, self.config, args.threads or each)
        return engines(hall, longest, count, each, min(1, gpus))

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


def hall_of(args: argparse.Namespace, config: Config, threads: int | None, backend=None):
    """Who listens; without a backend, the model is loaded here, in a process of its own."""
    from asr import machine
    from asr.batch.filling import Hall
    from asr.models import Models

    backend, wanted = backend or Models(config).get(), stages(args)
    after = Following(wanted, config, spoken(args, config)) if wanted.any else None
    options = timed(asked(args, config, backend), wanted, backend)
    return Hall(backend, options, threads or machine.look().cores, args.share, after=after)


@dataclass(frozen=True, slots=True)
class Following:
    """Alignment and speakers of each recording, where its engine is; what was not to be had is told."""

    wanted: Stages
    config: Config
    language: str | None

    def __call__(self, row, recording, transcript: Transcript) -> tuple[Transcript, str]:
        notes, source = _Notes(), None if "://" in row.path else Path(row.path)
        after = After(recording, source, self.config, notes)
        better, done = after.run(self.wanted, transcript, self.language)
        return better, "" if done else " ".join(notes.said)


def _there(gpus: tuple[int, ...], config: Config) -> None:
    """Raise ConfigError unless these GPUs can be used here."""
    from asr import machine

    have = len(machine.look().gpus) if gpus else 0
    if gpus and config.device.startswith("cpu"):
        raise ConfigError("--gpus and --device cpu cannot both be meant.", "Leave one of them out.")
    if missing := [gpu for gpu in gpus if gpu >= have]:
        what = f"There is no GPU {missing[0]} here: CTranslate2 sees {have}."
        raise ConfigError(what, "Leave --gpus out, or look at what `python -m asr doctor` says of GPUs.")


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
