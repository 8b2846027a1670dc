"""The diarization benchmark: its figures are those of pyannote.metrics and jiwer, called what they are."""

import json

import numpy as np
import pytest

from asr import bench
from asr.bench import diarize as diarizing
from asr.diarize import Diarization
from asr.errors import ASRError
from asr.types import Turn, Word
from tests.test_diarize_channels import conversation, save

SPOKEN = [("a", "anna"), ("b", "anna"), ("c", "anna"), ("d", "ben"), ("e", "ben")]
TRUTH = [Word(i, i + 0.5, f" {word}", speaker=who) for i, (word, who) in enumerate(SPOKEN)]


def found(*turns: tuple[float, float, str]) -> Diarization:
    turns = tuple(Turn(*t) for t in turns)
    return Diarization(turns, turns, "test", "")


def test_words_of_the_right_speaker_count_whatever_the_speakers_are_called():
    assert diarizing.on_words(TRUTH, found((0, 2.9, "X"), (2.9, 5, "Y"))) == {
        "words": 5,
        "wrong_speaker": 0,
        "cp_errors": 0,
    }


def test_one_speaker_for_all_has_the_words_of_the_other_wrong():
    wrong = diarizing.on_words(TRUTH, found((0, 5, "X")))
    assert wrong["wrong_speaker"] == 2
    assert wrong["cp_errors"] == 4  # two words too many for anna, two of ben's missing


def test_an_unknown_speaker_too_many_is_an_error_for_his_words():
    wrong = diarizing.on_words(TRUTH, found((0, 2.9, "X"), (2.9, 3.8, "Y"), (3.8, 5, "Z")))
    assert wrong["wrong_speaker"] <= 1 and wrong["cp_errors"] <= 2


@pytest.fixture
def folder(tmp_path):
    audio, truth = conversation()
    save(tmp_path / "call.wav", audio)
    lines = [f"SPEAKER call 1 {a:.3f} {b - a:.3f} <NA> <NA> s{who} <NA> <NA>" for a, b, who in truth]
    (tmp_path / "call.rttm").write_text("\n".join(lines))
    words = []
    for start, end, who in truth:
        times = np.linspace(start, end, 5)
        words += [(times[k], times[k + 1], f"w{k}", f"s{who}") for k in range(4)]
    (tmp_path / "call.tsv").write_text("\n".join("\t".join(map(str, w)) for w in words))
    return tmp_path


def test_a_folder_is_measured_rung_by_rung(folder, tmp_path, capsys):
    out = tmp_path / "figures.json"
    assert bench.main(["diarize", str(folder), "--rung", "channels,none", "--json", str(out)]) == 0
    exact, nothing = json.loads(out.read_text())["results"]
    table = capsys.readouterr().out
    assert exact["by"] == "channels" and exact["der"] < 0.2 and exact["found"] == exact["speakers"] == 2
    assert exact["words"] == 16 and exact["wrong_speaker"] == exact["cp_errors"] == 0
    assert nothing["der"] == pytest.approx(1) and nothing["missed"] == pytest.approx(nothing["speech"])
    assert nothing["found"] == 0 and nothing["wrong_speaker"] == 16
    assert "all, channels" in table and "WDER 0.0%" in table and "DER 100.0%" in table


def test_a_folder_without_truth_says_what_is_missing(tmp_path):
    save(tmp_path / "call.wav", np.zeros((100, 1), np.float32))
    with pytest.raises(ASRError, match=r"NAME\.rttm"):
        bench.main(["diarize", str(tmp_path)])


def test_truth_that_is_no_rttm_says_what_lines_look_like(tmp_path):
    path = tmp_path / "x.rttm"
    path.write_text("nonsense")
    with pytest.raises(ASRError, match="SPEAKER name"):
        diarizing.read_rttm(path)
