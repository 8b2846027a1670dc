"""What the page shows, as HTML. Pure: whatever a person, a file or a model wrote is escaped here."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape
from pathlib import Path

from asr.types import Segment
from ui.language import say, sentence

# What the file chooser offers. Anything can be dropped: the decoder decides.
ACCEPT = "audio/*,video/*,.amr,.ape,.caf,.dsf,.gsm,.m4b,.mka,.mkv,.mpc,.mts,.opus,.spx,.tta,.w64,.wma,.wv"
# What a sentence tells people to type: words in backticks, the commands of our errors' fixes, settings.
_COMMAND = re.compile(
    r"`[^`]+`|\b(?:hf download|pip install)(?: [^\s;,]*[^\s;,.:])+|\bpython -m asr \w+"
    r"|\bASR_[A-Z_]+(?:=[^\s;,]*[^\s;,.])?"
)
_SHAPES = {
    "play": '<path d="M8 5.5v13l11-6.5z" fill="currentColor" stroke="none"/>',
    "pause": '<path d="M8.5 5.5v13M15.5 5.5v13" stroke-width="3.4"/>',
    "sun": '<circle cx="12" cy="12" r="4"/><path d="M12 3v1.5M12 19.5V21M3 12h1.5M19.5 12H21"/>'
    '<path d="M5.6 5.6l1.1 1.1M17.3 17.3l1.1 1.1M5.6 18.4l1.1-1.1M17.3 6.7l1.1-1.1"/>',
    "moon": '<path d="M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5z"/>',
    "info": '<circle cx="12" cy="12" r="9"/><path d="M12 11v5.5M12 7.5v.1"/>',
    "warn": '<path d="M12 3.5 2.5 20h19zM12 10v4.5M12 17.3v.1"/>',
    "error": '<circle cx="12" cy="12" r="9"/><path d="M12 7v6M12 16.5v.1"/>',
    "upload": '<path d="M12 15.5V4M7.5 8 12 3.5 16.5 8"/>'
    '<path d="M4 15v3.5A1.5 1.5 0 0 0 5.5 20h13a1.5 1.5 0 0 0 1.5-1.5V15"/>',
    "mic": '<rect x="9" y="3" width="6" height="11.5" rx="3"/>'
    '<path d="M5.5 11.5a6.5 6.5 0 0 0 13 0M12 18v3"/>',
    "list": '<path d="M8.5 6h12M8.5 12h12M8.5 18h12M4 6h.1M4 12h.1M4 18h.1"/>',
    "lock": '<rect x="5" y="10.5" width="14" height="9.5" rx="2"/><path d="M8 10.5V8a4 4 0 0 1 8 0v2.5"/>',
    "help": '<circle cx="12" cy="12" r="9"/><path d="M9.5 9.5a2.5 2.5 0 1 1 3.6 2.2c-.8.4-1.1.9-1.1 1.8"/>'
    '<path d="M12 16.7v.1"/>',
    "sound": '<path d="M4 10v4M8 6.5v11M12 3.5v17M16 7.5v9M20 10.5v3"/>',
}


def icon(name: str, css: str = "") -> str:
    return (
        f'<svg class="{css}" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.9" '
        f'stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">{_SHAPES[name]}</svg>'
    )


# ---- numbers and names as people read them ----


def clock(seconds: float) -> str:
    """1:05, or 1:02:05 from an hour on."""
    minutes, s = divmod(int(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02}:{s:02}" if hours else f"{m}:{s:02}"


def roughly(seconds: float) -> str:
    """How long that is: "about 2 minutes"."""
    for unit, length in (("hours", 3600), ("minutes", 60)):
        if seconds >= 1.5 * length:
            return say(f"time.{unit}", n=round(seconds / length))
    return say("time.minute") if seconds >= 45 else say("time.seconds", n=max(5, round(seconds / 5) * 5))


def size(count: int) -> str:
    """A number of bytes: "3.4 MB"."""
    unit, amount = next((u, count / n) for u, n in _UNITS if count >= n or n == 1)
    digits = 0 if amount >= 100 or unit == "bytes" else 1
    return say(f"size.{unit}", n=f"{amount:.{digits}f}")


_UNITS = (("gb", 1e9), ("mb", 1e6), ("kb", 1e3), ("bytes", 1))


def model_name(spec: str) -> str:
    """What people call a model: "Whisper small" for faster_whisper:small; of a directory, its name."""
    backend, _, model = spec.partition(":")
    name = Path(model).name or backend
    if backend == "pocketsphinx":
        return "PocketSphinx"
    return name if "whisper" in name.lower() or backend != "faster_whisper" else f"Whisper {name}"


# ---- the top of the page ----


def masthead(assets: str, space: str = "") -> str:
    """The name of the house, and the switch between light and dark; `assets` is where the logo is.

    `space`: the Hugging Face Space this is, owner/name, which visitors may make their own.
    """
    address = f"https://huggingface.co/spaces/{escape(space)}?duplicate=true"
    link = (
        f'<a class="duplicate" href="{address}" target="_blank" rel="noopener">'
        f'<span class="short">{say("page.duplicate")}</span>'
        f'<span class="long">{say("page.duplicate_space")}</span></a>'
    )
    return (
        f'<header class="masthead"><img src="{assets}/logo.svg" alt="" width="38" height="38">'
        f"<div><h1>Parlance</h1><p>{say('page.tagline')}</p></div>"
        f'<span class="end"></span>{link if space else ""}'
        f'<button type="button" class="icon about" aria-label="{say("about.open")}" aria-controls="about">'
        f"{icon('help')}</button>"
        f'<button type="button" class="icon theme" aria-label="{say("page.theme")}">'
        f"{icon('moon', 'moon')}{icon('sun', 'sun')}</button></header>"
    )


def welcome(private: str) -> str:
    """What the tabs are for, and what happens to what people say; until they have read it (parlance.js)."""
    ways = "".join(
        f"<li>{icon(sign)}<div><b>{say(f'page.{tab}')}</b><p>{say(f'about.{tab}')}</p></div></li>"
        for tab, sign in (("live", "mic"), ("recording", "upload"), ("recordings", "list"))
    )
    return (
        f'<section class="welcome" id="about" aria-label="{say("about.title")}"><ul>{ways}</ul>'
        f'<p class="private">{icon("lock")}<span>{escape(private)}</span></p>'
        f'<button type="button" class="understood">{say("about.close")}</button></section>'
    )


def model_line(state: str, name: str, where: str, why: str) -> str:
    """Which model runs, where, and why. `state` is loading, ready or failed; no name: it is being chosen."""
    named = {"name": f"<b>{escape(name)}</b>", "where": escape(where)}
    nobody = "model.none_failed" if state == "failed" else "model.none_loading"
    runs = say(f"model.{state}", **named) if name else say(nobody)
    return (
        f'<div class="model" role="status"><span class="dot {state}"></span><span>{runs}</span>'
        f'<span class="why">{with_code(sentence(why))}</span></div>'
    )


def notice(kind: str, what: str, fix: str = "", css: str = "") -> str:
    """A sentence of the page or of the server in its place; `kind` is info, warn or error."""
    said = "".join(f"<p>{with_code(sentence(s))}</p>" for s in (what, fix) if s)
    role = "alert" if kind == "error" else "status"
    return f'<div class="notice {kind} {css}" role="{role}">{icon(kind)}<div>{said}</div></div>'


def aside(title: str, text: str) -> str:
    """More than most people want to know, below its title."""
    said = with_code(sentence(text))
    return f'<details class="aside"><summary>{escape(title)}</summary><p>{said}</p></details>'


def with_code(text: str) -> str:
    """Escaped, and what it tells people to type set as code."""
    return _COMMAND.sub(lambda m: f"<code>{m[0].strip('`')}</code>", escape(text))


# ---- a recording ----


def source(most_mb: int, most_hours: float) -> str:
    """Where a recording comes in: drop zone, microphone, progress. `assets/source.js` gives it life."""
    most = say("size.mb", n=most_mb) if most_mb < 1024 else say("size.gb", n=f"{most_mb / 1024:.3g}")
    return (
        f'<section class="source" aria-label="{say("source.title")}"><h2>{say("source.title")}</h2>'
        f'<p class="hint" data-max-bytes="{most_mb * 2**20}" data-most="{most}">'
        f"{say('source.most', hours=f'{most_hours:g}', size=most)}</p>"
        '<div class="offer"><label class="drop">'
        f'<input type="file" multiple class="visually-hidden" accept="{ACCEPT}">{icon("upload")}'
        f"<b>{say('source.drop')}</b><span>{say('source.choose')}</span></label>"
        f'<button type="button" class="record"><i></i>{say("source.record")}</button></div>'
        '<div class="hearing" hidden><output>0:00</output><div class="level"><i></i></div>'
        f'<button type="button">{say("source.stop")}</button></div>'
        '<div class="sending" hidden><p><b></b><output></output></p><div class="track"><i></i></div>'
        f'<button type="button">{say("source.cancel")}</button></div>'
        f'<div class="notice error complaint" role="alert" hidden>{icon("error")}'
        "<div><p></p><p></p></div></div></section>"
    )


def chosen(files: Iterable[tuple[str, str, str]]) -> str:
    """The recordings that will be transcribed: the id, the name and a detail of each."""
    return "".join(
        f'<div class="chosen" data-id="{escape(id)}">{icon("sound")}<div><b>{escape(name)}</b>'
        f"<small>{escape(detail)}</small></div></div>"
        for id, name, detail in files
    )


def player(address: str) -> str:
    """A player for the sound at this address; `assets/parlance.js` gives it life."""
    return (
        f'<div class="player"><audio preload="metadata" src="{escape(address)}"></audio>'
        f'<button type="button" class="play" aria-label="{say("player.play")}">'
        f"{icon('play', 'go')}{icon('pause', 'pause')}"
        '</button><input type="range" min="0" max="1" step="0.01" value="0" '
        f'aria-label="{say("player.position")}">'
        "<output>0:00 / 0:00</output>"
        f'<button type="button" class="speed" aria-label="{say("player.speed", times=1)}">1×</button></div>'
        f'<p class="hint no-player" hidden>{say("player.cannot")}</p>'
    )


def empty() -> str:
    """What a newcomer sees in the transcript's place."""
    return picture(say("recording.empty"), say("recording.empty_says"))


