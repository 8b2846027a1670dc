"""One recording of a `transcribe` call: decoded, recognised, printed or written, whatever happens to it."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from asr import languages, pipeline
from asr.audio import Limits, decode
from asr.backends import Backend
from asr.commands.progress import Progress, clock, length
from asr.commands.stages import After, Stages
from asr.config import Config
from asr.errors import ASRError
from asr.formats import FORMATS, to_txt
from asr.formats.writing import write
from asr.speakers import names
from asr.types import Options, Segment, Transcript


@dataclass(frozen=True, slots=True)
class Job:
    """What is the same for all recordings of one call."""

    backend: Backend
    options: Options
    config: Config
    stages: Stages
    formats: tuple[str, ...]
    folder: Path | None  # None: stdout
    names: Mapping[str, str]  # file -> name of what is written, without suffix


class _Heard:
    """What is known so far."""

    def __init__(self):
        self.segments: list[Segment] = []
        self.duration = 0.0
        self.damage = ""
        self.whole = True  # everything that was asked for could be done
        self.started = time.monotonic()

    def transcript(self, task) -> Transcript:
        return Transcript(tuple(self.segments), self.duration, task)


def transcribe(file: str, job: Job) -> bool:
    """Transcribe one recording and say how it went; whether all of it went well.

    Only KeyboardInterrupt and BrokenPipeError come through, after what was recognised is written.
    """
    progress, heard = Progress("stdin" if file == "-" else file), _Heard()
    try:
        _listen(file, job, heard, progress)
        written = _put(heard, job, job.names[file])
        progress.say(_summary(heard, job, written))
        return heard.whole
    except KeyboardInterrupt:
        _keep(file, heard, job, progress)
        raise
    except BrokenPipeError:
        raise
    except (ASRError, OSError, MemoryError) as e:
        progress.say(f"failed. {e or 'There is not enough memory.'}")
    except Exception as e:  # an engine's own error, or ours: the other recordings still have their turn
        progress.say(f"failed, and should not have: {type(e).__name__}. Please report it with these lines:")
        traceback.print_exc()
    _keep(file, heard, job, progress)
    return False


def _listen(file: str, job: Job, heard: _Heard, progress: Progress) -> None:
    source = sys.stdin.buffer if file == "-" else Path(file)
    # Bytes are not counted: the file is here already.
    limits = Limits.of(job.config, bytes=sys.maxsize)
    with decode(source, limits, progress=progress.decoded) as recording:
        heard.duration, heard.damage = recording.duration, recording.damage
        progress.recognised(0.0, heard.duration)
        for segment in pipeline.transcribe(recording, job.backend, job.options):
            heard.segments.append(segment)
            if _prints(job):
                progress.clear()
                print(to_txt(Transcript((segment,), heard.duration)), end="", flush=True)
            progress.recognised(segment.end, heard.duration)
        if heard.segments and job.stages.any:
            after = After(recording, None if file == "-" else source, job.config, progress)
            known = heard.transcript(job.options.task)
            known, heard.whole = after.run(job.stages, known, job.options.language)
            heard.segments = list(known.segments)


def _put(heard: _Heard, job: Job, name: str) -> list[Path]:
    """Write or print what is known; the files written."""
    transcript = heard.transcript(job.options.task)
    if job.folder:
        return write(transcript, job.folder, name, job.formats)
    if not _prints(job):
        print(FORMATS[job.formats[0]](transcript), end="", flush=True)
    return []


def _prints(job: Job) -> bool:
    """Whether segments are printed as they come: plain text can be, all else needs the end."""
    return job.folder is None and job.formats == ("txt",) and job.stages.rung == "none"


def _keep(file: str, heard: _Heard, job: Job, progress: Progress) -> None:
    if not heard.segments:
        return
    upto = f"{clock(heard.segments[-1].end)} of {clock(heard.duration)}"
    try:
        written = _put(heard, job, f"{job.names[file]}.partial")
        progress.say(f"recognised up to {upto}{_listed(written)}.")
    except ASRError as e:
        progress.say(f"recognised up to {upto}, and printed instead. {e}")
        print(to_txt(heard.transcript(job.options.task)), end="", flush=True)


def _summary(heard: _Heard, job: Job, written: list[Path]) -> str:
    transcript, spent = heard.transcript(job.options.task), time.monotonic() - heard.started
    speed = heard.duration / max(spent, 1e-3)
    parts = [f"{length(heard.duration)} in {length(spent)}, {speed:.1f}x real time"]
    if not transcript.text:
        parts.append("no speech found")
    elif name := languages.name(transcript.language):
        sure = transcript.language_probability
        parts.append(name.title() + (f" ({100 * sure:.0f} % sure)" if sure is not None else ""))
    if speakers := names(heard.segments):
        parts.append(f"{len(speakers)} speaker{'s' * (len(speakers) > 1)}")
    if unsure := sum(s.unsure for s in heard.segments):
        parts.append(f"{unsure} of {len(heard.segments)} segments unsure")
    return " ".join([f"{', '.join(parts)}{_listed(written)}.", heard.damage]).strip()


def _listed(written: list[Path]) -> str:
    if len(written) < 2:
        return f", written to {written[0]}" if written else ""
    return f", written to {written[0].parent}: {', '.join(path.name for path in written)}"
