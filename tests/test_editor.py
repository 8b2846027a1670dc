"""The editor in a real Chromium: what people correct is kept, and nothing else changes."""

import io
import json
import threading
import time

import pytest

import asr.diarize
from asr.diarize import Diarization
from asr.formats import from_json, to_json
from asr.jobs import Wishes
from asr.types import Transcript, Turn
from tests import browser as chromium
from tests.studio import OWNER, SAID, SECRET, conversation, long_conversation, spoken, studio, tone
from tests.test_page import CONTRAST

pytestmark = pytest.mark.browser
playwright, browser, tab = chromium.playwright, chromium.browser, chromium.tab
HOSTILE = "<img src=x onerror=window.bad=1> & </script> \"quoted\" 'text'"


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    with studio(tmp_path_factory.mktemp("studio")) as it:
        yield it


@pytest.fixture
def visit(tab, house):
    """visit(job, **context) opens its editor as the browser that owns the recordings."""

    def open_editor(job, at=house, **context):
        secret = {
            "origin": at.url.rstrip("/"),
            "localStorage": [{"name": "parlance-browser", "value": SECRET}],
        }
        context = {"storage_state": {"cookies": [], "origins": [secret]}, "bypass_csp": True} | context
        page = tab(at.page(job), **context)  # the driver waits by means of eval, which our policy forbids
        page.wait_for_selector("body[data-open]")
        page.set_default_timeout(20_000)
        return Editor(page, at, job)

    return open_editor


class Editor:
    """What a person sees of the page, and can do with it."""

    def __init__(self, page, house, job):
        self.page, self.house, self.job = page, house, job

    def texts(self):
        return self.page.locator(".said").all_text_contents()

    def voices(self):
        return self.page.locator("#voices .name").all_text_contents()

    def said_by(self):
        """Who says each line, as the text shows it."""
        return self.page.locator(".who").all_text_contents()

    def said(self, i):
        return self.page.locator(".said").nth(i)

    def saved(self):
        """Wait until everything is on the server, and give what it has."""
        self.page.wait_for_function(
            "!parlanceEditor.saving.pending.length"
            " && document.querySelector('#saved').dataset.state === 'saved'"
        )
        return self.house.store.edited(self.job.id)

    def correct(self, i, text):
        self.said(i).fill(text)
        self.said(i).press("Escape")

    def caret(self, i, offset):
        self.page.evaluate("([i, at]) => parlanceEditor.lines.go(i, { edit: true, offset: at })", [i, offset])

    def undo(self):
        before = self.house.store.job(self.job.id).revision
        self.page.click("#undo")
        self.page.wait_for_function("r => parlanceEditor.model.facts.revision > r", arg=before)

    def export(self, format):
        self.page.click("#export summary")
        with self.page.expect_download() as download:
            self.page.click(f"#export a[data-format={format}]")
        return download.value.suggested_filename, download.value.path().read_bytes()


def lines_of(transcript):
    return [s.text.strip() for s in transcript.segments]


def test_a_meeting_is_read_heard_and_corrected(visit, house):
    job = house.meeting()
    it = visit(job)
    assert it.texts() == [text for _, text in SAID] and it.voices() == [
        "Anna Kowalska",
        "Ben",
        "Chidi Okafor",
        "Dora",
    ]
    assert it.said_by() == [who for who, _ in SAID] and "142 words" in it.page.inner_text("#facts")
    it.correct(1, "Ben, you wanted to tell us something about the new microphones.")
    text = it.saved()
    assert (
        lines_of(text)[1].startswith("Ben, you wanted to tell us") and house.store.transcript(job.id) != text
    )
    it.page.reload()
    it.page.wait_for_selector("body[data-open]")
    assert it.texts()[1].startswith("Ben, you wanted to tell us")
    old, new = house.store.transcript(job.id).segments[1], text.segments[1]
    assert new.words[0] == old.words[0] and new.words[-1] == old.words[-1]


