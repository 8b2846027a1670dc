"""A recording on its way through the page: its turn, its stages, its end, and what is said of it."""

import wave
from functools import partial
from threading import Event

import numpy as np
import pytest

from asr import pipeline
from asr.audio import Limits, to_pcm16
from asr.errors import BackendUnavailable, Busy
from asr.types import Options, Segment
from tests.tones import Tones, loud, say, silence
from ui import files, report
from ui.running import Line, Run

SOON = 30.0  # seconds; nothing here takes one


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))


def write(path, audio: np.ndarray) -> str:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(to_pcm16(audio).tobytes())
    return str(path)


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "ask.wav", np.r_[say("ask not what"), silence(1), say("you can do")])


def run(path, line=None, load=Tones, limits=Limits(), **rest) -> Run:  # noqa: B008  it is frozen
    heard = partial(pipeline.transcribe, vad=lambda: loud)
    return Run(path, load, Options(**rest), limits, line or Line(1, 9), heard)


def ended(run: Run) -> Run:
    run.start()
    run.join(SOON)
    assert run.over
    return run


class Slow:
    """A recogniser that hears one line, then waits for the test."""

    def __init__(self):
        self.heard, self.go_on, self.closed = Event(), Event(), Event()

    def __call__(self, recording, backend, options):
        try:
            yield Segment(0, 0.5, " ask")
            self.heard.set()
            assert self.go_on.wait(SOON)
            yield Segment(0.5, 1, " not")
        finally:
            self.closed.set()


def slow(path, line) -> tuple[Run, Slow]:
    engine = Slow()
    return Run(path, Tones, Options(), Limits(), line, engine), engine


def test_a_run_ends_with_the_transcript(path):
    done = ended(run(path))
    assert done.stage == "done" and done.transcript.text == "ask not what you can do"
    assert done.heard > 0.9 and done.error is None
    assert "0:03 of audio · English · pure · took" in report.outcome(done)


def test_what_the_person_asked_for_reaches_the_engine(path):
    engine = Tones()
    ended(run(path, load=lambda: engine, language="en", task="translate", hotwords="fellow"))
    assert {(o.language, o.task, o.hotwords) for o in engine.calls} == {("en", "translate", "fellow")}


def test_a_run_that_is_cancelled_keeps_what_it_has_and_closes_the_engine(path):
    working, engine = slow(path, Line(1, 0))
    working.start()
    assert engine.heard.wait(SOON)
    working.cancel()
    assert "Cancelled" in report.outcome(working)  # at once, whatever the engine is doing
    engine.go_on.set()
    working.join(SOON)
    assert working.stage == "cancelled" and working.transcript.text.startswith("ask")
    assert engine.closed.is_set()


def test_runs_take_turns_in_the_order_they_came(path):
    line = Line(1, 9)
    first, engine = slow(path, line)
    second, third = run(path, line), run(path, line)
    for each in (first, third, second):
        each.start()
    assert engine.heard.wait(SOON)
    assert [r.ahead for r in (first, second, third)] == [0, 1, 2]
    assert "1 recording before yours" in report.progress(second)
    assert "2 recordings before yours" in report.progress(third)
    second.cancel()
    second.join(SOON)
    assert second.stage == "cancelled" and third.ahead == 1
    engine.go_on.set()
    third.join(SOON)
    assert third.stage == "done" and third.transcript.text


def test_a_line_that_is_too_long_turns_people_away(path):
    line = Line(1, 1)
    run(path, line), run(path, line)
    with pytest.raises(Busy):
        run(path, line)


def test_places_are_free_again_after_any_end(path, tmp_path):
    line = Line(1, 0)
    (bad := tmp_path / "bad.mp3").write_text("no sound")
    ended(run(str(bad), line))
    ended(run(path, line, load=lambda: 1 / 0))
    assert ended(run(path, line)).stage == "done"


def test_an_error_is_told_with_its_fix_and_what_was_heard_stays(path):
    def breaks(recording, backend, options):
        yield Segment(0, 1, " ask")
        raise BackendUnavailable("The GPU is out of memory.", "Choose a smaller model.")

    failed = ended(Run(path, Tones, Options(), Limits(), Line(1, 0), breaks))
    html = report.outcome(failed)
    assert failed.stage == "failed" and failed.transcript.text == "ask"
    assert "out of memory" in html and "smaller model" in html and "is below" in html


def test_a_bug_is_told_without_its_details(path, caplog):
    failed = ended(run(path, load=lambda: {}["secret of the owner"]))
    assert "KeyError" in report.outcome(failed) and "secret" not in report.outcome(failed)
    assert "secret" in caplog.text


def test_limits_are_kept(path):
    assert "longer" in report.outcome(ended(run(path, limits=Limits(seconds=1)))).lower()
    assert ended(run(path, limits=Limits(bytes=1000))).stage == "failed"


def test_silence_is_told_as_no_speech(tmp_path):
    empty = ended(run(write(tmp_path / "silence.wav", silence(3))))
    assert empty.stage == "done" and "No speech was found" in report.outcome(empty)


def test_a_recording_that_browsers_do_not_play_gets_a_sound_that_they_do(tmp_path, path):
    assert ended(run(path)).sound is None
    import av

    strange = tmp_path / "ask.mka"
    with av.open(path) as source, av.open(str(strange), "w", format="matroska") as target:
        track = target.add_stream("flac", rate=16_000)
        for frame in source.decode(audio=0):
            target.mux(track.encode(frame))
        target.mux(track.encode(None))
    done = ended(run(str(strange)))
    with wave.open(str(done.sound), "rb") as sound:
        assert (sound.getnchannels(), sound.getframerate()) == (1, 16_000)
        assert sound.getnframes() == pytest.approx(done.duration * 16_000, abs=1)


def test_every_format_is_written_under_the_name_of_the_recording(path):
    paths = files.take_away(ended(run(path)).transcript, "Board meeting")
    assert [p.name for p in paths] == [f"Board meeting.{name}" for name in files.TAKE_AWAY]
    assert all("ask not what" in p.read_text(encoding="utf-8") for p in paths)
    assert paths != files.take_away(ended(run(path)).transcript, "Board meeting")


def test_progress_tells_what_is_known(path):
    working, engine = slow(path, Line(1, 0))
    working.start()
    assert engine.heard.wait(SOON)
    working.hearing_since -= 60
    assert "Transcribing" in report.progress(working)
    assert "0:00 of 0:03" in report.progress(working)
    assert "left" in report.progress(working)
    engine.go_on.set()
    working.join(SOON)
