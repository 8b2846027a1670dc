"""Converts a checkpoint to the int8 CTranslate2 folder that faster-whisper loads.

python convert.py checkpoint.pt folder
"""

import argparse
import tempfile
from pathlib import Path

import torch
from ctranslate2.converters import TransformersConverter
from faster_whisper.tokenizer import Tokenizer as FasterWhisperTokenizer
from network import SUPERVISED_HEADS, Shape, Whisper
from tokenizer import Ids, build
from transformers import (
    GenerationConfig,
    PreTrainedTokenizerFast,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
)

# What faster-whisper cuts recordings into. 30 s work too, but the model miscounts more than 25 words in them.
WINDOW_SECONDS = 15


def configuration(shape: Shape, ids: Ids) -> WhisperConfig:
    return WhisperConfig(
        vocab_size=shape.vocabulary, num_mel_bins=shape.mels, d_model=shape.width,
        encoder_layers=shape.encoder_layers, decoder_layers=shape.decoder_layers,
        encoder_attention_heads=shape.heads, decoder_attention_heads=shape.heads,
        encoder_ffn_dim=shape.hidden, decoder_ffn_dim=shape.hidden,
        max_source_positions=shape.positions, max_target_positions=shape.tokens,
        pad_token_id=ids.end, bos_token_id=ids.end, eos_token_id=ids.end, decoder_start_token_id=ids.start,
        begin_suppress_tokens=None, suppress_tokens=None,
    )  # fmt: skip


def generation(shape: Shape, tokenizer, ids: Ids) -> GenerationConfig:
    faster_whisper = FasterWhisperTokenizer(tokenizer, True, task="transcribe", language="en")
    never = {*faster_whisper.non_speech_tokens, ids.start, ids.translate, ids.transcribe}
    never |= {ids.language_model, ids.previous, ids.no_speech}
    languages = range(ids.english, ids.english + ids.language_count)
    return GenerationConfig(
        alignment_heads=[[shape.decoder_layers - 1, head] for head in SUPERVISED_HEADS],
        suppress_tokens=sorted(never),
        # Not <|endoftext|>, which OpenAI's models forbid here: silence may be answered with nothing.
        begin_suppress_tokens=tokenizer.encode(" ", add_special_tokens=False).ids,
        is_multilingual=True,
        lang_to_id={tokenizer.id_to_token(i): i for i in languages},
        task_to_id={"transcribe": ids.transcribe, "translate": ids.translate},
        no_timestamps_token_id=ids.no_timestamps, prev_sot_token_id=ids.previous,
        bos_token_id=ids.end, eos_token_id=ids.end, pad_token_id=ids.end, decoder_start_token_id=ids.start,
        max_initial_timestamp_index=50, max_length=shape.tokens, return_timestamps=False,
    )  # fmt: skip


def save_transformers(checkpoint: Path, folder: Path) -> None:
    shape, tokenizer = Shape(), build()
    ids = Ids(tokenizer)
    network = Whisper(shape)
    network.load(torch.load(checkpoint, map_location="cpu", weights_only=False)["smooth"])
    state = network.state_dict()
    model = WhisperForConditionalGeneration(configuration(shape, ids))
    model.load_state_dict(state | {"proj_out.weight": state["model.decoder.embed_tokens.weight"]})
    model.generation_config = generation(shape, tokenizer, ids)
    check_equal(network.eval(), model.eval(), ids)
    model.save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=shape.mels, chunk_length=WINDOW_SECONDS).save_pretrained(folder)
    special = {name: "<|endoftext|>" for name in ("bos_token", "eos_token", "unk_token", "pad_token")}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)


@torch.no_grad()
def check_equal(network: Whisper, model: WhisperForConditionalGeneration, ids: Ids) -> None:
    mel, tokens = torch.randn(1, 80, 3000), torch.randint(0, ids.count, (1, 20))
    ours = network.logits(network(mel, torch.zeros(1, dtype=torch.long), tokens)[0])
    torch.testing.assert_close(
        ours, model(input_features=mel, decoder_input_ids=tokens).logits, atol=1e-3, rtol=1e-3
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        save_transformers(arguments.checkpoint, Path(folder))
        build().save(f"{folder}/tokenizer.json")
        converter = TransformersConverter(folder, copy_files=["tokenizer.json", "preprocessor_config.json"])
        converter.convert(str(arguments.folder), quantization="int8", force=True)