def test_what_the_page_shows_at_once_is_what_the_server_makes_of_it(visit, house):
    job = house.meeting()
    it = visit(job)
    it.caret(2, 12)
    it.page.keyboard.press("Enter")
    assert it.texts()[2:4] == [
        "Yes, thanks.",
        "We tried three of them last week, and the small one was the clearest by far.",
    ]
    it.page.keyboard.type("And ")
    it.page.keyboard.press("Escape")
    assert lines_of(it.saved()) == it.texts() and it.texts()[3].startswith("And We tried")
    it.caret(3, 0)
    it.page.keyboard.press("Backspace")
    assert it.texts()[2].startswith("Yes, thanks. And We tried")
    assert lines_of(it.saved()) == it.texts() and len(it.texts()) == len(SAID)
    it.correct(9, "")
    it.page.wait_for_function("document.querySelectorAll('.line').length === 10")
    assert lines_of(it.saved()) == it.texts()
    server = it.page.evaluate(
        "fetch(location.pathname + '/document', {headers: {'X-Parlance-Browser': parlanceBrowser()}})"
        ".then(r => r.json())"
    )
    shown = it.page.evaluate(
        "parlanceEditor.model.lines.map(({start, end, who, words}) => ({start, end, who, words}))"
    )
    assert [{k: line[k] for k in ("start", "end", "who", "words")} for line in server["lines"]] == shown


def test_speakers_are_renamed_merged_and_lines_given_to_others(visit, house):
    it = visit(house.meeting())
    it.page.click("#voices .name >> nth=1")
    it.page.keyboard.type("Benjamin Ito")
    it.page.keyboard.press("Enter")
    assert it.voices() == ["Anna Kowalska", "Benjamin Ito", "Chidi Okafor", "Dora"]
    assert it.said_by()[2] == "Benjamin Ito"
    it.page.click("#voices .more >> nth=3")
    it.page.get_by_role("menuitem", name="Merge into Chidi Okafor").click()
    assert it.voices() == ["Anna Kowalska", "Benjamin Ito", "Chidi Okafor"]
    it.page.locator(".who").nth(0).click()
    it.page.get_by_role("button", name="This line").click()
    it.page.get_by_role("menuitemradio", name="Chidi Okafor").click()
    it.page.locator(".who").nth(3).click()
    it.page.get_by_label("Somebody else").fill("Ewa")
    it.page.keyboard.press("Enter")
    who = ["Chidi Okafor", "Anna Kowalska", "Benjamin Ito", "Ewa", "Benjamin Ito", "Chidi Okafor"]
    assert it.said_by()[:6] == who and [s.speaker for s in it.saved().segments][:6] == who
    for _ in range(4):
        it.undo()
    assert it.said_by() == [name for name, _ in SAID] == [s.speaker for s in it.saved().segments]


def test_a_name_that_somebody_has_already_is_asked_about(visit, house):
    it = visit(house.meeting())
    it.page.click("#voices .name >> nth=1")
    it.page.keyboard.type("Dora")
    it.page.keyboard.press("Enter")
    assert "same person" in it.page.inner_text(".ask")
    it.page.click(".ask .main")
    it.page.wait_for_function("document.querySelectorAll('.voice').length === 3")
    assert it.voices() == ["Anna Kowalska", "Chidi Okafor", "Dora"]
    assert {s.speaker for s in it.saved().segments} == {"Anna Kowalska", "Chidi Okafor", "Dora"}


def test_a_recording_is_renamed_in_its_editor(visit, house):
    it = visit(house.meeting())
    for answer in ("Escape", "Enter"):
        it.page.click("#name")
        assert it.page.input_value(".ask input") == "Spring planning.wav"
        it.page.keyboard.type("Budget <b>2027</b>")
        it.page.keyboard.press(answer)
        it.page.wait_for_selector(".ask", state="detached")
    it.page.wait_for_function("document.querySelector('#name').textContent === 'Budget <b>2027<-b>'")
    assert house.store.job(it.job.id).name == "Budget <b>2027<-b>" and "Budget" in it.page.title()


