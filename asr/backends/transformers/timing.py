"""When each word was said, by the attention of the decoder, and how sure the model is of it.

OpenAI's way (whisper/timing.py): the finished text goes through the decoder once more, all at once; the
heads that follow the speech (`alignment_heads`) say where, dynamic time warping makes it run forwards.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import WhisperForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.whisper.generation_whisper import _dynamic_time_warping, _median_filter
from transformers.models.whisper.tokenization_whisper import _combine_tokens_into_words

from asr.types import Word

TICK = 0.02  # seconds that the encoder makes one position of


@dataclass(frozen=True, slots=True)
class Written:
    """What the decoder was told and wrote for one window, without its end token."""

    prompt: tuple[int, ...]
    tokens: tuple[int, ...]
    ended: bool  # False: there was no room for more


@dataclass(frozen=True, slots=True)
class Traced:
    """One window's text gone through the decoder again."""

    logprobs: np.ndarray  # float (tokens,): of each token, after those before it
    avg_logprob: float  # with the end token, where it was written
    no_speech_prob: float
    attention: torch.Tensor | None  # (heads, tokens + 1, positions); the last row looks for the end


def watched(model: WhisperForConditionalGeneration) -> list[list[int]]:
    """The heads to watch, (layer, head), made visible: fast attention keeps its weights to itself."""
    heads = getattr(model.generation_config, "alignment_heads", None) or []
    for layer in {layer for layer, _ in heads}:
        attention = model.model.decoder.layers[layer].encoder_attn
        attention.config = copy.deepcopy(attention.config)
        attention.config._attn_implementation = "eager"
    return heads


@torch.inference_mode()
def traced(
    model: WhisperForConditionalGeneration, encoded: torch.Tensor, written: Sequence[Written], heads
) -> list[Traced]:
    """Windows' texts through the decoder once more; `encoded` is (windows, positions, width)."""
    config, end = model.generation_config, model.config.eos_token_id
    ids = [[*w.prompt, *w.tokens, end] for w in written]
    longest = max(map(len, ids))
    padded = torch.tensor([one + [end] * (longest - len(one)) for one in ids], device=encoded.device)
    out = model(
        encoder_outputs=BaseModelOutput(encoded),
        decoder_input_ids=padded,
        output_attentions=bool(heads),
        use_cache=False,
    )
    told = []
    for i, w in enumerate(written):
        begun, done = len(w.prompt), len(w.prompt) + len(w.tokens)
        logprobs = out.logits[i, : done + 1].float().log_softmax(-1)
        steps = logprobs[begun - 1 : done].gather(1, padded[i, begun : done + 1, None])[:, 0].cpu().numpy()
        counted = steps if w.ended else steps[:-1]
        start = w.prompt.index(config.decoder_start_token_id)
        told.append(
            Traced(
                steps[:-1],
                float(counted.mean()) if len(counted) else 0.0,
                float(logprobs[start, _no_speech(config)].exp()),
                torch.stack([out.cross_attentions[layer][i, head, begun - 1 : done] for layer, head in heads])
                if heads
                else None,
            )
        )
    return told


def words(tokenizer, written: Written, traced: Traced, language: str | None, seconds: float) -> list[Word]:
    """The words of a window of `seconds`, in order and inside it."""
    texts, _, indices = _combine_tokens_into_words(tokenizer, list(written.tokens), language)
    starts = _starts(traced.attention, seconds)
    spoken, now = [], 0.0
    for text, places in zip(texts, indices, strict=True):
        start = min(max(float(starts[places[0]]), now), seconds)
        now = min(max(float(starts[places[-1] + 1]), start), seconds)
        probability = float(np.exp(traced.logprobs[places].mean()))
        spoken.append(Word(round(start, 2), round(now, 2), text, min(1.0, probability)))
    return spoken


def _starts(attention: torch.Tensor, seconds: float) -> np.ndarray:
    """When each token begins, and the last one ends: (tokens + 1,) seconds."""
    weights = attention.float()[..., : max(1, round(seconds / TICK))]
    std, mean = torch.std_mean(weights, dim=-2, keepdim=True, unbiased=False)
    weights = _median_filter((weights - mean) / (std + 1e-8), 7).mean(0)
    rows, columns = _dynamic_time_warping(-weights.double().cpu().numpy())
    first = np.flatnonzero(np.diff(rows, prepend=-1))
    return columns[first] * TICK


def _no_speech(config) -> int:
    """The token <|nospeech|>, which stands before <|notimestamps|> in every Whisper's vocabulary."""
    return config.no_timestamps_token_id - 1
