"""What this machine has: the facts that the choice of a model and `doctor` speak from.

Every probe is bounded in time and answers for what it looked at, nothing more. The hub is
asked only when somebody needs to know: it is the one slow fact.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from ctypes.util import find_library
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

HUB_PATIENCE = 3.0  # seconds; a page must not wait for a network that is not there
_GROUP = {  # what control groups call the limit, what is taken, and of it what files are kept
    "": ("memory.max", "memory.current", "inactive_file", "active_file"),
    "memory": (
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        "total_inactive_file",
        "total_active_file",
    ),
}
CUBLAS = "libcublas.so.12"  # the one library of CUDA that CTranslate2 4.8's wheel does not bring


@dataclass(frozen=True, slots=True)
class GPU:
    name: str
    memory: int  # bytes


@dataclass(frozen=True, slots=True)
class Hub:
    reachable: bool
    says: str  # a sentence: what was asked and what came back


@dataclass(frozen=True, slots=True)
class Machine:
    cpu: str
    cores: int  # that this process may use: affinity and container limits counted
    memory: int  # bytes, container limits counted
    gpus: tuple[GPU, ...]  # that CTranslate2 sees
    unseen_gpus: tuple[GPU, ...]  # that the driver lists and CTranslate2 does not see
    missing_cuda: tuple[str, ...]  # libraries CTranslate2 needs for a GPU and the loader would not find
    token: bool  # whether there is a Hugging Face token; its value stays where it is
    cache: Path  # where downloaded models are kept
    free: int  # bytes left on that disk
    hub: Callable[[], Hub]  # asks once, for at most HUB_PATIENCE seconds; remembers the answer


def look() -> Machine:
    """The facts about this machine, in well under a second where there is no GPU."""
    from huggingface_hub import constants, get_token

    listed, seen = _driver_gpus(), _engine_gpus()
    where = Path(constants.HF_HUB_CACHE)
    return Machine(
        cpu=_cpu(),
        cores=cores(),
        memory=_memory(),
        gpus=listed[:seen] + (GPU("unknown GPU", 0),) * (seen - len(listed)),
        unseen_gpus=listed[seen:],
        missing_cuda=_missing_cuda() if listed or seen else (),
        token=bool(get_token()),
        cache=where,
        free=free_bytes(where),
        hub=cache(ask_hub),
    )


def ask_hub(patience: float = HUB_PATIENCE) -> Hub:
    """Whether models can be downloaded, asked as huggingface_hub asks: its endpoint, proxies, switches."""
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session

    name = urlsplit(constants.ENDPOINT).netloc.rpartition("@")[2]  # without anybody's password
    if constants.HF_HUB_OFFLINE:
        return Hub(False, "HF_HUB_OFFLINE is set, so the model hub is not asked.")
    answers: list[Hub] = []

    def ask() -> None:
        url = f"{constants.ENDPOINT}/Systran/faster-whisper-tiny/resolve/main/config.json"
        try:
            status = get_session().head(url, timeout=patience, allow_redirects=True).status_code
            answers.append(Hub(status < 400, f"{name} answers ({status})."))
        except Exception as e:  # a proxy, a certificate, a name: whatever it is, no model comes from there
            answers.append(Hub(False, f"{name} cannot be reached ({type(e).__name__})."))

    asking = Thread(target=ask, daemon=True)  # name look-ups know no timeout of their own
    asking.start()
    asking.join(patience)
    return answers[0] if answers else Hub(False, f"{name} did not answer within {patience:g} s.")


def _cpu() -> str:
    if sys.platform == "linux":
        for line in _lines("/proc/cpuinfo"):
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    if sys.platform == "darwin":
        return _output("sysctl", "-n", "machdep.cpu.brand_string").strip() or platform.machine()
    return platform.processor() or platform.machine()


def cores() -> int:
    """That this process may use: affinity and container limits counted."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, period = next(map(str.split, _lines("/sys/fs/cgroup/cpu.max")), ["max", "0"])[:2]  # cgroup v2
    if quota == "max":
        quota = next(_lines("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), "-1")  # cgroup v1
        period = next(_lines("/sys/fs/cgroup/cpu/cpu.cfs_period_us"), "0")
    if int(quota) > 0 and int(period) > 0:
        usable = min(usable, max(1, int(quota) // int(period)))
    return usable


def _memory() -> int:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return 0
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        said = next(_lines(limit), "").strip()
        total = min(total, int(said)) if said.isdigit() else total
    return total


def free_memory(system: Path = Path("/")) -> int | None:
    """Bytes that may still be taken before somebody is killed for it, by the limits of our container too.

    What files are kept in memory counts as free: it is given up first. None: this system does not tell.
    """
    lines = {name: rest.split()[0] for name, rest in _pairs(system / "proc/meminfo", ":")}
    found = [int(lines["MemAvailable"]) * 1024] if "MemAvailable" in lines else []
    return min([*found, *_group_memory(system)], default=None)


def _group_memory(system: Path) -> Iterator[int]:
    """What each control group around us leaves; version 2 first, then 1, from ours up to the root."""
    for line in _lines(str(system / "proc/self/cgroup")):
        _, kinds, ours = line.rstrip("\n").split(":", 2)
        if kinds not in ("", "memory"):
            continue
        root = system / "sys/fs/cgroup" / kinds
        most, taken, *files = _GROUP[kinds]
        # In a container the path may be the host's, of which only the root is to be seen.
        for folder in (root / ours.lstrip("/"), *(root / ours.lstrip("/")).parents):
            limit, used = (next(_lines(str(folder / name)), "").strip() for name in (most, taken))
            if limit.isdigit() and used.isdigit():
                kept = dict(_pairs(folder / "memory.stat", " "))
                yield int(limit) - int(used) + sum(int(kept.get(name, 0)) for name in files)
            if folder == root:
                break


def _pairs(path: Path, mark: str) -> Iterator[tuple[str, str]]:
    for line in _lines(str(path)):
        name, _, rest = line.partition(mark)
        if rest.strip():
            yield name, rest.strip()


def _driver_gpus() -> tuple[GPU, ...]:
    """The GPUs that nvidia-smi lists, without those that CUDA_VISIBLE_DEVICES hides on purpose."""
    fields = "--query-gpu=index,uuid,memory.total,name"
    table = _output("nvidia-smi", fields, "--format=csv,noheader,nounits")
    rows = [row.split(", ", 3) for row in table.splitlines()]
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    return tuple(
        GPU(row[3], int(row[2]) << 20)
        for row in rows
        if len(row) == 4 and row[2].isdigit() and (shown is None or _named(row[0], row[1], shown))
    )


def _named(index: str, uuid: str, shown: str) -> bool:
    return any(part == index or (part and uuid.startswith(part)) for part in shown.split(","))


def _engine_gpus() -> int:
    try:
        import ctranslate2
    except ImportError:
        return 0
    try:
        return ctranslate2.get_cuda_device_count()
    except RuntimeError:  # a driver too old for the wheel
        return 0


def _missing_cuda() -> tuple[str, ...]:
    if sys.platform != "linux":
        return ()
    folders = [Path(p) for p in os.environ.get("LD_LIBRARY_PATH", "").split(":") if p]
    wheels = find_spec("nvidia")  # those that torch brings
    folders += [Path(p) / "cublas" / "lib" for p in (wheels and wheels.submodule_search_locations) or ()]
    found = any((f / CUBLAS).exists() for f in folders) or find_library("cublas") == CUBLAS
    return () if found else (CUBLAS,)


def free_bytes(folder: Path) -> int:
    """Bytes left on the disk where `folder` is or would be."""
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _lines(path: str) -> Iterator[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            yield from f
    except OSError:
        return
