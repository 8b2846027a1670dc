"""Meetings composed of voices, with the exact truth of who said which word; and how well it was found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import jiwer
import numpy as np
from scipy.optimize import linear_sum_assignment

from asr.audio import SAMPLE_RATE, Recording, load_audio, to_pcm16
from asr.types import Segment, Word
from tests.speech import DIGITS, digits

VOICES = ("en-us+m3", "en-gb+f4", "en-us+klatt2", "en-us+robert")  # en-029 is m3 with another accent
NEVER_TRAINED_ON = (5, 6)  # takes that the digits model has not heard

Say = Callable[[str, list[str], np.random.Generator], tuple[np.ndarray, list[tuple[str, float, float]]]]


@dataclass(frozen=True)
class Meeting:
    recording: Recording
    words: tuple[Word, ...]  # what was said, by whom


def composed(people: Sequence[str], say: Say, turns: int, seed: int) -> Meeting:
    """Everybody speaks first in a row, then whoever; nobody twice in a row. 5 to 9 digits a turn."""
    rng = np.random.default_rng(seed)
    pieces, words, at, last = [], [], 0.0, None
    for turn in range(turns):
        others = [p for p in people if p != last]
        last = people[turn] if turn < len(people) else str(rng.choice(others))
        sound, said = say(last, list(rng.choice(DIGITS, rng.integers(5, 10))), rng)
        words += [Word(at + start, at + end, f" {w}", speaker=last) for w, start, end in said]
        pieces.append(sound)
        at += len(sound) / SAMPLE_RATE
    return Meeting(Recording(to_pcm16(np.concatenate(pieces))), tuple(words))


def synthetic(voice: str, said: list[str], rng: np.random.Generator):
    """Said by eSpeak NG."""
    gaps = list(rng.uniform(0.1, 0.3, len(said) - 1))
    return digits(" ".join(said), voice, gap=gaps, lead=0.2, tail=float(rng.uniform(0.2, 0.6)))


def recorded(folder: Path) -> Say:
    """Said by people of the Free Spoken Digit Dataset, in takes that the model never heard."""

    def say(person: str, said: list[str], rng: np.random.Generator):
        pieces, words, at = [], [], 0.0
        for word in said:
            take = folder / f"{DIGITS.index(word)}_{person}_{rng.choice(NEVER_TRAINED_ON)}.wav"
            audio = load_audio(take)
            rest = np.zeros(int(rng.uniform(0.1, 0.3) * SAMPLE_RATE), np.float32)
            words.append((word, at, at + len(audio) / SAMPLE_RATE))
            pieces += [audio / np.abs(audio).max() / 2, rest]
            at += (len(audio) + len(rest)) / SAMPLE_RATE
        return np.concatenate(pieces), words

    return say


def errors(meeting: Meeting, found: Sequence[Segment]) -> tuple[float, float, int]:
    """WER, WDER (of the words that stand for one that was said, how many have a wrong speaker), speakers.

    WDER is that of El Shafey et al. 2019 ("Joint Speech Recognition and Speaker Diarization via Sequence
    Transduction"), speakers matched one to one as suits them best.
    """
    heard = [w for s in found for w in s.words]
    said, got = (" ".join(w.word.strip() for w in words) for words in (meeting.words, heard))
    aligned = jiwer.process_words(said, got)
    pairs = Counter(
        (meeting.words[part.ref_start_idx + i].speaker, heard[part.hyp_start_idx + i].speaker)
        for part in aligned.alignments[0]
        if part.type in ("equal", "substitute")
        for i in range(part.ref_end_idx - part.ref_start_idx)
    )
    people, speakers = (sorted({pair[i] for pair in pairs}, key=str) for i in (0, 1))
    table = np.array([[pairs[p, s] for s in speakers] for p in people])
    right = table[linear_sum_assignment(-table)].sum()
    return aligned.wer, 1 - right / table.sum(), len({s for s in speakers if s is not None})