def ready() -> str:
    """What stands there once a recording is chosen."""
    return picture(say("recording.ready"), say("recording.ready_says"))


def picture(title: str, text: str, action: str = "") -> str:
    """Where there is nothing yet: what will be there; `action` is the HTML of a button."""
    return (
        '<div class="empty"><svg viewBox="0 0 148 72" fill="none" stroke-width="5" stroke-linecap="round" '
        'aria-hidden="true">'
        '<path stroke="var(--accent)" d="M6 32v8M18 22v28M30 10v52M42 24v24M54 16v40M66 30v12"/>'
        '<path class="text" d="M84 18h56M84 36h44M84 54h52"/></svg>'
        f"<h2>{escape(title)}</h2><p>{escape(text)}</p>{action}</div>"
    )


def progress(stage: str, detail: str = "", done: float | None = None) -> str:
    """What is being done, and how much of it: `done` in [0, 1], None where nobody can know."""
    value, css, width = "", "track unknown", ""
    if done is not None:
        value, css, width = f' aria-valuenow="{done * 100:.0f}"', "track", f' style="width:{done:.1%}"'
    return (
        f'<div class="progress" data-busy><div role="progressbar" aria-label="{escape(stage)}" '
        f'aria-valuemin="0" aria-valuemax="100"{value}><div class="{css}"><i{width}></i></div></div>'
        f'<p><b role="status">{escape(stage)}</b><span>{escape(detail)}</span></p></div>'
    )


