"""The models this process holds. The page, the API and the command line share one `Models`.

The default is chosen and loaded behind the page. Where the chosen Whisper cannot be had, the fallback
becomes the default and says so; it makes room as soon as something better can be loaded.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from threading import Lock, Thread

from asr import backends, catalogue, machine
from asr.backends import Backend
from asr.choice import Choice, choose, instead_of
from asr.config import Config
from asr.errors import ASRError
from asr.held import Held
from asr.models.places import RETRY, Load, Places, Status, loading

__all__ = ["RETRY", "Models", "Status"]


class Models:
    def __init__(
        self,
        config: Config,
        *,
        load: Load = backends.load,
        warm: Callable[[Backend], None] | None = None,
        choice: Callable[[], Choice] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        """`warm` is done with each model that is loaded before somebody needs it: `asr.models.warmth`."""
        self.config, self._clock = config, clock
        self._choose = choice or (lambda: choose(config, machine.look()))
        self._places = Places(load, warm, config.model_idle_minutes * 60, clock)
        self._lock = Lock()
        self._settling: Future[Choice] | None = None
        self._settled_at: float | None = None
        self._choice: Choice | None = None

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
            return self._places.get(catalogue.spec_of(spec), self.config.device)
        if self._settled_at is None:
            self._settle(again=False).result()
        choice = self._choice
        if (choice.fallback or choice.stands_in) and self._clock() - self._settled_at > RETRY:
            self.choose_again()  # this request is served by what there is
        return self._places.get(choice.spec, choice.device)

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
        self._places.expect(spec)
        Thread(target=self._places.try_ahead, args=(spec, self.config.device), daemon=True).start()

    def status(self, spec: str | None = None) -> Status:
        """How it stands with a model, the default for None. Never waits."""
        if spec is None:
            if self._choice is None:
                failed = self._settling and self._settling.done() and self._settling.exception()
                return Status("failed", str(failed)) if failed else Status("choosing", "Choosing a model.")
            if self._settled_at is None and not self._places.holds(self._choice.spec):
                return Status("loading", loading(self._choice.spec))  # or already what stands in for it
            spec = self._choice.spec
        return self._places.status(catalogue.spec_of(spec))

    def rest(self) -> list[str]:
        """Let go of the models that nobody has used for ASR_MODEL_IDLE_MINUTES; their names."""
        return self._places.rest()

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
            error = self._places.try_ahead(chosen.spec, chosen.device)
            asked = self.config.model != "auto" or bool(self.config.endpoint_url)
            named = asked or self.config.device.startswith("cuda")
            failed: dict[str, ASRError] = {}
            while error and not named and not chosen.fallback:  # what was asked for is never replaced
                failed[chosen.spec] = error
                chosen = instead_of(failed, self.config, machine.look())
                error = self._places.try_ahead(chosen.spec, chosen.device)
            self._choice, self._settled_at = chosen, self._clock()
            future.set_result(chosen)
        except BaseException as e:
            future.set_exception(e)
