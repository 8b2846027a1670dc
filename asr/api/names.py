"""Which model a client means, and which ones it may name.

Programs written for OpenAI send OpenAI's names; here each of them means this server's own model.
Beyond that a client may name what the owner listed in ASR_API_MODELS, and the models that are on
this disk already. Nobody can make the server download anything, open a path or fill its memory
with models its owner never had.
"""

from __future__ import annotations

import asyncio
import time

import anyio

from asr import catalogue
from asr.api.errors import Refused
from asr.backends import Backend
from asr.config import Config
from asr.errors import BackendUnavailable
from asr.models import Models

OPENAI = (
    "whisper-1",
    "gpt-transcribe",
    "gpt-4o-transcribe",
    "gpt-4o-mini-transcribe",
    "gpt-4o-mini-transcribe-2025-12-15",
    "gpt-4o-transcribe-diarize",
    "gpt-live-transcribe",
    "gpt-realtime-whisper",
)
OURS = ("auto", *OPENAI)


class Names:
    def __init__(self, config: Config, models: Models):
        """Raises UnknownModel when ASR_API_MODELS names none."""
        self.models, self._patience = models, config.api_patience
        self._owners = [catalogue.spec_of(name) for name in config.api_models.split(",") if name.strip()]

    @property
    def default(self) -> str | None:
        """The spec of this server's own model; None while it is being chosen."""
        return self.models.choice.spec if self.models.choice else None

    def listed(self) -> list[str]:
        """Every spec a client may name, the default first. Looks at the disk."""
        here = [card.spec for card in catalogue.CARDS if catalogue.cached(card)]
        return list(dict.fromkeys([*([self.default] if self.default else []), *self._owners, *here]))

    def spec(self, name: str) -> str | None:
        """The spec `name` stands for; None for the default. Raises Refused (404)."""
        if name in OURS or name == self.default:
            return None
        listed = self.listed()
        card = catalogue.card(name)
        found = card.spec if card else name
        if found in listed:
            return None if found == self.default else found
        raise Refused(
            f"The model '{name[:100]}' does not exist here.",
            f"There are: {', '.join(listed)}; OpenAI's names all mean {self.default or 'the default'}.",
            status=404,
            param="model",
            code="model_not_found",
        )

    async def backend(self, name: str) -> Backend:
        """The model, loaded. Raises Refused, or BackendUnavailable when loading fails or takes too long."""
        spec = await anyio.to_thread.run_sync(self.spec, name)
        until = time.monotonic() + self._patience
        self.models.start()
        while (status := self.models.status(spec)).state not in ("ready", "failed"):
            if spec and status.state == "absent":
                self.models.start_loading(spec)
            if time.monotonic() > until:
                raise BackendUnavailable(status.says, "Try again in a minute.")
            await asyncio.sleep(0.05)
        return await anyio.to_thread.run_sync(self.models.get, spec, abandon_on_cancel=True)

    def window(self, name: str) -> float | None:
        """`Batching.window` of a model that may be named; None as long as it is not loaded. Never waits."""
        spec = None if name in OURS else name
        ready = self.models.status(spec).state == "ready"
        return getattr(self.models.get(spec), "window", None) if ready else None

    def state(self) -> dict:
        """For /healthz: whether the default can be used now."""
        status = self.models.status()
        return {
            "ready": status.state == "ready",
            "model": self.default,
            "state": status.state,
            "says": status.says,
        }
