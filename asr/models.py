"""The models this process holds. The page, the API and the command line share one `Models`.

A model is loaded once, whoever asks first; the others wait for it. The default is chosen and
loaded behind the page. Where the chosen Whisper cannot be had, the fallback becomes the
default and says so; it makes room as soon as something better can be loaded.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Literal

from asr import backends, catalogue, machine
from asr.backends import Backend
from asr.choice import Choice, choose, instead_of
from asr.config import Config
from asr.errors import ASRError, BackendUnavailable
from asr.held import Held

LOOK = 15.0  # seconds between two looks for models that nobody uses
RETRY = 60.0  # seconds before a request makes us try again what has failed

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Status:
    state: Literal["choosing", "absent", "loading", "ready", "failed"]
    says: str  # a sentence for people


class _Slot:
    """One model's place: empty, being filled, full, or with the error that kept it empty."""

    def __init__(self):
        self.lock = Lock()
        self.backend: Backend | None = None
        self.loading = False
        self.error: ASRError | None = None
        self.failed_at = 0.0


class Loader:
    """A thread that never ends, in which every model is loaded.

    CTranslate2 keeps OpenMP's workers of the thread that made a model; when that thread has ended, the
    model decodes at a third to a half of its speed (measured with 4.8.5 on two cores).
    """

    def __init__(self):
        self._jobs: SimpleQueue = SimpleQueue()
        self._thread: Thread | None = None
        self._lock = Lock()

    def call(self, load: Callable[[str, str], Backend], *args: str) -> Backend:
        """`load(*args)`, done there; waits for it, and for what was asked before."""
        with self._lock:
            if self._thread is None:
                self._thread = Thread(target=self._work, name="model-loader", daemon=True)
                self._thread.start()
        done: Future[Backend] = Future()
        self._jobs.put((done, load, args))
        return done.result()

    def _work(self) -> None:
        while True:
            _do(*self._jobs.get())  # a function of its own: what it made is not kept here until the next one


def _do(done: Future[Backend], load: Callable[[str, str], Backend], args: tuple[str, ...]) -> None:
    try:
        done.set_result(load(*args))
    except BaseException as e:
        done.set_exception(e)


LOADER = Loader()


