"""Whose voice it is: speakers that were told apart get the names of people whose voices are known by clips.

A voice becomes 192 numbers (`asr.diarize.voices`), and voices are compared by the cosine between them.
Measured on six people of FSDD (8 kHz), 20 times each, against 20 s of a voice: with clips of 5 s the same
voice comes to 0.83 to 0.96 (median 0.92), another one to 0.47 to 0.72; with clips of 2 s to 0.74 to 0.91 and
0.40 to 0.72. On one telephone line two voices reach 0.73, two of eSpeak's 0.81. So a speaker must be alike
enough, and no other one much more so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from asr.audio import SAMPLE_RATE, Recording
from asr.types import Turn

if TYPE_CHECKING:
    from asr.diarize.voices import Encoder

FLOOR = 0.73  # cosine, below which a voice stays unknown
CLOSE = 0.07  # of the speakers most like a clip, those so close to the first may all be that person
LEAST, MOST = 1.0, 30.0  # seconds of speech by which a speaker is judged
LENGTH, HOP = 160, 40  # mel frames of 10 ms: one look at a voice; to the next


def known(recording: Recording, turns: Sequence[Turn], clips: Mapping[str, np.ndarray]) -> dict[str, str]:
    """The speakers of `turns` who are known: speaker -> name. Who is like nobody is not in it.

    `turns` have one speaker at a time. `clips` are speech at 16 kHz, float32 (n,), by name. Two speakers may
    turn out to be one person.
    """
    from asr.diarize.voices import Encoder  # brings torch

    heard = {who: _speech(recording, [t for t in turns if t.speaker == who]) for who in _speakers(turns)}
    heard = {who: speech for who, speech in heard.items() if len(speech) >= LEAST * SAMPLE_RATE}
    if not heard or not clips:
        return {}
    encoder = Encoder()
    people = np.stack([voiceprint(encoder, clip) for clip in clips.values()])
    voices = np.stack([voiceprint(encoder, speech) for speech in heard.values()])
    return _matched(list(heard), list(clips), voices @ people.T)


def voiceprint(encoder: Encoder, speech: np.ndarray) -> np.ndarray:
    """What a voice sounds like: float32 (192,) of length 1. A clip under 1.6 s is heard over and over."""
    mel = encoder.mel(speech.astype(np.float32))
    if len(mel) < LENGTH:
        mel = np.tile(mel, (-(-LENGTH // len(mel)), 1))
    looks = encoder([mel[i : i + LENGTH] for i in range(0, len(mel) - LENGTH + 1, HOP)])
    mean = looks.mean(axis=0)
    return mean / np.linalg.norm(mean)


def _matched(speakers: Sequence[str], people: Sequence[str], alike: np.ndarray) -> dict[str, str]:
    """`alike` is float (speakers, people)."""
    best = alike.argmax(axis=1)
    near = (alike >= FLOOR) & (alike >= alike.max(axis=0) - CLOSE)
    return {who: people[p] for who, p, row in zip(speakers, best, near, strict=True) if row[p]}


def _speakers(turns: Sequence[Turn]) -> list[str]:
    return list(dict.fromkeys(t.speaker for t in turns))


def _speech(recording: Recording, turns: Sequence[Turn]) -> np.ndarray:
    """Up to MOST seconds of what was said in the longest turns."""
    pieces, left = [np.zeros(0, np.float32)], MOST
    for turn in sorted(turns, key=lambda t: t.start - t.end):
        if left > 0:
            pieces.append(recording.read(turn.start, min(turn.end, turn.start + left)))
            left -= turn.end - turn.start
    return np.concatenate(pieces)
