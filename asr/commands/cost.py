"""python -m asr cost: what hours of audio cost, from a measured speed and a table of prices.

The speed is that of a machine: --bench FILE (JSON of bench speed, bench batch, or the report of batch) or
--rtfx X; the machine is the one in the table with its GPU, or --machine NAME, or --price P for your own.
Of other machines only what needs no speed is told: from how many times real time on they are cheaper than
an API.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from asr.cost import PRICES, Machine, Prices, advice, measured, prices
from asr.errors import ConfigError

HOURS = (100, 1_000, 10_000)


def main(argv: list[str]) -> int:
    args = _parse(argv)
    table = prices(args.prices)
    rtfx, gpus = measured(args.bench) if args.bench else (args.rtfx, [])
    machine = _machine(args, table, gpus)
    found = _figures(machine, rtfx, table, args)
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(_shown(found, args.prices))
    return 0


def _machine(args: argparse.Namespace, table: Prices, gpus) -> Machine | None:
    if args.price is not None:
        return Machine("yours", "your own", "", args.price, args.spot or args.price, "given")
    if args.machine:
        return table.machine(args.machine)
    same = [m for m in table.machines if m.gpu and any(m.gpu in gpu.split() for gpu in gpus)]
    if args.rtfx or args.bench:
        if not same:
            known = ", ".join(m.name for m in table.machines)
            fix = f"Say --price P, its price per hour, or --machine with one of: {known}."
            raise ConfigError("Nobody knows what the machine of that speed costs.", fix)
        return min(same, key=lambda m: m.hourly)
    return None


def _figures(machine: Machine | None, rtfx: float | None, table: Prices, args) -> dict:
    rows = []
    if machine and rtfx:
        rows.append({"name": f"{machine.name}, on demand", "per_hour": machine.per_audio_hour(rtfx)})
        if machine.spot != machine.hourly:
            rows.append(
                {"name": f"{machine.name}, spot", "per_hour": machine.per_audio_hour(rtfx, spot=True)}
            )
    rows += [{"name": api.name, "per_hour": api.per_audio_hour} for api in table.apis]
    return {
        "rtfx": rtfx,
        "machine": asdict(machine) if machine else None,
        "rows": [r | {"cost": {str(h): h * r["per_hour"] for h in args.hours}} for r in rows],
        "even": [{"name": m.name, "what": m.what, "per_hour": m.hourly, "rtfx": m.even(table.cheapest)}
                 for m in table.machines],
        "cheapest_api": table.cheapest.name,
        "advice": advice(machine, rtfx, table, args.streams) if machine and rtfx else [],
    }  # fmt: skip


def _shown(found: dict, path: Path) -> str:
    hours = list(found["rows"][0]["cost"])
    lines = [f"{'US dollars for hours of audio':42}" + "".join(f"{int(h):>12,}" for h in hours)]
    for row in sorted(found["rows"], key=lambda r: r["per_hour"]):
        lines.append(f"{row['name']:42}" + "".join(f"{row['cost'][h]:12,.2f}" for h in hours))
    if found["rtfx"]:
        lines.append(f"at {found['rtfx']:,.1f} times real time, measured on {found['machine']['what']}")
    lines += ["", *found["advice"]] if found["advice"] else []
    lines += ["", f"{'busy, cheaper than ' + found['cheapest_api'] + ' from':60}{'x real time':>12}"]
    for each in found["even"]:
        name = f"{each['name']} ({each['what']}, {each['per_hour']:.2f} an hour)"
        lines.append(f"{name:60}{each['rtfx']:12,.1f}")
    return "\n".join([*lines, "", f"Prices with date and source: {path}"])


def _parse(argv: list[str]) -> argparse.Namespace:
    p = argparse.ArgumentParser(
        "python -m asr cost",
        description=__doc__.partition(": ")[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = p.add_argument
    add("--bench", type=Path, metavar="FILE", help="a measured speed")
    add("--rtfx", type=_more, metavar="X", help="a measured speed, times real time")
    add("--machine", metavar="NAME", help="on which it was measured, by its name in the table")
    add("--price", type=_more, metavar="P", help="dollars per hour of the machine on which it was measured")
    add("--spot", type=_more, metavar="P", help="dollars per hour of it as a spot machine")
    add("--streams", type=int, metavar="N", help="live at once on it, by bench streams")
    add("--hours", type=_hours, default=HOURS, metavar="H,H", help="of audio (100,1000,10000)")
    add("--prices", type=Path, default=PRICES, metavar="FILE", help="a table of your own (%(default)s)")
    add("--json", type=Path, metavar="FILE", help="write the figures there, too")
    args = p.parse_args(argv)
    if args.bench and args.rtfx:
        p.error("--bench and --rtfx say the same thing: give one")
    if (args.machine or args.price or args.streams) and not (args.bench or args.rtfx):
        p.error("how fast is it? add --bench or --rtfx")
    return args


def _more(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return value


def _hours(text: str) -> tuple[int, ...]:
    if not all(part.isdecimal() and int(part) for part in text.split(",")):
        raise argparse.ArgumentTypeError(f"{text!r} are no whole numbers of hours")
    return tuple(map(int, text.split(",")))
