"""A Space, as Hugging Face starts it: its environment, its user, its disk; it comes up by itself."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from asr import zerogpu
from asr.config import Config
from tests import quirky
from tests.browser import PATIENCE, ROOT, browser, free_port, playwright, tab  # noqa: F401
from tests.conftest import DIGITS
from tests.speech import speak
from tests.test_api import wav
from tests.test_gate import ask

FRONT = dict(re.findall(r"^(\w+): *(.+)$", (ROOT / "README.md").read_text().split("---")[1], re.M))


def someone_else() -> dict:
    """uid 1000, where we may become it and it can run this Python."""
    if os.name != "posix" or os.getuid() != 0:
        return {}
    user = {"user": 1000, "group": 1000, "extra_groups": []}
    try:
        done = subprocess.run([sys.executable, "-c", "import gradio"], cwd=ROOT, capture_output=True, **user)
        return user if done.returncode == 0 else {}
    except OSError:  # this Python lies in a folder of root's
        return {}


@dataclass(frozen=True)
class Space:
    url: str
    home: Path
    log: Path


@contextmanager
def started(**variables: str) -> Iterator[Space]:
    """The app with what a Space sets: a home of which only the caches may be written."""
    home = Path(tempfile.mkdtemp("home"))  # pytest's own folders are closed to other users
    user = someone_else()
    for folder in (home / ".cache", home / "data"):
        folder.mkdir()
        if user:
            os.chown(folder, 1000, 1000)
    home.chmod(0o555)
    port = str(free_port())
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "SPACE_ID": "someone/parlance",
        "SPACE_HOST": "someone-parlance.hf.space",
        "SPACE_AUTHOR_NAME": "someone",
        "SPACE_REPO_NAME": "parlance",
        "SYSTEM": "spaces",
        "GRADIO_SERVER_NAME": "0.0.0.0",
        "GRADIO_SERVER_PORT": port,
        "HF_HUB_OFFLINE": "1",
        "ASR_MODEL": f"faster_whisper:{DIGITS}",
        "ASR_DATA_DIR": str(home / "data"),
        "PYTHONUNBUFFERED": "1",
    }
    env = {name: value for name, value in (env | variables).items() if value}
    log = (home / "data" / "log").open("w+")
    process = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=env, stdout=log, stderr=log, **user)
    url, end = f"http://127.0.0.1:{port}/", time.monotonic() + PATIENCE
    try:
        while not _ready(url):
            if process.poll() is not None or time.monotonic() > end:
                log.seek(0)
                pytest.fail(f"the Space did not come up:\n{log.read()}")
            time.sleep(0.3)
        yield Space(url, home, home / "data" / "log")
    finally:
        process.terminate()
        process.wait(PATIENCE)
        home.chmod(0o755)
        shutil.rmtree(home)


def _ready(url: str) -> bool:
    with suppress(OSError):
        return ask(url, "healthz/ready")[0] == 200
    return False


@pytest.fixture(scope="module")
def duplicate():
    """A fresh duplicate: no secret, nothing set."""
    with started() as space:
        yield space


@pytest.fixture(scope="module")
def space(duplicate):
    return duplicate.url


def test_the_front_matter_says_what_is_installed():
    wanted = (ROOT / "requirements.txt").read_text()
    assert FRONT["sdk"] == "gradio" and f"gradio=={FRONT['sdk_version']}\n" in wanted
    assert (ROOT / FRONT["app_file"]).exists() and FRONT["license"] == "apache-2.0"
    assert len(FRONT["short_description"]) <= 60  # more is refused by the hub


def test_on_a_space_the_settings_are_a_spaces():
    config = Config.from_env({"SPACE_ID": "a/b"})
    assert (
        config.keep_hours == 24
        and config.embed == "https://huggingface.co"
        and "10.0.0.0/8" in config.proxies
    )
    said = Config.from_env({"SPACE_ID": "a/b", "ASR_KEEP_HOURS": "1", "ASR_EMBED": "https://a.example"})
    assert said.keep_hours == 1 and said.embed == "https://a.example"


VISITOR = {
    "X_Parlance_Browser": "a" * 64,
    "X_Forwarded_For": "203.0.113.7",
    "X_Forwarded_Proto": "https",
    "Host": "someone-parlance.hf.space",
    "Origin": "https://someone-parlance.hf.space",
}


def transcribed(url: str) -> tuple[str, dict]:
    """A visitor's recording, once nothing more is done with it: its id, and what its page is told."""
    sent = wav(speak("seven three"))
    status, _, text = ask(
        url, "recordings", "POST", json.dumps({"name": "a.wav", "size": len(sent)}), **VISITOR
    )
    assert status == 200, text
    id = json.loads(text)["id"]
    assert ask(url, f"recordings/{id}/upload?at=0", "PUT", sent, **VISITOR)[0] == 200
    assert ask(url, f"recordings/{id}/again", "POST", "{}", **VISITOR)[0] == 200
    end = time.monotonic() + PATIENCE
    while (shown := json.loads(ask(url, f"recordings/{id}/document", **VISITOR)[2]))["state"] in WORKING:
        assert time.monotonic() < end
        time.sleep(0.3)
    return id, shown


