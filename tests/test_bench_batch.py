"""The batch benchmark: really run on a few recordings; its figures are what they are called."""

import json

import pytest

from asr import bench
from asr.audio import wav
from asr.cost import latest
from asr.errors import ConfigError
from tests.conftest import DIGITS
from tests.speech import digits as say

SAID = ["seven three one", "four nine", "two eight zero", "five"]


def test_every_contender_hears_the_same_recordings(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("ASR_DATA_DIR", str(tmp_path / "data"))
    for i, text in enumerate(SAID):
        (tmp_path / f"{i}.wav").write_bytes(wav(say(text)[0]))
        (tmp_path / f"{i}.txt").write_text(text)
    out = tmp_path / "figures.json"
    args = ["batch", str(tmp_path), "-m", str(DIGITS), "--runs", "1", "--json", str(out)]
    assert bench.main(args) == 0
    report, table = json.loads(out.read_text()), capsys.readouterr().out
    assert list(report["contenders"]) == ["engine", "one by one", "batch", "share"]
    for name, row in report["contenders"].items():
        assert name in table and row["wall"] > 0
        # Which recordings share a window, and so which word falls to a neighbour, is chance.
        wrong = {"engine": [None], "share": [0, 1 / 9, 2 / 9]}.get(name, [0])
        assert row["wer"] in wrong, name
    assert report["recordings"] == 4 and report["seconds"] > 4
    kept = latest(tmp_path / "data")  # what the costs are reckoned with
    assert kept.model == report["model"]
    assert kept.rtfx == pytest.approx(report["seconds"] / report["contenders"]["batch"]["wall"])


def test_a_model_without_batches_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="takes no batches"):
        bench.main(["batch", str(tmp_path), "-m", "pocketsphinx"])
