"""Who is speaking and since when: a stream's audio as frames that are voiced or not."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from asr.vad import VoiceDetector
from asr.vad.spans import FRAME, RELEASE, SHORTEST, THRESHOLD

LEVEL = 10 ** (-35 / 20)  # quieter speech is made as loud as this for the detector
QUIETEST = 0.003  # rms of the quietest speech that is listened for: -50 dBFS
BED = 0.03  # of the speech's level: the noise that is laid under it
ATTACK, DECAY = 0.1, 0.9995  # of the level in a frame; it halves in 44 s of silence


class Ear:
    """Audio of any size in, whole frames out, each with its probability of being speech.

    Any thread may `feed`; the voice detector runs in `frames`, where another one may be.
    """

    def __init__(self, vad: Callable[[], VoiceDetector]):
        self.fed = 0  # samples, ever
        self.ended = False  # no more will be fed
        self.ready: deque[tuple[np.ndarray, float]] = deque()
        self._inbox: deque[np.ndarray] = deque()
        self._rest = np.zeros(0, np.float32)
        self._detector, self._audible = vad(), Audible()

    def feed(self, audio: np.ndarray) -> None:
        self._inbox.append(np.asarray(audio, np.float32))
        self.fed += len(audio)

    def listen(self) -> None:
        """Judge what was fed; `ready` grows by the frames that are complete."""
        ended, pieces = self.ended, [self._rest]
        while self._inbox:
            pieces.append(self._inbox.popleft())
        audio = np.concatenate(pieces)
        if ended:
            audio = np.pad(audio, (0, -len(audio) % FRAME))
        whole = len(audio) // FRAME * FRAME
        self._rest = audio[whole:]
        if whole:
            frames = audio[:whole].reshape(-1, FRAME)
            self.ready += zip(frames, self._detector(self._audible(frames)), strict=True)

    @property
    def empty(self) -> bool:
        return not self.ready and not self._inbox and not (self.ended and len(self._rest))


class Audible:
    """A stream as Silero hears it best: louder if quiet, on a bed of faint noise.

    `asr.vad` does the same to recordings, and says why. Here the level of the speech is followed as it
    comes. Of 880 short words in digital silence (FSDD digits) Silero misses 25 as they are, and none so.
    """

    def __init__(self):
        self._level, self._count = QUIETEST, 0  # the first words may be quiet ones

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """Frames (k, FRAME) as one stretch of audio (k * FRAME,)."""
        levels = np.array([self._follow(rms) for rms in np.sqrt((frames**2).mean(axis=1))], np.float32)
        gains = np.maximum(1, LEVEL / levels)
        bed = _noise()[np.arange(self._count, self._count + len(frames)) % len(_noise())]
        self._count += len(frames)
        return (gains[:, None] * (frames + BED * levels[:, None] * bed)).reshape(-1)

    def _follow(self, rms: float) -> float:
        louder = rms > self._level
        self._level += ATTACK * (rms - self._level) if louder else (DECAY - 1) * self._level
        self._level = max(QUIETEST, self._level)
        return self._level


@lru_cache(maxsize=1)
def _noise() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((1000, FRAME), np.float32)


class Endpoint:
    """Voice probabilities made into speech and silence. Positions are samples since the stream began.

    Speech begins at THRESHOLD and lasts above RELEASE; `onset` frames in a row must be voiced before
    anybody speaks, because a click is one frame long.
    """

    def __init__(self, onset: int = SHORTEST):
        self.onset = onset
        self.speaking = False  # an utterance is open
        self.began = 0  # where its first voiced frame starts
        self.voiced_until = 0  # where its last voiced frame ends
        self._run = 0  # voiced frames in a row

    def hear(self, probability: float, clock: int) -> bool:
        """Take the frame that ends at `clock`; True when it is voiced."""
        voiced = probability >= (RELEASE if self._run else THRESHOLD)
        self._run = self._run + 1 if voiced else 0
        if voiced and self.speaking:
            self.voiced_until = clock
        elif self._run >= self.onset:
            self.speaking, self.began, self.voiced_until = True, clock - self._run * FRAME, clock
        return bool(voiced)

    def close(self) -> None:
        """The utterance is over."""
        self.speaking, self._run = False, 0
