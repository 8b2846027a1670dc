"""What Whisper is asked about a window, and what it should answer."""

from dataclasses import dataclass, field

import numpy as np
from tokenizer import DIGITS, Ids, build
from windows import Window, Word

FRAMES = 50  # encoder frames a second
LONGEST_SEGMENT = 6  # words
SEGMENT_GAP = 0.7  # seconds of silence that end a segment
# Time stamps are multiples of 60 ms. Finer ones are guesses, and for their low probability faster-whisper
# would decode again at a higher temperature.
TIME_STEP = 3


@dataclass
class Target:
    """Decoder input, its labels (-100: none), and for some rows the audio that the next token is about."""

    tokens: list[int]
    labels: list[int]
    spans: list[tuple[int, float, float]] = field(default_factory=list)  # row, start, end in the window


def segments(words: list[Word]) -> list[list[Word]]:
    result: list[list[Word]] = []
    for word in words:
        if not result or len(result[-1]) == LONGEST_SEGMENT or word[1] - result[-1][-1][2] >= SEGMENT_GAP:
            result.append([])
        result[-1].append(word)
    return result


class Answers:
    """Draws what Whisper is asked about a window, and writes what it should answer."""

    def __init__(self, rng: np.random.Generator):
        self.rng = rng
        self.tokenizer = build()
        self.ids = Ids(self.tokenizer)

    def target(self, window: Window, offset: float, prompts: float) -> Target:
        ids, rng = self.ids, self.rng
        stamped = rng.random() < 0.5
        prompt = (
            [ids.previous, *self._prompt(100 if window.content > 8 else 12)] if rng.random() < prompts else []
        )
        language = ids.english if rng.random() < 0.96 else ids.english + int(rng.integers(ids.language_count))
        task = ids.transcribe if rng.random() < 0.93 else ids.translate
        head = [ids.start, language, task] + ([] if stamped else [ids.no_timestamps])
        body, spans = self._stamped(window, offset) if stamped else self._plain(window)
        end = window.heard[-1][2] if window.heard else None
        spans.append((end, end + 0.3) if end is not None else None)
        first = ids.english if window.words else ids.no_speech
        labels = [-100] * len(prompt) + [first] + [-100] * (len(head) - 2) + body + [ids.end]
        tokens = prompt + head + body
        row = len(prompt) + len(head) - 1
        return Target(tokens, labels, [(row + i, *span) for i, span in enumerate(spans) if span])

    def _plain(self, window: Window) -> tuple[list[int], list]:
        heard = window.heard
        return [self.ids.words[d] for d, _, _ in heard], self._word_spans(heard)

    def _word_spans(self, words: list[Word]) -> list:
        """Words' audio. Most of the silence between two goes to the first: word times are cut from these."""
        spans = []
        for i, (_, start, end) in enumerate(words):
            before = start - words[i - 1][2] if i else 0.3
            after = words[i + 1][1] - end if i + 1 < len(words) else 0
            spans.append((start - min(before / 3, 0.15), end + max(after * 2 / 3, after - 0.15)))
        return spans

    def _stamped(self, window: Window, offset: float) -> tuple[list[int], list]:
        ids, body, spans = self.ids, [], []
        around = iter(self._word_spans(window.heard))
        last = 0
        for segment in segments(window.heard):
            start = max(last, self._time(segment[0][1] + offset))
            if not body and not offset:
                start = min(start, 48)  # faster-whisper lets a window begin by 1.0 s at the latest
            last = max(start + TIME_STEP, self._time(segment[-1][2] + offset))
            body += [ids.first_time + start, *(ids.words[d] for d, _, _ in segment), ids.first_time + last]
            spans.append((segment[0][1] - 0.02, segment[0][1] + 0.06))
            spans += [next(around) for _ in segment]
            spans.append((segment[-1][2] - 0.06, segment[-1][2] + 0.04))
        if window.cut:  # Whisper begins a segment that it leaves to the next window
            start = window.cut[0][1]
            body.append(ids.first_time + max(last, self._time(start + offset)))
            spans.append((start - 0.02, start + 0.06))
        if not body:
            body, spans = [ids.first_time + self._time(offset)], [None]
        return [min(t, ids.count - 1) for t in body], spans

    @staticmethod
    def _time(seconds: float) -> int:
        return round(max(0, seconds) * FRAMES / TIME_STEP) * TIME_STEP

    def _prompt(self, most: int) -> list[int]:
        """Text said before, with or without its times; a glossary; or both."""
        kind = self.rng.random()
        if kind < 0.25:
            return self._glossary()
        said = self._said(int(self.rng.integers(1, most if kind > 0.85 else 12)))
        return (self._glossary() + said if kind > 0.7 else said)[-223:]

    def _said(self, count: int) -> list[int]:
        rng, ids, tokens, time = self.rng, self.ids, [], 0
        stamped = rng.random() < 0.6
        while count > 0:
            size = min(count, int(rng.integers(1, LONGEST_SEGMENT + 1)))
            words = [ids.words[d] for d in rng.integers(0, 10, size)]
            times = sorted(rng.integers(0, 60, 2) * TIME_STEP)
            stamps = [ids.first_time + min(1500, time + int(t)) for t in times]
            tokens += [stamps[0], *words, stamps[1]] if stamped else words
            time = (time + 60) % 1400
            count -= size
        return tokens

    def _glossary(self) -> list[int]:
        rng = self.rng
        text = ""
        for _ in range(rng.integers(1, 9)):
            letters = "".join(chr(c) for c in rng.integers(97, 123, rng.integers(2, 9)))
            word = DIGITS[rng.integers(10)] if rng.random() < 0.4 else letters
            text += (
                " "
                + (word.capitalize() if rng.random() < 0.3 else word)
                + rng.choice(["", ",", ".", ":", ""])
            )
        return self.tokenizer.encode(text, add_special_tokens=False).ids
