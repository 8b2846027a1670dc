"""Which words are settled: those on which two hypotheses in a row agree.

LocalAgreement-2 (Macháček, Dabre, Bojar: "Turning Whisper into Real-Time Transcription
System", 2023). Two words are the same when they differ only in case and punctuation, which
Whisper changes its mind about as more of the sentence arrives. Everything here is pure.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from itertools import takewhile

from asr.types import Segment, Word

ECHO_WORDS = 5  # longest repetition looked for at a seam, as whisper_streaming does
# Scripts written without spaces (Thai, Lao, Khmer, kana, Han) count by the character, others by the space.
_UNSPACED = "\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
_TOKEN = re.compile(rf"\s*(?:[{_UNSPACED}]|[^\s{_UNSPACED}]+)")


def plain(word: Word) -> str:
    """The word as it is compared: no case, no punctuation, no spaces."""
    return "".join(c for c in word.word.casefold() if unicodedata.category(c)[0] not in "PSZC")


def agreed(before: Sequence[Word], now: Sequence[Word]) -> int:
    """How many words at the start of both hypotheses are the same."""
    pairs = zip(map(plain, before), map(plain, now), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def echo(settled: Sequence[Word], now: Sequence[Word], until: float) -> int:
    """How many words at the start of `now` only repeat the end of the settled ones.

    A cut that came a little early leaves the tail of a settled word in the audio, and the
    model may hear that word again. Only words that are over by `until` (seconds) count:
    somebody who really says a word twice takes longer than that.
    """
    for n in range(min(ECHO_WORDS, len(settled), len(now)), 0, -1):
        if now[n - 1].end <= until and agreed(settled[-n:], now) >= n:
            return n
    return 0


def covered(settled: Sequence[Word], now: Sequence[Word]) -> int:
    """How many words at the start of `now` say what `settled` has said already.

    For hypotheses that begin where `settled` begins. Where the model has changed its mind
    about settled words, the two texts are aligned and the settled ones win.
    """
    if not settled or agreed(settled, now) == len(settled):
        return len(settled)
    texts = [plain(w) for w in settled], [plain(w) for w in now]
    blocks = [b for b in SequenceMatcher(None, *texts, autojunk=False).get_matching_blocks() if b.size]
    if not blocks:
        return min(len(settled), len(now))
    last = blocks[-1]
    return min(last.b + last.size + len(settled) - last.a - last.size, len(now))


def words_of(segments: Iterable[Segment]) -> list[Word]:
    """The words of the segments. Without word times, those of the segment are shared out by length."""
    return [w for s in segments for w in s.words or _shared_out(s)]


def _shared_out(segment: Segment) -> list[Word]:
    tokens = _TOKEN.findall(segment.text)
    total, at, words = sum(map(len, tokens)), 0, []
    for token in tokens:
        start, at = at, at + len(token)
        span = segment.end - segment.start
        words.append(Word(segment.start + span * start / total, segment.start + span * at / total, token))
    return words


def written_as(before: Word, now: Word) -> Word:
    """`now` with the capitals of `before`, which was heard together with what came before it."""
    letters = iter(c for c in before.word if unicodedata.category(c)[0] == "L")
    mark = next(letters, "")
    first = next((i for i, c in enumerate(now.word) if unicodedata.category(c)[0] == "L"), None)
    if first is None or mark.casefold() != now.word[first].casefold():
        return now
    return replace(now, word=now.word[:first] + mark + now.word[first + 1 :])


class Agreement:
    """One utterance's words: `settled` only ever grows, `draft` is the rest of the last hypothesis."""

    def __init__(self):
        self.settled: list[Word] = []
        self.hush: list[float] = []  # how loud it is after each settled word, where it is quietest
        self.draft: list[Word] = []
        self._agreeable = False  # the draft's scores were good: it may settle words

    def hear(self, words: list[Word], ripe: float, cut: bool) -> list[Word]:
        """Take the next hypothesis of what is not settled yet; return the words this settles.

        A word that ends after `ripe` (seconds) may still be growing and is not settled. With `cut`
        the hypothesis began in the middle of a sentence, without what came before its first word.
        """
        count = agreed(self.draft, words) if self._agreeable else 0
        while count and words[count - 1].end > ripe:
            count -= 1
        if cut and count:
            words = [written_as(self.draft[0], words[0]), *words[1:]]
        self.draft, self._agreeable = words[count:], True
        self.settled += words[:count]
        return words[:count]

    def doubt(self, words: list[Word]) -> None:
        """Show a hypothesis whose scores failed, but let it settle nothing."""
        self.draft, self._agreeable = words, False

    def split(self, seconds: float) -> list[Word]:
        """Take the words before the quietest place away, once what is settled is longer than `seconds`."""
        if not self.settled or self.settled[-1].end - self.settled[0].start < seconds:
            return []
        half = len(self.settled) // 2
        at = min(range(half, len(self.settled)), key=lambda i: self.hush[i]) + 1
        words, self.settled, self.hush = self.settled[:at], self.settled[at:], self.hush[at:]
        return words
