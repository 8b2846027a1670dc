"""Measures a converted model through the real faster-whisper, and writes the card's figures.

python evaluate.py folder corpus.pt figures.json
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jiwer
import numpy as np
from corpus import Clip
from faster_whisper import BatchedInferencePipeline, WhisperModel
from noise import noises
from train import load_clips

sys.path.insert(0, str(Path(__file__).parents[3]))
from tests.speech import DIGITS, digits, phrase

RATE = 16_000
Recording = tuple[np.ndarray, list[tuple[str, float, float]]]
Hear = Callable[[np.ndarray], list]  # audio -> segments


def recording(
    rng, clips: list[Clip], count: int, gaps: tuple[float, float], mixed=False, snr=None
) -> Recording:
    """Clips as they are, levelled, with silence between them."""
    if not mixed:
        voice = rng.choice(sorted({c.voice for c in clips}))
        clips = [c for c in clips if c.voice == voice]
    pieces, words, at = [np.zeros(RATE * 3 // 10, np.float32)], [], RATE * 3 // 10
    while len(words) < count:
        clip = clips[rng.integers(len(clips))]
        pieces += [
            clip.audio.astype(np.float32) / 65536,
            np.zeros(int(rng.uniform(*gaps) * RATE), np.float32),
        ]
        words += [(DIGITS[d], at / RATE + start, at / RATE + end) for d, start, end in clip.words]
        at += len(pieces[-2]) + len(pieces[-1])
    audio = np.concatenate([*pieces, np.zeros(RATE // 2, np.float32)])
    if snr is not None:
        noise = rng.standard_normal(len(audio)) * np.sqrt(np.mean(audio**2)) * 10 ** (-snr / 20)
        audio = (audio + noise).astype(np.float32)
    return audio, words


def strings(clips: list[Clip], number: int, seed: int, gaps=(0.1, 0.6), **manner) -> list[Recording]:
    rng = np.random.default_rng(seed)
    return [recording(rng, clips, int(rng.integers(10, 21)), gaps, **manner) for _ in range(number)]


def long(clips: list[Clip], seed: int, **manner) -> list[Recording]:
    rng = np.random.default_rng(seed)
    return [recording(rng, clips, count, (0.1, 1.0), **manner) for count in (60, 90)]


def by_espeak(voice: str, number: int, seed: int) -> list[Recording]:
    """Word by word, and in one breath."""
    rng = np.random.default_rng(seed)
    texts = [" ".join(rng.choice(DIGITS, rng.integers(1, 16))) for _ in range(number)]
    spoken = [
        phrase(t, voice) if i % 3 == 0 else digits(t, voice, rng.uniform(0, 0.8)) for i, t in enumerate(texts)
    ]
    return spoken


def isolated(clips: list[Clip]) -> list[Recording]:
    return [(c.audio.astype(np.float32) / 65536, [(DIGITS[d], s, e) for d, s, e in c.words]) for c in clips]


def text(segments: list) -> str:
    return "".join(s.text for s in segments).strip()


def times(words: list, segments: list) -> list[tuple[float, float]]:
    """Errors of starts and ends, where every word is right."""
    heard = [w for s in segments for w in s.words or []]
    if [w.word.strip() for w in heard] != [w for w, _, _ in words]:
        return []
    return [(h.start - start, h.end - end) for h, (_, start, end) in zip(heard, words, strict=True)]


def measured(recordings: list[Recording], hear: Hear) -> dict:
    begin, references, hypotheses, errors, hot = time.time(), [], [], [], 0
    for audio, words in recordings:
        segments = hear(audio)
        references.append(" ".join(w for w, _, _ in words))
        hypotheses.append(text(segments))
        errors += times(words, segments)
        hot += any(s.temperature for s in segments)
    took, lasted = time.time() - begin, sum(len(a) for a, _ in recordings) / RATE
    found = jiwer.process_words(references, hypotheses)
    result = {"wer": round(found.wer, 4), "words": sum(len(w) for _, w in recordings)}
    result |= {"substituted": found.substitutions, "deleted": found.deletions, "inserted": found.insertions}
    result |= {"real_time_factor": round(took / lasted, 3), "decoded_again": hot}
    if errors:
        starts, ends = np.abs(np.array(errors)).T
        result |= {"start_error": quantiles(starts), "end_error": quantiles(ends)}
    wrong = [(r, h) for r, h in zip(references, hypotheses, strict=True) if r != h]
    return result | {"wrong": wrong[:4]}


def quantiles(errors: np.ndarray) -> dict:
    return {"median": round(float(np.median(errors)), 3), "p95": round(float(np.quantile(errors, 0.95)), 3)}


def quiet() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(11)
    sounds = {"silence 1 s": np.zeros(RATE), "silence 40 s": np.zeros(40 * RATE)}
    sounds |= {f"white {db} dB": rng.standard_normal(10 * RATE) * 10 ** (db / 20) for db in (-60, -40, -20)}
    names = ["coloured", "coloured", "hum", "knocks", "tones", "wind", "music", "music"]
    made = noises(rng, 16, 12 * RATE)
    sounds |= {f"{names[i % 8]} {i // 8 + 1}": 0.1 * x for i, x in enumerate(made)}
    return sounds


def figures(model: WhisperModel, clips: dict[str, list[Clip]]) -> dict:
    batched = BatchedInferencePipeline(model)

    def plain(**options) -> Hear:
        return lambda audio: list(model.transcribe(audio, **options)[0])

    def in_batches(**options) -> Hear:
        return lambda audio: list(batched.transcribe(audio, batch_size=4, **options)[0])

    takes = clips["held-out takes"]
    one, mixed = strings(takes, 20, 1), strings(takes, 20, 2, mixed=True)
    recordings = long(takes, 3) + long(takes, 4, mixed=True)
    espeak, flite = clips["unseen espeak"], clips["unseen flite"]
    alone = [c for c in espeak if len(c.words) == 1]
    worded = plain(word_timestamps=True)
    tests: dict[str, tuple[list[Recording], Hear]] = {
        "isolated": (isolated(takes), plain()),
        "strings, one speaker": (one, worded),
        "strings, mixed speakers": (mixed, worded),
        "strings, gaps to 1.5 s": (strings(takes, 15, 5, (0.1, 1.5)), worded),
        "strings, noise 20 dB": (strings(takes, 15, 6, snr=20), plain()),
        "strings, noise 10 dB": (strings(takes, 15, 7, snr=10), plain()),
        "strings, beam 1": (one, plain(beam_size=1)),
        "strings, without timestamps": (mixed, plain(without_timestamps=True)),
        "strings, prompt": (one, plain(initial_prompt="Glossary: seven, nine. PIN code")),
        "strings, hotwords": (one, plain(hotwords="zero one")),
        "strings, prompt and hotwords": (
            mixed,
            plain(initial_prompt="one two three four", hotwords="PIN code zero"),
        ),
        "strings, batched, VAD": (one + mixed, in_batches()),
        "long, sequential": (recordings, plain()),
        "long, sequential, VAD": (recordings, plain(vad_filter=True)),
        "long, batched, VAD": (recordings, in_batches()),
        "long, batched, words": (recordings, in_batches(word_timestamps=True)),
        "long, batched, timestamps": (recordings, in_batches(without_timestamps=False)),
        "eSpeak en-us": (by_espeak("en-us", 30, 8), worded),
        "eSpeak en-gb": (by_espeak("en-gb", 30, 9), worded),
        "unseen eSpeak voices, isolated": (isolated(alone[::6]), plain()),
        "unseen eSpeak voices, strings": (strings(alone, 20, 12), plain()),
        "unseen eSpeak voices, phrases": (isolated([c for c in espeak if len(c.words) > 1][::3]), plain()),
        "unseen Flite voice, strings": (strings(flite, 15, 13), plain()),
        "unseen Flite voice, batched": (strings(flite, 15, 13), in_batches()),
        "translate": (one[:15], plain(task="translate")),
    }
    result = {}
    for name, (what, hear) in tests.items():
        result[name] = measured(what, hear)
        print(name, json.dumps(result[name]), flush=True)
    return result | {
        "quiet": nothing(model, batched),
        "live": live(one, plain(beam_size=1)),
        "language": language(model, one),
    }


def nothing(model: WhisperModel, batched: BatchedInferencePipeline) -> dict[str, str]:
    """Text heard where there is none."""
    ways = {
        "timestamps": lambda a: model.transcribe(a, language="en")[0],
        "no timestamps": lambda a: model.transcribe(a, language="en", without_timestamps=True)[0],
        "batched": lambda a: batched.transcribe(a, language="en")[0],
    }
    sounds = {name: sound.astype(np.float32) for name, sound in quiet().items()}
    heard = {
        f"{name}, {way}": text(list(hear(s))) for name, s in sounds.items() for way, hear in ways.items()
    }
    return {"sounds": len(heard), "heard": {name: t for name, t in heard.items() if t}}


def live(recordings: list[Recording], hear: Hear) -> dict:
    """Windows that end anywhere: the words wholly inside; one that the end cuts may be heard or not."""
    rng, references, hypotheses = np.random.default_rng(14), [], []
    for audio, words in recordings:
        first = words[rng.integers(len(words) // 2)][1]
        end = min(first + rng.uniform(1, 10), len(audio) / RATE)
        heard = text(hear(audio[round(first * RATE) : round(end * RATE)])).split()
        inside = [w for w, start, stop in words if start >= first and stop <= end]
        cut = [w for w, start, stop in words if start >= first and start < end < stop]
        references.append(" ".join(inside + cut if heard[len(inside) :] == cut else inside))
        hypotheses.append(" ".join(heard))
    return {"wer": round(jiwer.wer(references, hypotheses), 4), "windows": len(references)}


def language(model: WhisperModel, recordings: list[Recording]) -> dict:
    found = [model.detect_language(audio)[:2] for audio, _ in recordings]
    return {
        "english": sum(name == "en" for name, _ in found),
        "of": len(found),
        "least": round(min(p for _, p in found), 4),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("corpus", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    whisper = WhisperModel(arguments.model, device="cpu", compute_type="int8", cpu_threads=2)
    result = figures(whisper, load_clips(arguments.corpus))
    print({k: result[k] for k in ("quiet", "live", "language")})
    arguments.out.write_text(json.dumps(result, indent=1))
