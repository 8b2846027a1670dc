"""wav2vec2-digits: a small wav2vec2 that hears the letters of spoken digits, for the real whisperX.

    python -m tests.models.training.aligner tests/models/wav2vec2-digits

Trained for about a minute on eSpeak NG's digits. Each letter is wanted in one frame, evenly spread
over its word, and "|" where the word ends; all else is blank. That is what whisperX lays letters along.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
from transformers import (
    Wav2Vec2Config,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForCTC,
    Wav2Vec2Processor,
)

from tests.speech import DIGITS, SAMPLE_RATE, digits

VOCABULARY = {name: i for i, name in enumerate(["<pad>", "<unk>", "|", *sorted(set("".join(DIGITS)))])}
HOP, FIELD = 320, 400  # samples between two frames, and that one frame hears
VOICES = ("en-us", "en-gb", "en-us+f3", "en-gb+m3", "en-029+f2")
STEPS, AT_ONCE, RATE = 300, 8, 3e-3
LESSONS, SECONDS = 160, 4.0
BLANK = 0.1  # how much a frame without a letter counts: most of them have none


def main(folder: Path) -> None:
    torch.manual_seed(0)
    model, (sounds, labels) = Wav2Vec2ForCTC(_config()), _lessons()
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=STEPS)
    weight = torch.tensor([BLANK] + [1.0] * (len(VOCABULARY) - 1))
    rng = np.random.default_rng(0)
    for step in range(STEPS):
        chosen = rng.choice(LESSONS, AT_ONCE, replace=False)
        heard = model(sounds[chosen]).logits.transpose(1, 2)
        loss = torch.nn.functional.cross_entropy(heard, labels[chosen], weight)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 50 == 49:
            print(f"step {step + 1}: loss {loss.item():.3f}", flush=True)
    _save(model, folder)


def _config() -> Wav2Vec2Config:
    places = ("hidden", "attention", "activation", "feat_proj", "final")
    still = {f"{place}_dropout": 0.0 for place in places}
    return Wav2Vec2Config(
        vocab_size=len(VOCABULARY), hidden_size=64, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=128, conv_dim=(32,) * 7, num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4, pad_token_id=0, layerdrop=0.0, apply_spec_augment=False, **still,
    )  # fmt: skip


def _lessons() -> tuple[torch.Tensor, torch.Tensor]:
    """Sounds, float32 (lessons, samples), and what each of their frames is: int64 (lessons, frames)."""
    rng = np.random.default_rng(0)
    samples = int(SECONDS * SAMPLE_RATE)
    frames = (samples - FIELD) // HOP + 1
    sounds, labels = np.zeros((LESSONS, samples), np.float32), np.zeros((LESSONS, frames), int)
    for i in range(LESSONS):
        said, gaps = " ".join(rng.choice(DIGITS, 5)), list(rng.uniform(0.05, 0.5, 4))
        sound, words = digits(said, rng.choice(VOICES), gap=gaps, tail=0.0)
        sounds[i, : len(sound)] = sound[:samples]
        for word, start, end in words:
            for letter, at in zip(f"{word}|", np.linspace(start, end, len(word) + 1), strict=True):
                labels[i, min(round(at * SAMPLE_RATE / HOP), frames - 1)] = VOCABULARY[letter]
    return torch.from_numpy(sounds), torch.from_numpy(labels)


def _save(model: Wav2Vec2ForCTC, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(VOCABULARY))
    tokenizer = Wav2Vec2CTCTokenizer(
        str(folder / "vocab.json"), bos_token=None, eos_token=None, pad_token="<pad>", unk_token="<unk>"
    )
    Wav2Vec2Processor(Wav2Vec2FeatureExtractor(do_normalize=False), tokenizer).save_pretrained(folder)
    model.save_pretrained(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
