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

from asr.backends.faster_whisper.segments import Heard, assemble, cut, words
from asr.guards import COMPRESSION_RATIO, failed, silent
from asr.types import Options, Segment

LADDER = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)  # Whisper's temperatures: the next one where the last one failed
BEAM, SAMPLES = 5, 5  # Whisper's own: beams at temperature 0, samples drawn above it
FRAMES = 3000  # of 10 ms: what the encoder is given, silence added
REST = 100  # frames of silence after a window that is padded to less than that
CONTEXT = 448  # tokens: Whisper's
HALF = CONTEXT // 2  # what CTranslate2 writes for one window, and what may stand before it
SILENCE, RANGE = -1.5, 2.0  # the lowest value of a log-mel feature, and how far below the loudest it may lie

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
        return len(self.before), o.beam_size or BEAM, o.temperature or 0.0, o.encoder_seconds or FRAMES / 100

    def rest(self, start: float) -> Job:
        """What is left after the first `start` seconds."""
        return replace(self, features=self.features[:, round(start * 100) :], start=self.start + start)


class Decoder:
    """One loaded model's parts. Holds no state of any call, so threads share it."""

    def __init__(self, model: WhisperModel, english_only: bool):
        self.model, self.whisper, self.english_only = model, model.model, english_only
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
        tokenizers, probabilities = self._languages(encoded, jobs)
        heard = self._generate(encoded, jobs, tokenizers, jobs[0].options.temperature or 0.0)
        return self._segments(encoded, jobs, tokenizers, probabilities, heard)

    def climb(self, job: Job) -> tuple[list[Segment], float | None]:
        """One window, hotter and hotter until its scores are good; otherwise the best there was."""
        encoded = self._encode([job.features], job.options.encoder_seconds)
        tokenizers, probabilities = self._languages(encoded, [job])
        tried: list[Heard] = []
        for temperature in LADDER:
            tried += self._generate(encoded, [job], tokenizers, temperature)
            if not failed(tried[-1]) or silent(tried[-1]):
                break
        else:
            tried.sort(key=_merit)
        return self._segments(encoded, [job], tokenizers, probabilities, tried[-1:])[0]

    def _encode(self, windows: Sequence[np.ndarray], least: float | None = None) -> ctranslate2.StorageView:
        """At least `least` seconds each, and always some silence after the speech; None: 30 s.

        A Whisper that was trained on 30 s alone may loop or invent on less: nobody asks for it
        unless the model is known to bear it.
        """
        frames = FRAMES
        if least is not None:
            longest = max(w.shape[1] for w in windows) + REST
            frames = min(FRAMES, -(-max(longest, round(least * 100)) // REST) * REST)
        inputs = [padded(w, frames)[None] for w in windows]
        if self.whisper.device != "cpu" or len(inputs) == 1:
            return self.model.encode(np.concatenate(inputs))
        # On a CPU one by one is a fifth faster (it stays in the caches) and takes a fraction of the memory.
        return ctranslate2.StorageView.from_array(np.concatenate([self.model.encode(x) for x in inputs]))

    def _languages(self, encoded, jobs: Sequence[Job]) -> tuple[list[Tokenizer], list[float | None]]:
        """Each window's tokenizer, and its language's probability where nobody gave the language."""
        given = [job.options.language or ("en" if self.english_only else None) for job in jobs]
        found = [(code, None) for code in given]
        if not all(given):
            best = [of_one[0] for of_one in self.whisper.detect_language(encoded)]
            found = [(g, None) if g else (token[2:-2], p) for g, (token, p) in zip(given, best, strict=True)]
        tokenizers = [self.tokenizer(c, job.options.task) for (c, _), job in zip(found, jobs, strict=True)]
        return tokenizers, [p for _, p in found]

    def _generate(self, encoded, jobs: Sequence[Job], tokenizers, temperature: float) -> list[Heard]:
        how = {"beam_size": jobs[0].options.beam_size or BEAM}
        if temperature > 0:
            how = {"beam_size": 1, "num_hypotheses": SAMPLES, "sampling_topk": 0}
        results = self.whisper.generate(
            encoded,
            [[*job.before, *t.sot_sequence] for job, t in zip(jobs, tokenizers, strict=True)],
            suppress_tokens=list(get_suppressed_tokens(tokenizers[0], [-1])),
            return_scores=True,
            return_no_speech_prob=True,
            sampling_temperature=temperature,
            **how,
        )
        return [self._heard(r, t, temperature) for r, t in zip(results, tokenizers, strict=True)]

    def _heard(self, result, tokenizer: Tokenizer, temperature: float) -> Heard:
        tokens = tuple(result.sequences_ids[0])
        return Heard(
            tokens,
            avg_logprob=result.scores[0] * len(tokens) / (len(tokens) + 1),  # the end token counts
            compression_ratio=get_compression_ratio(tokenizer.decode(tokens).strip()),
            no_speech_prob=result.no_speech_prob,
            temperature=temperature,
        )

    def _segments(self, encoded, jobs, tokenizers, probabilities, heard):
        cuts = [
            cut(h.tokens, t.timestamp_begin, job.length, job.more or len(h.tokens) >= _room(job, t))
            for h, t, job in zip(heard, tokenizers, jobs, strict=True)
        ]
        timed = self._words(encoded, jobs, tokenizers, [pieces for pieces, _ in cuts])
        return [
            ([s.shifted(job.start) for s in assemble(pieces, spoken, t, p, h)], rest)
            for job, (pieces, rest), spoken, t, p, h in zip(
                jobs, cuts, timed, tokenizers, probabilities, heard, strict=True
            )
        ]

    def _words(self, encoded, jobs, tokenizers, found):
        """The words of every piece of the windows that want them; alignment takes one language at a time."""
        timed = [[()] * len(pieces) for pieces in found]
        frames = [job.features.shape[1] for job in jobs]
        asked = [t if job.options.word_timestamps else None for job, t in zip(jobs, tokenizers, strict=True)]
        for tokenizer in {id(t): t for t in asked if t}.values():
            mine = [pieces if t is tokenizer else [] for pieces, t in zip(found, asked, strict=True)]
            for i, spoken in enumerate(words(self.model, encoded, tokenizer, mine, frames)):
                if asked[i] is tokenizer:
                    timed[i] = spoken
        return timed


def padded(features: np.ndarray, frames: int = FRAMES) -> np.ndarray:
    """Features with silence after them: float32 (mels, frames).

    Whisper was trained on audio padded with silence, which in its features is the lowest value
    there is, not the zero that faster-whisper pads with (SYSTRAN/faster-whisper#1084 has figures).
    """
    silence = max(SILENCE, features.max(initial=SILENCE) - RANGE)
    out = np.full((len(features), frames), silence, np.float32)
    out[:, : features.shape[1]] = features[:, :frames]
    return out


def _room(job: Job, tokenizer: Tokenizer) -> int:
    """How many tokens the model can write for this window."""
    return min(HALF, CONTEXT - len(job.before) - len(tokenizer.sot_sequence))


def _merit(heard: Heard) -> tuple[bool, float]:
    """Of several that failed, one that does not loop is better, then the likelier one."""
    return heard.compression_ratio <= COMPRESSION_RATIO, heard.avg_logprob
