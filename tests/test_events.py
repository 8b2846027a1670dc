"""What breaks in an event of the page: a sentence for its reader, and a line in the log under the same id."""

from __future__ import annotations

import io
import json
import logging
import re
import sqlite3
from contextlib import redirect_stderr

import gradio as gr
import pytest
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from asr import gate, logs
from asr.config import Config
from asr.errors import Conflict
from asr.models import Models
from tests.browser import browser, free_port, playwright, serve, tab  # noqa: F401
from tests.conftest import DIGITS
from tests.studio import KNOWN
from tests.test_gate import ask
from tests.tones import Tones

ID = re.compile(r"req_[0-9a-f]{32}")
BUTTONS = ("Waits", "At once", "In parts", "Foreseen")


def buttons(page: gr.Blocks, models: Models, config: Config) -> None:
    """A tab on which everything fails, each thing in its own way."""

    def broken():
        raise KeyError("what somebody said")

    async def parts():
        yield "a part"
        raise KeyError("what somebody said")

    def foreseen():
        raise Conflict("Somebody is still speaking.", "Press <b>Stop</b>.")

    quiet = {"show_progress": "hidden", "api_name": False}
    shown = gr.Textbox(label="Shown")
    handlers = (broken, broken, parts, foreseen)
    for name, handler in zip(BUTTONS, handlers, strict=True):
        gr.Button(name).click(handler, None, shown, queue=name != "At once", **quiet)
    choice = gr.Dropdown(["one"], label="Choice")
    choice.change(lambda _: "taken", choice, shown, queue=False, **quiet)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """(url, what was logged, what went to the terminal besides): our page behind the gate."""
    import ui
    from ui import theme

    out, root, err = io.StringIO(), logging.getLogger(), io.StringIO()
    kept, level = root.handlers[:], root.level
    logs.start("json", out, "debug")
    config = Config(data_dir=tmp_path_factory.mktemp("data"), model="tones:pure")
    models = Models(config, load=lambda *_: Tones())
    models.start()
    assets = [Mount(f"/{theme.URL}", StaticFiles(directory=theme.ASSETS))]
    built = ui.build(models, config, {"live": buttons})
    with redirect_stderr(err):
        inside = {"routes": assets, "lifespan": gate.closed(config, assets)}
        _, url, _ = built.launch(
            server_port=free_port(), app_kwargs=inside, ssr_mode=False, quiet=True, prevent_thread_lock=True
        )
        yield url, out, err
    built.close(verbose=False)
    root.handlers[:] = kept
    root.setLevel(level)


def lines(out: io.StringIO, id: str) -> list[dict]:
    told = [json.loads(line) for line in out.getvalue().splitlines()]
    return [line for line in told if line.get("about") == id and line["level"] == "error"]


@pytest.fixture
def press(page, tab):  # noqa: F811
    """Presses a button on a page of its own; gives what that says."""

    def pressed(name: str, **context) -> str:
        opened = tab(page[0], **context)
        opened.get_by_role("button", name=name, exact=True).click()
        said = opened.locator(".toast-text").inner_text()
        opened.watch.complaints.clear()  # Gradio's script writes every error to the console
        return said

    return pressed


@pytest.mark.browser
@pytest.mark.parametrize("name", BUTTONS[:3])
def test_who_meets_it_is_told_the_id_of_its_line(page, press, name):
    _, out, err = page
    said = press(name)
    assert said.startswith("Something broke that should not. The server's log has the details under req_")
    (line,) = lines(out, ID.search(said)[0])
    assert "KeyError" in line["error"] and "test_events.py" in line["error"]
    for told in (said, out.getvalue(), err.getvalue()):
        assert "what somebody said" not in told and "Traceback" not in told


@pytest.mark.browser
def test_each_time_has_its_own_id(press):
    assert press("Waits") != press("Waits")


@pytest.mark.browser
def test_what_was_foreseen_is_told_as_text_and_is_no_error_of_the_log(page, press):
    _, out, _ = page
    assert press("Foreseen", locale="de-DE") == "Es spricht noch jemand. Press <b>Stop</b>."
    assert "still speaking" not in out.getvalue()


def test_a_value_that_its_input_refuses_is_nobodys_fault_here(page):
    """A page that was open while the server was started anew, with a choice that this one has not offered."""
    url, out, err = page
    config = json.loads(re.search(r"window.gradio_config = (.*?);</script>", ask(url)[2])[1])
    (taken,) = (d["id"] for d in config["dependencies"] if len(d["inputs"]) == 1 and not d["js"])
    sent = json.dumps({"data": ["what somebody typed"], "fn_index": taken, "session_hash": "abc"})
    before = len(out.getvalue())
    status, _, text = ask(
        url, "gradio_api/run/predict", "POST", sent, Content_Type="application/json", Accept_Language="fr"
    )
    said = json.loads(text)["error"]
    assert (status, said) == (422, "Le serveur a changé depuis l’ouverture de cette page. Rechargez la page.")
    assert '"error"' not in out.getvalue()[before:] and "Traceback" not in err.getvalue()


@pytest.mark.browser
def test_the_app_itself_tells_so_when_its_database_breaks(tmp_path, browser):  # noqa: F811
    log, data = tmp_path / "log", tmp_path / "data"
    with serve(log, ASR_MODEL=f"faster_whisper:{DIGITS}", ASR_DATA_DIR=str(data), ASR_LOG="json") as url:
        opened = browser.new_page(locale="es-MX")
        opened.add_init_script(KNOWN)
        opened.goto(url)
        opened.wait_for_selector(".dot.ready")
        with sqlite3.connect(data / "recordings.db") as broken:
            broken.execute("ALTER TABLE jobs RENAME TO gone")
        opened.reload()
        said = opened.locator(".toast-body").first.inner_text(timeout=60_000)  # no "Error" above it
        opened.close()
    assert said.startswith("Se rompió algo que no debía.")
    told = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    (line,) = [x for x in told if x.get("about") == ID.search(said)[0] and x["level"] == "error"]
    assert "OperationalError" in line["error"] and "Traceback" not in log.read_text()
