"""What can be chosen on the page: the models that can be loaded here, the languages they know."""

from __future__ import annotations

import re
import time
import unicodedata
from functools import lru_cache

from asr import catalogue, languages, machine
from asr.diarize import RUNGS, Count
from asr.errors import Unsupported
from asr.jobs import Wishes
from asr.models import Models
from ui import render
from ui.language import say, sentence, spoken

Choice = tuple[str, str]  # what people read, what the program reads
AUTO = ""  # the model, or the language, that Parlance finds itself
_COUNT = re.compile(r"\s*(?:(\d{1,3})(?:\s*[-–]\s*(\d{1,3}))?)?\s*")
FRESH = 60  # seconds for which the answer of the hub is believed


def models_here(models: Models) -> list[Choice]:
    """The server's own choice, what is on this disk, then what the hub has. May take seconds."""
    here = [card for card in catalogue.CARDS if catalogue.cached(card)]
    there = [card for card in catalogue.CARDS if card not in here and card.repo] if _hub_answers() else []
    named = [(render.model_name(card.spec), card) for card in here]
    named += [(f"{render.model_name(card.spec)}, {render.size(card.download)}", card) for card in there]
    return [(default(models), AUTO), *((f"{name}: {sentence(card.says)}", card.spec) for name, card in named)]


def default(models: Models) -> str:
    """The name of the model that runs when nobody says."""
    choice = models.choice
    if choice is None:
        return say("wishes.automatic")
    how = "automatic" if models.config.model == "auto" else "default"
    return say(f"wishes.model_{how}", name=render.model_name(choice.spec))


def languages_of(models: Models, spec: str) -> list[Choice]:
    """Detection, then the languages a model knows, by the names people use."""
    names = [(spoken(code), code) for code in _known(models, spec)]
    return [(say("wishes.detect"), AUTO), *sorted(names, key=lambda name: _filed(name[0]))]


def rungs() -> list[Choice]:
    """The ways to tell speakers apart, by the names people read."""
    return [(say(f"rung.{rung}"), rung) for rung in ("none", *(r for r in RUNGS if r != "none"))]


def count(text: str) -> tuple[int | None, int | None, int | None]:
    """How many speakers somebody says there are: exactly, at least, at most. Raises Unsupported.

    "3" is (3, None, None), "2-5" is (None, 2, 5), and nothing is nobody's guess.
    """
    found = _COUNT.fullmatch(text or "")
    if not found:
        raise Unsupported(f"{text[:20]!r} is no number of speakers.", "Say 3, or 2-5, or leave it empty.")
    first, last = (int(n) if n else None for n in found.groups())
    given = Count(first) if last is None else Count(low=first, high=last)  # raises for impossible ones
    return given.exact, given.low, given.high


def wishes(model: str, language: str, task: str, hotwords: str, rung: str, speakers: str) -> Wishes:
    """What the fields of the Recording tab ask for. Raises Unsupported."""
    exact, low, high = count(speakers) if rung != "none" else (None, None, None)
    return Wishes(model, language, task, (hotwords or "").strip(), False, rung, exact, low, high)


def offered(models: Models, spec: str, ability: str, info: str = "") -> dict:
    """Whether a field for an ability can be used, and what stands beside it: its hint, or why not."""
    if not cannot(models, spec, ability):
        return {"interactive": True, "info": info}
    name = render.model_name(spec or models.choice.spec)
    return {"interactive": False, "info": say("wishes.cannot", name=name)}


def cannot(models: Models, spec: str, ability: str) -> bool:
    """Whether a model is known not to have an ability; before it is loaded nobody knows."""
    return _loaded(models, spec) and ability not in models.get(spec or None).can


def _filed(name: str) -> str:
    """Where a name stands in a list: Ägyptisch beside Afrikaans."""
    return unicodedata.normalize("NFKD", name).casefold()


def _known(models: Models, spec: str) -> frozenset[str]:
    if _loaded(models, spec):
        return models.get(spec or None).languages
    card = catalogue.card(spec or (models.choice.spec if models.choice else ""))
    return card.languages if card else frozenset(languages.NAMES)


def _loaded(models: Models, spec: str) -> bool:
    return models.status(spec or None).state == "ready"


def _hub_answers() -> bool:
    return _asked(int(time.monotonic() // FRESH))


@lru_cache(1)
def _asked(_when: int) -> bool:
    return machine.ask_hub().reachable
