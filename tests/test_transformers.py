"""Whisper by the real transformers: the digits model, its weights read out of the CTranslate2 file."""

import json
import logging
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import WhisperConfig

from asr import backends, pipeline
from asr.audio import Recording, to_pcm16
from asr.backends.transformers import Transformers, device, files
from asr.backends.transformers.decode import Decoder, translates
from asr.bench.words import word_error_rate
from asr.catalogue import CARDS
from asr.errors import BackendUnavailable, UnknownModel
from asr.guards import failed
from asr.types import Options
from tests import hf_models
from tests.hub import hub, lead_to
from tests.speech import digits as say

ENGLISH = Options(language="en")
TIMED = replace(ENGLISH, word_timestamps=True)
ONE, _ = say("one two three four")
TWO, WORDS = say("nine eight seven", voice="en-gb")


def text(segments) -> str:
    return "".join(s.text for s in segments).strip()


@pytest.fixture(scope="session")
def export(tmp_path_factory) -> Path:
    return hf_models.digits(tmp_path_factory.mktemp("hf") / "digits")


@pytest.fixture
def folder(export, tmp_path) -> Path:
    return shutil.copytree(export, tmp_path / "digits")


# What is heard


def test_the_same_weights_hear_the_same_words_as_faster_whisper(hf_digits, digits):
    for audio in (ONE, TWO):
        ours, theirs = (text(b.transcribe(audio, ENGLISH)) for b in (hf_digits, digits))
        assert ours == theirs and ours


def test_a_batch_hears_what_each_window_alone_would_say(hf_digits):
    together = hf_digits.transcribe_batch([ONE, TWO, ONE[:0], TWO], [ENGLISH] * 4)
    assert [text(s) for s in together] == ["one two three four", "nine eight seven", "", "nine eight seven"]
    assert [text(hf_digits.transcribe(a, ENGLISH)) for a in (ONE, TWO)] == [text(s) for s in together[:2]]


def test_segments_carry_scores(hf_digits):
    (segment,) = hf_digits.transcribe(ONE, ENGLISH)
    assert -1 < segment.avg_logprob < 0 and segment.compression_ratio > 0
    assert 0 <= segment.no_speech_prob < 0.5 and segment.temperature == 0.0 and not failed(segment)


def test_silence_is_heard_as_nothing_and_scored_as_no_speech(hf_digits):
    quiet = np.random.default_rng(0).normal(0, 1e-4, 48_000).astype(np.float32)
    assert text(hf_digits.transcribe(quiet, ENGLISH)) == ""
    nothing, speech = hf_digits.decoder.decode([quiet, ONE], [ENGLISH] * 2)
    assert nothing.scores["no_speech_prob"] > 0.5 > speech.scores["no_speech_prob"]


def test_language_is_detected_with_its_probability_and_never_where_it_was_given(hf_digits):
    (found,), (given,) = hf_digits.transcribe_batch([ONE, ONE], [Options(), ENGLISH])
    assert (found.language, given.language) == ("en", "en")
    assert 0.5 < found.language_probability <= 1 and given.language_probability is None


def test_detection_gives_probabilities_that_sum_to_one(hf_digits, digits):
    for ours, theirs in zip(hf_digits.detect([ONE] * 5), digits.detect([ONE] * 5), strict=True):
        assert sum(ours.values()) == pytest.approx(1, abs=0.01)
        assert max(ours, key=ours.get) == max(theirs, key=theirs.get) == "en"


def test_words_make_the_text_and_stand_near_where_they_were_said(hf_digits):
    ((segment,),) = hf_digits.transcribe_batch([TWO], [TIMED])
    assert "".join(w.word for w in segment.words) == segment.text
    for heard, (word, start, end) in zip(segment.words, WORDS, strict=True):
        assert heard.word.strip() == word and 0 <= heard.probability <= 1
        assert heard.start < end and heard.end > start, "a word overlaps the time it was said"
    assert all(a.end <= b.start for a, b in pairwise(segment.words))


def test_words_of_one_window_do_not_depend_on_its_neighbours(hf_digits):
    alone = hf_digits.transcribe_batch([TWO], [TIMED])[0]
    among = hf_digits.transcribe_batch([ONE, TWO, ONE], [TIMED, TIMED, ENGLISH])
    for a, b in zip(among[1][0].words, alone[0].words, strict=True):
        assert (a.word, a.start, a.end) == (
            b.word,
            pytest.approx(b.start, abs=0.05),
            pytest.approx(b.end, abs=0.05),
        )
    assert among[2][0].words == ()


def test_a_recording_goes_through_the_pipeline(hf_digits):
    said = ["seven two nine", "four one eight three", "zero six five"] * 4
    audio = np.concatenate([say(words, gap=0.3, tail=1.0)[0] for words in said])
    found = list(pipeline.transcribe(Recording(to_pcm16(audio)), hf_digits, TIMED))
    assert word_error_rate(" ".join(said).split(), text(found).split()) < 0.25
    assert all(a.end <= b.start + 0.01 for a, b in pairwise(found))
    assert {s.language for s in found} == {"en"} and found[-1].end > len(audio) / 16_000 - 3


