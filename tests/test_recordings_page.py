"""Recordings that go on by themselves, in a real Chromium: refreshes, restarts, other people, deletion."""

import numpy as np
import pytest

from tests import browser as chromium
from tests import test_page as pages
from tests.browser import PATIENCE, free_port
from tests.test_page import SAID, choose, text, transcribe, wav
from tests.test_recordings_server import server

pytestmark = pytest.mark.browser
playwright, browser, tab = chromium.playwright, chromium.browser, chromium.tab
spoken, recording, endless, visit = pages.spoken, pages.recording, pages.endless, pages.visit


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    with server(tmp_path_factory.mktemp("data")) as (url, _):
        yield url


def shelf(page):
    page.get_by_role("tab", name="My recordings").click()
    page.wait_for_selector(".mine:not([data-only]) li, .mine .none")
    return page.locator(".mine:not([data-only]) li")


@pytest.mark.parametrize("stage", ["Waiting for a place", "Transcribing", "Telling speakers apart"])
def test_a_refresh_in_any_stage_comes_back_to_the_work(app, visit, recording, endless, stage):
    page = visit(app)
    if stage == "Waiting for a place":
        before = visit(app)
        choose(before, endless)
        before.click("#start")
        before.wait_for_selector(".lines li")
    choose(page, endless if stage == "Transcribing" else recording)
    if stage == "Telling speakers apart":
        page.click("input[aria-label='Speakers']:visible")
        page.locator("ul.options li:has-text('Built-in')").click()
    page.click("#start")
    page.wait_for_selector(f".progress >> text={stage}")
    if stage != "Waiting for a place":
        page.wait_for_selector(".lines li")
    seen = text(page)
    page.reload()
    page.wait_for_selector(".following, .result .summary")
    if stage == "Waiting for a place":
        before.click("#stop")
    if stage == "Transcribing":
        page.wait_for_selector(".lines li")
        assert text(page).startswith(seen)
        page.click("#stop")
    page.wait_for_selector(".result .summary")
    assert text(page).replace("Speaker 1 ", "").startswith(seen) and page.is_visible("#open")
    # A reload cuts Gradio's stream off, and Gradio says so.
    cut = ("AbortError", "Connection errored out")
    page.watch.complaints[:] = [c for c in page.watch.complaints if not any(n in c for n in cut)]
    assert page.inner_text(".chosen b").endswith(".wav")


def test_work_goes_on_when_the_page_is_closed_and_the_list_brings_it_back(app, browser, recording, endless):
    there = browser.new_context()
    page = there.new_page()
    page.goto(app)
    page.get_by_role("tab", name="Recording", exact=True).click()
    choose(page, endless)
    page.click("#start")
    page.wait_for_selector(".lines li")
    page.close()
    page = there.new_page()  # the laptop is opened again
    page.goto(app)
    row = shelf(page).first
    row.locator("text=Transcribing").wait_for(timeout=PATIENCE * 1000)
    page.get_by_role("tab", name="Recording", exact=True).click()
    page.wait_for_selector(".lines li")
    shelf(page)
    row.locator("[data-act=cancel]").click()
    row.locator("text=cancelled").wait_for(timeout=PATIENCE * 1000)
    assert set(shelf(page).first.locator(".do a").all_inner_texts()) == {
        "Open in the editor",
        "TXT",
        "SRT",
        "DOCX",
    }
    there.close()


def test_a_page_follows_on_when_the_server_was_killed_under_it(tmp_path, browser, endless):
    port, there = str(free_port()), browser.new_context()
    page = there.new_page()
    page.set_default_timeout(PATIENCE * 1000)
    with server(tmp_path, ASR_PORT=port) as (url, _):
        page.goto(url)
        page.get_by_role("tab", name="Recording", exact=True).click()
        page.wait_for_selector(".source")
        choose(page, endless)
        page.click("#start")
        page.wait_for_selector(".lines li")
    known = text(page).split()
    with server(tmp_path, ASR_PORT=port):
        page.wait_for_function(f"document.querySelectorAll('.lines .said').length > {len(known) // 4 + 2}")
        assert text(page).split()[: len(known)] == known
    there.close()


def test_two_browsers_do_not_see_each_other(app, visit, recording):
    first, second = visit(app), visit(app)
    transcribe(first, recording)
    id = first.get_attribute(".chosen", "data-id")
    assert shelf(first).count() == 1 and shelf(second).count() == 0
    asks = """([method, path]) => fetch(path, {method, body: method === 'POST' ? '{}' : undefined,
        headers: {'X-Parlance-Browser': parlanceBrowser()}}).then((r) => r.status)"""
    paths = [
        ("POST", "again"),
        ("POST", "cancel"),
        ("POST", "name"),
        ("DELETE", ""),
        ("GET", "upload"),
        ("GET", "document"),
    ]
    for method, path in paths:
        status = second.evaluate(asks, [method, f"recordings/{id}/{path}".rstrip("/")])
        assert status in (400, 404), path
    assert second.evaluate("fetch('recordings').then((r) => r.status)") == 401
    for path in ("audio", "export/txt"):
        assert second.evaluate(f"fetch('recordings/{id}/{path}?key=x').then((r) => r.status)") == 404
    second.watch.complaints.clear()
    assert shelf(first).count() == 1


