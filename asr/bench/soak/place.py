"""Where a soak takes place: a server of its own, which can be harmed, or one that runs already."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import httpx

from asr.bench.soak.disk import Disk
from asr.bench.soak.endpoint import Endpoint
from asr.bench.soak.faults import Faults
from asr.bench.soak.ledger import Ledger
from asr.bench.soak.server import Server, free_port
from asr.errors import ConfigError

EXACT = "synthetic:voice"  # the one model that hears what the guests say


class Ours:
    """The real app with the exact engine, an endpoint beside it, and a disk that can be full."""

    models = ("auto", "auto", "remote:auto")
    exact = True

    def __init__(self, folder: Path):
        self.endpoint = Endpoint(free_port())
        self.server = Server(
            folder,
            ASR_ENDPOINT_URL=f"http://127.0.0.1:{self.endpoint.port}/v1",
            ASR_ENDPOINT_PATIENCE="5",
            ASR_API_MODELS="remote:auto",
            ASR_REQUESTS_PER_MINUTE="0",  # all guests come from one address
        )
        self.url, self.data = self.server.url, self.server.data
        self.guests, self.trouble = self.server.guests, self.server.trouble
        self.disk: Disk | None = None
        self.missing = ""  # which fault could not be tried, and why

    @property
    def pid(self) -> int:
        return self.server.pid

    async def open(self) -> None:
        try:
            self.disk = Disk(self.data)
        except OSError as e:
            self.missing = f"the disk was never full: {str(e).strip()}"
        await self.server.start()

    async def close(self) -> int:
        """The exit code of the server."""
        return await self.server.stop()

    def clear(self) -> None:
        """Nothing of all this is left; the server is closed."""
        self.endpoint.stop()
        if self.disk:
            self.disk.close()

    def faults(self, ledger: Ledger, dice: Random) -> Faults:
        return Faults(ledger, self.server, self.endpoint, self.disk, dice)


class Theirs:
    """A server on this machine that somebody else started; nothing is done to it but what guests do."""

    models = ("auto",)
    data, missing = None, "nothing went wrong: the server is not ours"

    def __init__(self, url: str):
        """Raises ConfigError for an address that is not this machine's, or where nobody listens."""
        there = urlsplit(url)
        try:
            here = there.hostname == "localhost" or ip_address(there.hostname or "").is_loopback
            self.pid = _listening(there.port or 80) if here else 0
        except ValueError:
            self.pid = 0
        if not self.pid:
            raise ConfigError(
                f"No process of yours serves {url} on this machine.", "Start it, or leave out --url."
            )
        self.url, self.exact = url.rstrip("/"), False

    async def open(self) -> None:
        async with httpx.AsyncClient() as client:
            ready = await client.get(f"{self.url}/healthz/ready", timeout=20)
        self.exact = ready.json()["model"] == EXACT

    async def close(self) -> int:
        return 0

    def clear(self) -> None:
        pass

    async def guests(self) -> Counter:
        return Counter()

    def trouble(self) -> Counter:
        return Counter()


def _listening(port: int) -> int:
    """The process that listens on a TCP port; 0: none that we may look at."""
    sockets = set()
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            rows = [line.split() for line in Path("/proc/net", table).read_text().splitlines()[1:]]
            sockets |= {
                f"socket:[{r[9]}]" for r in rows if r[3] == "0A" and int(r[1].split(":")[1], 16) == port
            }
    for entry in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            if os.readlink(entry) in sockets:
                return int(entry.parts[2])
    return 0
