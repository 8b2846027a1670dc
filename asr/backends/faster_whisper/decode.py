"""Whisper's decoding, many windows to a call, each with its own language, task and prompt.

faster-whisper's own batched pipeline takes one set of options for all windows and drops some
of them; this one uses the same parts of its model and keeps them all.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import ctranslate2
import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.feature_extractor import FeatureExtractor
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import get_compression_ratio, get_suppressed_tokens

from asr.backends.faster_whisper.features import FRAMES, padded, room
from asr.backends.faster_whisper.segments import Heard, Piece, cut, settled, spread, words
from asr.guards import COMPRESSION_RATIO, failed, silent
from asr.text.sentences import sentences
from asr.types import Options, Segment

LADDER = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)  # Whisper's temperatures: the next one where the last one failed
BEAM = 5  # Whisper's own: beams at temperature 0, samples drawn above it
CONTEXT = 448  # tokens: Whisper's
HALF = CONTEXT // 2  # what CTranslate2 writes for one window, and what may stand before it

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """One window to decode. `more` says that its audio goes on after its end."""

    index: int  # of the window it belongs to
    features: np.ndarray  # float32 (mels, frames of 10 ms)
    options: Options
    before: tuple[int, ...]  # tokens that the model should believe it has just written
    start: float = 0.0  # seconds of the window that lie before the features
    more: bool = False

    @property
    def length(self) -> float:
        return self.features.shape[1] / 100

    @property
    def shared(self) -> tuple:
        """What windows must have in common to share a call; comparable."""
        o = self.options
        return (
            len(self.before),
            self.marked,
            o.beam_size or BEAM,
            o.temperature or 0.0,
            o.encoder_seconds or 0.0,
        )

    @property
    def marked(self) -> bool:
        """Whether Whisper is to write timestamps. A transcript is timed better by its words' attention.

        It costs tokens, and text where a timestamp goes astray; but a translation's words do not
        stand in the order in which they were said.
        """
        return self.options.task == "translate"

    def rest(self, start: float) -> Job:
        """What is left after the first `start` seconds."""
        return replace(self, features=self.features[:, round(start * 100) :], start=self.start + start)


@dataclass(frozen=True, slots=True)
class Asked:
    """A window whose language is known."""

    job: Job
    tokenizer: Tokenizer
    probability: float | None  # of the language, where nobody gave it

    @property
    def prompt(self) -> list[int]:
        marks = [] if self.job.marked else [self.tokenizer.no_timestamps]
        return [*self.job.before, *self.tokenizer.sot_sequence, *marks]

    def ran_out(self, heard: Heard) -> bool:
        """Whether the model had no room for another token."""
        return len(heard.tokens) >= min(HALF, CONTEXT - len(self.prompt))


class Decoder:
    """One loaded model's parts. Holds no state of any call, so threads share it."""

    def __init__(self, model: WhisperModel, english_only: bool):
        self.model, self.whisper, self.english_only = model, model.model, english_only
        self.frames = min(FRAMES, 100 * model.feature_extractor.chunk_length)  # the usual length of a window
        self.extract = FeatureExtractor(feature_size=self.whisper.n_mels)
        self.tokenizers: dict[tuple[str, str], Tokenizer] = {}

    def features(self, audio: np.ndarray) -> np.ndarray:
        """float32 (n,) at 16 kHz to float32 (mels, n // 160): log-mel features, not yet padded."""
        return self.extract(audio)[:, :-1] if len(audio) else np.zeros((self.whisper.n_mels, 0), np.float32)

    def tokenizer(self, language: str, task: str) -> Tokenizer:
        if (language, task) not in self.tokenizers:
            made = Tokenizer(self.model.hf_tokenizer, self.whisper.is_multilingual, task, language)
            self.tokenizers[language, task] = made
        return self.tokenizers[language, task]

    def before(self, options: Options) -> tuple[int, ...]:
        """Hotwords and prompt as tokens, cut to the room there is.

        Hotwords keep their beginning, the prompt its end (what was said last); each is sure of half.
        """
        tokenizer = self.tokenizer("en", "transcribe")
        texts = (options.hotwords, options.prompt)
        hot, prompt = (tokenizer.encode(" " + t.strip()) if t and t.strip() else [] for t in texts)
        room = HALF - 1
        if (asked := len(hot) + len(prompt)) > room:
            log.warning("Hotwords and prompt are %d tokens long; the model hears %d of them.", asked, room)
        hot = hot[: room - min(len(prompt), room // 2)]
        prompt = prompt[max(0, len(prompt) + len(hot) - room) :]
        return (tokenizer.sot_prev, *hot, *prompt) if hot or prompt else ()

    def detect(self, windows: Sequence[np.ndarray]) -> list[dict[str, float]]:
        """Windows' features to the probabilities of their languages."""
        found = self.whisper.detect_language(self._encode(windows))
        return [{token[2:-2]: p for token, p in of_one} for of_one in found]

    def decode(self, jobs: Sequence[Job]) -> list[tuple[list[Segment], float | None]]:
        """Windows with the same `shared`, in one call, at one temperature.

        Gives each window's segments, on the clock of the window that its job belongs to, and
        where to go on listening, in seconds from the job's start (None: all was heard).
        """
        encoded = self._encode([job.features for job in jobs], jobs[0].options.encoder_seconds)
        asked = self._asked(encoded, jobs)
        heard = self._generate(encoded, asked, jobs[0].options.temperature or 0.0)
        return self._segments(encoded, asked, heard)

    def climb(self, job: Job) -> tuple[list[Segment], float | None]:
        """One window, hotter and hotter until its scores are good; otherwise the best there was."""
        encoded = self._encode([job.features], job.options.encoder_seconds)
        asked = self._asked(encoded, [job])
        tried: list[Heard] = []
        for temperature in LADDER:
            tried += self._generate(encoded, asked, temperature)
            if not failed(tried[-1]) or silent(tried[-1]):
                break
        else:
            tried.sort(key=_merit)
        return self._segments(encoded, asked, tried[-1:])[0]

    def _encode(self, windows: Sequence[np.ndarray], least: float | None = None) -> ctranslate2.StorageView:
        inputs = [padded(w, room(windows, least, self.frames))[None] for w in windows]
        if self.whisper.device != "cpu" or len(inputs) == 1:
            return self.model.encode(np.concatenate(inputs))
        # On a CPU one by one is a fifth faster (it stays in the caches) and takes a fraction of the memory.
        return ctranslate2.StorageView.from_array(np.concatenate([self.model.encode(x) for x in inputs]))

    def _asked(self, encoded, jobs: Sequence[Job]) -> list[Asked]:
        """Every window with its language: the given one, or the one that is heard in it."""
        given = [job.options.language or ("en" if self.english_only else None) for job in jobs]
        found = [(language, None) for language in given]
        if not all(given):
            best = [of_one[0] for of_one in self.whisper.detect_language(encoded)]
            found = [(g, None) if g else (token[2:-2], p) for g, (token, p) in zip(given, best, strict=True)]
        return [
            Asked(job, self.tokenizer(language, job.options.task), probability)
            for job, (language, probability) in zip(jobs, found, strict=True)
        ]

    def _generate(self, encoded, asked: Sequence[Asked], temperature: float) -> list[Heard]:
        width = asked[0].job.options.beam_size or BEAM
        how = {"beam_size": width}
        if temperature > 0:  # Whisper then draws samples, and takes the likeliest
            how = {"beam_size": 1, "num_hypotheses": width, "sampling_topk": 0}
        results = self.whisper.generate(
            encoded,
            [a.prompt for a in asked],
            suppress_tokens=list(get_suppressed_tokens(asked[0].tokenizer, [-1])),
            return_scores=True,
            return_no_speech_prob=True,
            sampling_temperature=temperature,
            **how,
        )
        return [self._heard(r, a.tokenizer, temperature) for r, a in zip(results, asked, strict=True)]

    def _heard(self, result, tokenizer: Tokenizer, temperature: float) -> Heard:
        tokens = tuple(result.sequences_ids[0])
        return Heard(
            tokens,
            avg_logprob=result.scores[0] * len(tokens) / (len(tokens) + 1),  # the end token counts
            compression_ratio=get_compression_ratio(tokenizer.decode(tokens).strip()),
            no_speech_prob=result.no_speech_prob,
            temperature=temperature,
        )

    def _segments(self, encoded, asked: Sequence[Asked], heard: Sequence[Heard]):
        cuts = [_cut(a, h) for a, h in zip(asked, heard, strict=True)]
        timed = self._words(encoded, asked, [pieces for pieces, _ in cuts])
        found = []
        for a, h, (pieces, rest), spoken in zip(asked, heard, cuts, timed, strict=True):
            if not a.job.marked and any(spoken):
                kept, rest = settled(spoken[0], a.job.length, a.job.more, a.ran_out(h))
                told = [Segment.of(sentence) for sentence in sentences(kept)]
            else:
                told = spread(pieces, spoken, a.tokenizer)
            found.append(([_finished(segment, a, h) for segment in told], rest))
        return found

    def _words(self, encoded, asked: Sequence[Asked], found: Sequence[list[Piece]]):
        """The words of every piece of the windows that want them; alignment takes one language at a time."""
        timed = [[()] * len(pieces) for pieces in found]
        frames = [a.job.features.shape[1] for a in asked]
        wanted = [a.tokenizer if a.job.options.word_timestamps or not a.job.marked else None for a in asked]
        for tokenizer in {id(t): t for t in wanted if t}.values():
            mine = [pieces if t is tokenizer else [] for pieces, t in zip(found, wanted, strict=True)]
            for i, spoken in enumerate(words(self.model, encoded, tokenizer, mine, frames)):
                if wanted[i] is tokenizer:
                    timed[i] = spoken
        return timed


def _cut(asked: Asked, heard: Heard) -> tuple[list[Piece], float | None]:
    job, first = asked.job, asked.tokenizer.timestamp_begin
    return cut(heard.tokens, first, job.length, job.more or asked.ran_out(heard))


def _finished(segment: Segment, asked: Asked, heard: Heard) -> Segment:
    """With the scores of its whole window, for which Whisper's thresholds are meant."""
    return replace(
        segment.shifted(asked.job.start),
        words=segment.shifted(asked.job.start).words if asked.job.options.word_timestamps else (),
        language=asked.tokenizer.language_code,
        language_probability=asked.probability,
        avg_logprob=heard.avg_logprob,
        compression_ratio=heard.compression_ratio,
        no_speech_prob=heard.no_speech_prob,
        temperature=heard.temperature,
        tokens=tuple(asked.tokenizer.encode(segment.text)),
    )


def _merit(heard: Heard) -> tuple[bool, float]:
    """Of several that failed, one that does not loop is better, then the likelier one."""
    return heard.compression_ratio <= COMPRESSION_RATIO, heard.avg_logprob