def test_nothing_opens_beside_or_below_what_is_there_already(visit, house):
    """Menus stay within the window, the search below the title: on a phone, that has several rows."""
    for width in (1280, 375):
        it = visit(house.meeting(), viewport={"width": width, "height": 800})
        it.page.click("#seek")
        head, bar = (it.page.locator(name).bounding_box() for name in (".masthead", "#finder"))
        assert head["y"] + head["height"] <= bar["y"], width
        it.page.keyboard.press("Escape")
        if width < 981:
            it.page.click("#people summary")
        it.page.locator(".voice .more").first.click()
        menu, inner = it.page.locator("#menu").bounding_box(), it.page.evaluate("document.body.clientWidth")
        assert menu["x"] >= 0 and menu["x"] + menu["width"] <= inner, width


def test_hints_in_the_text_are_in_the_readers_language(visit, house):
    job = house.meeting(Transcript((spoken("Guten Tag.", 0.6),), 3.0))
    it = visit(job, locale="de-DE")
    hint = "(css) => getComputedStyle(document.querySelector(css), '::before').content"
    assert it.page.evaluate(hint, ".who span") == '"Sprecher?"'
    it.said(0).fill("")
    assert it.page.evaluate(hint, ".said") == '"Leer lassen, um diese Zeile zu entfernen"'


def test_undo_and_redo_bring_everything_back(visit, house):
    job = house.meeting()
    it = visit(job)
    it.correct(0, "Good evening, everyone.")
    it.said(4).click()
    it.page.keyboard.press("Control+End")
    it.page.keyboard.type(" Really.")
    it.page.keyboard.press("Control+z")  # what is being typed is saved first, then taken back
    it.page.wait_for_function("!document.querySelectorAll('.said')[4].textContent.includes('Really')")
    assert lines_of(it.saved())[4] == SAID[4][1] and it.texts()[0] == "Good evening, everyone."
    it.page.keyboard.press("Control+Shift+z")
    it.page.wait_for_function("document.querySelectorAll('.said')[4].textContent.includes('Really')")
    it.undo()
    it.undo()
    assert it.saved() == house.store.transcript(job.id) and it.texts() == [text for _, text in SAID]
    assert it.page.is_disabled("#undo") and it.page.is_enabled("#redo")


def test_find_and_replace_one_and_all(visit, house):
    it = visit(house.meeting())
    it.page.keyboard.press("Control+f")
    it.page.keyboard.type("the small one")
    assert it.page.inner_text("#finder output") == "1 of 2"
    assert it.page.evaluate("CSS.highlights.get('here').size + CSS.highlights.get('found').size") == 2
    it.page.keyboard.press("Enter")
    assert it.page.inner_text("#finder output") == "2 of 2"
    it.page.fill("#find-put", "the tiny <b>one</b>")
    it.page.click("#finder .one")
    assert it.texts()[7] == "Then let us take the tiny <b>one</b>. How many do we need?"
    it.page.fill("#find-text", "one")
    it.page.get_by_label("Whole words").check()
    it.page.fill("#find-put", "ONE")
    it.page.click("#finder .all")
    text = it.saved()
    assert (
        lines_of(text) == it.texts()
        and "the tiny <b>ONE</b>." in it.texts()[7]
        and text.text.count("ONE") == 5
    )
    assert it.page.inner_text("#finder output") == "5 replaced"  # still said when the server has answered
    it.page.keyboard.press("Escape")
    assert it.page.is_hidden("#finder")


