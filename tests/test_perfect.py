"""Live, then perfected: the sound of a session that was to be kept becomes a recording, its text stays."""

import threading
from contextlib import closing
from types import SimpleNamespace

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from asr.audio import SAMPLE_RATE, Recording
from asr.config import Config
from asr.gate import origins
from asr.jobs import Store, Tools, Worker
from asr.live import Update
from asr.sessions.journal import expire
from asr.types import Options, Segment, Transcript
from tests import browser as chromium
from tests import speech
from tests.conftest import DIGITS
from tests.studio import SECRET, spoken
from tests.test_live_page import Live, record
from tests.test_sessions import House
from tests.tones import Tones
from ui import editor, perfect, visitor
from ui.revised import retold, revised

ME = {visitor.HEADER: SECRET}
BETTER = Transcript((spoken("seven three one", 0.0, 0.5), spoken("nine four too", 2.0, 0.5)), 4.0)


@pytest.fixture
def place(tmp_path):
    """Live sessions, recordings, and who asks for them; what is recognised of a recording is BETTER."""
    go_on = threading.Event()

    def slowly(*_):
        yield BETTER.segments[0]
        go_on.wait(20)
        yield BETTER.segments[1]

    sessions, store = House(tmp_path / "live"), Store(tmp_path / "data")
    worker = Worker(Tools(store, Config(data_dir=tmp_path / "data"), lambda _: Tones(), slowly))
    routes = [*perfect.routes(sessions, worker, origins.admit), *editor.routes(worker, origins.admit)]
    client = TestClient(Starlette(routes=routes), base_url="http://localhost")
    yield SimpleNamespace(sessions=sessions, store=store, worker=worker, client=client, go_on=go_on)
    go_on.set()
    if worker._clerk.ident:
        worker.close()
    sessions.close()
    store.close()


def live(place, keep: bool, seconds: float = 4.0):
    """A session that somebody has spoken in, and stopped."""
    session = place.sessions.new()
    session.keeping = keep
    source = session.take(None, Options())
    ramp = np.linspace(-0.5, 0.5, round(seconds * SAMPLE_RATE), dtype=np.float32)
    for piece in np.array_split(ramp, 40):
        source.feed(piece)
    stream = place.sessions.streams[-1]
    for line in (spoken("seven three nine", 0.0, 0.5), spoken("nine four two", 2.0, 0.5)):
        stream.tell(Update((line,)))
    session.pause()
    stream.ends()
    return session, ramp


def ask(place, session, **asked):
    return place.client.post(f"/live/session/{session.id}/recording", json=asked, headers=ME)


def test_no_sound_is_kept_unless_somebody_wished_it(place):
    session, _ = live(place, keep=False)
    assert not list(place.sessions.folder.glob("*.pcm"))
    refused = ask(place, session)
    assert refused.status_code == 409 and "not kept" in refused.json()["error"]["what"]


def test_the_sound_that_is_kept_is_what_was_heard_when_it_was_heard(place):
    session, ramp = live(place, keep=True)
    with Recording.open(session.kept.path) as recording:
        assert len(recording) == len(ramp) and np.allclose(recording.read(0, 9), ramp, atol=1e-4)
    place.sessions.wait(30)
    source = session.take(None, Options())
    source.feed(np.full(SAMPLE_RATE, 0.25, np.float32))
    with Recording.open(session.kept.path) as recording:
        assert np.allclose(recording.read(session.heard - 1, session.heard), 0.25, atol=1e-4)
        assert not recording.read(5.0, session.heard - 1.5).any(), "a pause is silence"


def test_sound_goes_when_its_session_goes(place):
    session, _ = live(place, keep=True)
    place.sessions.delete(session.id)
    assert not list(place.sessions.folder.iterdir())
    other, _ = live(place, keep=True)
    expire(place.sessions.folder, -1, {other.id})
    assert other.kept.size
    expire(place.sessions.folder, -1, ())
    assert not other.kept.size


