"""The server under test: started, killed, started again, and looked at from outside."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import httpx

from asr.errors import BackendUnavailable

APP = Path(__file__).parents[3] / "app.py"
PATIENCE = 120.0  # seconds until the server must answer


@dataclass(frozen=True, slots=True)
class Vitals:
    """What a process holds at one moment; of Linux' /proc."""

    at: float  # seconds since the soak began
    anonymous: float  # MiB of memory that is no file
    resident: float  # MiB with its files
    threads: int
    descriptors: int
    children: int


class Server:
    """`python app.py` in a process of its own, with an engine that can be made to fail."""

    def __init__(self, folder: Path, **settings: str):
        self.data, self.log, self.port = folder / "data", folder / "server.log", free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        ours = {name: value for name, value in os.environ.items() if not name.startswith("ASR_")}
        self._environment = ours | settings | {
            "ASR_DATA_DIR": str(self.data),
            "ASR_PORT": str(self.port),
            "ASR_MODEL": "synthetic:voice",
        }  # fmt: skip
        self.process: subprocess.Popen | None = None

    @property
    def pid(self) -> int:
        return self.process.pid

    async def start(self) -> None:
        """Returns when its model is there. Raises BackendUnavailable when it does not come."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "asr.bench.soak.child"],
                stdin=subprocess.PIPE, stdout=log, stderr=log, env=self._environment, cwd=APP.parent,
            )  # fmt: skip
        async with httpx.AsyncClient() as client:
            for _ in range(round(PATIENCE / 0.2)):
                with suppress(httpx.HTTPError):
                    if (await client.get(f"{self.url}/healthz/ready", timeout=2)).status_code == 200:
                        return
                if self.process.poll() is not None:
                    break
                await asyncio.sleep(0.2)
        tail = self.log.read_text(errors="replace")[-2000:]
        raise BackendUnavailable(f"The server does not start. It says:\n{tail}", "Does python app.py start?")

    def order(self, fault: str, seconds: float) -> None:
        self._tell({"fault": fault, "seconds": seconds})

    async def guests(self) -> Counter:
        """What it holds for its guests: sessions, streams, connections, open recordings."""
        answer = self.log.with_name("guests.json")
        answer.unlink(missing_ok=True)
        self._tell({"guests": str(answer)})
        for _ in range(100):
            await asyncio.sleep(0.1)
            with suppress(OSError, ValueError):
                return Counter(json.loads(answer.read_text(encoding="utf-8")))
        raise BackendUnavailable("The server does not answer.", f"Read {self.log}.")

    def _tell(self, order: dict) -> None:
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        self.process.stdin.flush()

    async def kill(self) -> None:
        """SIGKILL: it cannot say goodbye."""
        self.process.kill()
        await asyncio.to_thread(self.process.wait)
        self.process.stdin.close()

    async def stop(self) -> int:
        """SIGTERM, if it runs; returns its exit code."""
        if not self.process:
            return 0
        self.process.terminate()
        try:
            return await asyncio.to_thread(self.process.wait, 60)
        except subprocess.TimeoutExpired:
            await self.kill()
            return -9

    def trouble(self) -> Counter:
        """The last lines of the tracebacks in its log, and how many of each."""
        lines = self.log.read_text(errors="replace").splitlines()
        ends = (b for a, b in pairwise(lines) if a.startswith("    ") and not b.startswith(" "))
        return Counter(line[:160] for line in ends)


def vitals(pid: int, at: float) -> Vitals:
    """Raises OSError when the process is gone."""
    proc = Path("/proc") / str(pid)
    status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
    children = sum(len((task / "children").read_text().split()) for task in (proc / "task").iterdir())
    return Vitals(
        at,
        int(status["RssAnon"].split()[0]) / 1024,
        int(status["VmRSS"].split()[0]) / 1024,
        int(status["Threads"]),
        len(os.listdir(proc / "fd")),
        children,
    )


def open_files(pid: int) -> Counter:
    """What its descriptors lead to."""
    found: Counter = Counter()
    for entry in (Path("/proc") / str(pid) / "fd").iterdir():
        with suppress(OSError):
            found[os.readlink(entry).partition(":[")[0]] += 1
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as there:
        return there.getsockname()[1]
