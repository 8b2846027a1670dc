"""A real Chromium on a real server, for tests of the page.

from tests.browser import browser, serve, tab  # noqa: F401  fixtures

@pytest.fixture(scope="module")
def app():
    with serve(ASR_MODEL="pocketsphinx:") as url:
        yield url

def test_something(tab, app):
    page = tab(app)                        # a Playwright page, watched by `Watch`
    page = tab(app, microphone=wav_path)   # a WAV speaks into its microphone, over and over
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).parent.parent
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
PATIENCE = 180.0  # seconds; for a machine that has much else to do
FLAGS = [
    "--headless=new",  # the old one has no media
    "--no-sandbox",
    "--disable-gpu",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
FLAGS_OF_PLAYWRIGHT = ["--headless", "--mute-audio", "--hide-scrollbars"]  # which it would add


def free_port() -> int:
    with closing(socket.socket()) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def environment(folder: Path, **settings: str) -> dict[str, str]:
    """What `python app.py` gets: nobody else's ASR_* settings, a data folder of its own, no hub."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("ASR_", "GRADIO_"))}
    return clean | {"ASR_DATA_DIR": str(folder), "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"} | settings


@contextmanager
def serve(log: Path | None = None, **settings: str) -> Iterator[str]:
    """`python app.py` as a process with these settings, until the `with` ends; its address.

    What it printed is shown when it does not come up, and kept in `log`.
    """
    with TemporaryDirectory() as folder, open(log or Path(folder) / "log", "w+") as log:
        port = settings.get("ASR_PORT") or str(free_port())
        env = environment(Path(folder), **{**settings, "ASR_PORT": port})
        process = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=env, stdout=log, stderr=log)
        try:
            url = f"http://127.0.0.1:{port}/"
            if not _answers(url, process):
                log.seek(0)
                pytest.fail(f"python app.py did not come up:\n{log.read()}")
            yield url
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()


def _answers(url: str, process: subprocess.Popen) -> bool:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=PATIENCE).close()
            return True
        except HTTPError:  # with a password
            return True
        except (URLError, ConnectionError):
            time.sleep(0.1)
    return False


@dataclass
class Watch:
    """What a page did that no page should: look at it at the end of a test."""

    home: str
    outside: list[str] = field(default_factory=list)  # addresses on other hosts
    complaints: list[str] = field(default_factory=list)  # errors in the console, failed requests

    def on(self, page) -> None:
        page.on("request", lambda r: self._asked(r.url))
        page.on("websocket", lambda s: self._asked(s.url))
        page.on("pageerror", lambda e: self.complaints.append(str(e)))
        page.on("console", lambda m: m.type == "error" and self.complaints.append(m.text))
        page.on("response", lambda r: r.status >= 400 and self.complaints.append(f"{r.status} {r.url}"))

    def _asked(self, url: str) -> None:
        if urlsplit(url).netloc not in ("", urlsplit(self.home).netloc):
            self.outside.append(url)


@pytest.fixture(scope="module")
def playwright():
    """Not for the whole session: as long as it runs, no other test of this thread can run an event loop."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM:
        pytest.skip("there is no Chromium on this machine")
    with api.sync_playwright() as p:
        yield p


@pytest.fixture(scope="module")
def browser(playwright):
    """One Chromium for all pages without a microphone of their own."""
    with closing(launch(playwright)) as it:
        yield it


def launch(playwright, microphone: Path | None = None):
    """A Chromium; `microphone` is a WAV that speaks into it, over and over, from its start."""
    voice = [f"--use-file-for-fake-audio-capture={microphone}"] if microphone else []
    return playwright.chromium.launch(
        executable_path=CHROMIUM, args=[*FLAGS, *voice], ignore_default_args=FLAGS_OF_PLAYWRIGHT
    )


@pytest.fixture
def tab(playwright, browser) -> Iterator[Callable]:
    """tab(url, microphone=None, **context) opens a page in a context of its own and waits for it.

    At the end of the test every page must have kept to its own host and to a clean console.
    """
    watches = []
    with ExitStack() as closes:

        def open_page(url: str, microphone: Path | None = None, **context):
            chromium = launch(playwright, microphone) if microphone else browser
            if microphone:
                closes.callback(chromium.close)
            there = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **context})
            closes.callback(there.close)
            page = there.new_page()
            page.set_default_timeout(PATIENCE * 1000)
            watches.append(Watch(url))
            watches[-1].on(page)
            page.watch = watches[-1]
            page.goto(url)
            page.wait_for_selector(".masthead")
            return page

        yield open_page
        for watch in watches:
            assert not watch.outside, f"the page asked other hosts: {watch.outside}"
            assert not watch.complaints, f"the page complained: {watch.complaints}"