def test_a_disk_that_is_full_costs_the_sound_and_no_word(place, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("asr.sessions.kept.os.pwrite", full)
    session, _ = live(place, keep=True)
    assert "nine four two" in session.transcript().text and "not kept" in session.after(0)[1].trouble


def test_new_text_takes_the_live_text_s_place_line_by_line_and_both_stay(place):
    session, ramp = live(place, keep=True)
    id = ask(place, session, language="en").json()["id"]
    assert not session.kept.size, "nothing is kept twice"
    document = f"/recordings/{id}/document"
    place.worker.start()

    def lines():
        now = place.client.get(document, headers=ME).json()
        return now, ["".join(w[0] for w in line["words"]).strip() for line in now["lines"]]

    while lines()[1][:1] != ["seven three one"]:
        pass
    now, said = lines()
    assert said == ["seven three one", "nine four two"] and now["stage"] == "transcribe"
    assert [w[3] & 2 for w in now["lines"][0]["words"]] == [0, 0, 2], "what is new is marked"
    place.go_on.set()
    while now["version"] < 2:
        now, said = lines()
    assert said == ["seven three one", "nine four too"] and now["live"] == 1
    assert [[w[3] & 2 for w in line["words"]] for line in now["lines"]] == [[0, 0, 2], [0, 0, 2]]
    text = place.client.get(f"/recordings/{id}/export/txt?key={now['key']}&version=1").text
    assert text == "seven three nine\nnine four two\n" and place.store.job(id).wishes.language == "en"
    assert place.store.source(place.store.job(id)).stat().st_size == 44 + 2 * len(ramp)


def test_while_somebody_speaks_and_for_strangers_there_is_no_recording(place):
    session, _ = live(place, keep=True)
    source = session.take(None, Options())
    assert ask(place, session).status_code == 409
    source.leave()
    here = f"/live/session/{session.id}/recording"
    assert place.client.post(here, json={}).status_code == 401
    evil = ME | {"Origin": "http://evil.example"}
    assert place.client.post(here, json={}, headers=evil).status_code == 403
    assert place.client.post(f"/live/session/{'a' * 22}/recording", json={}, headers=ME).status_code == 404
    assert session.kept.size


def test_only_words_that_are_others_are_new():
    before = Transcript((spoken("Hello there, Anna", 1.0),), 5.0)
    now = Transcript((spoken("hello there my Anna!", 1.1), Segment(9.0, 9.5, " Bye")), 10.0)
    assert {word for _, word in revised(now, before)} == {" my", " Bye"}
    assert revised(before, before) == frozenset()


def test_what_is_not_heard_again_yet_stays():
    before = Transcript((spoken("a b", 0.0), spoken("c d", 5.0), spoken("e f", 10.0)), 15.0)
    new = [spoken("A B", 0.1), spoken("C D", 5.2)]
    assert [s.text for s in retold(new, before).segments] == [" A B", " C D", " e f"]
    assert retold([], before).segments == before.segments


# ---- in the browser, by the real thing from the microphone to the editor ----

playwright = chromium.playwright


@pytest.mark.browser
def test_one_button_makes_a_recording_of_what_was_said_live(playwright, tmp_path):
    audio, _ = speech.digits("seven three one nine four two", lead=1.0, tail=1.5)
    voice = record(tmp_path / "digits.wav", audio)
    with (
        chromium.serve(ASR_MODEL=f"faster_whisper:{DIGITS}") as url,
        closing(chromium.launch(playwright, voice)) as it,
    ):
        live = Live(it.new_context(bypass_csp=True).new_page(), url)
        assert not live.page.is_checked("#live-keep"), "nobody's sound is kept unless they say so"
        live.page.check("#live-keep")
        live.press()
        live.page.wait_for_timeout(1000 * len(audio) / SAMPLE_RATE)
        live.press()
        live.until_state("paused")
        said = live.text().split()
        live.page.click("#live-perfect")
        live.page.wait_for_selector("body.editor[data-open]")
        live.until("document.body.dataset.state === 'done'")
        assert " ".join(live.page.locator(".said").all_text_contents()).split() == said
        assert live.page.is_visible("#before") and "Live 2" in live.page.inner_text("#name")
        live.page.evaluate("parlanceEditor.player.playFrom(1)")
        live.until("parlanceEditor.player.time > 1.2")
        assert not live.watch.outside and not live.watch.complaints
