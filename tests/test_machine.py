"""The facts: real probes on this machine, bounded ones against servers that do not behave."""

import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from huggingface_hub import constants

from asr import machine


@contextmanager
def hub(monkeypatch, status: int):
    """A hub that answers everything with `status`; the paths it was asked for."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    try:
        yield asked
    finally:
        server.shutdown()
        server.server_close()


def test_the_facts_of_this_machine_are_plausible():
    facts = machine.look()
    assert facts.cpu
    assert 1 <= facts.cores <= os.cpu_count()
    assert facts.memory > 100 * 2**20
    assert facts.free > 0


def test_looking_needs_no_torch_and_no_network():
    code = "import sys; from asr import machine; machine.look(); print('torch' in sys.modules)"
    away = os.environ | {"HF_ENDPOINT": "http://10.255.255.1"}
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=away)
    assert said.stdout.strip() == "False"


@pytest.mark.parametrize("status, reachable", [(200, True), (403, False), (407, False), (503, False)])
def test_a_hub_is_reachable_when_it_would_give_a_file(monkeypatch, status, reachable):
    with hub(monkeypatch, status) as asked:
        answer = machine.ask_hub()
    assert answer.reachable is reachable
    assert str(status) in answer.says and constants.ENDPOINT.removeprefix("http://") in answer.says
    assert asked[0].startswith("/Systran/")


def test_a_hub_that_says_nothing_costs_no_more_than_our_patience(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        before = time.monotonic()
        answer = machine.ask_hub(patience=0.2)
    assert not answer.reachable
    assert time.monotonic() - before < 5


def test_offline_means_not_even_asked(monkeypatch):
    with hub(monkeypatch, 200) as asked:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        answer = machine.ask_hub()
    assert not answer.reachable and "HF_HUB_OFFLINE" in answer.says and not asked


def test_the_hub_is_asked_once(monkeypatch):
    with hub(monkeypatch, 200) as asked:
        facts = machine.look()
        assert facts.hub().reachable and facts.hub().reachable
    assert len(asked) == 1


def test_a_token_is_known_about_and_not_known(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_verysecret")
    facts = machine.look()
    assert facts.token and "verysecret" not in repr(facts)


@pytest.mark.parametrize(
    "files, cores",
    [({"cpu.max": "150000 100000"}, 1), ({"cpu.max": "max 100000"}, 8), ({}, 8),
     ({"cpu/cpu.cfs_quota_us": "400000", "cpu/cpu.cfs_period_us": "100000"}, 4)],
)  # fmt: skip
def test_a_container_s_share_of_the_cores_is_what_counts(monkeypatch, files, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(machine, "_lines", lambda path: iter(filter(None, [files.get(path[15:])])))
    assert machine.cores() == cores


def nvidia_smi(folder, says: str):
    tool = folder / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\nprintf '{says}'\n")
    tool.chmod(0o755)


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script stands in for nvidia-smi")
def test_a_gpu_that_ctranslate2_does_not_see_is_told_apart(monkeypatch, tmp_path):
    nvidia_smi(tmp_path, "0, GPU-aa, 24576, NVIDIA A, B\\n1, GPU-bb, 8192, NVIDIA C\\n")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(machine, "_engine_gpus", lambda: 1)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    facts = machine.look()
    assert facts.gpus == (machine.GPU("NVIDIA A, B", 24 << 30),)
    assert facts.unseen_gpus == (machine.GPU("NVIDIA C", 8 << 30),)
    for shown in ("1", "GPU-bb"):  # the first one is hidden on purpose
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
        facts = machine.look()
        assert facts.gpus == (machine.GPU("NVIDIA C", 8 << 30),) and not facts.unseen_gpus


def test_a_mirror_s_password_is_not_shown(monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://me:hush@127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    says = machine.ask_hub().says
    assert "127.0.0.1:9" in says and "hush" not in says


def test_cublas_is_looked_for_where_the_loader_and_the_wheels_have_it(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "find_library", lambda _: None)
    monkeypatch.setattr(machine, "find_spec", lambda _: None)
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    assert machine._missing_cuda() == ((machine.CUBLAS,) if sys.platform == "linux" else ())
    (tmp_path / machine.CUBLAS).touch()
    assert machine._missing_cuda() == ()


def made(folder, **files: str):
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


MEMINFO = "MemTotal:       16000000 kB\nMemFree:  100 kB\nMemAvailable:    8000000 kB\n"


def test_free_memory_is_what_the_system_can_give():
    free, meminfo = machine.free_memory(), Path("/proc/meminfo")
    assert (free is not None and 0 < free < 2**50) if meminfo.exists() else free is None


def test_free_memory_counts_the_limit_of_the_container(tmp_path):
    group = tmp_path / "sys/fs/cgroup"
    made(tmp_path, proc__meminfo=MEMINFO, proc__self__cgroup="0::/\n")
    assert machine.free_memory(tmp_path) == 8_000_000 * 1024  # no limit
    made(group, memory_dot_max="max\n", memory_dot_current="5\n")
    assert machine.free_memory(tmp_path) == 8_000_000 * 1024
    made(group, memory_dot_max="2000000000\n", memory_dot_current="1900000000\n")
    assert machine.free_memory(tmp_path) == 100_000_000
    made(group, memory_dot_stat="anon 9\ninactive_file 300000000\nactive_file 50000000\n")
    assert machine.free_memory(tmp_path) == 450_000_000  # files in memory are given up first


def test_the_tightest_of_nested_groups_counts(tmp_path):
    group = tmp_path / "sys/fs/cgroup"
    made(tmp_path, proc__meminfo=MEMINFO, proc__self__cgroup="0::/system.slice/parlance.service\n")
    made(group / "system.slice", memory_dot_max="300000000\n", memory_dot_current="100000000\n")
    made(group / "system.slice/parlance.service", memory_dot_max="max\n", memory_dot_current="1\n")
    assert machine.free_memory(tmp_path) == 200_000_000


def test_the_older_kind_of_groups_counts_too(tmp_path):
    group = tmp_path / "sys/fs/cgroup/memory"
    made(tmp_path, proc__meminfo=MEMINFO, proc__self__cgroup="5:cpu,cpuacct:/x\n4:memory:/docker/abc\n0::/\n")
    made(group, memory_dot_limit_in_bytes="700\n", memory_dot_usage_in_bytes="300\n")
    assert machine.free_memory(tmp_path) == 400  # of the host's path only the root is to be seen


def test_a_system_that_does_not_tell_is_believed_nothing(tmp_path):
    assert machine.free_memory(tmp_path) is None
