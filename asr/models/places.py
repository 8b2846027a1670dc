"""A place for each model, by its name: loaded once, whoever asks first; the others wait for it.

What could not be loaded is remembered for a while. What nobody uses may rest (`asr.held`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from threading import Lock, Thread
from typing import Literal

from asr import backends, catalogue
from asr.backends import Backend
from asr.errors import ASRError, BackendUnavailable
from asr.held import Held
from asr.models.loader import LOADER

LOOK = 15.0  # seconds between two looks for models that nobody uses
RETRY = 60.0  # seconds before a request makes us try again what has failed

Load = Callable[[str, str], Backend]
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Status:
    state: Literal["choosing", "absent", "loading", "ready", "failed"]
    says: str  # a sentence for people


class _Place:
    """Empty, being filled, full, or with the error that kept it empty."""

    def __init__(self):
        self.lock = Lock()
        self.backend: Backend | None = None
        self.loading = False
        self.error: ASRError | None = None
        self.failed_at = 0.0


class Places:
    """`idle`: seconds without use after which a model rests; 0: never. `warm` is done with a model ahead."""

    def __init__(
        self, load: Load, warm: Callable[[Backend], None] | None, idle: float, clock: Callable[[], float]
    ):
        self._load, self._warm, self._idle, self._clock = load, warm, idle, clock
        self._places: dict[str, _Place] = {}
        self._lock = Lock()
        self._housekeeper: Thread | None = None

    def get(self, spec: str, device: str, ahead: bool = False) -> Backend:
        """The model, loaded if need be. Raises UnknownModel or BackendUnavailable.

        A failure is remembered for RETRY seconds. `ahead`, before somebody needs the model: it is tried
        even so, and warmed up, which who waits for it would only wait longer for.
        """
        place = self._place(spec)
        with place.lock:
            if place.backend:
                return place.backend
            if place.error and not ahead and self._clock() - place.failed_at < RETRY:
                raise type(place.error)(place.error.what, place.error.fix)
            place.loading = True
            try:
                backend = self._comes_and_goes(spec, device)
                if ahead and self._warm:
                    self._warm(backend)
                place.backend, place.error = backend, None
                return backend
            except ASRError as e:
                place.error = e
                raise
            finally:
                place.failed_at, place.loading = self._clock(), False

    def try_ahead(self, spec: str, device: str) -> ASRError | None:
        """Load it before somebody needs it; what came between."""
        try:
            self.get(spec, device, ahead=True)
        except ASRError as e:
            return e
        return None

    def expect(self, spec: str) -> None:
        """It is about to be loaded: `status` says so already."""
        place = self._place(spec)
        place.loading = place.backend is None

    def holds(self, spec: str) -> bool:
        return self._place(spec).backend is not None

    def status(self, spec: str) -> Status:
        """How it stands with a model. Never waits."""
        place = self._places.get(spec, _Place())
        if isinstance(place.backend, Held) and place.backend.state != "ready":
            resting = f"{spec} rests, as nobody used it. It is loaded again when somebody does."
            coming = place.backend.state == "loading"
            return Status("loading", loading(spec)) if coming else Status("ready", resting)
        if place.backend:
            return Status("ready", _waking(spec) or f"{spec} is ready.")
        if place.loading:
            return Status("loading", loading(spec))
        if place.error:
            return Status("failed", str(place.error))
        return Status("absent", f"{spec} is not loaded.")

    def rest(self) -> list[str]:
        """Let go of the models that nobody has used for so long; their names."""
        held = [place.backend for place in list(self._places.values()) if isinstance(place.backend, Held)]
        gone = [backend.spec for backend in held if backend.rest(self._idle)]
        for spec in gone:
            log.info("%s was not used for %g minutes: its memory is free", spec, self._idle / 60)
        return gone

    def _place(self, spec: str) -> _Place:
        with self._lock:
            return self._places.setdefault(spec, _Place())

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


def _waking(spec: str) -> str:
    since = backends.waking.get(spec)
    return f"The endpoint is waking up ({time.monotonic() - since:.0f} s)." if since else ""


def loading(spec: str) -> str:
    """What there is to say of a model that is on its way."""
    if says := _waking(spec):
        return says
    card = catalogue.card(spec)
    if card and card.repo and not catalogue.cached(card):
        return f"Downloading {spec} ({card.download / 1e6:.0f} MB)."
    return f"Loading {spec}."
