"""The page speaks six languages: every text in each of them, none that nobody says, none left in English."""

import re
from functools import partial
from pathlib import Path
from string import Formatter

import pytest
from starlette.requests import Request

from asr import languages, locales
from asr.choice import Choice
from asr.diarize import RUNGS
from asr.errors import QuotaExceeded
from asr.gate import login
from tests import browser as chromium
from tests.browser import serve
from tests.conftest import DIGITS
from tests.studio import SECRET, studio
from ui import language

ROOT = Path(__file__).parent.parent
OTHERS = [name for name in locales.LANGUAGES if name != "en"]
BROWSERS = {"zh": "zh-CN", "es": "es-MX", "fr": "fr-CA", "de": "de-AT", "ja": "ja-JP"}
ENGLISH = locales.texts("en")
# Keys that are put together, and from what.
MADE = {
    "page": ("live", "recording", "recordings", "configuration", "costs"),
    "about": ("live", "recording", "recordings"),
    "rung": RUNGS,
    "model": ("loading", "ready", "failed", "on_cpu", "on_cuda", "on_machine"),
    "wishes": ("model_automatic", "model_default"),
    "report": ("align", "diarize"),
    "shelf": ("cancelled", "failed"),
    "time": ("hours", "minutes"),
    "size": ("gb", "mb", "kb", "bytes"),
}
# Sentences that asr.choice, asr.cost and asr.diarize put together of parts.
PARTS = (
    "t suits ",
    "t should keep up on ",
    "CPU cores (no GPU was found).",
    "channels with a speaker each (exact).",
    "files, one per speaker (exact).",
    "MB of memory left, so it begins",
    "MB of disk space left, so it begins",
    "an hour of audio, but",
    "python -m asr doctor looks for the cause",
)


def holes(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text.replace("|", "")) if name}


def sources() -> str:
    """All that says something, strings over several lines as one."""
    files = [
        p
        for kind in ("py", "js", "html")
        for folder in ("ui", "asr")
        for p in ROOT.glob(f"{folder}/**/*.{kind}")
    ]
    return re.sub(r'"\s*\n\s*f?"', "", "\n".join(p.read_text(encoding="utf-8") for p in files))


@pytest.mark.parametrize("name", OTHERS)
def test_every_language_says_everything_with_the_same_values(name):
    ours = locales.texts(name)
    assert list(ours) == list(ENGLISH)
    for key, text in ENGLISH.items():
        assert holes(ours[key]) == holes(text), key
        assert ours[key].count("|") <= text.count("|") or "n" in holes(text), key


@pytest.mark.parametrize("name", locales.LANGUAGES)
def test_a_text_may_stand_anywhere_as_it_is(name):
    for key, text in locales.texts(name).items():
        assert text.strip() == text and not re.search(r'["\\<>&\n]', text), key


@pytest.mark.parametrize("name", ["zh", "ja"])
def test_chinese_and_japanese_have_no_stray_spaces(name):
    wide = "[\u3000-\u30ff\u4e00-\u9fff\uff00-\uffef]"
    for key, text in locales.texts(name).items():
        assert not re.search(f"{wide} {wide}", text), key


def test_no_key_is_dead():
    said, made = sources(), {f"{name}.{rest}" for name, all in MADE.items() for rest in all}
    for key in ENGLISH:
        here = key in made or re.search(rf"\b{re.escape(key)}\b", said)
        assert here or key.startswith((locales.SENTENCES, locales.SPOKEN)), key


def test_every_sentence_of_the_server_is_one_it_says():
    said = sources()
    for key, text in ENGLISH.items():
        if key.startswith(locales.SENTENCES):
            for part in re.split(r"\{\w+\}", text):
                known = part.strip() in said or any(p in part for p in PARTS) or len(part.strip(" .()")) < 4
                assert known, f"{key}: {part!r}"


@pytest.mark.parametrize(
    "header, name",
    [
        ("de-AT,de;q=0.9,en;q=0.5", "de"),
        ("pl,fr;q=0.8,en;q=0.9", "en"),
        ("pl-PL,pl;q=0.9,ja;q=0.8", "ja"),
        ("zh-Hant-TW", "zh"),
        ("en;q=0,es", "es"),
        ("pl", "en"),
        ("", "en"),
        ("*;q=x,,;q=,de;q=0.1" + 9000 * ",", "de"),
    ],
)
def test_the_browser_gets_what_it_likes_best_of_what_we_have(header, name):
    assert locales.wanted(header) == name


def test_one_and_several_differ_where_a_language_tells_them_apart():
    assert (
        locales.text("en", "editor.words", n=1) == "1 word"
        and locales.text("en", "editor.words", n=0) == "0 words"
    )
    assert (
        locales.text("fr", "editor.words", n=0) == "0 mot"
        and locales.text("de", "editor.words", n=2) == "2 Wörter"
    )
    assert locales.text("ja", "editor.words", n=1) == "1 語"


def test_a_page_is_drawn_once_and_said_in_every_language():
    with language.drawing():
        page = f'["{language.say("source.most", hours=3, size=language.say("size.gb", n="2"))}"]'
    assert language.told(page, "fr") == '["Audio ou vidéo, jusqu’à 3 heures et 2 Go."]'
    assert language.told(page, "en") == '["Audio or video, up to 3 hours and 2 GB."]'


