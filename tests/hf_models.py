"""The digits Whisper as transformers keeps models: its weights, read out of the CTranslate2 file."""

from __future__ import annotations

import json
from pathlib import Path
from shutil import copy

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import GenerationConfig, WhisperConfig, WhisperForConditionalGeneration

from asr.bench.shapes import _weights as read
from tests.conftest import DIGITS

NAMES = {  # CTranslate2's -> transformers'
    "layer_norm/gamma": "layer_norm.weight",
    "layer_norm/beta": "layer_norm.bias",
    "self_attention/layer_norm": "self_attn_layer_norm",
    "self_attention/linear_1": "self_attn.out_proj",
    "attention/layer_norm": "encoder_attn_layer_norm",
    "attention/linear_0": "encoder_attn.q_proj",
    "attention/linear_2": "encoder_attn.out_proj",
    "ffn/layer_norm": "final_layer_norm",
    "ffn/linear_0": "fc1",
    "ffn/linear_1": "fc2",
}


def digits(folder: Path) -> Path:
    """Write the model into `folder`, in float32."""
    weights = read(DIGITS / "model.bin")
    told = json.loads((DIGITS / "config.json").read_text())
    tokenizer = Tokenizer.from_file(str(DIGITS / "tokenizer.json"))
    model = WhisperForConditionalGeneration(_config(weights, tokenizer))
    missing, unknown = model.load_state_dict(_state(weights), strict=False)
    assert not unknown and all(name.endswith("k_proj.bias") for name in missing), (missing, unknown)
    model.generation_config = _generation(told, tokenizer)
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "preprocessor_config.json"):
        copy(DIGITS / name, folder / name)
    return folder


def _state(weights: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    state = {}
    for name, values in weights.items():
        side, _, rest = name.partition("/")
        if values.ndim == 0 or name.endswith("weight_scale"):
            continue
        layer, _, part = rest.partition("/")
        if layer.startswith("layer_") and layer != "layer_norm":
            _put(state, f"model.{side}.layers.{layer[6:]}.", part, values)
        else:
            state[f"model.{side}.{_plain(rest)}"] = torch.tensor(values)
    state["proj_out.weight"] = state["model.decoder.embed_tokens.weight"]
    return state


def _put(state: dict, layer: str, part: str, values: np.ndarray) -> None:
    """One of a layer's weights; queries, keys and values lie in one matrix, or keys and values do."""
    base, _, kind = part.rpartition("/")
    joined = {"self_attention/linear_0": ("self_attn", "qkv"), "attention/linear_1": ("encoder_attn", "kv")}
    if base in joined:
        attention, parts = joined[base]
        for letter, one in zip(parts, np.split(values, len(parts)), strict=True):
            if (letter, kind) != ("k", "bias"):  # Whisper's keys have none
                state[f"{layer}{attention}.{letter}_proj.{kind}"] = torch.tensor(one)
        return
    state[f"{layer}{NAMES[base]}.{ {'gamma': 'weight', 'beta': 'bias'}.get(kind, kind) }"] = torch.tensor(
        values
    )


def _plain(name: str) -> str:
    places = {
        "embeddings/weight": "embed_tokens.weight",
        "position_encodings/encodings": "embed_positions.weight",
    }
    return places.get(name) or NAMES.get(name) or name.replace("/", ".")


def _config(weights: dict[str, np.ndarray], tokenizer: Tokenizer) -> WhisperConfig:
    end, start = (tokenizer.token_to_id(f"<|{name}|>") for name in ("endoftext", "startoftranscript"))
    vocabulary, width = weights["decoder/embeddings/weight"].shape
    layers = {side: sum(f"{side}/layer_{i}/ffn/linear_0/weight" in weights for i in range(9)) for side in
              ("encoder", "decoder")}  # fmt: skip
    return WhisperConfig(
        vocab_size=vocabulary, num_mel_bins=80, d_model=width,
        encoder_layers=layers["encoder"], decoder_layers=layers["decoder"],
        encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=512, decoder_ffn_dim=512,
        pad_token_id=end, bos_token_id=end, eos_token_id=end, decoder_start_token_id=start,
        begin_suppress_tokens=None, suppress_tokens=None,
    )  # fmt: skip


def _generation(told: dict, tokenizer: Tokenizer) -> GenerationConfig:
    of = tokenizer.token_to_id
    return GenerationConfig(
        alignment_heads=told["alignment_heads"], suppress_tokens=told["suppress_ids"],
        begin_suppress_tokens=told["suppress_ids_begin"], is_multilingual=True,
        lang_to_id={tokenizer.id_to_token(i): i for i in told["lang_ids"]},
        task_to_id={task: of(f"<|{task}|>") for task in ("transcribe", "translate")},
        no_timestamps_token_id=of("<|notimestamps|>"), prev_sot_token_id=of("<|startofprev|>"),
        bos_token_id=of("<|endoftext|>"), eos_token_id=of("<|endoftext|>"), pad_token_id=of("<|endoftext|>"),
        decoder_start_token_id=of("<|startoftranscript|>"), max_length=448, return_timestamps=False,
    )  # fmt: skip