def said(shown: dict) -> set[str]:
    return set(re.findall(r"[a-z]+", json.dumps(shown["lines"])))


WORKING = ("uploading", "waiting", "working")


def test_a_space_comes_up_by_itself_and_is_used(space):
    status, headers, page = ask(space, "", **VISITOR)
    assert status == 200 and "someone/parlance?duplicate=true" in page
    assert "frame-ancestors 'self' https://huggingface.co" in headers["content-security-policy"]
    id, shown = transcribed(space)
    assert shown["state"] == "done" and {"seven", "three"} <= said(shown)
    stranger = VISITOR | {"X_Parlance_Browser": "b" * 64}
    assert ask(space, f"recordings/{id}/document", **stranger)[0] == 404
    assert ask(space, "v1/models", **VISITOR)[0] == 401  # the API is closed until its owner says otherwise


def test_it_writes_where_it_may_and_reports_to_nobody(duplicate):
    transcribed(duplicate.url)
    assert not [p for p in (duplicate.home / ".cache").rglob("*") if "Microsoft" in p.parts]  # onnxruntime's
    assert "Traceback" not in duplicate.log.read_text()


def test_with_a_token_it_comes_up_and_tells_it_to_nobody():
    token = "hf_" + "T" * 34
    with started(HF_TOKEN=token) as space:
        assert transcribed(space.url)[1]["state"] == "done"
        shown = [ask(space.url, path, **VISITOR)[2] for path in ("", "healthz", "live/ice", "recordings")]
        assert token not in "".join(shown) and token not in space.log.read_text()


def test_with_an_endpoint_that_one_recognises():
    with (
        quirky.quirky(quirky.Server(quirky.openai, ["whisper-1"], token="sk-secret")) as endpoint,
        started(ASR_MODEL="", ASR_ENDPOINT_URL=endpoint, ASR_ENDPOINT_TOKEN="sk-secret") as space,
    ):
        assert json.loads(ask(space.url, "healthz")[2])["model"].startswith("remote:")
        _, shown = transcribed(space.url)
        assert shown["state"] == "done" and "Hello" in json.dumps(shown)
        assert "sk-secret" not in space.log.read_text() + ask(space.url, "", **VISITOR)[2]


LENT = f"""import json, os, pathlib
def GPU(function, duration):
    def lent(audio, spec, device, options):  # there is neither a GPU here nor a large model
        asked = [spec, device, duration(audio, spec, device, options)]
        (pathlib.Path(os.environ["ASR_DATA_DIR"]) / "loans").write_text(json.dumps(asked))
        return function(audio, "faster_whisper:{DIGITS}", "cpu", options)
    return lent


def gradio_auto_wrap(function):
    return function
"""


def test_on_zerogpu_recordings_are_done_on_a_borrowed_gpu():
    folder = Path(tempfile.mkdtemp("spaces"))
    folder.chmod(0o755)
    (folder / "spaces.py").write_text(LENT)
    with started(ASR_MODEL="", SPACES_ZERO_GPU="true", PYTHONPATH=str(folder)) as space:
        _, shown = transcribed(space.url)
        assert shown["state"] == "done" and {"seven", "three"} <= said(shown)
        spec, device, seconds = json.loads((space.home / "data" / "loans").read_text())
    shutil.rmtree(folder)
    assert spec == zerogpu.MODEL and device == "cuda" and 20 <= seconds <= 30


def test_where_zerogpus_package_is_missing_it_says_so_and_works():
    with started(SPACES_ZERO_GPU="true") as space:
        assert transcribed(space.url)[1]["state"] == "done"
        assert "recordings stay on the CPU" in space.log.read_text()


@pytest.mark.browser
def test_the_space_offers_to_be_duplicated(tab, space):  # noqa: F811
    page = tab(space)
    link = page.locator("a.duplicate")
    assert link.get_attribute("href") == "https://huggingface.co/spaces/someone/parlance?duplicate=true"
    assert link.is_visible() and link.inner_text() == "Duplicate this Space"
    page.set_viewport_size({"width": 390, "height": 800})
    assert link.inner_text() == "Duplicate"
