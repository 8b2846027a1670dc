"""Every command in the documentation: run here, or why it cannot be and that it would be understood.

A command that no line of HOW knows fails: whoever writes one says how it is tried.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from asr import __main__ as cli
from asr import catalogue
from asr.config import Config
from tests.browser import PATIENCE, ROOT, environment, serve
from tests.conftest import DIGITS
from tests.speech import digits, speak
from tests.test_api import wav
from tests.test_api_clients import TURNS, curls, two_turns  # noqa: F401
from tests.test_image import DOCKERFILE

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
SHELL = re.compile(r"^```(?:bash|sh)\n(.*?)^```", re.M | re.S)
INDENTED = re.compile(r"^    (python (?:.*\\\n)*.+)$", re.M)
INLINE = re.compile(r"`(python3? -m [^`]+|docker [^`]+|pip [^`]+|hf [^`]+)`")
SAID = "seven three nine one"
MODEL = f"faster_whisper:{DIGITS}"


def commands(page: Path) -> list[str]:
    """The shell commands of a page, each on one line and without its comment."""
    text = page.read_text(encoding="utf-8")
    blocks = [*SHELL.findall(text), *INDENTED.findall(text), *INLINE.findall(text)]
    joined = re.sub(r"(&&|\\)\n\s*", lambda m: "&& " if m[1] == "&&" else "", "\n".join(blocks))
    lines = (re.sub(r"\s{2,}#.*", "", line).strip() for line in joined.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def blocks(language: str) -> list[tuple[Path, str]]:
    """The fenced blocks of a language, of all pages."""
    found = re.compile(rf"^```{language}\n(.*?)^```", re.M | re.S)
    return [(page, code) for page in PAGES for code in found.findall(page.read_text(encoding="utf-8"))]


# ---- those that are run ----


@pytest.fixture(scope="module")
def desk(tmp_path_factory) -> Path:
    """A folder with the recordings that the documentation speaks of, and a `python` that is this one."""
    folder = tmp_path_factory.mktemp("desk")
    (folder / "talk.mp3").write_bytes(wav(speak(SAID)))  # what is in it counts, not what it is called
    shutil.copy(folder / "talk.mp3", folder / "talk.m4a")
    turns = [digits(said, voice, lead=0.3, tail=0.4)[0] for voice, said in TURNS]
    (folder / "meeting.mp4").write_bytes(wav(np.concatenate(turns)))
    (folder / "archive").mkdir()
    shutil.copy(folder / "talk.mp3", folder / "archive" / "one.wav")
    (folder / "bin").mkdir()
    (folder / "bin" / "python").symlink_to(sys.executable)
    (folder / "app.py").symlink_to(ROOT / "app.py")
    return folder


def ran(line: str, desk: Path, **settings: str) -> subprocess.CompletedProcess:
    env = environment(desk / "data", ASR_MODEL=MODEL, **settings)
    env |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        ["bash", "-c", line], cwd=desk, env=env, capture_output=True, text=True, timeout=PATIENCE
    )


def transcribes(line: str, desk: Path) -> None:
    done = ran(line, desk)
    assert done.returncode == 0, done.stderr
    written = {p.relative_to(desk).as_posix() for p in desk.rglob("*") if p.is_file()}
    for folder, names in {
        "subtitles": ["talk.srt", "talk.txt"],
        "minutes": ["meeting.docx"],
        "transcripts": ["one.json", "one.srt"],
    }.items():
        if f"-o {folder}" in line:
            assert {f"{folder}/{name}" for name in names} <= written, written
    if "-o " not in line:
        assert SAID in done.stdout


def tells(line: str, desk: Path) -> None:
    """A look at this machine. Its exit code tells of problems, and without a hub there is one."""
    done = ran(line, desk)
    assert done.returncode in (0, 1) and "Traceback" not in done.stderr and done.stdout.strip(), done.stderr


# ---- those that cannot be, and that they would be understood ----


class Understood(Exception):
    pass


def parsed(line: str, desk: Path) -> None:
    """Every option is known to the command, and has a value that it takes."""
    words = shlex.split(PLACES.sub(lambda m: PLACE[m[0]], line))
    argv, left = words[3:], 3 if words[3] == "bench" else 2
    parse, monkeypatch = argparse.ArgumentParser.parse_args, pytest.MonkeyPatch()

    def last(self, *args, **more):
        nonlocal left
        found, left = parse(self, *args, **more), left - 1
        if not left:
            raise Understood
        return found

    with monkeypatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_args", last)
        with pytest.raises(Understood):
            cli.main(argv)


PLACE = {"FOLDER": "recordings", "DIR": "recordings", "--rtfx R": "--rtfx 200", "--machine ...": ""}
PLACES = re.compile("|".join(map(re.escape, PLACE)))


def is_there(line: str, desk: Path) -> None:
    assert find_spec(line.split()[2]), "no such module"


def chosen(line: str, desk: Path) -> None:
    file, *words = re.fullmatch(r"python -m pytest (\S+)(?: -k (\w+))?", line).groups()
    tests = re.findall(r"def (test_\w+)", (ROOT / file).read_text(encoding="utf-8"))
    assert any(word is None or word in test for word in words for test in tests)


def installs(line: str, desk: Path) -> None:
    """CI runs it (.ci/run), and tests/test_docs.py compares; here: what it reads is there."""
    for name in re.findall(r"-r (\S+)", line):
        assert (ROOT / name).exists()
    assert line.endswith(("python app.py", "python -m pytest -n 3"))


def starts(line: str, desk: Path) -> None:
    """The app with settings; all of them are settings, and tests of their own start it with such ones."""
    *settings, python, app = line.split()
    config = Config.from_env(dict(s.split("=", 1) for s in settings if s.startswith("ASR_")))
    assert (python, app) == ("python", "app.py") and (config.endpoint_url or config.api_keys or not settings)


def exports(line: str, desk: Path) -> None:
    Config.from_env(dict([line.removeprefix("export ").split("=", 1)]))


def builds(line: str, desk: Path) -> None:
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("-t")
    parser.add_argument("--build-arg", default="DEVICE=cuda")
    parser.add_argument("context", choices=["."])
    name, _, value = parser.parse_args(shlex.split(line)[2:]).build_arg.partition("=")
    assert f"ARG {name}=" in DOCKERFILE and f"{value})" in DOCKERFILE


def runs(line: str, desk: Path) -> None:
    parser = argparse.ArgumentParser(exit_on_error=False)
    for option in ("--gpus", "--tmpfs", "-p", "-v"):
        parser.add_argument(option)
    parser.add_argument("--read-only", action="store_true")
    parser.add_argument("image", choices=["parlance", "parlance:cpu"])
    asked = parser.parse_args(shlex.split(line)[2:])
    assert asked.p.endswith(":7860") and f"VOLUME {asked.v.partition(':')[2]}" in DOCKERFILE


def composes(line: str, desk: Path) -> None:
    named = re.findall(r"-f (\S+)", line) or ["docker-compose.yml"]
    assert all((ROOT / name).exists() for name in named) and "up" in line.split()


def fetched(line: str, desk: Path) -> None:
    words = shlex.split(line)
    help = subprocess.run(["hf", "download", "--help"], capture_output=True, text=True, env=_here()).stdout
    known = " ".join(f"{card.spec} {card}" for card in catalogue.CARDS)
    assert "--local-dir" in help and (
        words[2] in known or words[2].partition("/")[0] in ("Systran", "openai")
    )


def _here() -> dict[str, str]:
    return os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def nothing(line: str, desk: Path) -> None:
    """Not of this project: nothing here can judge it."""


def by_test_api_clients(line: str, desk: Path) -> None:
    assert " ".join(line.split()) in {" ".join(curl.split()) for curl in curls()}


HOW = {  # the first that fits
    r"python -m asr transcribe .+ --model /models/.+": (parsed, "needs a model from the hub"),
    r"python -m asr (transcribe|batch) .+": (transcribes, ""),
    r"python -m asr (doctor|models)": (tells, ""),
    r"python app\.py --check": (tells, ""),
    r"python -m asr bench .+": (parsed, "takes minutes; tests/test_bench_*.py run each in small"),
    r"python -m asr cost( .+)?": (parsed, "tests/test_cost.py runs it"),
    r"python -m asr( batch)?|pip install": (nothing, "a name, no command"),
    r"python -m tests\..+": (is_there, "takes minutes"),
    r"python -m pytest tests/.+": (chosen, "is run with all tests"),
    r"python3 -m venv .+": (installs, "takes minutes: it is what CI runs"),
    r"\.venv/bin/ruff check \.": (nothing, "style is not for tests"),
    r"export ASR_.+": (exports, ""),
    r"(ASR_\w+=\S+ )*python app\.py": (starts, "needs a server on another machine"),
    r"(ffmpeg .+ )?curl .*\$PARLANCE_API_KEY.+|curl http://localhost:7860/healthz": (by_test_api_clients, ""),
    r"docker build .+": (builds, "needs Docker"),
    r"docker run .+": (runs, "needs Docker"),
    r"docker compose .+": (composes, "needs Docker"),
    r"hf download .+": (fetched, "needs the hub"),
    r"vllm serve .+": (nothing, "needs vLLM and a GPU"),
    r"pip (install|uninstall) .+": (nothing, "changes this installation"),
}
LINES = [(page, line) for page in PAGES for line in dict.fromkeys(commands(page))]
README_CURL = "curl http://127.0.0.1:7860/"


@pytest.mark.parametrize(("page", "line"), LINES, ids=[f"{p.name}: {line[:60]}" for p, line in LINES])
def test_a_command_of_the_documentation_works_or_would(page, line, desk):
    if line.startswith(README_CURL):
        return  # below, with the app
    how = next((how for pattern, (how, _) in HOW.items() if re.fullmatch(pattern, line)), None)
    assert how, f"{page.name} has a command that nobody tries: {line}"
    how(line, desk)


def test_every_way_to_try_a_command_is_needed():
    lines = [line for _, line in LINES]
    assert len(lines) > 35
    assert not [pattern for pattern in HOW if not any(re.fullmatch(pattern, line) for line in lines)]


# ---- with the app ----


@pytest.fixture(scope="module")
def app():
    with serve(ASR_MODEL=MODEL) as url:
        yield url


@pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl here")
def test_the_readmes_curl_line_transcribes(app, desk):
    (line,) = [line for _, line in LINES if line.startswith(README_CURL)]
    done = ran(line.replace("http://127.0.0.1:7860/", app), desk)
    assert json.loads(done.stdout)["text"] == SAID, done.stderr


def test_the_clients_that_the_pages_show_hear(app, desk, two_turns):  # noqa: F811
    """The Python that can stand alone: OpenAI's SDK for a file, our own stream."""
    import wave

    with wave.open(str(desk / "two.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(two_turns.tobytes())
    place = app.removeprefix("http://").rstrip("/")
    for code, says in (("from openai import", SAID), ("from websockets.asyncio", "two five")):
        (block,) = [block for _, block in blocks("python") if code in block]
        (desk / "client.py").write_text(block.replace("localhost:7860", place))
        done = ran("python client.py two.wav", desk)
        assert says in " ".join(done.stdout.split()), done.stderr


def test_all_python_and_json_of_the_pages_can_be_read():
    assert all(ast.parse(code) for _, code in blocks("python"))
    assert all(json.loads(code) for _, code in blocks("json"))
