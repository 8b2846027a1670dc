"""Tiny models in ONNX format with the signatures of NeMo's exports, for the real onnx-asr.

They recognise the language of tests/tones.py: what the library makes of audio are log-mel features,
and in those the pitch of every second word has a band of its own. `parakeet` writes a token when it
hears one, `canary` the n-th word from the n-th half second, in the language it is asked for.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import torch
from onnx_asr.preprocessors.numpy_preprocessor import NemoPreprocessorNumpy
from torch import nn

from tests.tones import PITCH, SAMPLE_RATE, say, silence
from tests.tones import WORDS as ALL

MELS = 128
FRAMES = 8  # of 10 ms: what the encoder makes one of
WORDS = ALL[::2]  # and my americans not your can for: further apart than their pitches leak
# What each pitch writes: one is no word's beginning, one a full stop, one has a capital.
TOKENS = ["<unk>", *(f"▁{w}" for w in WORDS), "<blk>"]
TOKENS[1 + WORDS.index("your")] = "hing"
TOKENS[1 + WORDS.index("can")] = "."
TOKENS[1 + WORDS.index("for")] = "▁For"
MARKS = [
    *("▁", "<|startofcontext|>", "<|startoftranscript|>", "<|emo:undefined|>"),
    *("<|en|>", "<|de|>", "<|fr|>", "<|es|>", "<|it|>"),
    *("<|pnc|>", "<|noitn|>", "<|notimestamp|>", "<|nodiarize|>", "<|endoftext|>"),
]
GERMAN = [f"▁{w}-de" for w in WORDS]
SLOT = 6  # encoder frames that a word of `canary` may take: 0.48 s


def spoken(sentence: str, word: float = 0.3, gap: float = 0.1, around: float = 0.4) -> np.ndarray:
    """Some of WORDS, in a quiet room: without its noise a pitch would be heard in every band."""
    audio = np.concatenate([silence(around), say(sentence, word, gap), silence(around)])
    return audio + np.random.default_rng(0).normal(0, 0.01, len(audio)).astype(np.float32)


def slots(sentence: str) -> np.ndarray:
    """Some of WORDS as `canary` hears them: one to a slot, from the start on, then nothing."""
    return spoken(f"{sentence}", word=0.4, gap=0.08, around=0.0)


def bands() -> list[int]:
    """The mel band in which each word is heard."""
    filters = NemoPreprocessorNumpy(f"nemo{MELS}")._melscale_fbanks
    t = np.arange(400) / SAMPLE_RATE
    powers = [
        np.abs(np.fft.rfft(np.hanning(400) * np.sin(2 * np.pi * PITCH[w] * t), 512)) ** 2 for w in WORDS
    ]
    found = [int((power @ filters).argmax()) for power in powers]
    assert len(set(found)) == len(WORDS), "two words share a band"
    return found


def loudness(heard, least):
    """How far the band of each word stands out, positive where it is said: (batch, words, ...)."""
    return 20 * (heard - heard.mean(1, keepdim=True) - least)


class Encoder(nn.Module):
    """(batch, mels, frames) -> (batch, mels, frames / 8)."""

    def forward(self, audio_signal, length):
        heard = nn.functional.avg_pool1d(audio_signal, FRAMES, ceil_mode=True)
        return heard, (length - 1) // FRAMES + 1


class Joint(nn.Module):
    """A transducer's decoder: a token where its band is louder than usual, never twice in a row."""

    def __init__(self, durations: bool):
        super().__init__()
        self.register_buffer("bands", torch.tensor(bands()))
        self.durations = durations

    def forward(self, encoder_outputs, targets, target_length, input_states_1, input_states_2):
        heard = encoder_outputs[:, :, 0].index_select(1, self.bands)  # (batch, words)
        loud, none = loudness(heard, 1.4), 0 * heard[:, :1]
        again = (loud.argmax(1, keepdim=True) + 1 == targets[:, -1:]).float()
        out = tokens = torch.cat([none - 99, loud, none + 999 * again], 1)
        if self.durations:  # 0 to 4 frames: 1 after silence, 3 after a token
            said = (tokens.argmax(1, keepdim=True) < len(TOKENS) - 1).float()
            out = torch.cat([tokens, 0 * said, 1 - said, 0 * said, said, 0 * said], 1)
        states = (input_states_1 + 0 * target_length.sum(), input_states_2 + 1)
        return out[:, None, None], target_length, *states


