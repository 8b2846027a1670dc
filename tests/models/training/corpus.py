"""Collects the speech to learn from, and the speech to hold out: spoken digits, each with its times.

    python corpus.py --fsdd ../../../../shared/data/fsdd corpus.pt

Real voices come from the Free Spoken Digit Dataset; eSpeak NG, Flite and Festival (Debian: flite, festival,
festvox-kdlpc16k) add synthetic ones.
"""

import argparse
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch

sys.path.insert(0, str(Path(__file__).parents[3]))
from tests import speech

HELD_OUT_TAKES = (5, 6)
HELD_OUT_VARIANTS = ("f4", "m7", "klatt3", "Andy", "linda", "david", "steph2", "victor", "miguel", "anika")
HELD_OUT_FLITE = "rms"
FLITE = {"kal16": 105, "awb": 130, "slt": 170, "rms": 100}  # voice: its usual pitch in Hz


@dataclass(frozen=True)
class Clip:
    audio: np.ndarray  # int16, 16 kHz
    words: tuple[tuple[int, float, float], ...]  # digit, start, end in seconds
    voice: str


def sounding(audio: np.ndarray, below_peak_db: float = 32) -> tuple[float, float]:
    """Where speech starts and ends, by energy smoothed over 20 ms."""
    energy = np.convolve(audio.astype(np.float64) ** 2, np.ones(320) / 320, "same")
    loud = np.flatnonzero(energy > energy.max() * 10 ** (-below_peak_db / 10))
    return loud[0] / speech.SAMPLE_RATE, (loud[-1] + 1) / speech.SAMPLE_RATE


def clip(audio: np.ndarray, digit: int, voice: str) -> Clip:
    samples = np.round(audio / (np.abs(audio).max() + 1e-9) * 32000).astype(np.int16)
    return Clip(samples, ((digit, *sounding(audio)),), voice)


def read(path: Path) -> np.ndarray:
    audio, rate = soundfile.read(path, dtype="float32")
    return soxr.resample(audio, rate, speech.SAMPLE_RATE).astype(np.float32)


def fsdd(folder: Path) -> tuple[list[Clip], list[Clip]]:
    """Takes to learn from, and takes held out."""
    learnt, held_out = [], []
    for path in sorted(folder.glob("*.wav")):
        digit, speaker, take = path.stem.split("_")
        part = held_out if int(take) in HELD_OUT_TAKES else learnt
        part.append(clip(read(path), int(digit), speaker))
    return learnt, held_out


def espeak(variants: list[str], voices: int, seed: int) -> Iterator[Clip]:
    """Every digit alone and some phrases, by random voices, a third of them without a variant."""
    rng = random.Random(seed)
    for i in range(voices):
        accent = rng.choice(speech.ACCENTS) if i % 2 else rng.choice(["en-us", "en-gb"])
        voice = accent if i % 3 == 0 else f"{accent}+{rng.choice(variants)}"
        manner = dict(voice=voice, rate=rng.randint(90, 230), pitch=rng.randint(15, 85))
        if i % 12 == 0:
            manner.update(rate=150, pitch=50)
        name = f"{voice} {manner['rate']} {manner['pitch']}"
        for digit, word in enumerate(speech.DIGITS):
            yield clip(speech.speak(word + rng.choice(["", "", "?", ","]), **manner), digit, name)
        for _ in range(3):
            yield phrase(rng, name, manner)


def phrase(rng: random.Random, name: str, manner: dict) -> Clip:
    chosen = [rng.randrange(10)]
    while len(chosen) < rng.randint(2, 8):
        chosen.append(chosen[-1] if rng.random() < 0.25 else rng.randrange(10))
    audio, words = speech.phrase(" ".join(speech.DIGITS[d] for d in chosen), **manner)
    first, last = sounding(audio)
    times = [(max(start, first), min(end, last)) for _, start, end in words]
    samples = np.round(audio / np.abs(audio).max() * 32000).astype(np.int16)
    return Clip(samples, tuple((d, *t) for d, t in zip(chosen, times, strict=True)), name)


def flite(voice: str, manners: int, seed: int) -> Iterator[Clip]:
    rng = random.Random(seed)
    for _ in range(manners):
        pitch, stretch = FLITE[voice] * rng.uniform(0.8, 1.25), rng.uniform(0.75, 1.3)
        options = ["--setf", f"int_f0_target_mean={pitch:.0f}", "--setf", f"duration_stretch={stretch:.2f}"]
        for digit, word in enumerate(speech.DIGITS):
            text = word + rng.choice([".", "?", ","])
            audio = spoken_by(["flite", "-voice", voice, *options, "-t", text, "-o"])
            yield clip(audio, digit, f"{voice} {pitch:.0f}")


def festival(manners: int, seed: int) -> Iterator[Clip]:
    rng = random.Random(seed)
    for _ in range(manners):
        stretch = rng.uniform(0.75, 1.3)
        setting = f"(begin (voice_ked_diphone) (Parameter.set 'Duration_Stretch {stretch:.2f}))"
        for digit, word in enumerate(speech.DIGITS):
            yield clip(spoken_by(["text2wave", "-eval", setting, "-o"], word), digit, f"ked {stretch:.2f}")


def spoken_by(command: list[str], text: str = "") -> np.ndarray:
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        subprocess.run([*command, file.name], input=text, text=True, check=True, capture_output=True)
        return read(Path(file.name))


def collect(folder: Path, voices: int) -> dict[str, list[Clip]]:
    variants = [v for v in speech.variants() if v not in HELD_OUT_VARIANTS]
    takes, held_out_takes = fsdd(folder)
    synthetic = [c for v in FLITE if v != HELD_OUT_FLITE for c in flite(v, 10, 1)]
    return {
        "fsdd": takes,
        "espeak": list(espeak(variants, voices, 2)),
        "other": synthetic + list(festival(5, 3)),
        "held-out takes": held_out_takes,
        "unseen espeak": list(espeak(list(HELD_OUT_VARIANTS), 60, 4)),
        "unseen flite": list(flite(HELD_OUT_FLITE, 6, 5)),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fsdd", type=Path, required=True)
    parser.add_argument("--voices", type=int, default=900, help="how many eSpeak NG voices to learn from")
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    corpus = collect(arguments.fsdd, arguments.voices)
    torch.save({k: [vars(c) for c in v] for k, v in corpus.items()}, arguments.out)
    print({k: (len(v), len({c.voice for c in v})) for k, v in corpus.items()})
