"""What `transcribe` does with a text once it is recognised: word times by alignment, and speakers.

Neither puts the text at stake: what cannot be done is said, and the text goes on as it is.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from asr.config import Config
from asr.errors import ASRError, Unsupported
from asr.types import Options, Transcript

if TYPE_CHECKING:
    from asr.audio import Recording
    from asr.backends import Backend
    from asr.commands.progress import Progress
    from asr.diarize import Count


@dataclass(frozen=True, slots=True)
class Stages:
    align: bool
    rung: str  # one of asr.diarize.RUNGS
    count: Count

    @property
    def any(self) -> bool:
        return self.align or self.rung != "none"


def add_stages(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--align", action="store_true", help="time the words by forced alignment, whatever the model gives")
    add("--diarize", metavar="HOW", help="who says what: auto, channels, pyannote, embedded or none (none)")
    add("--speakers", type=_count, metavar="N", help="how many there are: 3, or 2-5; means --diarize auto")


def stages(args: argparse.Namespace) -> Stages:
    """What the arguments ask for. Raises Unsupported for what makes no sense."""
    from asr.diarize import RUNGS, Count

    rung = args.diarize or ("auto" if args.speakers else "none")
    if rung not in RUNGS:
        raise Unsupported(f"There is no --diarize {rung}.", f"There are {', '.join(RUNGS)}.")
    if args.speakers and rung == "none":
        raise Unsupported("--speakers counts nobody with --diarize none.", "Leave one of them out.")
    if args.align and args.task == "translate":
        raise Unsupported("A translation cannot be aligned with what was said.", "Leave out --align.")
    low, high = args.speakers or (None, None)
    return Stages(args.align, rung, Count(exact=low) if low == high else Count(low=low, high=high))


def timed(options: Options, wanted: Stages, backend: Backend) -> Options:
    """With word times wherever they help, and only from an engine that has some."""
    if wanted.align:
        return replace(options, word_timestamps="words" in backend.can)
    if options.word_timestamps and "words" not in backend.can:
        raise Unsupported(f"{backend.spec} gives no word times.", "Add --align, or leave --words out.")
    helped = wanted.rung != "none" and "words" in backend.can and options.task == "transcribe"
    return replace(options, word_timestamps=options.word_timestamps or helped)


@dataclass(frozen=True, slots=True)
class After:
    """The stages of one recording, saying on `progress` what they come to."""

    recording: Recording
    source: Path | None  # the file it was decoded from: its channels may be speakers
    config: Config
    progress: Progress

    def run(self, wanted: Stages, transcript: Transcript, language: str | None) -> tuple[Transcript, bool]:
        """The transcript with all of it that can be had, and whether that is all that is wanted."""
        done = True
        if wanted.align:
            aligned = self._aligned(transcript, language)
            done, transcript = not transcript.text or aligned != transcript, aligned
        if wanted.rung != "none":
            try:
                transcript = self._diarized(transcript, wanted)
            except ASRError as e:
                self.progress.say(f"speakers were not told apart; the text is whole. {e}")
                done = False
        return transcript, done

    def _aligned(self, transcript: Transcript, language: str | None) -> Transcript:
        from asr.align import align

        segments, says = align(
            self.recording,
            transcript.segments,
            language or transcript.language,
            config=self.config,
            progress=lambda done: self.progress.show(f"aligning words, {100 * done:.0f} %"),
        )
        if says:
            self.progress.say(says)
        return replace(transcript, segments=segments)

    def _diarized(self, transcript: Transcript, wanted: Stages) -> Transcript:
        from asr.diarize import diarize
        from asr.speakers import assign

        found = diarize(
            self.recording,
            wanted.rung,
            wanted.count,
            source=self.source,
            config=self.config,
            progress=lambda done: self.progress.show(f"telling speakers apart, {100 * done:.0f} %"),
        )
        self.progress.say(found.says)
        return replace(transcript, segments=assign(transcript.segments, found))


def _count(text: str) -> tuple[int, int]:
    if not (found := re.fullmatch(r"\s*(\d{1,3})\s*(?:-\s*(\d{1,3})\s*)?", text)):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of speakers; write 3, or 2-5")
    low, high = int(found[1]), int(found[2] or found[1])
    if not 1 <= low <= high:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of speakers; write 3, or 2-5")
    return low, high
