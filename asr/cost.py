"""What transcription costs: a measured speed and a list of prices. No machine is given another one's speed.

dollars per hour of audio = dollars per hour of the machine / times real time measured on it
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from asr.errors import ASRError, ConfigError

PRICES = Path(__file__).parent / "prices.json"
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

    @property
    def cheapest(self) -> Api:
        return min(self.apis, key=lambda api: api.per_audio_hour)

    def machine(self, name: str) -> Machine:
        found = next((m for m in self.machines if m.name == name), None)
        if not found:
            known = ", ".join(m.name for m in self.machines)
            raise ConfigError(f"There is no price of {name!r}.", f"There are: {known}. Or give --price.")
        return found


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
        return Prices(machines, apis)
    except OSError as e:
        raise ASRError(f"{path} cannot be read: {e.strerror}.") from e
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise ASRError(f"{path} is no table of prices ({e!r}).", f"Begin with a copy of {PRICES}.") from e


def measured(path: Path) -> tuple[float, Sequence[str]]:
    """Times real time, and the GPUs, in what `bench speed`, `bench batch` or `batch` wrote as JSON."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        gpus = found.get("machine", {}).get("gpus", [])
        if "rtfx" in found:
            return float(found["rtfx"]), gpus
        rows = found["contenders"]
        ours = rows["batch"] if "batch" in rows else rows["ours"]
        return found["seconds"] / ours["wall"], gpus
    except OSError as e:
        raise ASRError(f"{path} cannot be read: {e.strerror}.") from e
    except (ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError) as e:
        fix = "Give the JSON of bench speed, bench batch, or a report of batch."
        raise ASRError(f"{path} tells no speed ({e!r}).", fix) from e


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
