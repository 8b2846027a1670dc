"""The doctor: every missing thing is found, and comes with what mends it."""

import os
from dataclasses import replace

import pytest

from asr import doctor
from asr.config import Config
from asr.doctor import examine
from asr.machine import GPU, Hub, Machine

ONLINE, OFFLINE = Hub(True, "The hub answers."), Hub(False, "The hub cannot be reached.")


@pytest.fixture
def machine(tmp_path, monkeypatch) -> Machine:
    monkeypatch.setattr(doctor, "LIBRARIES", ("numpy",))  # what these tests run with is not their subject
    return Machine("A CPU", 8, 16 << 30, (), (), (), False, tmp_path, 10**12, lambda: ONLINE)


def found(machine, topic, config=None, cached=lambda card: False, state=None):
    """What the doctor says about one topic."""
    findings = examine(config or Config(data_dir=machine.cache), machine, cached)
    return [f for f in findings if f.topic == topic and state in (None, f.state)]


def problems(machine, **more):
    config = more.pop("config", None) or Config(data_dir=machine.cache)
    findings = list(examine(config, machine, more.get("cached", lambda card: False)))
    assert all(f.fix for f in findings if f.state == "problem"), "a problem without a fix"
    return {f.topic for f in findings if f.state == "problem"}


def test_a_machine_with_a_network_is_well(machine):
    assert problems(machine) == set()
    assert "faster_whisper:small on cpu. It should keep up on 8 CPU cores" in found(machine, "model")[0].says


def test_no_network_and_no_model_is_a_problem_with_a_way_out(machine):
    offline = replace(machine, hub=lambda: OFFLINE)
    assert problems(offline) == {"hub", "model"}
    assert "hf download" in found(offline, "model")[0].fix


def test_no_network_is_no_problem_once_a_model_is_here(machine):
    offline = replace(machine, hub=lambda: OFFLINE)
    assert problems(offline, cached=lambda card: card.spec.endswith(":small")) == set()


def test_a_model_asked_for_by_name_that_cannot_be_had_is_a_problem(machine):
    offline = replace(machine, hub=lambda: OFFLINE)
    config = Config(model="turbo", data_dir=machine.cache)
    assert problems(offline, config=config, cached=lambda card: card.spec.endswith(":small")) == {"model"}
    assert problems(machine, config=replace(config, model="nonsense")) == {"model"}


def test_a_directory_that_is_no_model_is_named_with_what_it_lacks(machine, tmp_path):
    (tmp_path / "model.bin").touch()
    (model,) = found(machine, "model", Config(model=str(tmp_path), data_dir=tmp_path))
    assert model.state == "problem" and "config.json" in model.says and "model.bin" not in model.says


def test_a_gpu_that_cannot_be_used_is_a_problem(machine):
    gpu = GPU("NVIDIA A100", 40 << 30)
    assert problems(replace(machine, unseen_gpus=(gpu,))) == {"GPU"}
    without = replace(machine, gpus=(gpu,), missing_cuda=("libcublas.so.12",))
    assert problems(without) == {"CUDA"}
    assert found(without, "CUDA")[0].fix == "pip install nvidia-cublas-cu12"
    assert problems(replace(machine, gpus=(gpu,))) == set()


def test_a_missing_library_is_a_problem(machine, monkeypatch):
    monkeypatch.setattr(doctor, "LIBRARIES", ("numpy", "no-such-library"))
    assert problems(machine) == {"software"}
    (absent,) = found(machine, "software", state="problem")
    assert "no-such-library is not installed" in absent.says


def test_half_a_download_is_noticed(machine):
    (machine.cache / "models--Systran--faster-whisper-small").mkdir()
    (half,) = found(machine, "downloaded", state="note")
    assert "faster_whisper:small" in half.says and "hf download Systran/faster-whisper-small" in half.fix


def test_a_disk_without_room_is_noticed(machine):
    assert problems(replace(machine, free=10**6)) == {"model"}


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_we_may_not_write_to_is_a_problem(machine, tmp_path):
    (closed := tmp_path / "closed").mkdir(mode=0o500)
    assert problems(machine, config=Config(data_dir=closed / "data")) == {"data"}


def test_settings_are_shown_and_secrets_are_not(machine):
    config = Config(port=9, api_keys="hush-hush", data_dir=machine.cache)
    said = "\n".join(f.says for f in examine(config, machine, lambda card: False))
    assert "ASR_PORT=9" in said and "ASR_API_KEYS=(set, not shown)" in said and "hush" not in said
