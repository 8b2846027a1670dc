"""The error benchmark: counts as the leaderboard does, on a real model; goes on where it stopped."""

import json
import socket
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from asr import bench
from asr.audio import decode, wav
from asr.bench.samples import HUB, samples
from asr.bench.wer import Said, bootstrap, normalizer, score
from asr.errors import ASRError, BackendUnavailable, ConfigError
from tests.conftest import DIGITS
from tests.speech import digits as say

pytest.importorskip("whisper_normalizer", reason="needs pip install whisper-normalizer")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("said")
    for i, text in enumerate(["seven three one", "four nine", "two eight zero"]):
        (folder / f"{i}.wav").write_bytes(wav(say(text)[0]))
        (folder / f"{i}.txt").write_text(text.title() + ".")
    return folder


def run(folder: Path | str, out: Path, *args: str) -> list[dict]:
    argv = ["wer", str(folder), "--results", str(out), "--json", str(out / "figures.json"), *args]
    assert bench.main(argv) == 0
    return json.loads((out / "figures.json").read_text())


def test_several_models_side_by_side_on_a_folder(folder, tmp_path, capsys):
    scores = run(folder, tmp_path, "-m", f"{DIGITS},pocketsphinx", "--plot", str(tmp_path / "plot.png"))
    whisper, sphinx = scores
    assert whisper["wer"] == 0 and sphinx["wer"] > 0 and whisper["words"] == sphinx["words"] == 3
    assert whisper["low"] <= whisper["wer"] <= whisper["high"] and whisper["rtfx"] > 0
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert "whisper-digits" in capsys.readouterr().out


def test_it_goes_on_where_it_stopped(folder, tmp_path, monkeypatch):
    run(folder, tmp_path, "-m", str(DIGITS), "--limit", "2")
    (kept,) = tmp_path.glob("*.jsonl")
    with kept.open("a") as file:
        file.write('{"id": "cut o')  # as a kill leaves it
    assert len(samples_of(kept)) == 2
    assert run(folder, tmp_path, "-m", str(DIGITS))[0]["recordings"] == 3
    assert len(samples_of(kept)) == 3
    monkeypatch.setattr("asr.backends.load", lambda *_: pytest.fail("a model was loaded"))
    assert run(folder, tmp_path, "-m", str(DIGITS))[0]["recordings"] == 3


def samples_of(kept: Path) -> list[dict]:
    return [json.loads(line) for line in kept.read_text().split("\n")[:-1]]


def test_errors_are_counted_after_whisper_s_normalizer():
    said = [
        Said("a", "Mr. Smith paid twenty-one dollars.", "mister smith paid $21", 30, 1),
        Said("b", "the colour is grey", "the color is blue and green", 30, 1),
        Said("c", "", "thank you", 30, 1),
        Said("d", "ignore time segment in scoring", "anything", 30, 1),
    ]
    found = score("set", "model", said, normalizer("en"))
    assert found.words == 8 and found.wer == pytest.approx(3 / 8)
    assert found.inserted == pytest.approx((2 + 2) / 2) and found.rtfx == pytest.approx(30)


def test_the_interval_narrows_with_more_recordings():
    rng = np.random.default_rng(1)
    few, many = (bootstrap(rng.binomial(10, 0.1, n), np.full(n, 10)) for n in (10, 1000))
    assert many[0] < 0.1 < many[1] and many[1] - many[0] < few[1] - few[0]


def test_lists_have_a_text_column(tmp_path):
    (tmp_path / "l.jsonl").write_text('{"audio_filepath": "a.wav", "text": "one two"}\n')
    (tmp_path / "l.csv").write_text("path,sentence\na.wav,one two\n")
    for kind in ("jsonl", "csv"):
        (sample,) = samples(str(tmp_path / f"l.{kind}"))
        assert sample.audio == tmp_path / "a.wav" and sample.text == "one two"
    (tmp_path / "bad.jsonl").write_text('{"audio_filepath": "a.wav"}\n')
    with pytest.raises(ASRError, match="cannot be read"):
        list(samples(str(tmp_path / "bad.jsonl")))


def test_an_unknown_set_names_those_there_are(tmp_path):
    with pytest.raises(ConfigError, match="librispeech-clean"):
        list(samples("libri"))
    with pytest.raises(ASRError, match=r"\.txt beside"):
        list(samples(str(tmp_path)))


@pytest.fixture(scope="module")
def dataset(folder, tmp_path_factory) -> Path:
    """As the leaderboard's are: Parquet files, the recordings in them, a folder for each configuration."""
    datasets = pytest.importorskip("datasets", reason="needs pip install datasets")
    where = tmp_path_factory.mktemp("dataset")
    rows = [
        {"id": p.stem, "audio": {"bytes": p.with_suffix(".wav").read_bytes()}, "text": p.read_text()}
        for p in sorted(folder.glob("*.txt"))
    ]
    text = datasets.Value("string")
    stored = {"bytes": datasets.Value("binary"), "path": text}
    made = datasets.Dataset.from_list(rows, features=datasets.Features(id=text, audio=stored, text=text))
    made = made.cast_column("audio", datasets.Audio())  # not written as Audio: that needs FFmpeg's libraries
    made.to_parquet(where / "digits" / "test-00000-of-00001.parquet")
    header = "configs:\n- config_name: digits\n  data_files:\n  - split: test\n    path: digits/test-*"
    (where / "README.md").write_text(f"---\n{header}\n---\n")
    return where


def test_a_dataset_is_streamed_heard_and_gone_on_with(dataset, folder, tmp_path, monkeypatch):
    monkeypatch.setitem(HUB, "ami", (str(dataset), "digits", "test"))
    first = run("ami", tmp_path, "-m", str(DIGITS), "--limit", "2")[0]
    assert first["recordings"] == 2 and first["wer"] == 0
    heard = []
    monkeypatch.setattr("asr.bench.wer.decode", lambda audio, real=decode: heard.append(audio) or real(audio))
    whole = run("ami", tmp_path, "-m", str(DIGITS))[0]
    assert whole["recordings"] == 3 and whole["wer"] == 0 and len(heard) == 1, "two were known"
    assert whole["words"] == run(folder, tmp_path, "-m", str(DIGITS))[0]["words"]


def test_a_dataset_of_many_rows_is_never_in_memory_at_once(dataset, monkeypatch, digits):
    made = []
    monkeypatch.setattr("asr.bench.samples.BytesIO", lambda b: made.append(b) or BytesIO(b))
    rows = samples(f"hf:{dataset}:digits:test")
    assert next(rows).text == "Seven Three One." and len(made) == 1
    rows.close()


def test_any_dataset_can_be_named_and_what_is_wrong_with_it_is_told(dataset, tmp_path):
    assert [s.id for s in samples(f"hf:{dataset}:digits")] == ["000000 0", "000001 1", "000002 2"]
    for wrong in (f"hf:{dataset}:letters:test", f"hf:{dataset}:digits:train", f"hf:{tmp_path}"):
        with pytest.raises(BackendUnavailable, match="cannot be streamed"):
            list(samples(wrong))


def test_the_hub_s_sets_say_what_they_need(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(socket.socket, "connect", lambda *_: (_ for _ in ()).throw(OSError("no network")))
    with pytest.raises(BackendUnavailable, match=r"datasets|streamed"):
        next(samples("ami"))
    assert {"ami", "earnings22", "gigaspeech", "spgispeech", "tedlium", "voxpopuli"} < set(HUB)
    assert {"rev16-long", "earnings21-long", "tedlium-long"} < set(HUB)