def summary(parts: Iterable[str]) -> str:
    """Facts in one line."""
    return f'<p class="summary" role="status">{escape(" · ".join(parts))}</p>'


# ---- text ----


def lines(segments: Iterable[Segment], first: int = 1) -> str:
    """The transcript: an item per segment, whose time is a button that plays it; `first` is its number."""
    items = "".join(_line(s) for s in segments)
    return f'<ol class="lines" start="{first}">{items}</ol>' if items else ""


def unsure_key() -> str:
    mark = f'<span class="unsure">{say("line.underlined")}</span>'
    return f'<p class="summary">{say("line.unsure_says", underlined=mark)}</p>'


def _line(s: Segment) -> str:
    at, text, note = clock(s.start), escape(s.text.strip()), ""
    if s.unsure:
        text = f'<span class="unsure">{text}</span>'
        note = f'<span class="visually-hidden">({say("line.unsure")})</span>'
    who = f"<b>{escape(s.speaker)}</b> " if s.speaker else ""
    return (
        f'<li data-seek="{s.start:.2f}" data-end="{s.end:.2f}">'
        f'<button type="button" class="at" aria-label="{say("player.from", time=at)}">{at}</button>'
        f'<span class="said" dir="auto">{who}{text}</span>{note}</li>'
    )
