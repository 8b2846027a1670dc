"""Who spoke when: a ladder, the best way first, and always said which one it was.

embedded   networks that come with the installation: no token, no download, approximate
none       nobody is told apart

found = diarize(recording, "auto", Count(low=2, high=4), source=path, config=Config.from_env())
found.turns, found.exclusive, found.says
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from asr.audio import Recording
from asr.config import Config
from asr.diarize import apart
from asr.diarize.answer import Count, Diarization
from asr.errors import Unsupported

__all__ = ["RUNGS", "Count", "Diarization", "diarize"]

RUNGS = ("auto", "embedded", "none")


def diarize(
    recording: Recording,
    rung: str = "auto",
    count: Count = Count(),  # noqa: B008
    *,
    source: Path | None = None,
    config: Config,
    progress: Callable[[float], None] | None = None,
) -> Diarization:
    """Who spoke when in the whole recording, by this rung of RUNGS; "auto" takes the best there is.

    `source` is the file the recording was decoded from: its channels may tell speakers apart.
    `progress` is told the part done, in [0, 1], at least twice a second; what it raises stops the work
    and comes through. Raises ASRError, with what to do about it, when a rung that was named cannot run.
    """
    progress = progress or (lambda _: None)
    if rung not in RUNGS:
        there_are = f"There are: {', '.join(RUNGS)}."
        raise Unsupported(f"There is no way {rung!r} to tell speakers apart.", there_are)
    if rung == "none":
        return Diarization((), (), "none", "Speakers were not told apart: nobody asked for it.")
    turns, exclusive = apart.run("embedded", recording, count, progress)
    return Diarization(turns, exclusive, "embedded", "Speakers by: built-in voices model (approximate).")