def test_languages_have_their_names_in_every_language():
    names = {key.removeprefix(locales.SPOKEN): said for key, said in ENGLISH.items() if "spoken." in key}
    assert names == {code: name.title() for code, name in languages.NAMES.items()}
    with language.speaking("fr"):
        assert (language.spoken("de"), language.spoken("xx")) == ("Allemand", "xx")


def test_what_people_type_is_no_text_of_ours():
    for typed in ("{name}", "{0}", "|", "{{page.live}}", "live.start"):
        assert language.say("live.delete_of", when=typed) == f"Delete the transcript of {typed}"
        assert language.told(typed, "de") == typed


def test_errors_are_told_in_the_readers_language_and_stay_as_they_are_for_others():
    error = QuotaExceeded("The server's disk is full.", "Delete recordings that nobody needs.")
    with language.speaking("de"):
        said = language.translated(error)
    assert (said.what, said.status) == ("Die Festplatte des Servers ist voll.", 413)
    assert error.what == "The server's disk is full."
    assert locales.sentence("de", "Nobody has translated this.") == "Nobody has translated this."
    assert (
        locales.sentence("ja", "All 16 places for live sessions are taken.")
        == "ライブの 16 席はすべて使用中です。"
    )


def test_why_a_model_runs_is_told_in_the_readers_language():
    why = Choice(
        "x:y", "cpu", "It is downloaded already, and it should keep up on 8 CPU cores (no GPU was found)."
    ).why
    assert "8 CPU-Kernen" in locales.sentence("de", why)


def test_the_login_asks_in_the_readers_language():
    page = login._ask(partial(locales.text, "es"), "/x")
    assert "Contraseña" in page and "Password" not in page


def test_a_request_says_its_language():
    scope = {"type": "http", "headers": [(b"accept-language", b"es-MX")]}
    assert language.of(Request(scope)) == "es"


# ---- in a browser ----

# All texts of the page, seen or not, but for what people said, names of languages and the owner's costs.
TEXTS = """() => {
  const none = 'script, style, .costs, .said, #live-settled, [role=option], option, code';
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];
  for (let t; (t = walk.nextNode());) if (!t.parentElement.closest(none)) found.push(t.textContent.trim());
  for (const name of ['aria-label', 'title', 'placeholder', 'alt'])
    for (const e of document.querySelectorAll(`[${name}]`))
      if (!e.closest(none)) found.push(e.getAttribute(name));
  for (const e of document.querySelectorAll('input[role=listbox], .wrap-inner input')) found.push(e.value);
  return [...new Set(found)].filter(Boolean);
}"""


def left_in_english(page, name: str) -> list[str]:
    """What the page shows that we could have said in its language."""
    ours = locales.texts(name)
    forms = [(f, ours[key]) for key, text in ENGLISH.items() for f in text.split("|")]
    different = [f for f, own in forms if f not in own.split("|") and len(re.sub(r"\{\w+\}|\W", "", f)) > 2]
    patterns = [re.compile(re.sub(r"\\\{\w+\\\}", ".+", re.escape(f))) for f in different]
    return [text for text in page.evaluate(TEXTS) if any(p.fullmatch(text) for p in patterns)]


playwright, browser, tab = chromium.playwright, chromium.browser, chromium.tab
browsers = pytest.mark.browser


@pytest.fixture(scope="module")
def app():
    with serve(ASR_MODEL=f"faster_whisper:{DIGITS}") as url:
        yield url


@browsers
@pytest.mark.parametrize("name", OTHERS)
def test_nothing_on_the_page_is_left_in_english(app, tab, name):
    page = tab(app, locale=BROWSERS[name])
    page.wait_for_selector(".dot.ready")
    assert page.get_attribute("html", "lang") == locales.tag(name)
    for one in ("live", "recording", "recordings", "configuration"):
        page.get_by_role("tab", name=locales.text(name, f"page.{one}"), exact=True).click()
        page.wait_for_timeout(300)
        assert left_in_english(page, name) == [], one
    page.click(".about")
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0


@browsers
def test_who_speaks_none_of_them_is_told_in_english(app, tab):
    page = tab(app, locale="pl-PL")
    page.wait_for_selector(".dot.ready")
    assert page.get_attribute("html", "lang") == "en"
    page.get_by_role("tab", name="My recordings", exact=True).click()


@browsers
@pytest.mark.parametrize("name", OTHERS)
def test_nothing_in_the_editor_is_left_in_english(tmp_path, tab, name):
    with studio(tmp_path) as house:
        storage = [{"name": "parlance-browser", "value": SECRET}]
        origin = {"origin": house.url.rstrip("/"), "localStorage": storage}
        state = {"storage_state": {"cookies": [], "origins": [origin]}, "bypass_csp": True}
        page = tab(house.page(house.meeting()), locale=BROWSERS[name], **state)
        page.wait_for_selector("body[data-open]")
        page.click("#voices .more >> nth=0")
        page.keyboard.press("Escape")
        page.click("#again")
        assert page.get_attribute("html", "lang") == locales.tag(name)
        assert left_in_english(page, name) == []


@browsers
@pytest.mark.parametrize("name", locales.LANGUAGES)
def test_every_language_fits_a_phone(app, tab, name):
    page = tab(
        app, locale=BROWSERS.get(name, "en-US"), viewport={"width": 390, "height": 844}, is_mobile=True
    )
    page.wait_for_selector(".dot.ready")
    for n in range(2):
        page.locator(".tab-container:not(.visually-hidden) button[role=tab]").nth(n).click()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