def test_what_is_taken_away_is_what_was_edited(visit, house):
    docx = pytest.importorskip("docx")
    it = visit(house.meeting(name="Board of Łódź.m4a"))
    it.page.click("#voices .name >> nth=1")
    it.page.keyboard.type("Benjamin")
    it.page.keyboard.press("Enter")
    it.said(0).fill("Hello, all of you.")  # and straight to the export, before it is saved
    name, body = it.export("docx")
    said = [p.text for p in docx.Document(io.BytesIO(body)).paragraphs]
    assert name == "Board of Łódź.docx" and said[0].startswith("Anna Kowalska: Hello, all of you.")
    assert any(p.startswith("Benjamin: Yes, thanks.") for p in said)
    subtitles = it.export("srt")[1].decode()
    assert "Hello, all of you." in subtitles and "Benjamin" in subtitles and "-->" in subtitles
    assert from_json(it.export("json")[1]) == from_json(to_json(it.saved()))  # times to the millisecond
    it.page.click("#export summary")
    it.page.uncheck("#with-speakers")
    it.page.click("#export summary")
    assert (
        "Benjamin" not in it.export("txt")[1].decode()
        and "Hello, all of you." in it.export("vtt")[1].decode()
    )
    assert "speaker" in json.loads(it.export("diarized_json")[1])["segments"][0]


def test_the_page_needs_no_script_but_its_own(visit, house):
    it = visit(house.meeting(), bypass_csp=False)
    assert it.texts()[0] == SAID[0][1]
    policy = it.page.request.get(house.page(it.job)).headers["content-security-policy"]
    assert "script-src 'self'" in policy and "unsafe" not in policy


def test_another_browser_gets_a_sentence_and_nothing_else(tab, house):
    page = tab(house.page(house.meeting()))
    page.wait_for_selector("#notices .error")
    assert "no such recording" in page.inner_text("#notices") and "another browser" in page.inner_text(
        "#notices"
    )
    assert not page.is_visible("#lines") and "budget" not in page.content()
    page.watch.complaints.clear()  # of the 404


def test_hostile_text_and_names_stay_text(visit, house):
    said = [(HOSTILE, HOSTILE), ("B", f"x {HOSTILE}")]
    text = Transcript(tuple(spoken(t, 5.0 * i, speaker=who) for i, (who, t) in enumerate(said)), 20.0)
    it = visit(house.meeting(text, name=f"{HOSTILE[:30]}.wav"))
    it.correct(1, f"y {HOSTILE} {HOSTILE}")
    it.page.click("#voices .name >> nth=1")
    it.page.keyboard.type(f"{HOSTILE} too")
    it.page.keyboard.press("Enter")
    it.page.locator(".who").nth(0).click()
    assert it.texts()[1] == f"y {HOSTILE} {HOSTILE}" and it.voices()[1] == f"{HOSTILE} too"
    assert lines_of(it.saved()) == it.texts()
    assert not it.page.evaluate("window.bad") and it.page.locator("img").count() == 1, "the logo only"


def test_nothing_typed_is_lost_when_the_server_is_away(visit, house):
    it = visit(house.meeting())
    it.page.route("**/edits", lambda route: route.abort())
    it.correct(0, "Typed while nobody listened.")
    it.page.wait_for_selector("#saved[data-state=offline]")
    assert "kept in this browser" in it.page.inner_text("#saved")
    it.correct(1, "And a second line.")
    it.page.reload()  # the server is still away, and the page is closed
    it.page.wait_for_selector("#notices .error")
    it.page.unroute("**/edits")
    it.page.wait_for_selector("body[data-open]")
    assert (
        it.texts()[:2] == ["Typed while nobody listened.", "And a second line."] == lines_of(it.saved())[:2]
    )
    it.page.watch.complaints.clear()  # of requests that failed


def test_an_edit_whose_answer_got_lost_is_made_once(visit, house):
    it = visit(house.meeting())

    tries = []

    def swallow(route):
        tries.append(route)
        if len(tries) > 1:
            return route.continue_()
        route.fetch()  # the server does it, and nobody hears of it
        route.abort()

    it.page.route("**/edits", swallow)
    it.caret(2, 12)
    it.page.keyboard.press("Enter")
    assert len(it.saved().segments) == len(SAID) + 1 == len(it.texts())
    assert len(house.store.edits(it.job.id)) == 1 and len(tries) == 2
    it.page.watch.complaints.clear()