class Models:
    def __init__(
        self,
        config: Config,
        *,
        load: Callable[[str, str], Backend] = backends.load,
        choice: Callable[[], Choice] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.config = config
        self._load, self._clock = load, clock
        self._choose = choice or (lambda: choose(config, machine.look()))
        self._slots: dict[str, _Slot] = {}
        self._lock = Lock()
        self._settling: Future[Choice] | None = None
        self._settled_at: float | None = None
        self._choice: Choice | None = None
        self._idle = config.model_idle_minutes * 60
        self._housekeeper: Thread | None = None

    @property
    def choice(self) -> Choice | None:
        """The default model and why; None while it is being chosen. Never waits."""
        return self._choice

    def start(self) -> None:
        """Choose the default and load it, in the background. Returns at once; may be called again."""
        self._settle(again=False)

    def choose_again(self) -> None:
        """Look again whether something better than the present default can be had; in the background."""
        self._settle(again=True)

    def get(self, spec: str | None = None) -> Backend:
        """The loaded model, the default for None; waits until it is there.

        Raises UnknownModel or BackendUnavailable. A failure is remembered for RETRY seconds and
        tried again by whoever asks after that.
        """
        if spec is not None:
            return self._loaded(catalogue.spec_of(spec), self.config.device)
        if self._settled_at is None:
            self._settle(again=False).result()
        choice = self._choice
        if (choice.fallback or choice.stands_in) and self._clock() - self._settled_at > RETRY:
            self.choose_again()  # this request is served by what there is
        return self._loaded(choice.spec, choice.device)

    def awake(self, spec: str | None = None) -> Backend:
        """As `get`; what rests is loaded again first, so that `status` tells who waits for what."""
        backend = self.get(spec)
        if isinstance(backend, Held):
            backend.wake()
        return backend

    def start_loading(self, spec: str | None = None) -> None:
        """Load in the background, at once even if it failed a moment ago. `status` tells how it goes."""
        if spec is None:
            return self.choose_again() if self._choice else self.start()
        spec = catalogue.spec_of(spec)
        self._slot(spec).loading = self._slot(spec).backend is None
        Thread(target=self._try, args=(spec, self.config.device), daemon=True).start()

    def status(self, spec: str | None = None) -> Status:
        """How it stands with a model, the default for None. Never waits."""
        if spec is None:
            if self._choice is None:
                failed = self._settling and self._settling.done() and self._settling.exception()
                return Status("failed", str(failed)) if failed else Status("choosing", "Choosing a model.")
            if self._settled_at is None and not self._slot(self._choice.spec).backend:
                return Status("loading", _loading(self._choice.spec))  # or already what stands in for it
            spec = self._choice.spec
        spec = catalogue.spec_of(spec)
        slot = self._slots.get(spec, _Slot())
        if isinstance(slot.backend, Held) and slot.backend.state != "ready":
            resting = f"{spec} rests, as nobody used it. It is loaded again when somebody does."
            loading = slot.backend.state == "loading"
            return Status("loading", _loading(spec)) if loading else Status("ready", resting)
        if slot.backend:
            return Status("ready", _waking(spec) or f"{spec} is ready.")
        if slot.loading:
            return Status("loading", _loading(spec))
        if slot.error:
            return Status("failed", str(slot.error))
        return Status("absent", f"{spec} is not loaded.")

    def _slot(self, spec: str) -> _Slot:
        with self._lock:
            return self._slots.setdefault(spec, _Slot())

    def _loaded(self, spec: str, device: str, at_once: bool = False) -> Backend:
        slot = self._slot(spec)
        with slot.lock:
            if slot.backend:
                return slot.backend
            if slot.error and not at_once and self._clock() - slot.failed_at < RETRY:
                raise type(slot.error)(slot.error.what, slot.error.fix)
            slot.loading = True
            try:
                slot.backend, slot.error = self._comes_and_goes(spec, device), None
                return slot.backend
            except ASRError as e:
                slot.error = e
                raise
            finally:
                slot.failed_at, slot.loading = self._clock(), False

    def _opened(self, spec: str, device: str) -> Backend:
        try:
            return LOADER.call(self._load, spec, device)
        except ASRError:
            raise
        except Exception as e:  # an engine's own error: keep its first line, it is what people search for
            first = (str(e).splitlines() or [type(e).__name__])[0]
            raise BackendUnavailable(
                f"{spec} could not be loaded: {first}.", "python -m asr doctor looks for the cause."
            ) from e

    def _comes_and_goes(self, spec: str, device: str) -> Backend:
        """The model; one that rests when nobody uses it, where that is wished."""
        backend = self._opened(spec, device)
        if not self._idle:
            return backend
        with self._lock:
            if not self._housekeeper:
                self._housekeeper = Thread(target=self._keep_house, name="model-idle", daemon=True)
                self._housekeeper.start()
        return Held(backend, partial(self._opened, spec, device), self._clock)

    def _keep_house(self) -> None:
        while True:
            time.sleep(min(LOOK, self._idle / 2))
            self.rest()

    def rest(self) -> list[str]:
        """Let go of the models that nobody has used for ASR_MODEL_IDLE_MINUTES; their names."""
        held = [slot.backend for slot in list(self._slots.values()) if isinstance(slot.backend, Held)]
        gone = [backend.spec for backend in held if backend.rest(self._idle)]
        for spec in gone:
            log.info("%s was not used for %g minutes: its memory is free", spec, self._idle / 60)
        return gone

    def _try(self, spec: str, device: str) -> ASRError | None:
        try:
            self._loaded(spec, device, at_once=True)
        except ASRError as e:
            return e
        return None

    def _settle(self, again: bool) -> Future[Choice]:
        """Choose and load the default in a thread, one at a time."""
        with self._lock:
            if self._settling is None or (again and self._settling.done()):
                self._settling = Future()
                Thread(target=self._settle_into, args=(self._settling,), daemon=True).start()
            return self._settling

    def _settle_into(self, future: Future[Choice]) -> None:
        try:
            chosen = self._choose()
            if self._choice is None:
                self._choice = chosen  # so that the page can say what is being loaded
            error = self._try(chosen.spec, chosen.device)
            asked = self.config.model != "auto" or bool(self.config.endpoint_url)
            named = asked or self.config.device.startswith("cuda")
            failed: dict[str, ASRError] = {}
            while error and not named and not chosen.fallback:  # what was asked for is never replaced
                failed[chosen.spec] = error
                chosen = instead_of(failed, self.config, machine.look())
                error = self._try(chosen.spec, chosen.device)
            self._choice, self._settled_at = chosen, self._clock()
            future.set_result(chosen)
        except BaseException as e:
            future.set_exception(e)


def _waking(spec: str) -> str:
    since = backends.waking.get(spec)
    return f"The endpoint is waking up ({time.monotonic() - since:.0f} s)." if since else ""


def _loading(spec: str) -> str:
    if says := _waking(spec):
        return says
    card = catalogue.card(spec)
    if card and card.repo and not catalogue.cached(card):
        return f"Downloading {spec} ({card.download / 1e6:.0f} MB)."
    return f"Loading {spec}."
