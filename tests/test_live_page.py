"""The Live tab in a real Chromium whose microphone hears a WAV; what is said is exact, it is in tones."""

from __future__ import annotations

import asyncio
import re
import time
import wave
from contextlib import ExitStack, closing

import httpx
import jiwer
import numpy as np
import pytest
from websockets.sync.client import connect

from asr.audio import decode, to_pcm16
from asr.pipeline import transcribe
from asr.types import Segment
from tests import browser as chromium
from tests import speech
from tests.browser import Watch, launch, playwright, serve  # noqa: F401  playwright is a fixture
from tests.conftest import DIGITS
from tests.hall import Cable, Slow, address, stage
from tests.tones import say, silence

pytestmark = pytest.mark.browser

SENTENCES = ["ask not what your country can do for you", "so ask"]
SPEECH = " ".join(SENTENCES)
TRACKS = """
    window.tracks = [];
    const media = navigator.mediaDevices, ask = media?.getUserMedia.bind(media);
    if (ask) media.getUserMedia = async (wish) => {
        const stream = await ask(wish);
        window.tracks.push(...stream.getTracks());
        return stream;
    };
"""
# A browser in which WebRTC finds no way: only relays are allowed, and there is none.
NO_WAY = """
    const R = RTCPeerConnection;
    window.RTCPeerConnection = function (c) { return new R({ ...c, iceTransportPolicy: "relay" }); };
"""


