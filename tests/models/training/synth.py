"""Batches to learn from, made up afresh for every training step.

Windows shorter than 30 s stand anywhere in Whisper's 1,500 encoder positions, so that short ones, which are
cheap, teach all positions.
"""

from dataclasses import dataclass

import numpy as np
import torch
from answers import FRAMES, Answers, Target, segments
from corpus import Clip
from spectrum import Channel
from windows import Windows, Word


@dataclass
class Batch:
    mel: torch.Tensor  # batch, 80, frames
    offset: torch.Tensor  # first encoder position
    tokens: torch.Tensor
    labels: torch.Tensor
    attention: torch.Tensor  # batch, tokens, encoder frames: where the row's next token is heard
    context: torch.Tensor  # batch, encoder frames, 4: digit + 1 here, and of the words before and after
    place: torch.Tensor  # batch, encoder frames, 2: index of the word in the window and in its segment


class Synth:
    def __init__(self, clips: dict[str, list[Clip]], shares: dict[str, float], seed: int):
        self.rng = np.random.default_rng(seed)
        self.windows = Windows(clips, shares, self.rng)
        self.answers = Answers(self.rng)
        self.channel = Channel(self.rng)

    def batch(self, size: int, seconds: float, answers: int = 1, prompts: float = 0.35) -> Batch:
        """Several answers to a window (with time stamps, without, after a prompt) cost little more."""
        windows = [self.windows.draw(seconds, self.rng.random() < 0.4) for _ in range(size)]
        room = round((30 - seconds) * FRAMES)
        offsets = [0 if self.rng.random() < 0.3 else int(self.rng.integers(room + 1)) for _ in windows]
        targets = [
            self.answers.target(window, offset / FRAMES, prompts)
            for window, offset in zip(windows, offsets, strict=True)
            for _ in range(answers)
        ]
        mel = self.channel.mel(windows)
        frames = mel.shape[-1] // 2
        context, place = zip(*(labels_of_frames(w.heard, frames) for w in windows), strict=True)
        end = self.answers.ids.end
        return Batch(
            mel,
            torch.tensor(offsets),
            stacked([t.tokens for t in targets], end),
            stacked([t.labels for t in targets], -100),
            attention(targets, frames),
            torch.stack(context),
            torch.stack(place),
        )


def stacked(rows: list[list[int]], fill: int) -> torch.Tensor:
    rows = [torch.tensor(r) for r in rows]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=fill)


def attention(targets: list[Target], frames: int) -> torch.Tensor:
    result = torch.zeros(len(targets), max(len(t.tokens) for t in targets), frames)
    for one, target in zip(result, targets, strict=True):
        for row, start, end in target.spans:
            first = min(frames - 1, max(0, round(start * FRAMES)))
            one[row, first : max(first + 1, round(end * FRAMES))] = 1
    return result / result.sum(-1, keepdim=True).clamp_min(1)


def labels_of_frames(words: list[Word], frames: int) -> tuple[torch.Tensor, torch.Tensor]:
    """What the throw-away heads on the encoder learn: see `Batch`."""
    context = torch.zeros(frames, 4, dtype=torch.long)
    place = torch.zeros(frames, 2)
    digits = [0, 0, *(d + 1 for d, _, _ in words), 0]
    index = [i for segment in segments(words) for i in range(len(segment))]
    for i, (_, start, end) in enumerate(words):
        here = slice(max(0, round(start * FRAMES)), max(0, round(end * FRAMES)))
        context[here] = torch.tensor([digits[i + 2], digits[i + 1], digits[i], digits[i + 3]])
        place[here] = torch.tensor([i / 8, index[i] / 2])
    return context, place