class Ctc(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("bands", torch.tensor(bands()))

    def forward(self, audio_signal, length):
        heard = nn.functional.avg_pool1d(audio_signal, FRAMES, ceil_mode=True).index_select(1, self.bands)
        none = 0 * heard[:, :1]
        logits = torch.cat([none - 99, loudness(heard, 1.4), none], 1)
        return logits.transpose(1, 2).log_softmax(-1) + 0 * length.sum()


class CanaryEncoder(nn.Module):
    def forward(self, audio_signal, length):
        heard, frames = Encoder()(audio_signal, length)
        mask = torch.arange(heard.shape[2])[None] < frames[:, None]
        return heard.transpose(1, 2), mask.long()


class CanaryDecoder(nn.Module):
    """Keeps all it was given and wrote in `decoder_mems`; after its end it writes on, as real ones may."""

    def __init__(self, tokens: list[str]):
        super().__init__()
        self.register_buffer("bands", torch.tensor(bands()))
        self.marks, self.size = len(MARKS), len(tokens)
        self.german = tokens.index("<|de|>")

    def forward(self, input_ids, encoder_embeddings, encoder_mask, decoder_mems):
        ids = torch.cat([decoder_mems[0, :, :, 0], input_ids.float()], 1)
        at = torch.zeros_like(encoder_mask[:, :1]) + SLOT * (ids.shape[1] - 10) + SLOT // 2
        frame = at.clamp(max=encoder_mask.shape[1] - 1)[:, :, None].expand(-1, -1, MELS)
        heard = encoder_embeddings.gather(1, frame)[:, 0].index_select(1, self.bands)
        there = (at[:, 0] < encoder_mask.sum(1)).float()[:, None]
        words = loudness(heard, 0.4) - 999 * (1 - there)
        german = (ids[:, 5:6] == self.german).float()
        marks = torch.cat(
            [0 * words[:, :1] - 9999 + 0 * words[:, :1].expand(-1, self.marks - 1), 0 * there], 1
        )
        logits = torch.cat([marks, words - 9999 * german, words - 9999 * (1 - german)], 1)
        ended = (ids == self.marks - 1).any(1, keepdim=True).float()  # nonsense follows the end
        nonsense = nn.functional.one_hot(torch.tensor([self.marks + ids.shape[1] % 2]), self.size).float()
        logits = logits * (1 - ended) + 99 * nonsense * ended
        return logits[:, None].expand(-1, input_ids.shape[1], -1), torch.cat(
            [decoder_mems, input_ids[None, :, :, None].float()], 2
        )


def parakeet(folder: Path, kind: str = "tdt") -> Path:
    """A directory as an export of Parakeet has it: "tdt", "rnnt" or "ctc"; in float32 and "int8"."""
    folder.mkdir(parents=True, exist_ok=True)
    _describe(folder, f"nemo-conformer-{kind}", TOKENS)
    features = (torch.randn(2, MELS, 100), torch.tensor([100, 90]))
    if kind == "ctc":
        names = ["audio_signal", "length"], ["logprobs"]
        _export(Ctc(), features, folder / "model", *names, {"audio_signal": 2, "logprobs": 1})
        return folder
    names = ["audio_signal", "length"], ["outputs", "encoded_lengths"]
    _export(Encoder(), features, folder / "encoder-model", *names, {"audio_signal": 2, "outputs": 2})
    state = torch.zeros(2, 1, 4)
    inputs = (torch.randn(1, MELS, 1), torch.ones(1, 1).int(), torch.ones(1).int(), state, state)
    names = (
        ["encoder_outputs", "targets", "target_length", "input_states_1", "input_states_2"],
        ["outputs", "prednet_lengths", "output_states_1", "output_states_2"],
    )
    _export(Joint(kind == "tdt"), inputs, folder / "decoder_joint-model", *names, {})
    return folder


def canary(folder: Path) -> Path:
    """A directory as an export of Canary has it; it knows English, German, French and Spanish."""
    folder.mkdir(parents=True, exist_ok=True)
    tokens = [*MARKS, *(f"▁{w}" for w in WORDS), *GERMAN]
    _describe(folder, "nemo-conformer-aed", tokens)
    features = (torch.randn(2, MELS, 100), torch.tensor([100, 90]))
    names = ["audio_signal", "length"], ["encoder_embeddings", "encoder_mask"]
    times = {"audio_signal": 2, "encoder_embeddings": 1, "encoder_mask": 1}
    _export(CanaryEncoder(), features, folder / "encoder-model", *names, times)
    inputs = (
        torch.ones(2, 10).long(),
        torch.randn(2, 13, MELS),
        torch.ones(2, 13).long(),
        torch.zeros(1, 2, 0, 1),
    )
    names = (
        ["input_ids", "encoder_embeddings", "encoder_mask", "decoder_mems"],
        ["logits", "decoder_hidden_states"],
    )
    times = {"input_ids": 1, "encoder_embeddings": 1, "encoder_mask": 1, "logits": 1}
    times |= {"decoder_mems": 2, "decoder_hidden_states": 2}
    _export(CanaryDecoder(tokens), inputs, folder / "decoder-model", *names, times)
    return folder


def _describe(folder: Path, kind: str, tokens: list[str]) -> None:
    config = {
        "model_type": kind,
        "features_size": MELS,
        "subsampling_factor": FRAMES,
        "max_sequence_length": 64,
    }
    (folder / "config.json").write_text(json.dumps(config))
    lines = "".join(f"{token} {i}\n" for i, token in enumerate(tokens))
    (folder / "vocab.txt").write_text(lines, encoding="utf-8")


def _export(module: nn.Module, inputs: tuple, path: Path, takes: list, gives: list, times: dict) -> None:
    """Write `path`.onnx and, the same again, `path`.int8.onnx; `times` says which axis of what is time."""
    second = ("decoder_mems", "decoder_hidden_states")  # their first axis is the layer
    axes = {n: {int(n in second): "batch"} for n in (*takes, *gives) if "states_" not in n}
    for name, axis in times.items():
        axes[name][axis] = f"{name}_time"
    file = path.with_name(f"{path.name}.onnx")
    torch.onnx.export(
        module.eval(), inputs, str(file), input_names=takes, output_names=gives, dynamic_axes=axes,
        opset_version=17, dynamo=False,
    )  # fmt: skip
    shutil.copy(file, path.with_name(f"{path.name}.int8.onnx"))
