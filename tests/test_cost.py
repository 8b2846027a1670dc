"""Costs: the arithmetic, the table's honesty, and that no machine is given another one's speed."""

import json
import os

import pytest

from asr.__main__ import main
from asr.cost import PRICES, figures, keep, latest, measured, prices


def test_a_busy_machine_costs_its_hour_divided_by_its_speed(capsys, tmp_path):
    out = tmp_path / "cost.json"
    assert main(["cost", "--rtfx", "100", "--price", "2", "--hours", "1000", "--json", str(out)]) == 0
    found = json.loads(out.read_text())
    assert found["rows"][0]["cost"]["1000"] == pytest.approx(20)
    assert "20.00" in capsys.readouterr().out


def test_every_price_has_a_date_and_a_source():
    table = json.loads(PRICES.read_text())
    for entry in (*table["machines"], *table["apis"], table["spot"]):
        assert entry["date"][:2] == "20" and "." in entry["source"]
    names = [m.name for m in prices().machines] + [a.name for a in prices().apis]
    assert len(names) == len(set(names))


def test_break_even_is_where_both_cost_the_same():
    table = prices()
    machine, api = table.machine("hf-aws-nvidia-l4"), table.cheapest
    assert machine.per_audio_hour(machine.even(api)) == pytest.approx(api.per_audio_hour)
    hours = machine.worth_a_month(api)
    assert hours * api.per_audio_hour == pytest.approx(730 * machine.hourly)
    assert machine.spot < machine.hourly


@pytest.mark.parametrize("found, rtfx", [
    ({"rtfx": 12.5}, 12.5),
    ({"seconds": 100, "contenders": {"ours": {"wall": 5}, "engine": {"wall": 4}}}, 20),
    ({"seconds": 100, "contenders": {"one by one": {"wall": 10}, "batch": {"wall": 4}}}, 25),
])  # fmt: skip
def test_the_speed_is_read_from_what_the_benchmarks_write(tmp_path, found, rtfx):
    (tmp_path / "b.json").write_text(json.dumps(found))
    assert measured(tmp_path / "b.json").rtfx == rtfx


def test_the_machine_is_found_by_its_gpu_and_never_guessed(tmp_path, capsys):
    bench = tmp_path / "b.json"
    bench.write_text(json.dumps({"rtfx": 200, "machine": {"gpus": ["NVIDIA L4"]}}))
    assert main(["cost", "--bench", str(bench)]) == 0
    shown = capsys.readouterr().out
    assert "hf-aws-nvidia-l4, on demand" in shown and "0.40" in shown and "Archives" in shown
    bench.write_text(json.dumps({"rtfx": 200, "machine": {"gpus": []}}))
    assert main(["cost", "--bench", str(bench)]) == 2
    assert "--price" in capsys.readouterr().err


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Where this machine's benchmarks leave what they found."""
    monkeypatch.setenv("ASR_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


def test_the_last_benchmark_of_this_machine_is_the_speed_unless_another_is_given(here, capsys):
    assert main(["cost", "--price", "1"]) == 2 and "bench speed" in capsys.readouterr().err
    keep({"rtfx": 200, "machine": {"gpus": ["NVIDIA L4"]}}, here, "speed")
    os.utime(here / "bench" / "speed.json", (1, 1))
    assert main(["cost"]) == 0
    assert "at 200.0 times real time, measured on NVIDIA L4" in capsys.readouterr().out
    keep({"rtfx": 50, "machine": {"gpus": []}}, here, "batch")
    assert latest(here).rtfx == 50
    assert main(["cost", "--price", "1"]) == 0 and "at 50.0 times" in capsys.readouterr().out
    assert main(["cost"]) == 0 and "measured on" not in capsys.readouterr().out  # nobody knows its price
    assert main(["cost", "--price", "1", "--rtfx", "7"]) == 0 and "at 7.0 times" in capsys.readouterr().out


def test_every_figure_says_from_when_and_where_its_price_is():
    table = prices()
    found = figures(table, (100,), table.machine("hf-aws-nvidia-l4"), 200, 8)
    assert all(row["dated"][:2] == "20" for row in [*found["rows"], *found["even"]])
    names = [row["name"] for row in found["rows"]]
    assert {"hf-aws-nvidia-l4, on demand", "hf-aws-nvidia-l4, spot", "openai-whisper-1"} <= set(names)
    assert [r["per_hour"] for r in found["rows"]] == sorted(r["per_hour"] for r in found["rows"])
    assert any("8 streams" in said for said in found["advice"])


def test_without_a_speed_only_what_needs_none_is_told(capsys):
    assert main(["cost"]) == 0
    shown = capsys.readouterr().out
    assert "openai-whisper-1" in shown and "x real time" in shown and "Archives" not in shown


@pytest.mark.parametrize("args, said", [
    (["--rtfx", "0"], "no number above 0"),
    (["--rtfx", "1", "--bench", "x"], "give one"),
    (["--hours", "x"], "whole numbers"),
])  # fmt: skip
def test_what_is_not_understood_is_exit_code_2(args, said, capsys):
    with pytest.raises(SystemExit) as e:
        main(["cost", *args])
    assert e.value.code == 2 and said in capsys.readouterr().err


def test_a_file_that_is_none_is_one_sentence(tmp_path, capsys):
    (tmp_path / "x.json").write_text("[]")
    assert main(["cost", "--bench", str(tmp_path / "x.json")]) == 1
    assert main(["cost", "--prices", str(tmp_path / "x.json")]) == 1
    assert main(["cost", "--rtfx", "1", "--machine", "cray"]) == 2
    assert "Traceback" not in capsys.readouterr().err