def record(path, audio):
    """A WAV for the fake microphone, which speaks it once per opening."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(to_pcm16(audio).tobytes())
    return f"{path}%noloop"


@pytest.fixture(scope="module")
def speaking(playwright, tmp_path_factory):  # noqa: F811
    """A Chromium into whose microphones SPEECH is spoken, once per opening."""
    audio = np.concatenate([silence(1.0), *(np.r_[say(s), silence(1.2)] for s in SENTENCES)])
    wav = record(tmp_path_factory.mktemp("voice") / "speech.wav", audio)
    with closing(launch(playwright, wav)) as it:
        yield it


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    with stage(tmp_path_factory.mktemp("app")) as it:
        yield it


@pytest.fixture
def visit(speaking):
    """visit(url, script="", **context) opens the tab in a context of its own; see `Live`."""
    with ExitStack() as closes:

        def open_tab(url, script="", **context):
            there = speaking.new_context(**context)
            closes.callback(there.close)
            there.add_init_script(TRACKS + script)
            return Live(there.new_page(), url)

        yield open_tab


class Live:
    """What a person sees of the tab, and can do with it."""

    def __init__(self, page, url):
        self.page, self.watch = page, Watch(url)
        self.watch.on(page)
        page.set_default_timeout(30_000)
        page.goto(url)
        page.wait_for_selector("#live-go")

    def press(self):
        self.page.click("#live-go")

    def state(self):
        return self.page.evaluate("document.documentElement.dataset.live")

    def transport(self):
        return self.page.evaluate("document.documentElement.dataset.liveTransport")

    def text(self):
        return " ".join(" ".join(self.page.locator("#live-settled .words").all_text_contents()).split())

    def until(self, script, **how):
        self.page.wait_for_function(script, **how)

    def until_draft(self):
        self.until("document.querySelector('#live-draft').innerText.length > 3")

    def until_state(self, state):
        self.until(f"document.documentElement.dataset.live === '{state}'")

    def until_text(self, text):
        self.until("text => document.querySelector('#live-settled')?.textContent.includes(text)", arg=text)

    def notice(self):
        return self.page.locator("#live-notice").inner_text() if self.page.is_visible("#live-notice") else ""

    def session(self):
        return self.page.evaluate("sessionStorage.getItem('parlance-live')")


def test_speaking_reading_stopping_taking_away_and_coming_back(app, visit):
    live = visit(app.url)
    assert live.state() == "idle" and live.page.is_disabled("#live-clear")
    live.press()
    live.until_draft()
    live.until("document.documentElement.dataset.liveTransport === 'webrtc'")
    live.until_text("so ask")
    assert live.text() == SPEECH and not live.notice()
    assert re.fullmatch(r"\d:\d\d", live.page.inner_text("#live-time"))
    live.press()
    live.until_state("paused")
    assert live.page.inner_text("#live-go") == "Continue"
    assert live.page.evaluate("tracks.map(t => t.readyState)") == ["ended"], "the microphone is released"
    live.page.click("#live-files summary")
    with live.page.expect_download() as download:
        live.page.click("#live-files a[data-format=srt]")
    subtitles = download.value.path().read_text()
    assert "ask not what your country" in subtitles and subtitles.startswith("1\n00:00:0")
    live.page.reload()
    live.until_text("so ask")
    assert live.text() == SPEECH and live.state() == "paused"
    assert not live.watch.outside and not live.watch.complaints


def test_pages_are_independent_with_and_without_webrtc_and_a_killed_one_leaves_nothing(
    app, visit, monkeypatch
):
    monkeypatch.setattr("asr.sessions.session.GRACE", 0.5)
    plain, without, killed = pages = visit(app.url), visit(app.url, NO_WAY), visit(app.url)
    for live in pages:
        live.press()
    killed.until_draft()
    session = app.sessions.get(killed.session())
    killed.page.context.close()
    for live in (plain, without):
        live.until_text("so ask")
        assert live.text() == SPEECH and not live.notice()
    assert plain.transport() == "webrtc" and without.transport() == "socket"
    assert plain.session() != without.session()
    wait_for(lambda: not session.busy and session.state == "paused" and len(app.microphones.pcs) == 1)
    assert SPEECH.startswith(session.transcript().text)


def test_a_network_that_was_away_costs_no_word(app, visit):
    with closing(Cable(app.url)) as cable:
        pages = [visit(cable.url), visit(cable.url, NO_WAY)]
        for live in pages:
            live.press()
        for live in pages:
            live.until_draft()
        cable.cut()
        for live in pages:
            live.until("document.querySelector('#live-status').innerText.includes('lost')")
        time.sleep(3)
        cable.mend()
        for live in pages:
            live.until_text("so ask")
            assert live.text() == SPEECH and not live.page.locator(".gap").count()


def test_webrtc_that_breaks_costs_no_word(app, visit):
    live = visit(app.url)
    live.press()
    live.until("document.documentElement.dataset.liveTransport === 'webrtc'")
    live.until_draft()
    (peer,) = app.microphones.pcs.values()
    ear = next(iter(app.microphones.handlers.values()))
    asyncio.run_coroutine_threadsafe(peer.close(), ear.loop).result(5)
    live.until_text("so ask")
    assert live.text() == SPEECH and not live.page.locator(".gap").count()


def test_a_server_killed_and_started_again_costs_no_word(visit, tmp_path):
    with stage(tmp_path) as before, closing(Cable(before.url)) as cable:
        live = visit(cable.url)
        live.press()
        live.until_text("for you")
        live.until_draft()
        cable.cut()
        before.sessions.close()  # nothing is settled or said goodbye to
        with stage(tmp_path) as after:
            cable.lead_to(after.url)
            cable.mend()
            live.until_text("so ask")
            assert live.text() == SPEECH
            live.press()
            live.until_state("paused")
            assert after.sessions.get(live.session()).transcript().text == SPEECH


def test_a_slow_model_shows_how_far_behind_it_is_and_loses_no_word(visit, tmp_path):
    with stage(tmp_path, Slow(2.0)) as app:
        live = visit(app.url)
        live.press()
        live.until("document.querySelector('#live-behind').innerText.includes('behind')")
        live.until_text("so ask")
        assert live.text() == SPEECH


def test_starting_again_adds_to_the_transcript_and_clearing_can_be_undone(app, visit):
    live = visit(app.url)
    for times in (1, 2):
        live.press()
        live.until(
            "n => document.querySelector('#live-settled').textContent.split('for you').length > n", arg=times
        )
        live.press()
        live.until_state("paused")
        live.page.wait_for_timeout(1000)
    text = live.text()
    assert text.count(SENTENCES[0]) == 2 and live.page.locator(".gap").count() == 1
    live.page.click("#live-clear")
    assert live.text() == "" and live.state() == "idle"
    live.page.click("#live-toast button")
    live.until_text("for you")
    assert live.text() == text
    live.page.click("#live-clear")
    live.press()
    live.until_draft()
    live.press()
    live.until_state("paused")
    live.page.click("#live-earlier summary")
    live.page.click("#live-earlier .open")
    live.until_text("for you")
    assert live.text() == text
    live.page.click("#live-clear")
    rows = live.page.locator("#live-earlier li")
    for answer, left in (("Cancel", rows.count()), ("Delete", rows.count() - 1)):  # only who is sure deletes
        live.page.click("#live-earlier .drop >> nth=0")
        live.page.click(f".ask button:text-is('{answer}')")
        live.page.wait_for_function(
            "n => document.querySelectorAll('#live-earlier li').length === n", arg=left
        )


def test_on_paper_is_all_of_the_text(app, visit):
    session = app.sessions.new()
    session.journal.begin(time.time())
    for i in range(99):
        session.journal.add(Segment(3.0 * i, 3.0 * i + 0.5, f" line {i}"))
    live = visit(app.url)
    live.page.evaluate("id => sessionStorage.setItem('parlance-live', id)", session.id)
    live.page.reload()
    live.until_text("line 98")
    live.page.emulate_media(media="print")
    live.until("document.querySelector('#live-said').clientHeight > 1500")
    assert live.page.is_hidden("#live-copy") and live.page.is_hidden("#live-go")


def test_on_a_phone_the_text_stays_in_sight_when_one_stops(app, visit):
    read = "localStorage.setItem('parlance-read', 'yes');"
    live = visit(app.url, read, viewport={"width": 375, "height": 812})
    live.press()
    live.until_draft()
    live.press()
    live.until_state("paused")
    text, wishes = (live.page.locator(name).bounding_box() for name in ("#live-said", ".wishes"))
    assert text["y"] + 100 < 812 and wishes["y"] > text["y"]


def test_what_is_asked_for_beside_the_button_reaches_the_engine(visit, tmp_path):
    engine = Slow(0)
    with stage(tmp_path, engine) as app:
        live = visit(app.url)
        wishes = live.page.locator(".wishes")
        wishes.get_by_label("Names and terms").fill("Kennedy, moon")
        wishes.get_by_label("Language spoken").click()
        live.page.get_by_role("option", name="English").click()
        live.press()
        live.until_draft()
        assert (engine.calls[-1].language, engine.calls[-1].hotwords) == ("en", "Kennedy, moon")
        wishes.get_by_label("Names and terms").fill("Sorensen")  # while speaking
        wishes.get_by_label("Names and terms").press("Enter")
        live.until_text("so ask")
        assert live.text() == SPEECH and engine.calls[-1].hotwords == "Sorensen"


def test_the_longest_session_ends_with_a_sentence_and_start_begins_another(visit, tmp_path):
    with stage(tmp_path, live_hours=4 / 3600) as app:
        live = visit(app.url)
        live.press()
        live.until_state("over")
        assert "at most" in live.notice() and live.text() and SPEECH.startswith(live.text())
        assert live.page.evaluate("tracks.map(t => t.readyState)") == ["ended"]
        first = live.session()
        live.press()
        live.until_draft()
        assert live.session() != first


def test_a_full_server_says_so_and_lets_go_of_the_microphone(visit, tmp_path):
    with stage(tmp_path, live_sessions=1) as app:
        first, second = visit(app.url), visit(app.url)
        first.press()
        first.until_draft()
        second.press()
        second.until_state("idle")
        assert "places" in second.notice() and "Try again" in second.notice()
        assert second.page.evaluate("tracks.map(t => t.readyState)") == ["ended"]


def test_the_same_transcript_in_two_windows_goes_on_in_the_newest(app, visit):
    live = visit(app.url)
    live.press()
    live.until_draft()
    other = Live(live.page.context.new_page(), app.url)
    other.page.evaluate("id => sessionStorage.setItem('parlance-live', id)", live.session())
    other.page.reload()
    other.until_state("paused")  # it reads along
    other.press()
    live.until("!document.querySelector('#live-notice').hidden")
    assert "another connection" in live.notice() and live.state() == "paused"
    other.until_text("so ask")


def test_everything_works_by_keyboard(app, visit):
    live = visit(app.url)
    live.page.focus("#live-go")
    live.page.keyboard.press("Enter")
    live.until_text("for you")
    live.page.focus("#live-captions")
    live.page.keyboard.press("Enter")
    live.until("document.documentElement.hasAttribute('data-captions')")
    size = "parseFloat(getComputedStyle(document.querySelector('#live-settled .words')).fontSize)"
    assert live.page.evaluate(size) >= 30
    live.page.keyboard.press("Escape")
    live.until("!document.documentElement.hasAttribute('data-captions')")
    live.page.focus("#live-go")
    live.page.keyboard.press("Space")
    live.until_state("paused")
    live.page.focus("#live-files summary")
    live.page.keyboard.press("Enter")
    live.page.keyboard.press("Tab")
    with live.page.expect_download() as download:
        live.page.keyboard.press("Enter")
    assert "for you" in download.value.path().read_text()
    live.page.keyboard.press("Escape")


def test_reading_back_is_left_in_peace_and_text_is_never_markup(app, visit):
    session = app.sessions.new()
    session.journal.begin(time.time())
    for i in range(300):
        session.journal.add(
            Segment(3.0 * i, 3.0 * i + 0.5, f" line {i} <img src=x onerror='window.bad = 1'> &amp;")
        )
    live = visit(app.url)
    live.page.evaluate("id => sessionStorage.setItem('parlance-live', id)", session.id)
    live.page.reload()
    live.until_text("line 299")
    assert "<img src=x" in live.text() and "&amp;" in live.text() and not live.page.evaluate("window.bad")
    at = "document.querySelector('#live-said').scrollTop"
    live.until(f"{at} > 1000")
    live.page.wait_for_timeout(300)
    assert not live.page.is_visible("#live-jump"), "it follows, however fast the text came"
    live.page.evaluate("document.querySelector('#live-said').scrollTop = 200")
    live.until("!document.querySelector('#live-jump').hidden")
    session.journal.add(Segment(903, 904, " one more"))
    session.tell()
    live.until_text("one more")
    assert live.page.evaluate(at) == 200
    live.page.click("#live-jump")
    live.until(f"{at} > 1000 && document.querySelector('#live-jump').hidden")


def test_a_page_of_somebody_else_gets_no_socket(app):
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1"):
        with connect(app.url.replace("http", "ws") + "live/session", origin=origin) as socket:
            assert "own page" in socket.recv()
        assert httpx.get(f"{app.url}live/ice", headers={"origin": origin}).status_code == 403


def test_an_insecure_address_is_explained(app, visit):
    if not address():
        pytest.skip("there is no address besides loopback")
    with closing(Cable(app.url, address())) as cable:
        live = visit(cable.url)
        live.press()
        assert "secure" in live.notice() and "https://" in live.notice() and live.state() == "idle"


@pytest.mark.parametrize(
    ("flag", "says"),
    [
        ("--use-fake-ui-for-media-stream", "may not use"),
        ("--use-fake-device-for-media-stream", "No microphone"),
    ],
)
def test_no_permission_or_no_microphone_is_explained(app, playwright, monkeypatch, flag, says):  # noqa: F811
    monkeypatch.setattr(chromium, "FLAGS", [f for f in chromium.FLAGS if f != flag])
    with closing(launch(playwright)) as it:
        live = Live(it.new_page(), app.url)
        live.press()
        live.until("!document.querySelector('#live-notice').hidden")
        assert says in live.notice() and "press Start again" in live.notice() and live.state() == "idle"


def test_a_real_whisper_live_in_the_browser_writes_what_it_writes_of_the_recording(
    playwright,  # noqa: F811
    digits,
    tmp_path,
):
    audio, _ = speech.digits(
        "nine eight five four one seven two six three zero five five one", lead=1.0, tail=1.5
    )
    recorded = "".join(s.text for s in transcribe(decode(audio), digits))
    with (
        serve(ASR_MODEL=f"faster_whisper:{DIGITS}") as url,
        closing(launch(playwright, record(tmp_path / "digits.wav", audio))) as it,
    ):
        live = Live(it.new_page(), url)
        live.press()
        live.page.wait_for_timeout(1000 * len(audio) / 16_000)
        live.press()
        live.until_state("paused")
        assert jiwer.wer(plain(recorded), plain(live.text())) <= 0.1
        assert not live.watch.outside and not live.watch.complaints


def plain(text):
    return " ".join(re.sub(r"[^\w\s]", " ", text.lower()).split())


def wait_for(what, seconds=15):
    until = time.monotonic() + seconds
    while not what() and time.monotonic() < until:
        time.sleep(0.05)
    assert what()
