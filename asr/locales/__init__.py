"""The words of the page, in every language that it speaks: a JSON file each, with the same keys.

    wanted("de-AT,de;q=0.9,en;q=0.5")          # "de": which of our languages a browser asks for
    text("de", "recordings.count", n=2)        # "2 Aufnahmen"; "one|several" where they differ
    sentence("de", "large-v3 is loading.")     # one of the server's own sentences, if we know it

No text has a character that means something in HTML or in JSON, so it may stand anywhere as it is.
What is put into it is the caller's to escape.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

LANGUAGES = ("en", "zh", "es", "fr", "de", "ja")
TAGS = {"zh": "zh-Hans"}  # where a document's `lang` says more than our name for it
SENTENCES = "sentence."  # keys of what the server says in English, anywhere
SPOKEN = "spoken."  # keys of the names of languages: "spoken.de"
_MOST = 300  # characters of a header that are read
_HOLE = re.compile(r"\\{(\w+)\\}")  # as re.escape leaves {name}


def wanted(header: str) -> str:
    """The language of ours that an Accept-Language header likes best (RFC 9110, 12.5.4); English if none."""
    liked = []
    for part in header[:_MOST].split(","):
        tag, _, weight = part.partition(";q=")
        try:
            liked.append((-float(weight or 1), tag.strip().split("-")[0].lower()))
        except ValueError:
            continue
    ours = [name for weight, name in sorted(liked, key=lambda one: one[0]) if name in LANGUAGES and weight]
    return ours[0] if ours else "en"


def text(language: str, key: str, **values) -> str:
    """What stands there in a language, its {names} filled in. "{n}" decides between one and several."""
    one, _, several = texts(language)[key].partition("|")
    chosen = several if several and not _is_one(language, values["n"]) else one
    return chosen.format(**values)


@cache
def texts(language: str) -> dict[str, str]:
    """All of them, by their keys."""
    return _read(language) | {f"{SPOKEN}{code}": name for code, name in _names(language).items()}


def _names(language: str) -> dict[str, str]:
    """What the languages that people speak are called; from Unicode's CLDR."""
    return _read("names")[language]


def _read(name: str) -> dict:
    return json.loads((Path(__file__).parent / f"{name}.json").read_text(encoding="utf-8"))


def tag(language: str) -> str:
    """As a document's `lang` says it."""
    return TAGS.get(language, language)


def section(language: str, names: Iterable[str]) -> dict[str, str]:
    """The texts whose keys begin with one of these names and a dot: "live", "player"."""
    return {key: said for key, said in texts(language).items() if key.split(".")[0] in names}


def sentence(language: str, said: str) -> str:
    """A sentence of the server's in a language; in English, as it came, where we have no words for it."""
    if language == "en" or not said:
        return said
    for key, pattern in _patterns():
        if found := pattern.fullmatch(said):
            return text(language, key, **found.groupdict())
    return said


def _is_one(language: str, n) -> bool:
    """Unicode's plural rules for integers, as far as our languages go: French counts nothing as one."""
    return int(n) in ((0, 1) if language == "fr" else (1,))


@cache
def _patterns() -> list[tuple[str, re.Pattern]]:
    english = [(key, said) for key, said in texts("en").items() if key.startswith(SENTENCES)]
    return [(key, re.compile(_HOLE.sub(r"(?P<\1>.+?)", re.escape(said)))) for key, said in english]
