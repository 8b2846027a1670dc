"""What transcription costs: a measured speed and a list of prices. No machine is given another one's speed.

dollars per hour of audio = dollars per hour of the machine / times real time measured on it
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from asr.errors import ASRError, ConfigError

PRICES = Path(__file__).parent / "prices.json"
KEPT = "bench"  # below ASR_DATA_DIR: what the last benchmarks found
HOURS = (100, 1_000, 10_000)
MONTH = 730.0  # hours
LOST = 0.05  # of the work on spot machines is done again: what was being heard when they went


@dataclass(frozen=True, slots=True)
class Machine:
    name: str
    what: str
    gpu: str  # part of its name as the driver gives it; empty for a CPU
    hourly: float  # dollars
    spot: float  # dollars per hour, with what interruptions cost
    dated: str  # date and source of the price

    def per_audio_hour(self, rtfx: float, spot: bool = False) -> float:
        """Dollars at `rtfx` times real time, while it has work all the time."""
        return (self.spot if spot else self.hourly) / rtfx

    def even(self, api: Api) -> float:
        """Times real time from which on the busy machine is cheaper than that API."""
        return self.hourly / api.per_audio_hour

    def worth_a_month(self, api: Api) -> float:
        """Hours of audio a month from which on the machine, always on, is cheaper than that API."""
        return self.hourly * MONTH / api.per_audio_hour


@dataclass(frozen=True, slots=True)
class Api:
    name: str
    per_audio_hour: float  # dollars
    dated: str


@dataclass(frozen=True, slots=True)
class Prices:
    machines: tuple[Machine, ...]
    apis: tuple[Api, ...]
    note: str = ""  # what to think of them

    @property
    def cheapest(self) -> Api:
        return min(self.apis, key=lambda api: api.per_audio_hour)

    def machine(self, name: str) -> Machine:
        found = next((m for m in self.machines if m.name == name), None)
        if not found:
            known = ", ".join(m.name for m in self.machines)
            raise ConfigError(f"There is no price of {name!r}.", f"There are: {known}. Or give --price.")
        return found

    def with_gpu(self, gpus: Sequence[str]) -> Machine | None:
        """The cheapest machine with one of these, as the driver names them; CPUs are not told by a name."""
        same = [m for m in self.machines if m.gpu and any(m.gpu in gpu.split() for gpu in gpus)]
        return min(same, key=lambda m: m.hourly, default=None)


def prices(path: Path = PRICES) -> Prices:
    """The table in a file like asr/prices.json; raises ASRError where it is none."""
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        share = table["spot"]["share"]
        machines = tuple(
            Machine(
                m["name"], m["what"], m["gpu"], m["usd_per_hour"],
                m.get("spot_usd_per_hour", share * m["usd_per_hour"]) * (1 + LOST),
                f"{m['date']}, {m['source']}",
            )
            for m in table["machines"]
        )  # fmt: skip
        apis = tuple(
            Api(a["name"], a["usd_per_audio_hour"], f"{a['date']}, {a['source']}") for a in table["apis"]
        )
        return Prices(machines, apis, table.get("note", ""))
    except OSError as e:
        raise ASRError(f"{path} cannot be read: {e.strerror}.") from e
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise ASRError(f"{path} is no table of prices ({e!r}).", f"Begin with a copy of {PRICES}.") from e


@dataclass(frozen=True, slots=True)
class Measured:
    """A speed, and where it was measured."""

    rtfx: float  # times real time
    model: str = ""
    gpus: tuple[str, ...] = ()
    when: float = 0.0  # seconds since 1970


def measured(path: Path) -> Measured:
    """What `bench speed`, `bench batch` or `batch` wrote as JSON; raises ASRError where it tells no speed."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        model = found.get("model") or found.get("asked", {}).get("model", "")
        gpus = found.get("machine", {}).get("gpus", ())
        about = model, tuple(gpus), path.stat().st_mtime
        if "rtfx" in found:
            return Measured(float(found["rtfx"]), *about)
        rows = found["contenders"]
        ours = rows["batch"] if "batch" in rows else rows["ours"]
        return Measured(found["seconds"] / ours["wall"], *about)
    except OSError as e:
        raise ASRError(f"{path} cannot be read: {e.strerror}.") from e
    except (ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError) as e:
        fix = "Give the JSON of bench speed, bench batch, or a report of batch."
        raise ASRError(f"{path} tells no speed ({e!r}).", fix) from e


