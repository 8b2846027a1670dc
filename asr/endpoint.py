"""Who is speaking and since when: a stream's audio as frames that are voiced or not."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np

from asr.vad import FRAME, VoiceDetector


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
        self._detector = vad()

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
            speech = self._detector(audio[:whole])
            self.ready += zip(audio[:whole].reshape(-1, FRAME), speech, strict=True)

    @property
    def empty(self) -> bool:
        return not self.ready and not self._inbox and not (self.ended and len(self._rest))


class Endpoint:
    """Voice probabilities made into speech and silence. Positions are samples since the stream began.

    `on` starts speech and `off` ends it (Silero's own hysteresis); `onset` frames in a row must be
    voiced before anybody speaks, because a click is one frame long.
    """

    def __init__(self, on: float = 0.5, off: float = 0.35, onset: int = 3):
        self.on, self.off, self.onset = on, off, onset
        self.speaking = False  # an utterance is open
        self.began = 0  # where its first voiced frame starts
        self.voiced_until = 0  # where its last voiced frame ends
        self._run = 0  # voiced frames in a row

    def hear(self, probability: float, clock: int) -> bool:
        """Take the frame that ends at `clock`; True when it is voiced."""
        voiced = probability >= (self.off if self._run and self.speaking else self.on)
        self._run = self._run + 1 if voiced else 0
        if voiced and self.speaking:
            self.voiced_until = clock
        elif self._run >= self.onset:
            self.speaking, self.began, self.voiced_until = True, clock - self._run * FRAME, clock
        return bool(voiced)

    def close(self) -> None:
        """The utterance is over."""
        self.speaking, self._run = False, 0
