"""Where sentences end, for engines whose words come without segments."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from asr.types import Word

STOP = re.compile(r"[.!?…。！？؟।]['\")\]»”’」』]*$")
ABBREVIATION = re.compile(r"(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|St|Sr|Jr|vs)\.")


def sentences(spoken: Sequence[Word]) -> Iterator[tuple[Word, ...]]:
    """Words up to and including the last one of each sentence."""
    first = 0
    for i, word in enumerate(spoken, 1):
        following = spoken[i].word.strip()[:1] if i < len(spoken) else ""
        stops = STOP.search(word.word) and not ABBREVIATION.fullmatch(word.word.strip())
        if not following or (stops and not following.islower()):
            yield tuple(spoken[first:i])
            first = i