def latest(data: Path) -> Measured | None:
    """This machine's last `bench speed` or `bench batch`; None: there was none. `data`: ASR_DATA_DIR."""
    kept = sorted((data / KEPT).glob("*.json"), key=lambda path: path.stat().st_mtime)
    return measured(kept[-1]) if kept else None


def keep(report: dict, data: Path, name: str) -> None:
    """Let `latest` find what a benchmark found; the file is whole or not there."""
    path = data / KEPT / f"{name}.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_text(json.dumps(report), encoding="utf-8")
        part.replace(path)
    except OSError as e:
        what = f"{path} cannot be written: {e.strerror}."
        raise ASRError(what, "Set ASR_DATA_DIR to a folder of yours.") from e


def figures(
    table: Prices, hours: Sequence[int], machine: Machine | None, rtfx: float | None, streams: int | None
) -> dict:
    """Everything there is to say; without a machine and its speed, only what needs neither."""
    rows = []
    if machine and rtfx:
        rows = [(f"{machine.name}, on demand", machine.per_audio_hour(rtfx), machine.dated)]
        if machine.spot != machine.hourly:
            rows.append((f"{machine.name}, spot", machine.per_audio_hour(rtfx, spot=True), machine.dated))
    rows += [(api.name, api.per_audio_hour, api.dated) for api in table.apis]
    return {
        "rtfx": rtfx,
        "machine": asdict(machine) if machine else None,
        "rows": [
            {"name": name, "per_hour": each, "cost": {str(h): h * each for h in hours}, "dated": dated}
            for name, each, dated in sorted(rows, key=lambda row: row[1])
        ],
        "even": [
            {"name": m.name, "what": m.what, "per_hour": m.hourly, "rtfx": m.even(table.cheapest),
             "dated": m.dated}
            for m in table.machines
        ],
        "cheapest_api": table.cheapest.name,
        "advice": advice(machine, rtfx, table, streams) if machine and rtfx else [],
    }  # fmt: skip


def advice(machine: Machine, rtfx: float, prices: Prices, streams: int | None = None) -> list[str]:
    """What to run where, for three workloads: one sentence each, with its figures."""
    api, cost = prices.cheapest, machine.per_audio_hour(rtfx)
    spot, month = machine.per_audio_hour(rtfx, spot=True), machine.worth_a_month(api)
    ratio = api.per_audio_hour / spot
    says = [
        f"Archives: on spot machines, which batch survives: {spot:.4f} an hour of audio, "
        + (f"{ratio:,.0f} times cheaper than {api.name}." if ratio >= 1 else f"but {api.name} is cheaper.")
    ]
    capacity = rtfx * MONTH
    if month > capacity:
        says.append(f"Always on: never cheaper than {api.name} ({api.per_audio_hour:.2f}) at this speed.")
    else:
        says.append(
            f"Always on: cheaper than {api.name} from {month:,.0f} hours of audio a month; "
            f"it can do {capacity:,.0f}."
        )
    says.append(
        f"Bursts: below that, start it when there is work (a busy hour of it does {rtfx:,.0f} hours of audio "
        f"for {machine.hourly:.2f}), or use an API."
    )
    if streams:
        says.append(f"Live: {machine.hourly / streams:.4f} per hour of one of {streams} streams at once.")
    return [*says, f"(Busy, on demand: {cost:.4f} an hour of audio.)"]
