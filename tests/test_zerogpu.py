"""ZeroGPU without ZeroGPU: the same code, a process of its own for each loan, and its refusals."""

from __future__ import annotations

import multiprocessing
import pickle

import numpy as np
import pytest

import ui
from asr import backends, zerogpu
from asr.audio import SAMPLE_RATE, Recording
from asr.config import Config
from asr.errors import AudioError, Busy, UnknownModel, Unsupported
from asr.models import Models
from asr.types import Options, Segment
from tests.conftest import DIGITS

MODEL = f"faster_whisper:{DIGITS}"
CPU = zerogpu.Borrowed(MODEL, zerogpu.ABILITIES, frozenset({"en"}), "cpu")


def in_a_process(audio, spec, device, options):
    """A loan as ZeroGPU makes it: another process, arguments and results pickled."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(zerogpu.heard, (audio, spec, device, options))


def silence(seconds: float) -> Recording:
    return Recording(np.zeros(round(seconds * SAMPLE_RATE), np.int16))


def test_without_zerogpu_everything_is_as_it_was():
    get = object()
    assert zerogpu.parts(get, Config()) == (get, zerogpu.pipeline.transcribe)


def test_a_loan_hears_what_the_same_model_hears_here(digits_speech):
    recording = Recording(np.round(digits_speech * 32767).astype(np.int16))
    here = list(zerogpu.pipeline.transcribe(recording, backends.load(MODEL, "cpu"), Options()))
    there = list(zerogpu.portions(recording, CPU, Options(), in_a_process))
    assert here and [s.text for s in there] == [s.text for s in here]


def test_an_error_in_the_other_process_comes_back_whole():
    lost = zerogpu.Borrowed("faster_whisper:/nowhere", zerogpu.ABILITIES, frozenset({"en"}), "cpu")
    with pytest.raises(UnknownModel) as said:
        list(zerogpu.portions(silence(1), lost, Options(), in_a_process))
    assert said.value.what and said.value.fix


def test_our_errors_survive_the_way_between_processes():
    sent = pickle.loads(pickle.dumps(AudioError("This is no audio.", "Send another.")))
    assert (sent.what, sent.fix) == ("This is no audio.", "Send another.")


def test_a_long_recording_takes_several_loans_and_loses_no_word_at_their_borders(monkeypatch):
    monkeypatch.setattr(zerogpu, "PORTION", 10.0)
    words = [(float(t), t + 0.9) for t in range(30)]  # a word a second; whoever hears half of one errs
    asked = []

    def lend(audio, spec, device, options):
        at = int(audio[0]) / 10  # each sample knows the tenth of a second it is from
        end = at + len(audio) / SAMPLE_RATE
        asked.append((at, end))
        return [
            Segment(
                max(a, at) - at,
                min(b, end) - at,
                f"{a:g}" if at <= a + 0.05 and b <= end else "cut",
                language="en",
            )
            for a, b in words
            if b > at + 0.05 and a < end
        ]

    samples = (np.arange(30 * SAMPLE_RATE) // (SAMPLE_RATE // 10)).astype(np.int16)
    found = list(zerogpu.portions(Recording(samples), CPU, Options(), lend))
    assert [s.text for s in found] == [f"{t}" for t in range(30)]
    assert [s.start for s in found] == pytest.approx([a for a, _ in words], abs=0.11)
    assert len(asked) >= 3 and all(b - a <= 10.01 for a, b in asked)


def test_the_language_of_the_first_portion_is_that_of_all(monkeypatch):
    monkeypatch.setattr(zerogpu, "PORTION", 1.0)
    told = []

    def lend(audio, spec, device, options):
        told.append(options.language)
        return [Segment(0.0, 0.5, "x", language="de")]

    list(zerogpu.portions(silence(3), CPU, Options(), lend))
    assert told == [None, "de", "de"]


def test_the_loan_asked_for_grows_with_the_audio_and_fits_a_visitors_quota():
    def asked(seconds: float) -> int:
        return zerogpu.lasting(np.zeros(round(seconds * SAMPLE_RATE), np.int16), MODEL, "cuda", Options())

    assert 20 <= asked(1) < asked(600) < asked(zerogpu.PORTION) <= 60


def test_a_quota_that_is_used_up_is_said_in_sentences():
    from gradio.exceptions import Error

    def lend(*_):
        raise Error("You have exceeded your free ZeroGPU quota. Try again in 0:06:53")

    with pytest.raises(Busy) as said:
        list(zerogpu.portions(silence(1), CPU, Options(), lend))
    assert "0:06:53" in said.value.what and "duplicate this Space" in said.value.fix


def test_what_goes_to_the_gpu_and_what_stays():
    got = []

    def get(spec):
        got.append(spec)
        return object()

    def model(config: Config, spec: str | None):
        return zerogpu.at_work(get, config, None)[0](spec)

    assert model(Config(), None).spec == zerogpu.MODEL
    assert model(Config(), "large-v3").can - model(Config(), "turbo").can == {"translate"}
    assert model(Config(model="faster_whisper:small"), None).spec == "faster_whisper:small"
    assert not got
    model(Config(endpoint_url="https://a.example/v1"), None)
    model(Config(), "pocketsphinx:en-us")
    model(Config(model=MODEL), None)  # a directory has no card
    assert got == [None, "pocketsphinx:en-us", None]


def test_what_the_model_cannot_do_is_refused_before_a_gpu_is_borrowed():
    _, transcribe = zerogpu.at_work(None, Config(), None)
    with pytest.raises(Unsupported):
        transcribe(silence(1), zerogpu.standing("turbo"), Options(task="translate"))


@pytest.fixture(scope="module")
def digits_speech():
    speech = pytest.importorskip("tests.speech")
    return speech.speak("one two three four")


def test_the_decorator_of_the_real_package_leaves_the_function_alone_elsewhere():
    spaces = pytest.importorskip("spaces", reason="Hugging Face installs it on its own machines")
    assert spaces.GPU(zerogpu.heard, duration=zerogpu.lasting) is zerogpu.heard


def test_the_page_s_own_events_are_not_turned_away(monkeypatch):
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    page = ui.build(Models(Config(model=MODEL)), Config(model=MODEL), {})
    assert page._queue.max_size is None or page._queue.max_size > 100