def test_two_windows_do_not_overwrite_each_other(visit, house):
    job = house.meeting()
    one, two = visit(job), visit(job)
    one.correct(0, "The first window's line.")
    one.saved()
    two.correct(3, "The second window's line.")
    two.page.wait_for_function("document.querySelector('.said').textContent.includes('first window')")
    assert lines_of(two.saved())[0].startswith("The first") and lines_of(two.saved())[3].startswith(
        "The second"
    )
    one.correct(3, "Too late.")
    one.page.wait_for_selector("#notices .warn")
    assert "Too late." in one.page.inner_text("#notices") and one.texts()[3] == "The second window's line."
    for it in (one, two):
        it.page.watch.complaints.clear()  # of the 409


def test_clicking_a_word_plays_from_it_and_the_spoken_word_is_lit(visit, house):
    it = visit(house.meeting())
    at = it.page.evaluate(
        """() => {
            const node = document.querySelectorAll('.said')[5].firstChild, range = new Range();
            range.setStart(node, 14); range.setEnd(node, 15);
            const box = range.getBoundingClientRect();
            return [box.left + box.width / 2, box.top + box.height / 2];
        }"""
    )
    it.page.mouse.click(*at)
    it.page.wait_for_function("parlanceEditor.player.playing")
    word = house.store.transcript(it.job.id).segments[5].words[3]
    assert word.start <= it.page.evaluate("parlanceEditor.player.time") < word.start + 2
    lit = "[...CSS.highlights.get('spoken')].map(String).join()"
    it.page.wait_for_function(f"{lit} === 'all'")
    it.page.wait_for_function(f"{lit} === 'of'")
    it.page.keyboard.type("x")
    it.page.wait_for_function("!parlanceEditor.player.playing")  # whoever types wants silence
    it.page.keyboard.press("Control+Enter")
    it.page.wait_for_function("parlanceEditor.player.playing")


def test_a_strange_format_is_heard_as_wav(visit, house):
    it = visit(house.meeting(name="old recorder.amr"))
    it.page.evaluate("parlanceEditor.player.playFrom(20)")
    it.page.wait_for_function("parlanceEditor.player.time > 20.2 && parlanceEditor.player.playing")


def test_unsure_places_are_marked_found_and_confirmed(visit, house):
    it = visit(house.meeting())
    marked = (
        "[...CSS.highlights.get('unsure')].map(r => r.startContainer.data.slice(r.startOffset, r.endOffset))"
    )
    assert sorted(it.page.evaluate(marked)) == ["Gdańsk", "Wiśniewski"]
    it.page.keyboard.press("u")
    assert it.page.evaluate("getSelection().toString()") == "Wiśniewski"
    it.page.keyboard.type("Wisniewski")
    it.page.keyboard.press("Escape")
    it.page.keyboard.press("u")
    assert it.page.evaluate("getSelection().toString()") == "Gdańsk"
    it.page.keyboard.press("Escape")
    it.page.keyboard.press("o")
    assert it.page.evaluate(marked) == [] and "Nothing unsure" in it.page.inner_text("#doubts")
    text = it.saved()
    assert "Mr Wisniewski asked" in text.text and all(
        (w.probability or 1) > 0.5 for s in text.segments for w in s.words
    )


