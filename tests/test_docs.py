"""The documentation says what is: every setting is told, every file exists, CI runs what it promises."""

import re
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from asr import backends
from asr.audio import Recording
from asr.config import Config
from asr.errors import Unsupported
from asr.pipeline import transcribe
from asr.types import Options
from tests.tones import loud

ROOT = Path(__file__).parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]


def row(field) -> str:
    default = "" if field.default in ("", None) else f"`{field.default}`"
    return f"| `ASR_{field.name.upper()}` | {default} | {field.metadata['says']} |"


def test_every_setting_is_documented_as_it_is():
    page = (ROOT / "docs/settings.md").read_text(encoding="utf-8").splitlines()
    told = [line for line in page if line.startswith("| `ASR_")]
    assert told == [row(f) for f in fields(Config)], "write the rows that `python -m tests.test_docs` prints"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_link_leads_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    missing = [to for to in links if "://" not in to and not (page.parent / to).exists()]
    assert not missing


def test_ci_runs_the_test_command_of_the_readme():
    commands = re.findall(r"```bash\n(python3 -m venv .*?)\n```", (ROOT / "README.md").read_text(), re.DOTALL)
    run, test = commands
    assert run.endswith("app.py")
    assert test.replace("pip install -r", "pip install -q -r", 1) in (ROOT / ".ci/run").read_text()


def test_the_engine_of_the_contributing_guide_is_one(tmp_path, monkeypatch):
    code = re.search(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)[1]
    monkeypatch.setattr(backends, "__path__", [*backends.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "asr.backends.hum", raising=False)
    (tmp_path / "hum.py").write_text(code)
    engine = backends.load("hum:any", "cpu")
    recording = Recording(np.full(16_000, 8000, np.int16))
    heard = list(transcribe(recording, engine, vad=lambda: loud))
    assert [s.text.strip() for s in heard] == ["Hmm."] and heard[0].end == pytest.approx(1, abs=0.1)
    with pytest.raises(Unsupported):
        list(transcribe(recording, engine, Options(prompt="x"), vad=lambda: loud))


def test_every_test_that_the_threat_model_names_exists():
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs/security.md").read_text(encoding="utf-8")))
    there = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").glob("test_*.py"))
    assert len(named) > 40 and not [name for name in named if f"def {name}(" not in there]


if __name__ == "__main__":
    print("\n".join(map(row, fields(Config))))
