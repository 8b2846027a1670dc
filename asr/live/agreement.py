"""Which words are settled: those on which two hypotheses in a row agree.

LocalAgreement-2 (Macháček, Dabre, Bojar: "Turning Whisper into Real-Time Transcription
System", 2023). Two words are the same when they differ only in case and punctuation, which
Whisper changes its mind about as more of the sentence arrives. Everything here is pure.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from itertools import takewhile

from asr.text.sharing import shared_out
from asr.types import Segment, Word

SLACK = 0.1  # seconds: how wrong an engine's word times may be at a cut
ECHO_WORDS = 5  # longest repetition looked for at a seam, as whisper_streaming does


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
    return [w for s in segments for w in s.words or shared_out(s.text, s.start, s.end)]


def written_as(before: Word, now: Word) -> Word:
    """`now` with the capitals of `before`, which was heard together with what came before it."""
    letters = iter(c for c in before.word if unicodedata.category(c)[0] == "L")
    mark = next(letters, "")
    first = next((i for i, c in enumerate(now.word) if unicodedata.category(c)[0] == "L"), None)
    if first is None or mark.casefold() != now.word[first].casefold():
        return now
    return replace(now, word=now.word[:first] + mark + now.word[first + 1 :])


class Agreement:
    """The current utterance's words: `settled` only ever grows, `draft` is the rest of the last hypothesis.

    `cuts` says that audio is dropped once its words are settled, so hypotheses begin after them.
    """

    def __init__(self, cuts: bool):
        self.settled: list[Word] = []
        self.draft: list[Word] = []
        self._cuts = cuts
        self._hush: list[float] = []  # how loud it is after each settled word, where it is quietest
        self._agreeable = False  # the draft's scores were good: it may settle words
        self._recent: list[Word] = []  # the last settled words, also of the utterance before

    @property
    def until(self) -> float:
        """The end of the last settled word, in seconds; also of the utterance before."""
        return self._recent[-1].end if self._recent else 0.0

    def fresh(self, words: list[Word], start: float) -> list[Word]:
        """The words of a hypothesis that are not settled yet; its audio began at `start` seconds."""
        if self._cuts:
            return words[echo(self._recent, words, start + SLACK) :]
        return words[covered(self.settled, words) :]

    def hear(self, words: list[Word], ripe: float, seam: bool) -> list[Word]:
        """Take a hypothesis of what is not settled; return the words that this settles.

        A word that ends after `ripe` (seconds) may still be growing and is not settled. At a
        `seam` the model did not hear what came before the first word.
        """
        count = agreed(self.draft, words) if self._agreeable else 0
        while count and words[count - 1].end > ripe:
            count -= 1
        if seam and count:
            words = [written_as(self.draft[0], words[0]), *words[1:]]
        self.draft, self._agreeable = words[count:], True
        self._settle(words[:count])
        return words[:count]

    def doubt(self, words: list[Word]) -> None:
        """Show a hypothesis whose scores failed, but let it settle nothing."""
        self.draft, self._agreeable = words, False

    def remark(self, hush: Iterable[float]) -> None:
        """How loud it is after each of the words that were settled last."""
        self._hush += hush

    def split(self, seconds: float) -> list[Word]:
        """Once more than `seconds` are settled: take the words before the quietest place away."""
        if not self.settled or self.settled[-1].end - self.settled[0].start < seconds:
            return []
        half = len(self.settled) // 2
        at = min(range(half, len(self.settled)), key=lambda i: self._hush[i]) + 1
        words, self.settled, self._hush = self.settled[:at], self.settled[at:], self._hush[at:]
        return words

    def end(self) -> list[Word]:
        """All words of the utterance, which is over."""
        self._settle(self.draft)
        words, self.settled, self.draft, self._hush = self.settled, [], [], []
        self._agreeable = False
        return words

    def _settle(self, words: list[Word]) -> None:
        self.settled = self.settled + words
        self._recent = [*self._recent, *words][-ECHO_WORDS:]