def test_the_keyboard_alone_is_enough(visit, house):
    it = visit(house.meeting())
    it.page.evaluate("parlanceEditor.lines.go(0)")
    press = it.page.keyboard.press
    press("ArrowDown")
    press("s")
    assert it.page.is_visible("#menu")
    press("Escape")
    assert it.page.is_hidden("#menu")
    it.page.evaluate("parlanceEditor.lines.go(1)")
    press("2")
    assert it.said_by()[1] == "Ben"
    press("Enter")
    press("End")
    it.page.keyboard.type(" Please.")
    press("ArrowDown")
    press("Escape")
    assert it.texts()[1].endswith("microphones. Please.")
    press("?")
    assert it.page.is_visible("#keys")
    press("Escape")
    press(" ")
    it.page.wait_for_function("parlanceEditor.player.playing")
    press(" ")
    stops = it.page.evaluate("document.querySelectorAll('#lines [tabindex=\"0\"]').length")
    assert stops == 1, "the whole text is one stop of the Tab key"
    assert lines_of(it.saved()) == it.texts()


# ---- while it is worked on ----


def test_lines_appear_while_a_recording_is_transcribed_and_can_be_edited_after(visit, tmp_path):
    text, go_on, end = conversation(), threading.Event(), threading.Event()

    def slowly(*_):
        yield from text.segments[:4]
        go_on.wait(20)
        yield from text.segments[4:]
        end.wait(20)

    with studio(tmp_path, slowly) as house:
        job = house.store.add(OWNER, "slow.wav", tone(tmp_path / "slow.wav", text.duration), Wishes())
        house.worker.start()
        it = visit(job, at=house)
        it.page.wait_for_function("document.querySelectorAll('.line').length === 4")
        assert it.page.inner_text("#working b") == "Transcribing" and it.page.is_disabled("#undo")
        assert it.said(0).get_attribute("contenteditable") is None, "what is still coming is not edited"
        go_on.set()
        it.page.wait_for_function("document.querySelectorAll('.line').length === 11")
        end.set()
        it.page.wait_for_selector("#working", state="hidden")
        it.correct(3, "Now it can be edited.")
        assert lines_of(it.saved()) == it.texts() and it.texts()[3] == "Now it can be edited."
        house.worker.close()


def test_finding_the_speakers_again_keeps_the_corrections_and_can_be_undone(visit, tmp_path, monkeypatch):
    asked = []

    def half_and_half(recording, rung, count, **_):
        asked.append((rung, count.exact))
        turns = (Turn(0, recording.duration / 2, "Speaker 1"), Turn(recording.duration / 2, 99, "Speaker 2"))
        return Diarization(turns, turns, rung, "Speakers by: two halves.")

    monkeypatch.setattr(asr.diarize, "diarize", half_and_half)
    with studio(tmp_path) as house:
        it = visit(house.meeting(), at=house)
        house.worker.start()
        it.said(0).fill("Corrected before.")
        it.page.click("#again")
        it.page.select_option("#rung", "embedded")
        it.page.get_by_label("Exactly", exact=True).check()
        it.page.fill("#exact", "2")
        it.page.click("#speakers .main")
        it.page.wait_for_function("document.querySelectorAll('.voice').length === 2")
        assert asked == [("embedded", 2)] and it.texts()[0] == "Corrected before."
        assert it.voices() == ["Speaker 1", "Speaker 2"] and "two halves" in it.page.inner_text("#notes")
        it.page.wait_for_selector("#again")
        it.undo()
        assert it.said_by() == [who for who, _ in SAID] and it.texts()[0] == "Corrected before."
        house.worker.close()


