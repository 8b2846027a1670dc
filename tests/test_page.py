"""The Recording tab in a real Chromium, on a real server with a real Whisper."""

import base64
import random
import re
import wave
from pathlib import Path

import numpy as np
import pytest

from asr.formats import from_json
from tests import browser as chromium
from tests import speech
from tests.browser import serve
from tests.conftest import DIGITS

pytestmark = pytest.mark.browser
playwright, browser, tab = chromium.playwright, chromium.browser, chromium.tab

SAID = "seven three one nine four two"

# An outline or a ring around what has the focus, or around the field that it is part of.
FOCUS_SHOWS = """() => {
  const style = (e) => getComputedStyle(e);
  const rings = (e) => e && (style(e).outlineStyle !== 'none' || style(e).boxShadow !== 'none');
  const e = document.activeElement;
  return e === document.body || rings(e) || rings(e.closest('.wrap, label'));
}"""

# WCAG 2.2, 1.4.3: the texts on the page whose contrast to their ground is too low.
CONTRAST = """() => {
  const rgb = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const linear = (v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const ground = (e) => {
    const c = rgb(getComputedStyle(e).backgroundColor);
    return c.length < 4 || c[3] === 1 ? c : ground(e.parentElement);
  };
  const texts = document.createTreeWalker(document.querySelector('.gradio-container'), NodeFilter.SHOW_TEXT);
  const low = [];
  for (let text; (text = texts.nextNode());) {
    const e = text.parentElement, said = text.textContent.trim();
    if (!said || !e.checkVisibility() || e.closest(':disabled, .visually-hidden')) continue;
    const [a, b] = [light(rgb(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => x - y);
    const ratio = (b + 0.05) / (a + 0.05);
    if (ratio < 4.5) low.push(`${said.slice(0, 40)} ${ratio.toFixed(2)}`);
  }
  return low;
}"""


@pytest.fixture(scope="module")
def app():
    """One place for recordings: a run that goes on in secret keeps the next one from starting."""
    with serve(ASR_MODEL=f"faster_whisper:{DIGITS}", ASR_RECORDINGS_AT_ONCE="1") as url:
        yield url


@pytest.fixture(scope="module")
def offline():
    """A machine with no hub, no weights and little room."""
    with serve(HF_HOME="/nonexistent", ASR_MAX_UPLOAD_MB="1") as url:
        yield url


def wav(path: Path, audio: np.ndarray) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((np.clip(audio, -1, 1) * 32767).astype("<i2").tobytes())
    return path


@pytest.fixture(scope="module")
def spoken() -> np.ndarray:
    return speech.digits(SAID, voice="en-us", gap=0.4)[0]


@pytest.fixture
def recording(tmp_path, spoken) -> Path:
    return wav(tmp_path / "Board meeting.wav", spoken)


@pytest.fixture(scope="module")
def endless(tmp_path_factory) -> Path:
    """Longer than a test of cancelling lasts: twelve minutes of digits, never the same four in a row."""
    dice = random.Random(3)
    lines = (" ".join(dice.choices(speech.DIGITS, k=4)) for _ in range(16))
    audio = np.concatenate([speech.digits(line, gap=0.3, tail=2.5)[0] for line in lines])
    return wav(tmp_path_factory.mktemp("long") / "endless.wav", np.tile(audio, 8))


@pytest.fixture
def visit(tab):
    """Opens the Recording tab of a page."""

    def open_page(url: str, **context):
        page = tab(url, **context)
        page.get_by_role("tab", name="Recording", exact=True).click()
        page.wait_for_selector(".source")
        return page

    return open_page


def choose(page, path: Path) -> None:
    page.set_input_files(".source input[type=file]", path)
    page.wait_for_selector(".chosen")


def transcribe(page, path: Path) -> None:
    """Choose, press the button, wait for what comes of it."""
    choose(page, path)
    page.click("#start")
    page.wait_for_selector(".result .summary, .result .notice")


def take(page, name: str) -> None:
    page.click("#take summary")
    page.click(f"#take-{name}")


def text(page) -> str:
    return " ".join(page.locator(".lines .said").all_inner_texts())


def seconds(stamp: str) -> float:
    hours, minutes, rest = stamp.replace(",", ".").split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(rest)


def test_a_recording_becomes_text_and_files_named_after_it(app, visit, recording, tmp_path):
    page = visit(app)
    assert "Board meeting.wav" not in page.inner_text("body")
    transcribe(page, recording)
    assert text(page) == SAID
    assert "0:05 of audio" in page.inner_text(".summary")
    assert page.inner_text("#start") == "Transcribe again"
    saved = {}
    for name in ("txt", "srt", "vtt", "tsv", "json"):
        with page.expect_download() as download:
            take(page, name)
        assert download.value.suggested_filename == f"Board meeting.{name}"
        saved[name] = Path(download.value.path()).read_text(encoding="utf-8")
    assert saved["txt"].split() == SAID.split()
    number, times, *lines = saved["srt"].strip().splitlines()
    start, end = map(seconds, re.fullmatch(r"(\S+) --> (\S+)", times).groups())
    assert (number, lines) == ("1", [SAID]) and 0 <= start < end <= 5.5
    assert saved["vtt"].startswith("WEBVTT") and SAID in saved["vtt"]
    assert saved["tsv"].splitlines()[1].endswith(SAID)
    assert from_json(saved["json"]).text == SAID


