"""Who spoke when: a ladder, the best way first, and always said which one it was.

channels   a channel or a file for everybody: exact, no model guesses
pyannote   pyannote.audio's pipelines: need a Hugging Face token and accepted terms
embedded   networks that come with the installation: no token, no download, approximate
none       nobody is told apart

found = diarize(recording, "auto", Count(low=2, high=4), source=path, config=Config.from_env())
found.turns, found.exclusive, found.says
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from asr.audio import Recording
from asr.config import Config
from asr.diarize.answer import Count, Diarization, numbered
from asr.diarize.rungs import Ask, by_channels, by_embedded, by_pyannote
from asr.errors import ASRError, Cancelled, Unsupported

__all__ = ["RUNGS", "Count", "Diarization", "diarize"]

WAYS = {"channels": by_channels, "pyannote": by_pyannote, "embedded": by_embedded}
RUNGS = ("auto", *WAYS, "none")
LISTENING = 0.1  # of all the work: whether channels tell the speakers apart
BETTER = " For a better answer: "  # between what ran and what kept the better rungs from running


def diarize(
    recording: Recording,
    rung: str = "auto",
    count: Count = Count(),  # noqa: B008
    *,
    source: Path | Sequence[Path] | None = None,
    names: Sequence[str] = (),
    config: Config,
    progress: Callable[[float], None] | None = None,
) -> Diarization:
    """Who spoke when in the whole recording, by this rung of RUNGS; "auto" takes the best there is.

    `source` is the file the recording was decoded from, or the files, one per speaker, that were added
    up to it (`asr.audio.channels.together`): their channels may tell the speakers apart. `names` are
    those of the speakers in such files. `progress` is told the
    part done, in [0, 1], at least twice a second; what it raises stops the work and comes through.

    Raises ASRError, with what to do about it, when a rung that was named cannot run, and when even the
    last rung of "auto" cannot.
    """
    if rung not in RUNGS:
        there_are = f"There are: {', '.join(RUNGS)}."
        raise Unsupported(f"There is no way {rung!r} to tell speakers apart.", there_are)
    if rung == "none":
        return Diarization((), (), "none", "Speakers were not told apart: nobody asked for it.")
    sources = () if source is None else (source,) if isinstance(source, (str, Path)) else tuple(source)
    ask = Ask(recording, count, tuple(map(Path, sources)), config, progress or (lambda _: None))
    found = WAYS[rung](ask) if rung in WAYS else _best(ask)
    return numbered(found, names if found.by == "channels" else ())


def _best(ask: Ask) -> Diarization:
    """Down the ladder; what kept the better rungs from running is told with what the last one found."""
    why = ""
    for way in WAYS.values():
        first, last = (0.0, LISTENING) if way is by_channels else (LISTENING, 1.0)
        try:
            found = way(replace(ask, progress=_within(ask.progress, first, last)))
        except Cancelled:
            raise
        except ASRError as e:
            if way is by_embedded:
                raise
            why = str(e) if way is by_pyannote else why
            continue
        if found.by != "embedded":
            return found
        return Diarization(found.turns, found.exclusive, found.by, f"{found.says}{BETTER}{why}")
    raise AssertionError("the last rung raises or returns")


def _within(progress: Callable[[float], None], first: float, last: float) -> Callable[[float], None]:
    """For a part of the work, which is from `first` to `last` of the whole."""
    return lambda part: progress(first + (last - first) * part)