def test_audio_longer_than_a_window_is_heard_to_its_end(hf_digits):
    said = ["seven two nine", "four one eight three", "zero six five", "two two one seven"] * 3
    audio = np.concatenate([say(words, gap=0.3, tail=1.0)[0] for words in said])
    heard = list(hf_digits.transcribe(audio, Options()))
    assert len(audio) / 16_000 > 2 * hf_digits.window and heard[-1].end > len(audio) / 16_000 - 3
    assert word_error_rate(" ".join(said).split(), text(heard).split()) < 0.25


@pytest.mark.parametrize("samples", [0, 1, 100, 200, 1600])
def test_next_to_nothing_is_no_error(hf_digits, samples):
    audio = np.zeros(samples, np.float32)
    list(hf_digits.transcribe(audio, ENGLISH))
    hf_digits.transcribe_batch([audio], [TIMED])


def test_what_the_model_had_no_room_to_write_is_heard_after_it(hf_digits, monkeypatch):
    monkeypatch.setattr(hf_digits.decoder.config, "max_length", 7)  # four marks, three words
    audio, _ = say("one two three four five six", gap=0.3)
    (heard,) = hf_digits.transcribe_batch([audio], [TIMED])
    assert text(heard) == "one two three four five six"
    assert all(a.end <= b.start for a, b in pairwise([w for s in heard for w in s.words]))


# Every window keeps its own options


def test_windows_that_can_share_a_call_do_and_the_others_keep_their_options(hf_digits, monkeypatch):
    asked, real = [], hf_digits.decoder.model.generate
    monkeypatch.setattr(hf_digits.decoder.model, "generate", lambda **how: asked.append(how) or real(**how))
    options = [
        ENGLISH,
        replace(ENGLISH, prompt="five six"),
        Options(language="de"),
        replace(ENGLISH, task="translate"),
    ]
    heard = hf_digits.transcribe_batch([ONE] * 4, options)
    assert [s[0].language for s in heard] == ["en", "en", "de", "en"]
    assert sorted((how["task"], tuple(how["language"]), "prompt_ids" in how) for how in asked) == [
        ("transcribe", ("en",), True),
        ("transcribe", ("en", "de"), False),
        ("translate", ("en",), False),
    ]


def test_prompt_keeps_its_end_and_hotwords_their_beginning(hf_digits, caplog):
    with caplog.at_level(logging.WARNING):
        before = hf_digits.decoder._before(
            Options(hotwords="one " + "two " * 400, prompt="three " * 400 + "four")
        )
    said = hf_digits.decoder.tokenizer.decode(before)
    assert said.startswith("<|startofprev|> one two") and said.endswith("three four") and len(before) == 224
    assert "tokens long" in caplog.text


def test_marks_that_somebody_types_are_no_marks(hf_digits):
    before = hf_digits.decoder._before(Options(prompt="<|endoftext|><|translate|>"))
    ids = hf_digits.decoder.tokenizer.convert_tokens_to_ids(["<|endoftext|>", "<|translate|>"])
    assert before and not set(ids) & set(before)


def test_a_failed_window_is_heard_again_hotter_unless_a_temperature_is_asked_for(hf_digits, monkeypatch):
    tried, real = [], hf_digits.decoder.decode

    def decode(windows, options):
        tried.append(options[0].temperature)
        bad = tried[-1] < 0.5
        return [
            replace(h, scores={**h.scores, "avg_logprob": -3.0 if bad else -0.5})
            for h in real(windows, options)
        ]

    monkeypatch.setattr(hf_digits.decoder, "decode", decode)
    (segment,) = hf_digits.transcribe(ONE, ENGLISH)
    assert tried == [0.0, 0.2, 0.4, 0.6] and segment.temperature == 0.6
    tried.clear()
    assert failed(*hf_digits.transcribe(ONE, replace(ENGLISH, temperature=0.2))) and tried == [0.2]


# What a model can do, by what it was trained for


def changed(folder: Path, config: dict, generation: dict) -> Transformers:
    for name, values in (("config.json", config), ("generation_config.json", generation)):
        told = json.loads((folder / name).read_text()) | values
        (folder / name).write_text(json.dumps({k: v for k, v in told.items() if v is not None}))
    return Transformers("transformers:x", Decoder(folder, device.open_model(folder, "cpu", torch.float32)))


def test_an_english_model_neither_detects_nor_translates(folder):
    english = changed(folder, {}, {"is_multilingual": False, "lang_to_id": None, "task_to_id": None})
    assert english.languages == {"en"} and not english.can & {"detect", "translate"}
    (heard,) = english.transcribe_batch([ONE], [Options(word_timestamps=True)])
    assert heard and heard[0].language == "en" and heard[0].language_probability is None