def test_several_files_are_several_recordings(app, visit, recording, tmp_path, spoken):
    other, bad = wav(tmp_path / "other.wav", spoken), tmp_path / "bad.mp3"
    bad.write_text("this is no sound")
    page = visit(app)
    page.set_input_files(".source input[type=file]", [recording, other, bad])
    page.wait_for_selector(".chosen")
    assert page.locator(".chosen b").all_inner_texts() == ["Board meeting.wav", "other.wav", "bad.mp3"]
    page.click("#start")
    page.wait_for_selector("#start:visible")
    page.wait_for_selector(".result .jobs >> text=not an audio or video file")
    assert page.locator(".result .jobs a.open").count() == 2
    assert shelf(page).count() == 3
    for _ in ("light", "dark"):
        assert page.evaluate(pages.CONTRAST) == []
        page.click(".theme")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_several_files_can_be_one_conversation_with_a_speaker_in_each(app, visit, tmp_path, spoken):
    quiet = np.zeros(len(spoken), np.float32)
    first = wav(tmp_path / "Anna.wav", np.concatenate([spoken, quiet]))
    second = wav(tmp_path / "Ben v1.2.wav", np.concatenate([quiet, spoken]))
    page = visit(app)
    assert page.locator("#together").is_hidden()
    page.set_input_files(".source input[type=file]", [first, second])
    page.check("#together input")
    page.click("#start")
    page.wait_for_selector(".result #open")
    assert page.locator(".chosen b").all_inner_texts() == ["Anna, Ben v1.2"]
    assert page.locator(".result .summary").inner_text().count("2 files, one per speaker (exact)") == 1
    assert set(page.locator(".lines .said b").all_inner_texts()) == {"Anna", "Ben v1.2"}
    page.wait_for_function("document.querySelector('.player audio').duration > 0")
    length = page.evaluate("document.querySelector('.player audio').duration")
    assert length == pytest.approx(2 * len(spoken) / 16_000, abs=0.1)
    with page.expect_download() as download:
        page.click("#take summary")
        page.click("#take-txt")
    assert download.value.suggested_filename == "Anna, Ben v1.2.txt"
    page.reload()
    page.wait_for_selector(".result #open")
    assert shelf(page).count() == 1


def test_a_recording_is_renamed_and_really_deleted(visit, recording, tmp_path):
    with server(tmp_path) as (url, _):
        page = visit(url)
        transcribe(page, recording)
        row = shelf(page).first
        row.locator("[data-act=rename]").click()
        page.fill(".ask input", "<b>Vorstand")
        page.click(".ask .main")
        row.locator("text=<b>Vorstand").wait_for()
        for answer in ("Cancel", "Delete"):  # in a window of the page's own: frames have no other
            row.locator("[data-act=delete]").click()
            assert "<b>Vorstand" in page.inner_text(".ask")
            page.click(f".ask button:text-is('{answer}')")
        page.wait_for_selector(".mine .none")
        assert list((tmp_path / "recordings").iterdir()) == []
        for path in tmp_path.rglob("*"):
            content = b"" if path.is_dir() or path.name == "log" else path.read_bytes()
            assert b"Vorstand" not in content and b"Board meeting" not in content, path
        page.get_by_role("tab", name="Recording", exact=True).click()
        page.reload()
        page.wait_for_selector(".source:visible")


def test_an_upload_whose_connection_breaks_goes_on_from_what_has_come(app, visit, recording):
    page, cuts = visit(app), []

    def cut(route):
        if len(cuts) < 2:
            cuts.append(route.request.url)
            route.abort()
        else:
            route.continue_()

    page.route("**/upload?at=*", cut)
    transcribe(page, recording)
    assert text(page) == SAID and len(cuts) == 2
    page.watch.complaints.clear()


def test_a_quota_is_told_before_anything_is_sent(visit, recording, tmp_path):
    with server(tmp_path, ASR_KEEP_RECORDINGS="1") as (url, _):
        page = visit(url)
        transcribe(page, recording)
        page.click("#another")
        page.set_input_files(".source input[type=file]", recording)
        page.wait_for_selector(".complaint:visible >> text=You have 1 recordings here already")
        assert "My recordings" in page.inner_text(".source .complaint")
        page.watch.complaints.clear()
