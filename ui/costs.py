"""What transcription costs on this machine, beside other people's APIs: for the server's owner."""

from __future__ import annotations

import time
from html import escape
from math import isfinite

import gradio as gr

from asr.config import Config
from asr.cost import HOURS, Machine, Measured, Prices, figures, latest, prices
from asr.errors import ASRError
from asr.gate.owner import is_owner
from asr.models import Models
from ui import render
from ui.language import say, sentence

OWN = "own"  # a price that the owner gives
COMMAND = "<code>python -m asr bench speed RECORDING</code>"
QUIET = {"queue": False, "show_progress": "hidden", "api_name": False}


def tab(page: gr.Blocks, models: Models, config: Config) -> None:
    """`python -m asr cost` with fields; filled in from this machine's last benchmark."""
    table = prices()
    names = [(_choice(machine), machine.name) for machine in table.machines]
    with gr.Column(elem_classes="card costs"):
        said = say("costs.says", command=COMMAND)
        gr.HTML(f"<h2>{say('page.costs')}</h2><p class='hint'>{said}</p>", padding=False)
        with gr.Row():
            rtfx = gr.Number(label=say("costs.speed"), info=say("costs.speed_says"))
            machine = gr.Dropdown(
                [(say("costs.another"), OWN), *names],
                value=OWN,
                label=say("costs.machine"),
                info=say("costs.machine_says"),
            )
            streams = gr.Number(label=say("costs.streams"), info=say("costs.streams_says"), precision=0)
        with gr.Row() as own:
            hourly = gr.Number(label=say("costs.price"), info=say("costs.price_says"))
            spot = gr.Number(label=say("costs.spot"), info=say("costs.spot_says"))
        shown = gr.HTML(padding=False)
    fields = [rtfx, machine, streams, hourly, spot]

    def begin(request: gr.Request):
        """The fields, as the last benchmark fills them."""
        if not is_owner(request):
            return [gr.skip(), gr.skip(), gr.skip()]
        found, note = _last(config)
        known = table.with_gpu(found.gpus) if found else None
        return [
            gr.Number(round(found.rtfx, 2) if found else None, info=note),
            known.name if known else OWN,
            gr.Row(visible=not known),
        ]

    def show(request: gr.Request, rtfx, name, streams, hourly, spot):
        if not is_owner(request):
            return gr.skip(), gr.skip()
        hourly, spot = _positive(hourly), _positive(spot)
        asked = Machine(say("costs.yours"), "", "", hourly, spot or hourly, "given") if hourly else None
        chosen = asked if name == OWN else table.machine(name)
        streams = int(_positive(streams) or 0) or None
        return told(table, chosen, _positive(rtfx), streams), gr.Row(visible=name == OWN)

    page.load(begin, None, [rtfx, machine, own], **QUIET).then(show, fields, [shown, own], **QUIET)
    gr.on([field.change for field in fields], show, fields, [shown, own], **QUIET)


def told(table: Prices, machine: Machine | None, rtfx: float | None, streams: int | None = None) -> str:
    """The tables and the advice, as HTML."""
    found = figures(table, HOURS, machine, rtfx, streams)
    mine = f"{machine.name}, " if found["advice"] else None
    if not mine:
        missing = say("costs.no_price") if rtfx else say("costs.no_speed")
        notice = render.notice("info", missing, say("costs.how"))
    else:
        advice = "".join(f"<li>{escape(sentence(said))}</li>" for said in found["advice"])
        notice = f"<ul class='advice'>{advice}</ul>"
    costs = [
        ([sentence(row["name"]), *(f"{cost:,.2f}" for cost in row["cost"].values())], row["dated"],
         bool(mine) and row["name"].startswith(mine))
        for row in found["rows"]
    ]  # fmt: skip
    even = [
        ([f"{m['name']} ({m['what']})", f"{m['per_hour']:.2f}", f"{m['rtfx']:,.1f}"], m["dated"], False)
        for m in found["even"]
    ]
    hours = [say("costs.hours", hours=f"{hours:,}") for hours in HOURS]
    cheapest = say("costs.cheaper", api=found["cheapest_api"])
    return (
        f"{notice}{_table(say('costs.for_hours'), ['', *hours], costs)}"
        f"{_table(cheapest, ['', say('costs.an_hour'), say('costs.times')], even)}"
        f"<p class='hint'>{say('costs.note')}</p>"
    )


def _choice(machine: Machine) -> str:
    return say("costs.choice", name=machine.name, what=machine.what, price=f"{machine.hourly:.2f}")


def _table(caption: str, head: list[str], rows: list[tuple[list[str], str, bool]]) -> str:
    """Rows of (cells, where the price is from, whether it is ours)."""
    heads = "".join(f"<th scope='col'>{escape(name)}</th>" for name in head)
    lines = []
    for (name, *cells), dated, mine in rows:
        figures = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        first = f"<th scope='row'>{escape(name)}<small>{escape(dated)}</small></th>"
        lines.append(f"<tr{' class=mine' if mine else ''}>{first}{figures}</tr>")
    return (
        f"<div class='wide' tabindex='0'><table><caption>{escape(caption)}</caption>"
        f"<thead><tr>{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def _last(config: Config) -> tuple[Measured | None, str]:
    """The last benchmark, and what the field says of it."""
    try:
        found = latest(config.data_dir)
    except ASRError as e:
        return None, str(e)
    if not found:
        return None, say("costs.none")
    when = time.strftime("%Y-%m-%d", time.localtime(found.when))
    return found, say("costs.measured", model=render.model_name(found.model), date=when)


def _positive(value) -> float | None:
    return value if isinstance(value, (int, float)) and isfinite(value) and value > 0 else None
