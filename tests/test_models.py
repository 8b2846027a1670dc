"""The models a process holds: loaded once, chosen behind the page, and never replaced in silence."""

import threading
import time
from pathlib import Path
from threading import Event, Thread

import pytest

from asr import catalogue
from asr.choice import Choice
from asr.config import Config
from asr.errors import BackendUnavailable, UnknownModel
from asr.models import RETRY, Models
from tests.speech import digits

DIGITS = Path(__file__).parent / "models" / "whisper-digits"
SMALL = "faster_whisper:small"
WHISPER = Choice(SMALL, "cpu", "It keeps up.")
FALLBACK = Choice(catalogue.FALLBACK, "cpu", "Offline fallback, English, low accuracy.", fallback=True)


class Shelf:
    """`backends.load` as a test wants it: counts the calls, waits for `open`, breaks what is in `broken`."""

    def __init__(self):
        self.calls: list[tuple[str, str]] = []
        self.broken: dict[str, Exception] = {}
        self.open = Event()
        self.open.set()

    def load(self, spec: str, device: str):
        self.calls.append((spec, device))
        self.open.wait(10)
        if spec in self.broken:
            raise self.broken[spec]
        return f"the backend of {spec}"


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def until(condition, seconds: float = 10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def test_many_callers_at_once_load_a_model_once(shelf):
    models, got = Models(Config(), load=shelf.load), []
    shelf.open.clear()
    callers = [Thread(target=lambda: got.append(models.get("small"))) for _ in range(8)]
    for caller in callers:
        caller.start()
    until(lambda: shelf.calls)
    shelf.open.set()
    for caller in callers:
        caller.join(10)
    assert shelf.calls == [(SMALL, "auto")]
    assert got == [f"the backend of {SMALL}"] * 8


def test_loading_one_model_does_not_hold_up_another(shelf):
    models = Models(Config(), load=shelf.load)
    models.get("base")
    shelf.open.clear()
    models.start_loading("small")
    until(lambda: (SMALL, "auto") in shelf.calls)
    assert models.get("base") == "the backend of faster_whisper:base"
    assert models.status("small").state == "loading"
    shelf.open.set()
    until(lambda: models.status("small").state == "ready")


def test_a_failure_is_remembered_and_tried_again_on_demand(shelf):
    now = [0.0]
    models = Models(Config(), load=shelf.load, clock=lambda: now[0])
    shelf.broken[SMALL] = BackendUnavailable("The hub cannot be reached.", "Check the network.")
    for _ in range(2):
        with pytest.raises(BackendUnavailable, match="Check the network"):
            models.get("small")
    assert len(shelf.calls) == 1
    assert models.status("small").state == "failed"
    assert models.status("small").says == "The hub cannot be reached. Check the network."
    shelf.broken.clear()
    now[0] = RETRY + 1
    assert models.get("small")


def test_who_asks_for_loading_does_not_have_to_wait_out_a_failure(shelf):
    models = Models(Config(), load=shelf.load)
    shelf.broken[SMALL] = BackendUnavailable("No.", "")
    with pytest.raises(BackendUnavailable):
        models.get("small")
    shelf.broken.clear()
    models.start_loading("small")
    until(lambda: models.status("small").state == "ready")


def test_an_engine_s_own_error_becomes_a_sentence(shelf):
    shelf.broken[SMALL] = RuntimeError("Unsupported model binary version\nfollowed by a page of detail")
    with pytest.raises(
        BackendUnavailable, match=r"small could not be loaded: Unsupported model binary version\."
    ):
        Models(Config(), load=shelf.load).get("small")


def test_nothing_waits_for_the_choice_but_who_needs_the_model(shelf):
    chosen = Event()

    def slow_choice():
        chosen.wait(10)
        return WHISPER

    models = Models(Config(), load=shelf.load, choice=slow_choice)
    models.start()
    assert models.status().state == "choosing" and models.choice is None
    chosen.set()
    assert models.get() == f"the backend of {SMALL}"
    assert models.choice == WHISPER and models.status().state == "ready"


def test_a_download_is_shown_with_its_size(shelf, monkeypatch):
    monkeypatch.setattr(catalogue, "cached", lambda card: False)
    shelf.open.clear()
    models = Models(Config(), load=shelf.load, choice=lambda: WHISPER)
    models.start()
    until(lambda: models.status().state == "loading")
    assert models.status().says == f"Downloading {SMALL} (486 MB)."
    shelf.open.set()


def test_the_fallback_steps_in_when_the_chosen_model_cannot_be_had_and_says_so(shelf):
    shelf.broken[SMALL] = BackendUnavailable("The download broke off.", "Try again.")
    models = Models(Config(), load=shelf.load, choice=lambda: WHISPER)
    assert models.get() == f"the backend of {catalogue.FALLBACK}"
    assert models.choice.fallback
    assert SMALL in models.choice.why and "The download broke off." in models.choice.why
    assert models.choice.fix == "Try again."


def test_while_the_fallback_is_being_loaded_the_page_goes_on_waiting(shelf):
    seen = []

    def load(spec, device):
        if spec == catalogue.FALLBACK:
            seen.append(models.status().state)
        return shelf.load(spec, device)

    shelf.broken[SMALL] = BackendUnavailable("The download broke off.", "Try again.")
    models = Models(Config(), load=load, choice=lambda: WHISPER)
    models.get()
    assert seen == ["loading"] and models.status().state == "ready"


def test_a_gpu_asked_for_is_not_replaced_by_the_fallback(shelf):
    shelf.broken[SMALL] = BackendUnavailable("CTranslate2 sees no CUDA device.", "Check the driver.")
    models = Models(Config(device="cuda"), load=shelf.load, choice=lambda: WHISPER)
    with pytest.raises(BackendUnavailable, match="no CUDA device"):
        models.get()
    assert models.status().state == "failed"


def test_a_model_asked_for_by_name_is_never_replaced(shelf):
    shelf.broken[SMALL] = BackendUnavailable("The download broke off.", "Try again.")
    models = Models(Config(model="small"), load=shelf.load)
    with pytest.raises(BackendUnavailable, match="broke off"):
        models.get()
    assert models.status().state == "failed"
    assert {spec for spec, _ in shelf.calls} == {SMALL}


def test_whisper_takes_over_from_the_fallback_once_it_can_be_had(shelf):
    choices, now = [FALLBACK], [0.0]
    models = Models(Config(), load=shelf.load, choice=lambda: choices[-1], clock=lambda: now[0])
    models.get()
    assert models.choice == FALLBACK
    choices.append(WHISPER)
    shelf.open.clear()  # the better model takes long to load: nobody waits for it
    now[0] = RETRY + 1
    assert models.get() == f"the backend of {catalogue.FALLBACK}"
    until(lambda: (SMALL, "cpu") in shelf.calls)
    assert models.status().state == "ready" and models.choice == FALLBACK
    shelf.open.set()
    until(lambda: models.choice == WHISPER)
    assert models.get() == f"the backend of {SMALL}"


def test_choosing_again_can_be_asked_for(shelf):
    choices = [FALLBACK]
    models = Models(Config(), load=shelf.load, choice=lambda: choices[-1])
    models.get()
    choices.append(WHISPER)
    models.choose_again()
    until(lambda: models.choice == WHISPER)


def test_a_setting_that_names_no_model_is_told_and_not_chosen_around():
    models = Models(Config(model="nonsense"))
    with pytest.raises(UnknownModel, match="nonsense"):
        models.get()
    assert models.status().state == "failed" and "nonsense" in models.status().says


def test_threads_of_ours_do_not_keep_the_process_alive(shelf):
    shelf.open.clear()
    before = set(threading.enumerate())
    models = Models(Config(), load=shelf.load, choice=lambda: WHISPER)
    models.start()
    models.start_loading("base")
    until(lambda: len(shelf.calls) == 2)
    assert all(t.daemon for t in set(threading.enumerate()) - before)
    shelf.open.set()


def test_a_real_model_in_a_directory_is_found_loaded_and_works():
    from asr.types import Options

    models = Models(Config(model=str(DIGITS), device="cpu"))
    models.start()
    backend = models.get()
    assert models.status().says == f"faster_whisper:{DIGITS} is ready."
    audio, _ = digits("seven three one")
    assert "".join(s.text for s in backend.transcribe(audio, Options(language="en"))).split() == [
        "seven",
        "three",
        "one",
    ]


def test_the_real_fallback_loads():
    assert Models(Config(device="cpu")).get(catalogue.FALLBACK).spec == catalogue.FALLBACK