def test_a_line_is_heard_by_clicking_it_and_marked_while_it_sounds(app, visit, tmp_path, spoken):
    late = wav(tmp_path / "late.wav", np.concatenate([np.zeros(3 * 16_000, np.float32), spoken]))
    page = visit(app)
    transcribe(page, late)
    start = float(page.locator(".lines li").first.get_attribute("data-seek"))
    assert start > 2.5
    page.click(".lines .said")
    page.wait_for_function("start => document.querySelector('.player audio').currentTime > start", arg=start)
    page.wait_for_selector(".lines li.playing")
    page.click(".player .play")
    page.wait_for_function("document.querySelector('.player audio').paused")


def test_text_is_copied(app, visit, recording):
    page = visit(app, permissions=["clipboard-read", "clipboard-write"])
    transcribe(page, recording)
    page.click("#copy")
    page.wait_for_function("document.querySelector('#copy').innerText === 'Copied'")
    assert page.evaluate("navigator.clipboard.readText()").split() == SAID.split()


def test_cancelling_stops_the_work_and_keeps_what_was_recognised(app, visit, endless, recording):
    page = visit(app)
    choose(page, endless)
    page.click("#start")
    page.wait_for_selector(".lines li")
    assert "left" in page.inner_text(".progress") or "so far" in page.inner_text(".progress")
    page.click("#stop")
    page.wait_for_selector(".result .notice >> text=Cancelled.")
    assert set(text(page).split()) <= set(speech.DIGITS)
    with page.expect_download() as download:
        take(page, "txt")
    assert Path(download.value.path()).read_text().split()
    page.click("#another")
    transcribe(page, recording)
    assert text(page) == SAID


def test_two_people_at_once_get_their_own_text_in_turn(app, visit, endless, recording):
    first, second = visit(app), visit(app)
    choose(first, endless)
    choose(second, recording)
    first.click("#start")
    first.wait_for_selector(".lines li")
    second.click("#start")
    second.wait_for_selector(".progress >> text=1 recording before yours")
    first.click("#stop")
    second.wait_for_selector(".lines li")
    assert text(second) == SAID


def test_a_file_that_is_no_recording_gets_a_sentence_in_its_place(app, visit, recording, tmp_path):
    bad = tmp_path / "bad.mp3"
    bad.write_text("this is no sound")
    page = visit(app)
    transcribe(page, bad)
    assert "not an audio or video file" in page.inner_text(".result [role=alert]")
    assert not page.locator(".player, .no-player").count(), "what cannot be read is not offered to be heard"
    assert not page.locator(".toast-wrap .toast-body").count()
    page.click("#another")
    transcribe(page, recording)
    assert text(page) == SAID


def test_silence_is_no_text(app, visit, tmp_path):
    page = visit(app)
    transcribe(page, wav(tmp_path / "silence.wav", np.zeros(5 * 16_000, np.float32)))
    assert "No speech was found" in page.inner_text(".result .notice")
    assert text(page) == "" and not page.is_visible("#take")


def test_the_name_of_a_file_is_only_text(app, visit, tmp_path, spoken):
    page = visit(app)
    page.on("dialog", lambda dialog: pytest.fail("a script of a file name ran"))
    transcribe(page, wav(tmp_path / "<img src=x onerror=alert(1)> 会議 ü.wav", spoken))
    assert "会議 ü.wav" in page.inner_text(".chosen b")
    assert not page.locator(".chosen img").count()
    with page.expect_download() as download:
        take(page, "srt")
    assert download.value.suggested_filename.endswith("会議 ü.srt")


def test_the_microphone_makes_a_recording(app, visit, tmp_path, spoken):
    page = visit(app, microphone=wav(tmp_path / "voice.wav", spoken))
    page.click(".record")
    page.wait_for_function("document.querySelector('.hearing output')?.textContent >= '0:05'")
    page.click(".hearing button")
    page.wait_for_selector(".chosen")
    page.click("#start")
    page.wait_for_selector(".lines li")
    assert re.match(r"Recording \d{4}-\d\d-\d\d", page.inner_text(".chosen b"))
    heard = text(page).split()
    assert len(heard) >= 3 and set(heard) <= set(SAID.split())


@pytest.mark.parametrize(
    ("trouble", "says"),
    [("NotAllowedError", "may not use the microphone"), ("NotFoundError", "No microphone was found")],
)
def test_a_missing_microphone_is_explained(app, visit, trouble, says):
    page = visit(app)
    refuse = "(name) => async () => { throw new DOMException('', name) }"
    page.evaluate(f"(name) => {{ navigator.mediaDevices.getUserMedia = ({refuse})(name) }}", trouble)
    page.click(".record")
    assert says in page.inner_text(".complaint")