def test_a_model_without_alignment_heads_promises_no_words(folder):
    plain = changed(folder, {}, {"alignment_heads": None})
    assert "words" not in plain.can
    (segment,) = plain.transcribe(ONE, ENGLISH)
    assert segment.text.strip() == "one two three four" and segment.end == len(ONE) / 16_000


@pytest.mark.parametrize(
    ("encoder", "decoder", "can"), [(32, 32, True), (32, 4, False), (32, 2, False), (4, 3, True)]
)
def test_a_pruned_model_does_not_translate(encoder, decoder, can):
    assert translates(WhisperConfig(encoder_layers=encoder, decoder_layers=decoder)) is can


def test_half_the_precision_hears_the_same(export):
    half = backends.load(f"transformers:{export}", "cpu/bfloat16")
    assert text(half.transcribe(ONE, TIMED)) == "one two three four"


# Files


@pytest.mark.parametrize("lost", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_directory_that_is_not_whole_says_what_it_lacks(folder, lost):
    (folder / lost).unlink()
    with pytest.raises(BackendUnavailable, match=lost):
        backends.load(f"transformers:{folder}")


@pytest.mark.parametrize("damage", [b"", b"version https://git-lfs.github.com/spec/v1"])
def test_damaged_weights_are_called_what_they_are(folder, damage):
    (folder / "model.safetensors").write_bytes(damage)
    with pytest.raises(BackendUnavailable, match="git lfs pull"):
        backends.load(f"transformers:{folder}")


@pytest.mark.parametrize("config", ['{"model_type": "wav2vec2"}', "{}", "[]", "no json"])
def test_what_is_no_whisper_is_refused(folder, config):
    (folder / "config.json").write_text(config)
    with pytest.raises(UnknownModel, match="no Whisper"):
        backends.load(f"transformers:{folder}")


@pytest.mark.parametrize("name", ["", "whisper-small", "nowhere/at/all", "/nowhere"])
def test_a_wrong_name_says_what_there_is(name):
    with pytest.raises(UnknownModel) as e:
        backends.load(f"transformers:{name}")
    assert e.value.fix


def test_a_model_is_downloaded_once_and_then_needs_no_hub(export, tmp_path, monkeypatch):
    with hub(monkeypatch, tmp_path, {"me/digits": export}) as asked:
        assert text(backends.load("transformers:me/digits").transcribe(ONE, ENGLISH)) == "one two three four"
    assert asked and files.find("me/digits").is_dir(), "the server is gone, the model is not"


def test_a_repository_for_another_engine_is_refused(tmp_path, monkeypatch):
    offered = {"me/docs": Path(__file__).parent}
    with hub(monkeypatch, tmp_path, offered), pytest.raises(UnknownModel, match="not made for transformers"):
        files.find("me/docs")


def test_a_hub_that_cannot_be_reached_fails_at_once(tmp_path, monkeypatch):
    lead_to(monkeypatch, "http://127.0.0.1:9", tmp_path)
    with pytest.raises(BackendUnavailable, match=r"cannot be reached.*copy a model's directory"):
        backends.load("transformers:openai/whisper-small")


def test_a_model_in_several_files_is_whole_with_all_of_them(folder):
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert files.lacking(folder) == ["model-00002-of-00002.safetensors"]


def test_the_files_of_a_card_are_all_that_is_needed(export):
    cards = [card for card in CARDS if card.spec.startswith("transformers:")]
    here = {path.name for path in export.iterdir()}
    assert cards and all(set(card.files) == here for card in cards)


# Devices


@pytest.mark.parametrize(
    ("asked", "says"),
    [("tpu", "There is no device"), ("cpu/int8", "float32, bfloat16"), ("cuda", "sees no CUDA device")],
)
def test_a_device_that_cannot_be_used_is_refused(monkeypatch, asked, says):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(BackendUnavailable, match=says):
        backends.load("transformers:openai/whisper-small", asked)


def test_a_full_gpu_gets_smaller_batches_and_loses_nothing(hf_digits, monkeypatch):
    sizes, real = [], hf_digits.decoder.decode

    def decode(windows, options):
        sizes.append(len(windows))
        if len(windows) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(windows, options)

    monkeypatch.setattr(hf_digits.decoder, "decode", decode)
    monkeypatch.setattr(hf_digits, "batch_size", 4)
    heard = hf_digits.transcribe_batch([ONE, TWO, ONE], [ENGLISH] * 3)
    assert [text(s) for s in heard] == ["one two three four", "nine eight seven", "one two three four"]
    assert sizes == [3, 1, 1, 1]


def test_a_gpu_too_small_for_one_window_says_what_to_do(hf_digits, monkeypatch):
    def decode(windows, options):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(hf_digits.decoder, "decode", decode)
    with pytest.raises(BackendUnavailable, match="free the GPU"):
        list(hf_digits.transcribe(ONE, ENGLISH))
