"""What a microphone hears when nobody speaks: coloured noise, hum, knocks, tones, wind, music."""

import numpy as np

RATE = 16_000


def noises(rng: np.random.Generator, count: int, samples: int) -> list[np.ndarray]:
    """Of power 1."""
    kinds = [coloured, coloured, hum, knocks, tones, wind, music, music]
    made = [kinds[i % len(kinds)](rng, samples) for i in range(count)]
    return [(x / (np.sqrt(np.mean(x**2)) + 1e-9)).astype(np.float32) for x in made]


def shaped(noise: np.ndarray, gain) -> np.ndarray:
    """`gain` is a function of frequency."""
    frequencies = np.maximum(np.fft.rfftfreq(len(noise), 1 / RATE), 40)
    return np.fft.irfft(np.fft.rfft(noise) * gain(frequencies), len(noise))


def coloured(rng: np.random.Generator, samples: int) -> np.ndarray:
    slope, cutoff = rng.uniform(-1.2, 0.3), rng.choice([8000, 8000, rng.uniform(2500, 4200)])
    at, bumps = np.sort(rng.uniform(0, 8000, 6)), rng.uniform(-12, 12, 6)
    curve = lambda f: (f / 1000) ** slope * 10 ** (np.interp(f, at, bumps) / 20) * (f <= cutoff)  # noqa: E731
    return shaped(rng.standard_normal(samples), curve)


def wind(rng: np.random.Generator, samples: int) -> np.ndarray:
    slope = rng.uniform(-1.3, 0)
    gusts = np.interp(np.arange(samples), np.linspace(0, samples, 60), rng.uniform(0, 1, 60) ** 2)
    return shaped(rng.standard_normal(samples), lambda f: (f / 500) ** slope) * gusts


def hum(rng: np.random.Generator, samples: int) -> np.ndarray:
    time, pitch = np.arange(samples) / RATE, rng.choice([50, 60, 100, 120]) * rng.uniform(0.98, 1.02)
    sound = 0.1 * rng.standard_normal(samples)
    for harmonic in range(1, rng.integers(3, 14)):
        phase = rng.uniform(0, 2 * np.pi)
        sound += rng.uniform(0, 1) / harmonic * np.sin(2 * np.pi * pitch * harmonic * time + phase)
    return sound


def knocks(rng: np.random.Generator, samples: int) -> np.ndarray:
    sound = 0.02 * rng.standard_normal(samples)
    for _ in range(rng.integers(8, 90)):
        length, at = rng.integers(20, 3000), rng.integers(0, samples - 4000)
        decay = np.exp(-np.arange(length) / (length / rng.uniform(3, 8)))
        sound[at : at + length] += rng.uniform(0.2, 3) * rng.standard_normal(length) * decay
    return sound


def tones(rng: np.random.Generator, samples: int) -> np.ndarray:
    sound = 0.02 * rng.standard_normal(samples)
    for _ in range(rng.integers(2, 12)):
        length = int(rng.uniform(0.2, 5) * RATE)
        at, time = rng.integers(0, samples - length), np.arange(length) / RATE
        glide = rng.uniform(100, 3000) + rng.normal(0, 60) * time
        edges = np.minimum(1, np.minimum(time, time[::-1]) / 0.03)
        sound[at : at + length] += rng.uniform(0.1, 1) * np.sin(2 * np.pi * glide * time) * edges
    return sound


def music(rng: np.random.Generator, samples: int) -> np.ndarray:
    """Chords of decaying harmonics on a beat, with a drum."""
    sound, beat = 0.005 * rng.standard_normal(samples), rng.uniform(0.25, 0.8)
    time = np.arange(int(1.5 * RATE)) / RATE
    for at in np.arange(0, samples - len(time), int(beat * RATE)):
        root = 110 * 2 ** (rng.integers(0, 25) / 12)
        for interval in rng.choice([1, 5 / 4, 3 / 2, 2, 6 / 5], rng.integers(1, 5)):
            pitches = root * interval * np.arange(1, 6)[:, None]
            partials = np.sin(2 * np.pi * pitches * time) / np.arange(1, 6)[:, None] ** rng.uniform(0.7, 2)
            sound[at : at + len(time)] += partials.sum(0) * np.exp(-time * rng.uniform(1, 6))
        if rng.random() < 0.6:
            sound[at : at + 2000] += (
                rng.uniform(0, 2) * rng.standard_normal(2000) * np.exp(-np.arange(2000) / 400)
            )
    return sound
