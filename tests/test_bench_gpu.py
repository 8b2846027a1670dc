"""The GPU benchmark's code, run on the CPU with Whisper's smallest shape; GPU figures need a GPU."""

import json

import pytest

from asr import bench, machine
from asr.bench import limits
from asr.bench.shapes import SHAPES
from asr.bench.unlearned import unlearned
from asr.errors import ConfigError, UnknownModel

CPU = ["gpu", "--device", "cpu", "--shapes", "tiny", "--compute", "float32", "--runs", "1", "--tokens", "4"]


def test_the_same_code_runs_on_a_cpu(tmp_path, capsys):
    out = tmp_path / "figures.json"
    assert bench.main([*CPU, "--batches", "1,2", "--peak", "0.5", "0.05", "--json", str(out)]) == 0
    shown, found = capsys.readouterr().out, json.loads(out.read_text())
    assert [row["batch"] for row in found["rows"]] == [1, 2]
    for row in found["rows"]:
        assert row["encoder"] > 0 and row["decoder"] > 0 and row["limit"] > 0
        assert row["rtfx"] == pytest.approx(row["batch"] * 30 / (row["encoder"] + row["decoder"]))
    assert "of limit" in shown and "tiny" in shown and found["peak"]["operations"] == 0.5e12


def test_without_a_gpu_it_is_refused_and_says_how_to_see_that_it_runs():
    if machine.look().gpus:
        pytest.skip("there is a GPU")
    with pytest.raises(ConfigError, match=r"There is no GPU here.*--device cpu"):
        bench.main(["gpu"])


def test_arithmetic_that_the_processor_has_not_is_a_line_and_costs_no_other(capsys):
    asked = [*CPU, "--batches", "1"]
    asked[asked.index("float32")] = "float16,float32"
    assert bench.main(asked) == 0
    shown = capsys.readouterr().out
    assert "cannot compute in float16" in shown and "float32" in shown.splitlines()[-1]


@pytest.mark.parametrize("args, said", [
    (["--shapes", "huge"], "there is no 'huge'"),
    (["--batches", "0"], "no whole number"),
    (["--tokens", "x"], "no whole number"),
])  # fmt: skip
def test_what_is_not_understood_is_exit_code_2(args, said, capsys):
    with pytest.raises(SystemExit) as e:
        bench.main(["gpu", *args])
    assert e.value.code == 2 and said in capsys.readouterr().err


def test_a_shape_that_there_is_not_is_named(tmp_path):
    with pytest.raises(UnknownModel, match="large-v3-turbo"):
        unlearned("huge", tmp_path)


def test_the_limit_is_the_models_size_in_operations_and_bytes():
    """large-v3 has 1.55 billion parameters, of which the encoder has 637 million."""
    one = limits.Peak(1.0, 1e30)  # seconds are operations
    encoder = limits.encoder(SHAPES["large-v3"], 128, 1, "float16", one)
    assert encoder == pytest.approx(2 * 637e6 * 1500 + 32 * 4 * 1500**2 * 1280, rel=0.02)
    slow = limits.Peak(1e30, 1.0)  # seconds are bytes
    step = limits.decoder(SHAPES["large-v3"], 1, 2, 1, "float16", slow) - limits.decoder(
        SHAPES["large-v3"], 1, 1, 1, "float16", slow
    )
    keys = 2 * 2 * 32 * 1500 * 1280
    assert step == pytest.approx(2 * (906e6 - 32 * 2 * 1280**2) + keys, rel=0.02)
    fast = limits.peak_of("NVIDIA A100-SXM4-80GB")
    assert limits.peak_of("NVIDIA H200").bandwidth > fast.bandwidth and limits.peak_of("NVIDIA X") is None
    more = [limits.decoder(SHAPES["large-v3"], b, 100, 1, "float16", fast) / b for b in (1, 8, 64)]
    assert more == sorted(more, reverse=True), "a batch reads the weights once for all"
