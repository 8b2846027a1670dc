"""The nouns of the project: words make segments, segments make a transcript, turns say who spoke.

Names follow faster-whisper and OpenAI's `verbose_json`, so nothing has to be renamed on
the way in or out. Times are seconds from the start of the audio. All types are frozen:
a stage returns new segments, it never edits the ones it was given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

Task = Literal["transcribe", "translate"]


@dataclass(frozen=True, slots=True)
class Word:
    start: float
    end: float
    word: str  # keeps its leading space, as Whisper emits it
    probability: float | None = None  # in [0, 1]; None where the engine gives none
    speaker: str | None = None
    overlap: bool = False  # somebody else speaks during it as well
    interpolated: bool = False  # its times are guessed from its neighbours', not heard


@dataclass(frozen=True, slots=True)
class Segment:
    start: float
    end: float
    text: str  # equals "".join(w.word for w in words) whenever words are present
    words: tuple[Word, ...] = ()
    language: str | None = None  # ISO 639-1
    language_probability: float | None = None  # of the detection; None when the language was given
    speaker: str | None = None
    avg_logprob: float | None = None  # mean log-probability per token
    compression_ratio: float | None = None  # of the text by zlib; a loop compresses well
    no_speech_prob: float | None = None
    temperature: float | None = None  # at which the text was sampled
    tokens: tuple[int, ...] = ()
    unsure: bool = False  # its scores failed and a second decode did not mend them

    @classmethod
    def of(cls, words: Sequence[Word], **rest) -> Segment:
        """The segment these words make; `words` is not empty, `rest` is any other field."""
        text = "".join(w.word for w in words)
        return cls(words[0].start, words[-1].end, text, tuple(words), **rest)

    def part(self, words: Sequence[Word]) -> Segment:
        """Some of its words as a segment with the same scores; which tokens made them is not known."""
        text = "".join(w.word for w in words)
        return replace(
            self, start=words[0].start, end=words[-1].end, text=text, words=tuple(words), tokens=()
        )

    def shifted(self, seconds: float) -> Segment:
        """The same segment, `seconds` later."""
        words = tuple(replace(w, start=w.start + seconds, end=w.end + seconds) for w in self.words)
        return replace(self, start=self.start + seconds, end=self.end + seconds, words=words)


@dataclass(frozen=True, slots=True)
class Turn:
    """Somebody speaks, from `start` to `end`."""

    start: float
    end: float
    speaker: str


@dataclass(frozen=True, slots=True)
class Transcript:
    segments: tuple[Segment, ...]
    duration: float  # of the audio, in seconds
    task: Task = "transcribe"

    @property
    def text(self) -> str:
        return "".join(s.text for s in self.segments).strip()

    @property
    def language(self) -> str | None:
        return next((s.language for s in self.segments if s.language), None)

    @property
    def language_probability(self) -> float | None:
        return next((s.language_probability for s in self.segments if s.language), None)


@dataclass(frozen=True, slots=True)
class Options:
    """What one call asks for. What a model *is* goes to its backend's `load`.

    None always means "nobody asked": the engine does what it does best. Anything else
    reaches the engine or is refused (`asr.backends.check`).
    """

    language: str | None = None  # ISO 639-1; None means detect
    task: Task = "transcribe"
    prompt: str | None = None  # text the engine should believe it has just heard
    hotwords: str | None = None  # names and terms to favour, separated by spaces or commas
    word_timestamps: bool = False
    beam_size: int | None = None
    temperature: float | None = None  # None: 0 first, hotter only where the scores fail
    # A window is padded with silence to so many seconds at least; None: to what the engine was trained on.
    encoder_seconds: float | None = None
