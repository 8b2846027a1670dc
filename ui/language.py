"""In which language the page speaks: the reader's, as their browser asks for it.

say("live.start")                  # "Start", for whoever asks; English where nobody does
with drawing(): say("live.start")  # a mark: the page is drawn once, for readers of all languages
told(page, "de")                   # the page with its marks in German
filled('<p>{{live.start}}</p>')    # what stands in a file of ours

Gradio's own gr.I18n puts one word without values into some properties of a component, in the browser.
Marks work in all of them, in choices, in HTML and several to a text, and nothing flashes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from copy import copy

from gradio.context import LocalContext
from starlette.requests import HTTPConnection

from asr import languages, locales
from asr.errors import ASRError

# Private characters around a key and its values, for they need no escaping: mark, value, equals, end.
MARK, VALUE, IS, END = "\ue000", "\ue001", "\ue002", "\ue003"
_PLAIN = f"[^{MARK}{VALUE}{IS}{END}]"
_MARK = re.compile(f"{MARK}({_PLAIN}+)((?:{VALUE}{_PLAIN}+{IS}{_PLAIN}*)*){END}")
_NAME = re.compile(r"\{\{([\w.]+)\}\}")
NOBODY = "?"  # reads yet
_reader: ContextVar[str] = ContextVar("reader", default="")


def of(asking: HTTPConnection) -> str:
    """The language of who asks."""
    return locales.wanted(asking.headers.get("accept-language", ""))


def reader() -> str:
    """The language of who reads what is being made now: of a request to us, or of one to Gradio."""
    if language := _reader.get():
        return language
    asking = LocalContext.request.get(None)
    return of(asking) if asking else "en"


@contextmanager
def drawing() -> Iterator[None]:
    """While the page is drawn."""
    with speaking(NOBODY):
        yield


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """While a request is answered."""
    token = _reader.set(language)
    try:
        yield
    finally:
        _reader.reset(token)


def say(key: str, **values) -> str:
    """The words of the page for this key. `values` must be escaped where the text is to be HTML."""
    language = reader()
    if language == NOBODY:
        return MARK + key + "".join(f"{VALUE}{name}{IS}{value}" for name, value in values.items()) + END
    return locales.text(language, key, **values)


def then(first: str, second: str) -> str:
    """Two sentences after each other: with a space between them, where the language has spaces."""
    return say("page.then", a=first, b=second)


def spoken(code: str) -> str:
    """What the language with this code is called; the code, where nobody calls it anything."""
    return say(f"{locales.SPOKEN}{code}") if code in languages.NAMES else code


def sentence(said: str) -> str:
    """One of the server's sentences, in the reader's language if we have it there."""
    return said if reader() == NOBODY else locales.sentence(reader(), said)


def translated(error: ASRError) -> ASRError:
    """The same error in the reader's language, as far as we have its sentences there."""
    said = copy(error)  # others may be told the same one
    said.what, said.fix = sentence(error.what), sentence(error.fix)
    return said


def told(page: str, language: str) -> str:
    """A text with marks, said in a language; they may stand in one another's values."""

    def said(found: re.Match) -> str:
        values = dict(value.split(IS) for value in found[2].split(VALUE)[1:])
        return locales.text(language, found[1], **values)

    while (spoken := _MARK.sub(said, page)) != page:
        page = spoken
    return page


def filled(html: str) -> str:
    """HTML of ours whose {{keys}} become texts."""
    return _NAME.sub(lambda found: say(found[1]), html)


def words(language: str, *sections: str) -> str:
    """For assets/say.js: the language, and the texts of some sections, as an element that runs nothing.

    What the server says in English while somebody speaks comes in pairs, with what it is here.
    """
    texts = locales.section(language, sections)
    heard = [key for key in locales.texts("en") if key.startswith("sentence.live_") and language != "en"]
    live = [(locales.texts("en")[key], locales.texts(language)[key]) for key in heard]
    known = {"lang": locales.tag(language), "texts": texts, "said": live}
    said = json.dumps(known, ensure_ascii=False, separators=(",", ":"))
    return f'<script type="application/json" id="parlance-texts">{said}</script>'
