"""What the page says of a run: how far it is, and what came of it."""

from __future__ import annotations

from asr import languages
from ui import render
from ui.running import Run

QUIET_ROOM = (
    "If somebody speaks in it: is it very quiet, or another language than the chosen one? "
    "A larger model may hear more."
)


def progress(run: Run, model: str = "") -> str:
    """The stage, and what is known of it; `model` is what there is to say of the model."""
    so_far = f"{render.clock(run.elapsed())} so far"
    match run.stage:
        case "waiting":
            before = f"{run.ahead} recording{'s' * (run.ahead > 1)} before yours" if run.ahead else ""
            return render.progress("Waiting for a place", before)
        case "opening":
            return render.progress("Reading the recording", f"{render.clock(run.opened)} read")
        case "loading":
            return render.progress(model.rstrip(".") or "Loading the model", so_far)
        case _ if not run.segments:
            return render.progress("Listening for speech", so_far)
    heard = f"{render.clock(run.segments[-1].end)} of {render.clock(run.duration)}"
    left = run.remaining()
    times = [heard, so_far] + ([f"{render.roughly(left)} left"] if left is not None else [])
    return render.progress("Transcribing", " · ".join(times), run.heard)


def outcome(run: Run) -> str:
    """The facts, and what people should know."""
    said = [render.summary(_facts(run))] if run.segments or run.stage == "done" else []
    if run.damage:
        said.append(render.notice("warn", "Part of this recording could not be read.", run.damage))
    if run.error:
        kept = " What was recognised before that is below." if run.segments else ""
        said.append(render.notice("error", run.error.what + kept, run.error.fix))
    elif run.cancelling:
        kept = "What was recognised until then is below." if run.segments else "Nothing was recognised yet."
        said.append(render.notice("info", "Cancelled.", kept))
    elif not run.segments:
        said.append(render.notice("info", "No speech was found in this recording.", QUIET_ROOM))
    if any(s.unsure for s in run.segments):
        said.append(render.unsure_key())
    return "".join(said)


def _facts(run: Run) -> list[str]:
    t = run.transcript
    facts = [f"{render.clock(run.duration)} of audio"]
    if t.language:
        sure = f" ({t.language_probability:.0%} sure)" if t.language_probability else ""
        facts.append(languages.name(t.language).title() + sure)
    if run.model:
        facts.append(render.model_name(run.model))
    return [*facts, f"took {render.clock(run.elapsed())}"]
