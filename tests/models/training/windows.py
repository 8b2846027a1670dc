"""Windows of spoken digits: up to 30 s of clips joined with gaps, in a room, in noise; or noise alone."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from corpus import Clip
from noise import noises
from scipy.signal import fftconvolve

RATE = 16_000
HEARD = 0.05  # a word that lacks no more than this at the window's end is heard
GAPS = ((0.0, 0.12), (0.04, 0.3), (0.1, 0.8), (0.3, 1.5), (0.0, 1.5))
GAPS_DENSE = (0.25, 0.35, 0.25, 0.05, 0.1)
GAPS_SPARSE = (0.1, 0.2, 0.25, 0.25, 0.2)

Word = tuple[int, float, float]  # digit, start, end in seconds


@dataclass
class Window:
    audio: np.ndarray
    words: list[Word]  # all that begin inside the window, the last one perhaps cut
    content: float  # seconds of audio; the rest is padding

    @property
    def heard(self) -> list[Word]:
        return [w for w in self.words if w[2] <= self.content + HEARD]

    @property
    def cut(self) -> list[Word]:
        return [w for w in self.words if w[2] > self.content + HEARD and w[1] < self.content - 0.1]


class Windows:
    """Draws windows of sound."""

    def __init__(self, clips: dict[str, list[Clip]], shares: dict[str, float], rng: np.random.Generator):
        self.rng = rng
        self.sources = list(shares)
        self.shares = np.array(list(shares.values())) / sum(shares.values())
        self.voices = {source: self._by_voice(clips[source]) for source in shares}
        self.noises = noises(rng, 40, 20 * RATE)

    @staticmethod
    def _by_voice(clips: list[Clip]) -> list[list[Clip]]:
        voices = defaultdict(list)
        for clip in clips:
            voices[clip.voice].append(clip)
        return list(voices.values())

    def _voice(self) -> list[Clip]:
        voices = self.voices[self.rng.choice(self.sources, p=self.shares)]
        return voices[self.rng.integers(len(voices))]

    def draw(self, seconds: float, dense: bool) -> Window:
        if self.rng.random() < 0.08:
            return self._silence(seconds)
        content = seconds if self.rng.random() < 0.5 else self.rng.uniform(min(1, seconds), seconds)
        cut = self.rng.random() < 0.35
        audio, words = self._speech(content, cut, dense)
        if not cut:
            end = words[-1][2] if words else 0.5
            content = min(
                content, end + self.rng.choice([self.rng.uniform(0.02, 0.3), self.rng.uniform(0, 3)])
            )
        audio = audio[: round(content * RATE)]
        audio = np.pad(audio, (0, round(seconds * RATE) - len(audio)))
        return Window(self._recorded(audio, round(content * RATE)), words, content)

    def _silence(self, seconds: float) -> Window:
        count = round(seconds * RATE)
        audio = np.zeros(count, np.float32)
        if self.rng.random() < 0.9:
            audio = self._noise(count) * 10 ** (self.rng.uniform(-75, -8) / 20)
        return Window(
            audio.astype(np.float32), [], self.rng.choice([seconds, self.rng.uniform(0.5, seconds)])
        )

    def _speech(self, seconds: float, cut: bool, dense: bool) -> tuple[np.ndarray, list[Word]]:
        """Words from a random start until the end, which `cut` may split a word."""
        rng = self.rng
        audio, words = np.zeros(round((seconds + 6) * RATE), np.float32), []
        low, high = GAPS[rng.choice(len(GAPS), p=GAPS_DENSE if dense else GAPS_SPARSE)]
        pauses = 0.06 if rng.random() < 0.3 else 0
        most = 999 if cut or rng.random() < 0.6 else rng.integers(1, 21)
        mixed, even, spread = rng.random() < 0.35, rng.random() < 0.5, rng.uniform(0, 4)
        again = 0.3 if rng.random() < 0.5 else 0  # how often a digit is said again: the hardest to count
        at = rng.choice(
            [rng.uniform(0, 0.06), rng.uniform(0, 1), rng.uniform(0, min(6, seconds / 2))],
            p=[0.45, 0.4, 0.15],
        )
        voice, clip = self._voice(), None
        while at < seconds and len(words) < most:
            if mixed and rng.random() < 0.5:
                voice = self._voice()
            clip = self._next(voice, clip if rng.random() < again else None)
            sound, times = self._spoken(clip)
            first = round(at * RATE)
            if not cut and at + times[-1][2] > seconds - 0.05:
                break
            gain = 10 ** (rng.normal(0, spread) / 20) if even else 10 ** (rng.normal(-3, 3) / 20)
            end = min(first + len(sound), len(audio))
            audio[first:end] += gain * sound[: end - first]
            words += [(d, at + start, at + stop) for d, start, stop in times]
            gap = rng.uniform(1.5, 7) if rng.random() < pauses else rng.uniform(low, high)
            at += len(sound) / RATE + gap
        return audio, [w for w in words if w[1] < seconds]

    def _next(self, voice: list[Clip], said: Clip | None) -> Clip:
        """Any clip of a voice, or one of the digit just said."""
        same = [c for c in voice if said and len(c.words) == 1 and c.words[0][0] == said.words[-1][0]]
        choice = same or voice
        return choice[self.rng.integers(len(choice))]

    def _spoken(self, clip: Clip) -> tuple[np.ndarray, list[Word]]:
        """A clip at another speed and pitch, often trimmed to its speech."""
        rng = self.rng
        sound = clip.audio.astype(np.float32) / 32768
        speed = rng.uniform(0.85, 1.2)
        count = int(len(sound) / speed)
        sound = np.interp(np.arange(count) * speed, np.arange(len(sound)), sound).astype(np.float32)
        words = [(d, start / speed, end / speed) for d, start, end in clip.words]
        if rng.random() < 0.6:
            first = max(0, words[0][1] - rng.uniform(0, 0.05))
            last = words[-1][2] + rng.uniform(0, 0.06)
            sound = sound[round(first * RATE) : round(last * RATE)].copy()
            words = [(d, start - first, end - first) for d, start, end in words]
        fade = np.linspace(0, 1, min(48, len(sound) // 4), dtype=np.float32)
        sound[: len(fade)] *= fade
        sound[len(sound) - len(fade) :] *= fade[::-1]
        return sound, words

    def _recorded(self, audio: np.ndarray, content: int) -> np.ndarray:
        """In a room, with noise, at some level, as 16-bit samples."""
        rng = self.rng
        if rng.random() < 0.25:
            audio = fftconvolve(audio, self._room())[: len(audio)]
        if rng.random() < 0.65:
            level = np.sqrt(np.mean(audio[:content] ** 2) + 1e-9)
            audio = audio + self._noise(len(audio)) * level * 10 ** (-rng.uniform(-1, 50) / 20)
        audio = audio / (np.abs(audio).max() + 1e-6) * 10 ** (-rng.uniform(0, 36) / 20)
        if rng.random() < 0.5:
            audio = np.round(audio * 32767) / 32767
        return audio.astype(np.float32)

    def _room(self) -> np.ndarray:
        rng = self.rng
        seconds = rng.uniform(0.08, 0.6)
        count = int(seconds * RATE)
        tail = rng.standard_normal(count) * 10 ** (-3 * np.arange(count) / count)
        tail *= rng.uniform(0.1, 0.7) / np.sqrt((tail**2).sum())
        tail[0] = 1
        return tail.astype(np.float32)

    def _noise(self, count: int) -> np.ndarray:
        noise = self.noises[self.rng.integers(len(self.noises))]
        return np.resize(np.roll(noise, int(self.rng.integers(len(noise)))), count)
