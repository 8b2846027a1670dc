"""Whose turn it is: server VAD. Audio of a session in, the beginnings and ends of its turns out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from asr.audio import SAMPLE_RATE
from asr.live.endpoint import Ear, Endpoint
from asr.live.tape import Tape
from asr.vad import FRAME, Silero, VoiceDetector
from asr.vad.spans import RELEASE, THRESHOLD


@dataclass(frozen=True, slots=True)
class Began:
    at: int  # sample of the session at which the turn's audio starts, with its prefix


@dataclass(frozen=True, slots=True)
class Said:
    audio: np.ndarray  # float32 (n,): the turn goes on


@dataclass(frozen=True, slots=True)
class Ended:
    at: int  # sample of the session, with the silence that ended the turn


class TurnDetector:
    """`threshold` as in OpenAI's server_vad; `prefix` and `silence` in seconds."""

    def __init__(
        self,
        threshold: float,
        prefix: float,
        silence: float,
        *,
        since: int = 0,
        vad: Callable[[], VoiceDetector] = Silero,
    ):
        """`since`: samples of the session that came before."""
        self._threshold, self._endpoint = threshold, Endpoint()
        self._ear, self._tape = Ear(vad), Tape()
        self._since = since
        self._prefix, self._silence = round(prefix * SAMPLE_RATE), round(silence * SAMPLE_RATE)
        self._floor = 0  # what an earlier turn had is not heard twice

    def hear(self, audio: np.ndarray) -> Iterator[Began | Said | Ended]:
        """What happened in `audio`: float32 (n,). Whole frames are judged, the rest waits."""
        self._ear.feed(audio)
        self._ear.listen()
        while self._ear.ready:
            yield from self._step(*self._ear.ready.popleft())

    def _step(self, frame: np.ndarray, probability: float) -> Iterator[Began | Said | Ended]:
        end, was_speaking = self._endpoint, self._endpoint.speaking
        clock = self._tape.end + FRAME
        self._tape.add(frame, end.hear(self._judged(probability), clock))
        if not end.speaking:
            self._tape.forget(clock - self._prefix - end.onset * FRAME)
            return
        if was_speaking:
            self._tape.forget(clock - self._prefix)
            yield Said(frame)
        else:
            start = max(end.began - self._prefix, self._tape.start, self._floor)
            yield Began(self._since + start)
            yield Said(self._tape.read(start, clock))
        if clock - end.voiced_until >= self._silence:
            self._floor = clock
            end.close()
            yield Ended(self._since + clock)

    def _judged(self, probability: float) -> float:
        """The probability on the scale of `Endpoint`, whose thresholds are its own.

        Speech lasts until 0.15 under the threshold, as in Silero's own code, so that it does not flicker.
        """
        if probability >= self._threshold:
            return 1.0
        return (THRESHOLD + RELEASE) / 2 if probability >= self._threshold - 0.15 else 0.0
