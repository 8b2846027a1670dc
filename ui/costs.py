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

OWN = "Another price"
QUIET = {"queue": False, "show_progress": "hidden", "api_name": False}


def tab(page: gr.Blocks, models: Models, config: Config) -> None:
    """`python -m asr cost` with fields; filled in from this machine's last benchmark."""
    table = prices()
    names = [(f"{m.name}: {m.what}, {m.hourly:.2f} an hour", m.name) for m in table.machines]
    with gr.Column(elem_classes="card costs"):
        gr.HTML(HEAD, padding=False)
        with gr.Row():
            rtfx = gr.Number(label="Speed", info="times real time; 0: not known")
            machine = gr.Dropdown([(OWN, OWN), *names], value=OWN, label="Machine", info="by whose price")
            streams = gr.Number(label="Live streams at once", info="by bench streams", precision=0)
        with gr.Row() as own:
            hourly = gr.Number(label="Its price", info="dollars an hour; 0: not known")
            spot = gr.Number(label="As a spot machine", info="dollars an hour; 0: the same")
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
        asked = Machine("yours", "your own", "", hourly, spot or hourly, "given") if hourly else None
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
        missing = "its price" if rtfx else "its speed"
        notice = render.notice("info", f"This machine is not in the table yet: {missing} is not known.", HOW)
    else:
        notice = "<ul class='advice'>" + "".join(f"<li>{escape(s)}</li>" for s in found["advice"]) + "</ul>"
    costs = [
        ([row["name"], *(f"{cost:,.2f}" for cost in row["cost"].values())], row["dated"],
         bool(mine) and row["name"].startswith(mine))
        for row in found["rows"]
    ]  # fmt: skip
    even = [
        ([f"{m['name']} ({m['what']})", f"{m['per_hour']:.2f}", f"{m['rtfx']:,.1f}"], m["dated"], False)
        for m in found["even"]
    ]
    hours = [f"{h:,} h" for h in HOURS]
    cheapest = f"A busy machine is cheaper than {found['cheapest_api']} from"
    return (
        f"{notice}{_table('US dollars for hours of audio', ['', *hours], costs)}"
        f"{_table(cheapest, ['', 'an hour', 'x real time'], even)}<p class='hint'>{escape(table.note)}</p>"
    )


HEAD = (
    "<h2>Costs</h2><p class='hint'>Only you see this. No machine is given another one’s speed: measure yours "
    "with <code>python -m asr bench speed RECORDING</code>, in a terminal.</p>"
)
HOW = "Say above how fast it is and what it costs an hour."


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
        return None, "times real time; no benchmark was run here yet"
    when = time.strftime("%Y-%m-%d", time.localtime(found.when))
    return found, f"times real time: {render.model_name(found.model)}, by the benchmark of {when}"


def _positive(value) -> float | None:
    return value if isinstance(value, (int, float)) and isfinite(value) and value > 0 else None