def test_finding_the_speakers_can_be_cancelled_and_begun_with_another_count(visit, tmp_path, monkeypatch):
    asked = []

    def endless_for_three(recording, rung, count, *, progress, **_):
        asked.append(count.exact)
        while count.exact == 3:
            progress(0.4)
            time.sleep(0.02)
        turns = (Turn(0, recording.duration / 2, "Speaker 1"), Turn(recording.duration / 2, 99, "Speaker 2"))
        return Diarization(turns, turns, rung, "Speakers by: two halves.")

    def again(it, exact):
        it.page.click("#again")
        it.page.get_by_label("Exactly", exact=True).check()
        it.page.fill("#exact", str(exact))
        it.page.click("#speakers .main")

    monkeypatch.setattr(asr.diarize, "diarize", endless_for_three)
    with studio(tmp_path) as house:
        it = visit(house.meeting(), at=house)
        house.worker.start()
        again(it, 3)
        it.page.wait_for_function("/4\\d? %/.test(document.querySelector('#working').innerText)")
        it.page.click("#cancel")
        it.page.wait_for_selector("body[data-state=cancelled]")
        assert it.page.is_hidden("#working")
        assert it.texts() == [text for _, text in SAID] and it.said_by() == [who for who, _ in SAID]
        again(it, 2)
        it.page.wait_for_function("document.querySelectorAll('.voice').length === 2")
        assert asked == [3, 2] and " ".join(it.texts()).split() == " ".join(t for _, t in SAID).split()
        house.worker.close()


def test_a_way_to_find_speakers_that_fails_costs_nothing_and_says_why(visit, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise asr.errors.BackendUnavailable("The model needs a token.", "Set HF_TOKEN=<b>.")

    monkeypatch.setattr(asr.diarize, "diarize", fail)
    with studio(tmp_path) as house:
        it = visit(house.meeting(), at=house)
        house.worker.start()
        it.page.click("#again")
        it.page.click("#speakers .main")
        it.page.wait_for_selector("#notices .notice")
        assert "needs a token" in it.page.inner_text("#notices") and "HF_TOKEN=<b>" in it.page.inner_text(
            "#notices"
        )
        assert it.texts() == [text for _, text in SAID] and it.said_by() == [who for who, _ in SAID]
        house.worker.close()


# ---- how it looks ----


def test_twenty_thousand_words_open_play_and_take_little_memory(visit, house):
    it = visit(house.meeting(long_conversation(20_000)))
    assert len(it.texts()) > 1500
    devtools = it.page.context.new_cdp_session(it.page)
    devtools.send("HeapProfiler.collectGarbage")
    assert devtools.send("Runtime.getHeapUsage")["usedSize"] < 60e6
    changed = it.page.evaluate(
        """async () => {
            const { lines, player, model } = parlanceEditor;
            let redrawn = 0;
            const watch = new MutationObserver((list) => (redrawn += list.length));
            watch.observe(lines.root, { childList: true, subtree: true, characterData: true });
            player.playFrom(model.lines[1200].start);
            const words = new Set();
            for (let i = 0; i < 40; i++) {
                await new Promise((r) => setTimeout(r, 50));
                words.add([...CSS.highlights.get('spoken')].map(String).join());
            }
            player.pause();
            return [words.size, redrawn];
        }"""
    )
    assert changed[0] > 3 and changed[1] == 0, "words are lit without redrawing anything"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_fits_and_can_be_read(visit, house, scheme, width):
    it = visit(house.meeting(), viewport={"width": width, "height": 844}, color_scheme=scheme)
    it.page.evaluate("for (const card of document.querySelectorAll('.card')) card.open = true")
    it.page.click("#seek")
    assert it.page.evaluate("document.documentElement.scrollWidth") <= width
    assert it.page.evaluate(CONTRAST.replace(".gradio-container", "body")) == []


def test_on_paper_there_is_the_text_and_who_said_it(visit, house):
    it = visit(house.meeting())
    it.page.emulate_media(media="print")
    assert it.said(10).is_visible() and it.page.locator(".who").nth(2).is_visible()
    assert (
        not it.page.is_visible("aside") and not it.page.is_visible(".dock") and not it.page.is_visible(".at")
    )


def test_on_a_phone_a_tap_plays_and_the_pen_edits(visit, house):
    it = visit(house.meeting(), viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    it.said(1).tap()
    it.page.wait_for_function("parlanceEditor.player.playing")
    assert it.said(1).get_attribute("contenteditable") is None
    it.page.tap("#edit")
    it.correct(1, "Written with two thumbs.")
    assert lines_of(it.saved())[1] == "Written with two thumbs."
