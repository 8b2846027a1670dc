"""python -m asr cost: what hours of audio cost, from a measured speed and a table of prices.

The speed is that of a machine: this machine's last bench speed or bench batch, or --bench FILE (their JSON,
or the report of batch), or --rtfx X; the machine is the one in the table with its GPU, or --machine NAME,
or --price P for your own.
Of other machines only what needs no speed is told: from how many times real time on they are cheaper than
an API.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from asr.config import Config
from asr.cost import HOURS, PRICES, Machine, Measured, Prices, figures, latest, measured, prices
from asr.errors import ConfigError


def main(argv: list[str]) -> int:
    args = _parse(argv)
    table, speed = prices(args.prices), _speed(args)
    machine = _machine(args, table, speed)
    found = figures(table, args.hours, machine, speed.rtfx if machine and speed else None, args.streams)
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(_shown(found, args.prices))
    return 0


def _speed(args: argparse.Namespace) -> Measured | None:
    """Raises ConfigError where a price is asked for and no speed is known."""
    if args.rtfx:
        return Measured(args.rtfx)
    speed = measured(args.bench) if args.bench else latest(Config.from_env().data_dir)
    if not speed and (args.machine or args.price or args.streams):
        what = "How fast is it? This machine has no benchmark yet."
        raise ConfigError(what, "Add --bench or --rtfx, or run: python -m asr bench speed RECORDING")
    return speed


def _machine(args: argparse.Namespace, table: Prices, speed: Measured | None) -> Machine | None:
    if args.price is not None:
        return Machine("yours", "your own", "", args.price, args.spot or args.price, "given")
    if args.machine:
        return table.machine(args.machine)
    found = table.with_gpu(speed.gpus) if speed else None
    if not found and (args.rtfx or args.bench or args.streams):
        known = ", ".join(m.name for m in table.machines)
        fix = f"Say --price P, its price per hour, or --machine with one of: {known}."
        raise ConfigError("Nobody knows what the machine of that speed costs.", fix)
    return found


def _shown(found: dict, path: Path) -> str:
    hours = list(found["rows"][0]["cost"])
    lines = [f"{'US dollars for hours of audio':42}" + "".join(f"{int(h):>12,}" for h in hours)]
    for row in found["rows"]:
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
