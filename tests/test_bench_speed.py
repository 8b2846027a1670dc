"""The speed benchmark: really run on a small recording; its figures are what they are called."""

import json
import wave
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from asr import bench
from asr.audio import to_pcm16
from asr.bench import speed
from asr.bench.words import wer_beside
from asr.cost import latest
from asr.errors import ASRError, ConfigError
from tests.conftest import DIGITS
from tests.speech import digits as say

TASK = speed.Task((), f"faster_whisper:{DIGITS}", "auto", "en")


@pytest.fixture(scope="module")
def recording(tmp_path_factory) -> Path:
    audio, _ = say("one two three four five")
    path = tmp_path_factory.mktemp("speed") / "said.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(to_pcm16(np.tile(audio, 2)).tobytes())
    path.with_suffix(".txt").write_text("One, two, three, four, five. One two three four five!")
    return path


def test_every_contender_hears_the_same_recording(recording, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("ASR_DATA_DIR", str(tmp_path))
    out = tmp_path / "figures.json"
    argv = [
        "speed",
        str(recording),
        "--model",
        TASK.model,
        "--against",
        "engine,sequential",
        "--json",
        str(out),
    ]
    assert bench.main(argv) == 0
    report = json.loads(out.read_text())
    table = capsys.readouterr().out
    assert list(report["contenders"]) == ["ours", "engine", "sequential"]
    for name, row in report["contenders"].items():
        assert name in table and row["wall"] > 0 and row["wer"] < 0.5
        assert row["first"] <= row["wall"] and row["above"] < row["peak"] < 4 * 1024**3
        assert row["rtfx"] == pytest.approx(report["seconds"] / row["wall"])
    assert report["times_ours"]["engine"] == pytest.approx(
        report["contenders"]["engine"]["wall"] / report["contenders"]["ours"]["wall"]
    )
    assert latest(tmp_path).rtfx == pytest.approx(report["contenders"]["ours"]["rtfx"])
    assert report["machine"]["cores"] >= 1 and report["versions"]["ctranslate2"]


@pytest.mark.parametrize("against", ["engine,magic", "ours"])
def test_an_unknown_rival_is_refused_before_anything_runs(recording, against):
    with pytest.raises(ConfigError, match="There is no rival"):
        speed.main([str(recording), "--against", against])


def test_only_whisper_has_rivals(recording):
    with pytest.raises(ConfigError, match="--against ''"):
        speed.main([str(recording), "--model", "pocketsphinx:en-us"])


def test_a_contender_that_fails_says_why(recording):
    with pytest.raises(ASRError, match=r"ours failed.*There is no Whisper model"):
        speed.measured("ours", replace(TASK, files=(str(recording),), model="faster_whisper:smal"))


def test_errors_are_counted_over_all_files_without_case_and_punctuation(recording, tmp_path):
    other = tmp_path / "other.wav"
    assert wer_beside([(str(other), "anything")]) is None
    said = "one two three four five one two three four five"
    assert wer_beside([(str(recording), said), (str(other), "anything")]) == 0
    other.with_suffix(".txt").write_text("six seven")
    heard = [(str(recording), "One two three four five one two three four"), (str(other), "six 7")]
    assert wer_beside(heard) == pytest.approx(2 / 12)


def test_benchmarks_are_listed_and_an_unknown_one_is_refused(capsys):
    with pytest.raises(SystemExit):
        bench.main(["--help"])
    shown = capsys.readouterr().out
    assert all(name in shown for name in bench.BENCHES)
    with pytest.raises(SystemExit):
        bench.main(["nothing"])
    assert "speed" in capsys.readouterr().err
