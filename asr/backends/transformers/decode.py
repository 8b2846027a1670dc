"""Whisper's decoding by `generate`, many windows to a call, each in its own language."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration, WhisperTokenizerFast
from transformers.modeling_outputs import BaseModelOutput

from asr.audio import SAMPLE_RATE
from asr.backends.transformers.timing import Written, traced, watched, words
from asr.guards import compression_ratio
from asr.types import Options, Word

LADDER = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)  # Whisper's temperatures: the next one where the last one failed
HOP = 160  # samples to a frame of features

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Heard:
    """One window's text."""

    text: str
    words: tuple[Word, ...]  # none where nobody needs them
    seconds: float  # the window's length
    ended: bool  # False: the model had no room to write on
    scores: dict  # the fields of Segment that hold for all of it


class Decoder:
    """One loaded model's parts. Holds no state of any call, so threads share it."""

    def __init__(self, folder: Path, model: WhisperForConditionalGeneration):
        self.model, self.config = model, model.generation_config
        self.tokenizer = WhisperTokenizerFast.from_pretrained(folder, local_files_only=True)
        frames = 2 * model.config.max_source_positions
        self.extract = WhisperFeatureExtractor(
            model.config.num_mel_bins, chunk_length=frames * HOP // SAMPLE_RATE
        )
        self.window = min(frames * HOP / SAMPLE_RATE, _trained_on(folder))
        self.heads = watched(model)
        self.codes = {token[2:-2]: i for token, i in (getattr(self.config, "lang_to_id", None) or {}).items()}
        self.multilingual = bool(getattr(self.config, "is_multilingual", len(self.codes) > 1) and self.codes)
        self.languages = frozenset(self.codes) if self.multilingual else frozenset({"en"})
        layers = (
            model.config.decoder_layers
        )  # turbo and distilled ones lost translation with the other layers
        self.translates = layers == model.config.encoder_layers or model.config.d_model < 512

    @torch.inference_mode()
    def encode(self, windows: Sequence[np.ndarray]) -> torch.Tensor:
        """Audio (n,) each to (windows, positions, width)."""
        features = self.extract([*windows], sampling_rate=SAMPLE_RATE, return_tensors="pt").input_features
        features = features.to(self.model.device, self.model.dtype)
        return self.model.get_encoder()(features).last_hidden_state

    @torch.inference_mode()
    def detect(self, encoded: torch.Tensor) -> list[dict[str, float]]:
        """The probability of each language, for each window."""
        start = torch.full((len(encoded), 1), self.config.decoder_start_token_id, device=encoded.device)
        out = self.model(encoder_outputs=BaseModelOutput(encoded), decoder_input_ids=start)
        logits = out.logits[:, 0, list(self.codes.values())].float()
        return [dict(zip(self.codes, one.tolist(), strict=True)) for one in logits.softmax(-1)]

    def decode(self, windows: Sequence[np.ndarray], options: Sequence[Options]) -> list[Heard]:
        """Windows whose options differ at most in the language, in one call."""
        encoded = self.encode(windows)
        languages = self._languages(encoded, options)
        written = self._written(encoded, [code for code, _ in languages], options[0])
        timed = bool(self.heads) and any(o.word_timestamps or o.task == "transcribe" for o in options)
        read = traced(self.model, encoded, written, self.heads if timed else [])
        return [self._heard(*one) for one in zip(windows, options, languages, written, read, strict=True)]

    def _languages(self, encoded, options: Sequence[Options]) -> list[tuple[str | None, float | None]]:
        """Each window's language and, where it was detected, its probability."""
        if not self.multilingual:
            return [("en", None)] * len(options)
        if all(o.language for o in options):
            return [(o.language, None) for o in options]
        best = [max(found.items(), key=lambda item: item[1]) for found in self.detect(encoded)]
        return [(o.language, None) if o.language else found for o, found in zip(options, best, strict=True)]

    @torch.inference_mode()
    def _written(self, encoded, languages: Sequence[str], options: Options) -> list[Written]:
        """What `generate` writes for each window."""
        wish = {"language": list(languages), "task": options.task} if self.multilingual else {}
        temperature = options.temperature or 0.0
        how = {"do_sample": True, "temperature": temperature} if temperature else {"do_sample": False}
        if prompt := self._before(options):
            wish["prompt_ids"] = torch.tensor(prompt, device=encoded.device)
        out = self.model.generate(
            encoder_outputs=BaseModelOutput(encoded),
            num_beams=options.beam_size or 1,
            return_timestamps=False,
            force_unique_generate_call=True,
            return_dict_in_generate=True,
            **wish,
            **how,
        )
        end = self.model.config.eos_token_id
        found = []
        for ids in out.sequences.tolist():
            begun = ids.index(self.config.no_timestamps_token_id) + 1
            rest = ids[begun:]
            ended = end in rest
            found.append(
                Written(tuple(ids[:begun]), tuple(rest[: rest.index(end)] if ended else rest), ended)
            )
        return found

    def _before(self, options: Options) -> list[int]:
        """Hotwords and prompt as tokens, cut to the half of the room that may stand before the text.

        Hotwords keep their beginning, the prompt its end (what was said last); each is sure of half.
        """
        texts = (options.hotwords, options.prompt)
        hot, prompt = (self._plain(f" {t.strip()}") if t and t.strip() else [] for t in texts)
        room = self.model.config.max_target_positions // 2 - 1
        if (asked := len(hot) + len(prompt)) > room:
            log.warning("Hotwords and prompt are %d tokens long; the model hears %d of them.", asked, room)
        hot = hot[: room - min(len(prompt), room // 2)]
        prompt = prompt[max(0, len(prompt) + len(hot) - room) :]
        before = self.tokenizer.convert_tokens_to_ids("<|startofprev|>")
        return [before, *hot, *prompt] if hot or prompt else []

    def _plain(self, text: str) -> list[int]:
        """Text as tokens; "<|endoftext|>" is text too where somebody typed it."""
        return self.tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids

    def _heard(self, window, options: Options, language, written: Written, read) -> Heard:
        code, probability = language
        text, seconds = self.tokenizer.decode(written.tokens), len(window) / SAMPLE_RATE
        spoken = ()
        if read.attention is not None and text.strip():
            spoken = tuple(words(self.tokenizer, written, read, code, seconds))
        scores = {
            "language": code,
            "language_probability": probability,
            "avg_logprob": read.avg_logprob,
            "no_speech_prob": read.no_speech_prob,
            "compression_ratio": compression_ratio(text.strip()),
            "temperature": options.temperature or 0.0,
        }
        return Heard(text, spoken, seconds, written.ended, scores)


def translates(config) -> bool:
    """Turbo and the distilled ones lost translation with most of their decoder's layers."""
    return 2 * config.decoder_layers >= config.encoder_layers


def _trained_on(folder: Path) -> float:
    """Seconds of a window, as the model's own preprocessor_config.json says; 30 where there is none."""
    if not (folder / "preprocessor_config.json").is_file():
        return 30.0
    return float(WhisperFeatureExtractor.from_pretrained(folder, local_files_only=True).chunk_length)
