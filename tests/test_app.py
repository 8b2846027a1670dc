"""`python app.py` as people start it: what it serves, how it refuses to start, how it stops."""

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.browser import PATIENCE, ROOT, environment, free_port, serve
from tests.conftest import DIGITS
from ui import theme

MODEL = f"faster_whisper:{DIGITS}"


@pytest.fixture(scope="module")
def url():
    with serve(ASR_MODEL=MODEL, ASR_MAX_UPLOAD_MB="1") as it:
        yield it


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode(errors="replace")


def refused(tmp_path: Path, **settings: str) -> str:
    """What app.py says when it will not start with these settings."""
    env = environment(tmp_path / "data", **settings)
    done = subprocess.run(
        [sys.executable, "app.py"], cwd=ROOT, env=env, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_the_page_names_no_other_host(url):
    status, page = get(url)
    head = page.partition("window.gradio_config")[0] + page.rpartition("window.gradio_api_info")[2]
    assert status == 200 and "<title>Parlance</title>" in head
    assert re.findall(r"(?:src|href|content)=\"(https?:)?//[^\"]*", head) == []
    assert "googleapis" not in page and "cdnjs" not in page


def test_every_asset_that_the_page_names_is_there(url):
    page = get(url)[1]
    named = set(re.findall(rf'(?:href|src)="({theme.URL}/[^"]+)"', page))
    assert len(named) >= 4
    for asset in named:
        assert get(url + asset)[0] == 200, asset


def test_the_page_gives_out_no_file_of_the_server(url):
    for path in ("/etc/passwd", str(ROOT / "app.py"), str(ROOT / "pyproject.toml")):
        assert get(f"{url}gradio_api/file={path}")[0] == 404
    assert get(f"{url}parlance/../theme.py")[0] == 404


def test_the_page_offers_no_api_of_its_events(url):
    info = get(url)[1].partition("window.gradio_api_info")[2].partition("</script>")[0]
    assert '"named_endpoints":{}' in info.replace(" ", "")


def test_it_says_where_it_is_and_leaves_nothing_behind_when_it_is_stopped(tmp_path):
    url = f"http://127.0.0.1:{(port := free_port())}/"
    (stale := tmp_path / "tmp" / "stale.pcm").parent.mkdir()
    stale.write_bytes(b"left by a server that was killed")
    os.utime(stale, (0, 0))
    env = environment(tmp_path, ASR_MODEL=MODEL, ASR_PORT=str(port))
    start = [sys.executable, "app.py"]
    process = subprocess.Popen(start, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True)
    try:
        assert url in process.stdout.readline()
        assert not stale.exists()
        assert get(url)[0] == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.stdout.close()
    assert not [file for file in (tmp_path / "tmp").rglob("*") if file.is_file()]


def test_a_setting_that_nobody_knows_is_told_with_the_one_that_was_meant(tmp_path):
    said = refused(tmp_path, ASR_MODLE="faster_whisper:small")
    assert "There is no setting ASR_MODLE" in said and "ASR_MODEL" in said


def test_a_setting_that_cannot_be_read_is_told(tmp_path):
    assert "ASR_PORT='x'" in refused(tmp_path, ASR_PORT="x")


def test_a_port_in_use_is_told_with_the_way_out(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        said = refused(tmp_path, ASR_PORT=str(taken.getsockname()[1]))
    assert "cannot be opened" in said and "ASR_PORT=" in said


def test_a_data_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    assert "ASR_DATA_DIR" in refused(tmp_path, ASR_DATA_DIR=str(tmp_path / "file" / "data"))


def test_the_shell_keeps_what_gradio_needs():
    page = '<head><link rel="preconnect" href="https://a.b" /><script src="https://c.d/e.js" async></script>'
    page += '<script>window.gradio_config = {{ config | toorjson }};</script><script src="./assets/x.js">'
    shell = theme.shell(page + "</script></head><body>")
    assert "https://" not in shell
    assert "gradio_config" in shell and "./assets/x.js" in shell and shell.endswith("</head><body>")
