"""The models a process holds: loaded once, chosen behind the page, and never replaced in silence."""

import gc
import subprocess
import sys
import threading
import time
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest

from asr import catalogue
from asr.bench.shapes import stretched
from asr.choice import Choice
from asr.config import Config
from asr.errors import BackendUnavailable, UnknownModel
from asr.held import held
from asr.models import RETRY, Models
from asr.scheduler import Schedulers
from asr.types import Options, Segment
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
    until(lambda: shelf.calls)
    assert all(t.daemon for t in set(threading.enumerate()) - before)
    shelf.open.set()


def test_a_real_model_in_a_directory_is_found_loaded_and_works():
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


# -- models that nobody uses


class Engine:
    """A backend that counts how many of its kind live."""

    alive = 0

    def __init__(self, spec: str):
        self.spec, self.can, self.languages, self.device = (
            spec,
            frozenset({"batch"}),
            frozenset({"en"}),
            "cpu",
        )
        self.batch_size, self.window = 4, 30.0
        Engine.alive += 1

    def __del__(self):
        Engine.alive -= 1

    def transcribe(self, audio, options):
        yield Segment(0.0, 1.0, " one")
        yield Segment(1.0, 2.0, " two")

    def transcribe_batch(self, windows, options):
        return [list(self.transcribe(w, o)) for w, o in zip(windows, options, strict=True)]


@pytest.fixture
def resting():
    """Models that rest after a minute, their clock, and the specs that were loaded."""
    now, loaded = [0.0], []

    def load(spec, device):
        loaded.append(spec)
        return Engine(spec)

    gc.collect()
    Engine.alive = 0
    config = Config(model_idle_minutes=1.0)
    return Models(config, load=load, choice=lambda: WHISPER, clock=lambda: now[0]), now, loaded


def heard(backend) -> list[str]:
    return [segment.text for segment in backend.transcribe(np.zeros(16_000, np.float32), Options())]


def test_a_model_that_nobody_uses_goes_and_comes_back(resting):
    models, now, loaded = resting
    backend = models.get()
    assert heard(backend) == [" one", " two"] and models.rest() == []
    now[0] = 59.0
    assert models.rest() == [] and Engine.alive == 1
    now[0] = 61.0
    assert models.rest() == [SMALL] and Engine.alive == 0
    assert models.status().state == "ready" and "rests" in models.status().says
    assert models.get() is backend and loaded == [SMALL]  # what it can is known without it
    assert (backend.can, backend.languages, backend.batch_size) == ({"batch"}, {"en"}, 4)
    assert len(backend.transcribe_batch([np.zeros(9)] * 2, [Options()] * 2)) == 2
    assert loaded == [SMALL] * 2 and Engine.alive == 1 and models.status().says == f"{SMALL} is ready."


def test_who_uses_a_model_holds_it(resting):
    models, now, loaded = resting
    backend = models.get()
    segments = backend.transcribe(np.zeros(9), Options())
    next(segments)  # in the middle of a recording
    now[0] = 1000.0
    assert models.rest() == []
    with held(backend):
        segments.close()
        assert backend.users == 1
        now[0] = 2000.0
        assert models.rest() == [] and Engine.alive == 1
    now[0] = 2059.0  # the minute counts from the last use
    assert models.rest() == []
    now[0] = 2061.0
    assert models.rest() == [SMALL] and loaded == [SMALL]


def test_a_live_stream_holds_its_model_also_when_nobody_speaks(resting):
    models, now, _ = resting
    schedulers = Schedulers()
    try:
        stream = schedulers.get(models.get()).open(Options(language="en"), lambda update: None)
        now[0] = 1000.0
        assert models.rest() == []
        stream.close()
        stream.close()
        assert models.rest() == []
        with held(schedulers.get(models.get()).files):  # as recordings use it
            now[0] = 1500.0
            assert models.rest() == []
        now[0] = 2000.0
        assert models.rest() == [SMALL]
    finally:
        schedulers.close()


def test_many_who_wake_a_model_load_it_once(resting):
    models, now, loaded = resting
    backend = models.get()
    now[0] = 61.0
    models.rest()
    got = []
    callers = [Thread(target=lambda: got.append(heard(backend))) for _ in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(10)
    assert got == [[" one", " two"]] * 8 and loaded == [SMALL] * 2


def test_a_model_on_its_way_back_is_told_as_loading(shelf):
    now = [0.0]

    def load(spec, device):
        shelf.open.wait(10)
        return Engine(spec)

    config = Config(model_idle_minutes=1.0)
    models = Models(config, load=load, choice=lambda: WHISPER, clock=lambda: now[0])
    backend = models.get()
    now[0] = 61.0
    assert models.rest() == [backend.spec]
    shelf.open.clear()
    (caller := Thread(target=models.awake)).start()  # as who opens a live session waits
    until(lambda: models.status().state == "loading")
    shelf.open.set()
    caller.join(10)
    assert models.status().state == "ready"


def test_a_model_that_cannot_come_back_is_an_error_and_tried_again():
    now, broken = [0.0], []

    def load(spec, device):
        if broken:
            raise RuntimeError("no space left on device\nand more")
        return Engine(spec)

    config = Config(model_idle_minutes=1.0)
    models = Models(config, load=load, choice=lambda: WHISPER, clock=lambda: now[0])
    backend = models.get()
    now[0] = 61.0
    models.rest()
    broken.append(True)
    with pytest.raises(BackendUnavailable, match=r"could not be loaded: no space left on device\."):
        heard(backend)
    broken.clear()
    assert heard(backend) == [" one", " two"]


def test_without_the_setting_a_model_stays_what_it_is(shelf):
    assert Models(Config(), load=shelf.load, choice=lambda: WHISPER).get() == f"the backend of {SMALL}"


@pytest.mark.skipif(sys.platform != "linux", reason="reads from /proc what memory is ours")
def test_a_real_model_gives_its_memory_back_and_hears_the_same_afterwards(tmp_path):
    stretched(DIGITS, "tiny", tmp_path)
    program = (
        "import sys\n"
        "from asr.config import Config\n"
        "from asr.models import Models\n"
        "from asr.types import Options\n"
        "from tests.speech import digits\n"
        "def mine():\n"
        "    with open('/proc/self/status') as f:\n"
        "        return next(int(line.split()[1]) for line in f if line.startswith('RssAnon')) / 1024\n"
        "now = [0.0]\n"
        "config = Config(model=sys.argv[1], device='cpu', model_idle_minutes=1)\n"
        "models = Models(config, clock=lambda: now[0])\n"
        "audio, _ = digits('seven three one')\n"
        "backend = models.get()\n"
        "hear = lambda: [s.text for s in backend.transcribe(audio, Options(language='en'))]\n"
        "first, full = hear(), mine()\n"
        "now[0] = 61\n"
        "assert models.rest()\n"
        "rested = mine()\n"
        "assert hear() == first\n"
        "print(full, rested)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    full, rested = map(float, subprocess.check_output(command, text=True).split())
    assert full - rested > (tmp_path / "model.bin").stat().st_size / 2**20
