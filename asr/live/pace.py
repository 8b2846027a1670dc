"""The times of a live stream, and what every pass over it asks of the model."""

from __future__ import annotations

from dataclasses import dataclass, replace

from asr.backends import Backend
from asr.config import Config
from asr.types import Options

PAID = 0.5  # Pace.growth where audio leaves this machine: sent four times at most


@dataclass(frozen=True, slots=True)
class Pace:
    """All in seconds. The figures beside some of them come from `bench live` on spoken digits."""

    interval: float = 0.5  # between the starts of two drafts; at 0.3 half words settle, WER 2 % for 0.3
    speculate: float = 0.128  # silence after which the utterance may be over: it is heard at once
    pause: float = 0.6  # silence after which it is over
    longest: float = 20.0  # who never pauses is cut about here; a model hears 30 s at most
    margin: float = 0.2  # a word this close to the end of what was heard may still be growing
    preroll: float = 0.3  # kept from before speech was detected: onsets are soft
    tail: float = 0.3  # of the silence after an utterance, heard with it
    lock: float = 3.0  # speech in one language after which that is the stream's language
    # Before a buffer is heard again it grows by this share of itself. With g, each second of speech is heard
    # at most 1/g + 2 times: 1/g in drafts that others follow, once in the last draft, once in the final pass.
    growth: float = 0.0
    # Options.encoder_seconds of every pass. Much faster on CPUs, and not known to be safe on models
    # that were trained on 30 s only.
    encoder_seconds: float | None = None

    def on(self, backend: Backend) -> Pace:
        """This pace; with a bound on what is heard again where a server, which may cost money, hears it.

        A native stream hears everything once.
        """
        free = backend.device in ("cpu", "cuda") or "stream" in backend.can
        return self if free else replace(self, growth=max(self.growth, PAID))

    def options(self, asked: Options, backend: Backend) -> Options:
        """The options of a pass: what takes long is off, unless it was asked for."""
        beam, cold, short = asked.beam_size, asked.temperature, asked.encoder_seconds
        return replace(
            asked,
            word_timestamps="words" in backend.can,
            beam_size=1 if beam is None and "beam" in backend.can else beam,
            temperature=0.0 if cold is None and "temperature" in backend.can else cold,
            encoder_seconds=self.encoder_seconds if short is None and "short" in backend.can else short,
        )


def paced(config: Config) -> Pace:
    """The pace that the configuration asks for."""
    usual = Pace()
    return replace(
        usual,
        pause=max(config.live_pause, usual.speculate),
        encoder_seconds=config.live_encoder_seconds or None,
    )


NORMAL = Pace()
