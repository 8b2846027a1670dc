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
from pathlib import Path

import pytest

from asr.config import Config
from tests.browser import PATIENCE, ROOT, browser, free_port, playwright, tab  # noqa: F401
from tests.conftest import DIGITS
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


@pytest.fixture(scope="module")
def space():
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
        "GRADIO_ANALYTICS_ENABLED": "True",
        "HF_HUB_OFFLINE": "1",
        "ASR_MODEL": f"faster_whisper:{DIGITS}",
        "ASR_DATA_DIR": str(home / "data"),
        "PYTHONUNBUFFERED": "1",
    }
    log = (home / "data" / "log").open("w+")
    process = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=env, stdout=log, stderr=log, **user)
    url, end = f"http://127.0.0.1:{port}/", time.monotonic() + PATIENCE
    try:
        while True:
            try:
                if ask(url, "healthz/ready")[0] == 200:
                    break
            except OSError:
                pass
            if process.poll() is not None or time.monotonic() > end:
                log.seek(0)
                pytest.fail(f"the Space did not come up:\n{log.read()}")
            time.sleep(0.3)
        yield url
    finally:
        process.terminate()
        process.wait(PATIENCE)
        home.chmod(0o755)
        shutil.rmtree(home)


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


def test_a_space_comes_up_by_itself_and_is_used(space):
    mine = {"X_Parlance_Browser": "a" * 64, "X_Forwarded_For": "203.0.113.7", "X_Forwarded_Proto": "https"}
    mine |= {"Host": "someone-parlance.hf.space", "Origin": "https://someone-parlance.hf.space"}
    status, headers, page = ask(space, "", **mine)
    assert status == 200 and "someone/parlance?duplicate=true" in page
    assert "frame-ancestors 'self' https://huggingface.co" in headers["content-security-policy"]
    audio = Path(DIGITS, "digits.wav") if Path(DIGITS, "digits.wav").exists() else None
    sent = audio.read_bytes() if audio else _tone()
    asked = json.dumps({"name": "talk.wav", "size": len(sent)})
    status, _, text = ask(space, "recordings", "POST", asked, **mine)
    assert status == 200, text
    id = json.loads(text)["id"]
    assert ask(space, f"recordings/{id}/upload?at=0", "PUT", sent, **mine)[0] == 200
    assert ask(space, f"recordings/{id}/again", "POST", "{}", **mine)[0] == 200
    end = time.monotonic() + PATIENCE
    while json.loads(ask(space, f"recordings/{id}/document", **mine)[2]).get("state") != "done":
        assert time.monotonic() < end
        time.sleep(0.3)
    stranger = mine | {"X_Parlance_Browser": "b" * 64}
    assert ask(space, f"recordings/{id}/document", **stranger)[0] == 404
    assert ask(space, "v1/models", **mine)[0] == 401  # the API is closed until its owner says otherwise


@pytest.mark.browser
def test_the_space_offers_to_be_duplicated(tab, space):  # noqa: F811
    page = tab(space)
    link = page.locator("a.duplicate")
    assert link.get_attribute("href") == "https://huggingface.co/spaces/someone/parlance?duplicate=true"
    assert link.is_visible()


def _tone() -> bytes:
    import io
    import wave

    import numpy as np

    samples = (8000 * np.sin(2 * np.pi * 440 * np.arange(32000) / 16000)).astype("<i2")
    with wave.open(file := io.BytesIO(), "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(16000)
        wav.writeframes(samples.tobytes())
    return file.getvalue()