def test_it_works_by_keyboard_and_shows_where_the_focus_is(app, visit, recording):
    page = visit(app)
    choose(page, recording)

    def tab_to(selector: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            assert page.evaluate(FOCUS_SHOWS), "the focus cannot be seen"
            if page.evaluate("s => document.activeElement.matches(s)", selector):
                return
        pytest.fail(f"{selector} cannot be reached by keyboard")

    tab_to("#start")
    page.keyboard.press("Enter")
    page.wait_for_selector(".lines li")
    tab_to(".lines .at")
    page.keyboard.press("Enter")
    page.wait_for_function("!document.querySelector('.player audio').paused")


def test_dark_is_remembered(app, visit):
    page = visit(app, color_scheme="light")
    paper = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(paper)
    page.click(".theme")
    dark = page.evaluate(paper)
    page.reload()
    page.wait_for_selector(".masthead")
    assert page.evaluate(paper) == dark != light
    assert page.evaluate("document.body.classList.contains('dark')")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(app, visit, recording, tmp_path, scheme):
    page = visit(app, color_scheme=scheme)
    assert page.evaluate(CONTRAST) == []
    transcribe(page, recording)
    page.click(".lines .said")
    page.wait_for_selector(".lines li.playing")
    page.click("text=More options")
    assert page.evaluate(CONTRAST) == []


def test_files_may_be_dropped_anywhere(app, visit, recording):
    """Or the browser would show them in the page's place, and what is spoken there would end."""
    page = visit(app)
    drop = """async ([name, body]) => {
        const dropped = new DataTransfer(), bytes = Uint8Array.from(atob(body), (c) => c.charCodeAt(0));
        dropped.items.add(new File([bytes], name));
        const on = (type) => new DragEvent(type, { bubbles: true, cancelable: true, dataTransfer: dropped });
        const target = document.querySelector(".masthead");
        return ["dragover", "drop"].map((type) => !target.dispatchEvent(on(type)));
    }"""
    for tab, name in (("Live", "one.wav"), ("Recording", "two.wav")):  # where the first one stands already
        page.get_by_role("tab", name=tab, exact=True).click()
        ours = page.evaluate(drop, [name, base64.b64encode(recording.read_bytes()).decode()])
        assert ours == [True, True]
        page.wait_for_selector(f".chosen >> text={name}")
    assert page.locator(".chosen").count() == 1 and page.is_visible("#start")


def test_the_tabs_stand_still(app, visit):
    page, places = visit(app, viewport={"width": 1280, "height": 700}), set()
    for name in ("Live", "Recording", "My recordings"):
        page.get_by_role("tab", name=name, exact=True).click()
        page.wait_for_timeout(200)
        places.add(page.locator(".masthead img").bounding_box()["x"])
    assert len(places) == 1


def test_it_fits_a_phone(app, visit, recording):
    page = visit(app, viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    for name in ("Live", "Recording", "My recordings"):
        assert page.get_by_role("tab", name=name, exact=True).is_visible(), name
    transcribe(page, recording)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert text(page) == SAID


def test_the_offline_fallback_says_so_and_how_to_get_better(offline, visit):
    page = visit(offline)
    page.wait_for_selector(".model >> text=PocketSphinx")
    banner = page.inner_text(".banner")
    assert "low accuracy" in banner and "hf download" in banner and "ASR_MODEL=" in banner


def test_what_the_model_cannot_do_is_not_offered(offline, visit):
    page = visit(offline)
    page.wait_for_selector(".dot.ready")
    page.click("text=More options")
    page.wait_for_function("document.querySelector('.more textarea').disabled")
    assert page.locator(".more input[type=radio]:disabled").count() == 2
    assert page.locator(".more >> text=PocketSphinx cannot do this").count() == 2, "it says why"
    page.click("input[aria-label='Language spoken']:visible")
    assert page.locator("ul.options li").all_inner_texts()[1:] == ["English"]


def test_another_model_and_language_can_be_chosen(app, visit, recording):
    page = visit(app)
    wanted = page.locator("ul.options li:has-text('PocketSphinx')")
    while not wanted.count():  # the list comes once this machine was asked what it can load
        page.click("h1")
        page.click("input[aria-label='Model']:visible")
        page.wait_for_timeout(300)
    wanted.click()
    page.click("input[aria-label='Language spoken']:visible")
    page.keyboard.type("engl")
    page.keyboard.press("Enter")
    transcribe(page, recording)
    assert "PocketSphinx" in page.inner_text(".summary") and "English" in page.inner_text(".summary")
    assert text(page)


def test_a_file_beyond_the_limit_is_refused_before_it_is_sent(offline, visit, tmp_path):
    page = visit(offline)
    large = wav(tmp_path / "large.wav", np.zeros(600_000, np.float32))
    page.set_input_files(".source input[type=file]", large)
    assert "large.wav has 1.2 MB; this server accepts 1 MB." in page.inner_text(".complaint")
    assert page.is_visible(".drop")
