"""faster-whisper through a real small Whisper: batches, options, full GPUs, models that are not there."""

import logging
import shutil
import socket
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import ctranslate2
import numpy as np
import pytest

from asr import backends
from asr.backends.faster_whisper import FasterWhisper, _knows, device, weights
from asr.backends.faster_whisper.decode import CONTEXT, HALF, LADDER
from asr.backends.faster_whisper.features import padded
from asr.backends.faster_whisper.segments import cut, settled
from asr.bench.words import word_error_rate
from asr.errors import BackendUnavailable, UnknownModel
from asr.guards import failed
from asr.text.sentences import sentences
from asr.types import Options, Word
from tests.conftest import DIGITS
from tests.hub import hub, lead_to
from tests.speech import digits as say

ENGLISH = Options(language="en")
ONE, _ = say("one two three four")
TWO, WORDS = say("nine eight seven", voice="en-gb")
FULL = "CUDA failed with error out of memory"


def text(segments) -> str:
    return "".join(s.text for s in segments).strip()


class Spy:
    """An engine's engine, and what it was asked; `most` windows at a time fit into its memory."""

    def __init__(self, whisper, most: int = 99):
        self.whisper, self.most, self.calls = whisper, most, []

    def __getattr__(self, name):
        return getattr(self.whisper, name)

    def generate(self, encoded, prompts, **asked):
        if len(prompts) > self.most:
            raise RuntimeError(FULL)
        self.calls.append({"prompts": prompts, **asked})
        return self.whisper.generate(encoded, prompts, **asked)


@pytest.fixture
def spy(digits, monkeypatch) -> Spy:
    found = Spy(digits.decoder.whisper)
    monkeypatch.setattr(digits.decoder, "whisper", found)
    monkeypatch.setattr(digits, "batch_size", 8)
    return found


# What is heard


def test_a_batch_hears_what_each_window_alone_would_say(digits):
    together = digits.transcribe_batch([ONE, TWO, ONE[:0], TWO], [ENGLISH] * 4)
    assert [text(s) for s in together] == ["one two three four", "nine eight seven", "", "nine eight seven"]
    assert [text(digits.transcribe(a, ENGLISH)) for a in (ONE, TWO)] == [text(s) for s in together[:2]]


def test_prepared_windows_are_heard_like_their_audio(digits):
    prepared = digits.prepare(ONE)
    assert digits.transcribe_batch([prepared], [ENGLISH]) == digits.transcribe_batch([ONE], [ENGLISH])
    assert digits.detect([prepared]) == digits.detect([ONE])


def test_segments_carry_scores_and_tokens(digits):
    (segment,) = digits.transcribe(ONE, ENGLISH)
    assert segment.avg_logprob < 0 < segment.compression_ratio and 0 <= segment.no_speech_prob <= 1
    assert segment.temperature == 0.0 and not failed(segment)
    assert digits.decoder.tokenizer("en", "transcribe").decode(segment.tokens) == segment.text
    assert 0 <= segment.start < segment.end <= len(ONE) / 16_000


def test_language_is_detected_with_its_probability_and_never_where_it_was_given(digits):
    (found,), (given,) = digits.transcribe_batch([ONE, ONE], [Options(), ENGLISH])
    assert (found.language, given.language) == ("en", "en")
    assert 0.5 < found.language_probability <= 1 and given.language_probability is None


def test_detection_gives_probabilities_that_sum_to_one(digits):
    for of_one in digits.detect([ONE, TWO]):
        assert sum(of_one.values()) == pytest.approx(1, abs=0.01)
        assert max(of_one, key=of_one.get) == "en"


def test_words_make_the_text_and_stand_near_where_they_were_said(digits):
    ((segment,),) = digits.transcribe_batch([TWO], [replace(ENGLISH, word_timestamps=True)])
    assert "".join(w.word for w in segment.words) == segment.text
    for heard, (word, start, end) in zip(segment.words, WORDS, strict=True):
        assert heard.word.strip() == word and 0 <= heard.probability <= 1
        assert heard.start < end and heard.end > start, "a word overlaps the time it was said"
    times = [t for w in segment.words for t in (w.start, w.end)]
    assert times == sorted(times)


def test_words_of_one_window_do_not_depend_on_its_neighbours(digits):
    timed = replace(ENGLISH, word_timestamps=True)
    alone = digits.transcribe_batch([TWO], [timed])[0]
    among = digits.transcribe_batch([ONE, TWO, ONE], [timed, timed, ENGLISH])
    assert [[w.word for w in s.words] for s in among[1]] == [[w.word for w in s.words] for s in alone]
    for a, b in zip(among[1][0].words, alone[0].words, strict=True):
        assert (a.start, a.end) == pytest.approx((b.start, b.end), abs=0.05)
    assert among[2][0].words == ()


def test_audio_longer_than_a_window_is_heard_to_its_end(digits):
    said = [
        "seven two nine",
        "four one eight three",
        "zero six five",
        "two two one seven",
        "nine zero four",
    ] * 2
    spoken = [say(words, gap=0.3, tail=1.0)[0] for words in said]
    seconds = sum(map(len, spoken)) / 16_000
    heard = list(digits.transcribe(np.concatenate(spoken), Options()))
    assert seconds > 33 and heard[-1].end > seconds - 3
    assert word_error_rate(" ".join(said).split(), text(heard).split()) < 0.25
    assert all(a.end <= b.start + 0.01 for a, b in pairwise(heard))
    assert len({s.language_probability for s in heard}) == 1, "the language of the first window stays"


@pytest.mark.parametrize("samples", [0, 1, 100, 200, 1600])
def test_next_to_nothing_is_no_error(digits, samples):
    audio = np.zeros(samples, np.float32)
    list(digits.transcribe(audio, ENGLISH))
    digits.transcribe_batch([audio], [replace(ENGLISH, word_timestamps=True)])


# Every window keeps its own options


def test_windows_with_different_prompts_keep_them(spy, digits):
    options = [
        ENGLISH,
        replace(ENGLISH, prompt="five six"),
        Options(language="de", task="translate", hotwords="seven"),
        Options(language="fr"),
    ]
    heard = digits.transcribe_batch([ONE] * 4, options)
    assert [s[0].language for s in heard] == ["en", "en", "de", "fr"]
    decode = digits.decoder.tokenizer("en", "transcribe").tokenizer.decode
    prompts = sorted(decode(p, skip_special_tokens=False) for call in spy.calls for p in call["prompts"])
    assert prompts == [
        "<|startofprev|> five six<|startoftranscript|><|en|><|transcribe|><|notimestamps|>",
        "<|startofprev|> seven<|startoftranscript|><|de|><|translate|>",
        "<|startoftranscript|><|en|><|transcribe|><|notimestamps|>",
        "<|startoftranscript|><|fr|><|transcribe|><|notimestamps|>",
    ]


def test_windows_that_can_share_a_call_do(spy, digits):
    digits.transcribe_batch(
        [ONE] * 4, [ENGLISH, Options(), Options(language="fr"), replace(ENGLISH, beam_size=2)]
    )
    assert sorted(len(call["prompts"]) for call in spy.calls) == [1, 3]


def test_words_in_several_languages_are_timed_each_in_its_own(digits):
    options = [Options(language=code, word_timestamps=True) for code in ("en", "zh", "en")]
    heard = digits.transcribe_batch([ONE, TWO, TWO], options)
    assert [s[0].language for s in heard] == ["en", "zh", "en"]
    assert all(s.words and s.text == "".join(w.word for w in s.words) for window in heard for s in window)


@pytest.mark.parametrize("long", ["hotwords", "prompt", "both"])
def test_more_hotwords_and_prompt_than_the_model_takes_are_cut_and_said(spy, digits, caplog, long):
    many = " ".join(["seven"] * 400)
    asked = {"hotwords": many, "prompt": many} if long == "both" else {long: many}
    with caplog.at_level(logging.WARNING):
        digits.transcribe_batch([ONE], [replace(ENGLISH, **asked)])
    (prompt,) = spy.calls[0]["prompts"]
    assert len(prompt) <= HALF + 4 < CONTEXT and "tokens long" in caplog.text


def test_prompt_keeps_its_end_and_hotwords_their_beginning(digits):
    tokenizer = digits.decoder.tokenizer("en", "transcribe")
    options = Options(hotwords="one " + "two " * 400, prompt="three " * 400 + "four")
    said = tokenizer.tokenizer.decode(list(digits.decoder.before(options)))
    assert (
        said.startswith(" one two")
        and said.endswith("three four")
        and said.count("two") > 100 < said.count("three")
    )


# Temperatures


def test_no_temperature_means_zero_in_a_batch_and_a_given_one_is_used(spy, digits):
    digits.transcribe_batch([ONE, ONE], [ENGLISH, replace(ENGLISH, temperature=0.4)])
    assert sorted(c["sampling_temperature"] for c in spy.calls) == [0.0, 0.4]


def test_a_beam_counts_at_every_temperature(spy, digits):
    digits.transcribe_batch(
        [ONE, ONE], [Options("en", beam_size=3), Options("en", beam_size=3, temperature=0.4)]
    )
    assert sorted((c["beam_size"], c.get("num_hypotheses")) for c in spy.calls) == [(1, 3), (3, None)]


def test_alone_a_failing_window_climbs_the_ladder_and_the_best_is_kept(spy, digits, monkeypatch):
    monkeypatch.setattr("asr.backends.faster_whisper.decode.failed", lambda heard: True)
    (segment,) = digits.transcribe(ONE, ENGLISH)
    assert [c["sampling_temperature"] for c in spy.calls] == list(LADDER)
    assert segment.temperature in LADDER


def test_a_good_window_is_decoded_once_and_a_given_temperature_means_no_ladder(spy, digits, monkeypatch):
    list(digits.transcribe(ONE, ENGLISH))
    assert len(spy.calls) == 1
    monkeypatch.setattr("asr.backends.faster_whisper.decode.failed", lambda heard: True)
    list(digits.transcribe(ONE, replace(ENGLISH, temperature=0.0)))
    assert len(spy.calls) == 2


# A GPU whose memory is full


def test_a_full_gpu_means_smaller_batches_and_no_lost_window(spy, digits, caplog):
    spy.most = 3
    with caplog.at_level(logging.WARNING):
        heard = digits.transcribe_batch([ONE, TWO] * 2, [ENGLISH] * 4)
    assert [text(s) for s in heard] == ["one two three four", "nine eight seven"] * 2
    assert [len(c["prompts"]) for c in spy.calls] == [1, 1, 1, 1] and "4 windows do not fit" in caplog.text
    assert digits.batch_size == 1, "the next call starts with what fits"


def test_batches_shrink_from_16_to_8_to_4_to_1(digits, monkeypatch, caplog):
    monkeypatch.setattr(digits, "batch_size", 16)
    tried = []

    def work(items):
        tried.append(len(items))
        if len(items) > 1:
            raise RuntimeError(FULL)
        return items

    assert [item for item, _ in digits._fitting(list(range(20)), work)] == list(range(20))
    assert tried[:4] == [16, 8, 4, 1]


def test_a_gpu_too_full_for_one_window_is_said(spy, digits):
    spy.most = 0
    with pytest.raises(BackendUnavailable, match="smaller model"):
        digits.transcribe_batch([ONE] * 3, [ENGLISH] * 3)


def test_other_errors_of_the_engine_are_not_taken_for_a_full_gpu(spy, digits, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("No position encodings are defined")

    monkeypatch.setattr(spy, "generate", broken)
    with pytest.raises(RuntimeError, match="position"):
        digits.transcribe_batch([ONE] * 2, [ENGLISH] * 2)
    assert digits.batch_size == 8


# Cutting at timestamps


def times(*tokens):
    """Text as words, times as numbers: to tokens, where 1000 is <|0.00|>."""
    return [1000 + round(t / 0.02) if isinstance(t, float) else t for t in tokens]


@pytest.mark.parametrize(
    ("tokens", "unfinished", "pieces", "rest"),
    [
        ([0.0, 7, 8, 2.0], False, [(0, 2, (7, 8))], None),
        ([0.0, 7, 2.0, 2.0, 8, 5.0], False, [(0, 2, (7,)), (2, 5, (8,))], None),
        ([0.0, 7, 2.0, 3.0, 8], False, [(0, 2, (7,)), (3, 10, (8,))], None),  # text without an end is kept
        ([0.0, 7, 2.0, 3.0, 8], True, [(0, 2, (7,))], 3.0),  # or heard again, where there is more
        ([0.0, 7, 2.0, 2.0], False, [(0, 2, (7,))], 2.0),  # something began and was not written down
        ([0.0, 7, 9.5, 9.5], False, [(0, 9.5, (7,))], None),  # too little is left to matter
        ([7, 8], False, [(0, 10, (7, 8))], None),
        ([7, 8], True, [(0, 10, (7, 8))], None),  # no progress: hearing it again would never end
        ([0.0, 7, 12.0], False, [(0, 10, (7,))], None),  # beyond the window's end
        ([], False, [], None),
        ([0.0], False, [], None),
        ([0.0, 0.0], False, [], None),
    ],
)  # fmt: skip
def test_no_text_is_lost_at_timestamps(tokens, unfinished, pieces, rest):
    found, after = cut(times(*tokens), 1000, 10.0, unfinished)
    assert [p.tokens for p in found] == [p[2] for p in pieces]
    assert [t for p in found for t in (p.start, p.end)] == pytest.approx([t for p in pieces for t in p[:2]])
    assert after == (None if rest is None else pytest.approx(rest))


def test_a_translation_is_cut_at_its_timestamps(digits):
    ((segment,),) = digits.transcribe_batch([ONE], [Options("en", "translate")])
    assert 0 < segment.start < segment.end < len(ONE) / 16_000


def spoken(*ends: float) -> list[Word]:
    return [Word(a, b, f" w{i}") for i, (a, b) in enumerate(pairwise([0.0, *ends]))]


@pytest.mark.parametrize(
    ("ends", "more", "ran_out", "stay", "rest"),
    [
        ((2, 4, 9.9), False, False, 3, None),
        ((2, 4, 9.9), True, False, 2, 4),  # the last word may be cut in half: it is heard again
        ((2, 4, 9.0), True, False, 3, None),
        ((2, 4, 6), False, True, 2, 4),  # so is the one at which the tokens ran out
        ((2, 9.7, 9.9), True, True, 1, 2),
        ((9.9,), True, True, 1, None),  # no progress: hearing it again would never end
        ((0.1, 9.9), True, False, 2, None),
        ((), True, True, 0, None),
    ],
)
def test_words_that_may_be_cut_in_half_are_heard_again(ends, more, ran_out, stay, rest):
    kept, after = settled(spoken(*ends), 10.0, more, ran_out)
    assert (list(kept), after) == (spoken(*ends)[:stay], rest)


def test_sentences_end_where_they_should():
    text = 'Dr. Who said 3.5 is less than... four. Really?! 是的。 好 "Yes." Then e.g. he left'
    words = [Word(i, i + 1, f" {w}") for i, w in enumerate(text.split())]
    assert ["".join(w.word for w in s).strip() for s in sentences(words)] == [
        "Dr. Who said 3.5 is less than... four.", "Really?!", "是的。", '好 "Yes."', "Then e.g. he left",
    ]  # fmt: skip


def test_a_window_whose_tokens_ran_out_is_heard_to_its_end(spy, digits, monkeypatch):
    both = np.concatenate([ONE, np.zeros(8000, np.float32), TWO])
    real = spy.generate

    def short(encoded, prompts, **asked):
        return real(encoded, prompts, max_length=2 * (len(prompts[0]) + 3), **asked)

    monkeypatch.setattr(spy, "generate", short)
    monkeypatch.setattr("asr.backends.faster_whisper.decode.HALF", 5)
    (heard,) = digits.transcribe_batch([both], [ENGLISH])
    assert text(heard) == "one two three four nine eight seven" and len(spy.calls) > 1


# Features


def test_windows_are_padded_with_what_silence_looks_like(digits):
    features = digits.prepare(ONE)
    silent = digits.prepare(np.concatenate([ONE, np.zeros(30 * 16_000 - len(ONE), np.float32)]))
    found = padded(features)
    assert found.shape == (80, 3000) and found.dtype == np.float32
    np.testing.assert_allclose(
        found[:, features.shape[1] + 3 :], silent[:, features.shape[1] + 3 :], atol=1e-5
    )


def test_the_encoder_can_be_given_less_than_30_seconds(digits):
    short = padded(digits.prepare(ONE), 1000)
    encoded = digits.decoder.whisper.encode(ctranslate2.StorageView.from_array(short[None]))
    assert encoded.shape[1] == 500


# Models that are not there, not whole, not ours


@pytest.mark.parametrize(
    "name", ["smal", "", "nowhere/at/all", "/nowhere", "./nowhere", "large-v4", "whisper"]
)
def test_a_wrong_name_says_what_there_is(name):
    with pytest.raises(UnknownModel) as e:
        backends.load(f"faster_whisper:{name}")
    assert e.value.fix


@pytest.mark.parametrize("lost", ["model.bin", "config.json", "tokenizer.json", "vocabulary.json"])
def test_a_directory_that_is_not_whole_says_what_it_lacks(tmp_path, lost):
    shutil.copytree(DIGITS, tmp_path / "model")
    (tmp_path / "model" / lost).unlink()
    with pytest.raises(BackendUnavailable, match=lost):
        backends.load(f"faster_whisper:{tmp_path / 'model'}")


@pytest.mark.parametrize(
    "damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"version https://git-lfs"]
)
def test_damaged_weights_are_called_damaged(tmp_path, damage):
    shutil.copytree(DIGITS, tmp_path / "model")
    weights_file = tmp_path / "model" / "model.bin"
    weights_file.write_bytes(damage(weights_file.read_bytes()))
    with pytest.raises(BackendUnavailable, match="damaged"):
        backends.load(f"faster_whisper:{tmp_path / 'model'}")


def test_a_transformers_model_is_recognised_and_its_conversion_told(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(BackendUnavailable, match="ct2-transformers-converter"):
        backends.load(f"faster_whisper:{tmp_path}")


def test_a_model_is_downloaded_once_and_then_needs_no_hub(tmp_path, monkeypatch):
    with hub(monkeypatch, tmp_path, {"me/digits": DIGITS}) as asked:
        backend = backends.load("faster_whisper:me/digits")
    assert text(backend.transcribe(ONE, ENGLISH)) == "one two three four" and asked
    assert weights.find("me/digits").is_dir(), "the server is gone, the model is not"


def test_a_half_downloaded_model_is_not_taken_for_a_whole_one(tmp_path, monkeypatch):
    with hub(monkeypatch, tmp_path, {"me/digits": DIGITS}):
        (weights.find("me/digits") / "model.bin").unlink()
        assert (weights.find("me/digits") / "model.bin").is_file(), "the rest was fetched"
        (weights.find("me/digits") / "model.bin").unlink()
    with pytest.raises(BackendUnavailable, match="not whole in the cache"):
        weights.find("me/digits")


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("me/nothing", UnknownModel, "HF_TOKEN"),
        ("small", UnknownModel, "Systran/faster-whisper-small"),
        ("me/gated", BackendUnavailable, "Accept them at https://huggingface.co/me/gated"),
        ("me/forbidden", BackendUnavailable, "HF_TOKEN"),
        ("me/broken", BackendUnavailable, "503"),
        ("me/torch", UnknownModel, "CTranslate2"),
        ("me/a b", UnknownModel, "Check the name"),
    ],
)
def test_what_the_hub_refuses_is_said_with_its_fix(tmp_path, monkeypatch, name, error, says):
    offered = {
        "me/gated": (403, "GatedRepo"),
        "me/forbidden": (403, ""),
        "me/broken": (503, ""),
        "me/torch": Path(__file__).parent,
    }
    with hub(monkeypatch, tmp_path, offered), pytest.raises(error, match=says):
        weights.find(name)


def test_a_hub_that_cannot_be_reached_fails_at_once(tmp_path, monkeypatch):
    lead_to(monkeypatch, "http://127.0.0.1:9", tmp_path)
    with pytest.raises(BackendUnavailable, match=r"cannot be reached.*copy a model's directory"):
        weights.find("small")


def test_a_hub_that_never_answers_fails_in_bounded_time(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        lead_to(monkeypatch, f"http://127.0.0.1:{deaf.getsockname()[1]}", tmp_path)
        with pytest.raises(BackendUnavailable, match="cannot be reached"):
            weights.find("small")


# What a model can do, by what it was trained for


@pytest.mark.parametrize(
    ("name", "lacks", "languages"),
    [
        ("large-v3", set(), None),
        ("faster-whisper-large-v3-turbo", {"translate"}, None),
        ("my-turbo-ct2", {"translate"}, None),
        ("distil-large-v3.5-ct2", {"translate", "detect"}, {"en"}),
        ("faster-distil-whisper-large-v3", {"translate", "detect"}, {"en"}),
        ("distil-large-v3", {"translate", "detect"}, {"en"}),
        ("whisper-large-v3-french-distil-dec4", {"translate"}, None),
    ],
)
def test_a_model_says_only_what_it_was_trained_for(digits, name, lacks, languages):
    everything, known = _knows("large-v3", DIGITS, digits.decoder.model)
    can, speaks = _knows(name, DIGITS, digits.decoder.model)
    assert everything - can == lacks and speaks == (languages or known)


def test_an_english_model_neither_detects_nor_translates():
    class English:
        is_multilingual, n_mels = False, 80

    class Model:
        model = English

    can, languages = _knows("small.en", DIGITS, Model)
    assert languages == {"en"} and not can & {"detect", "translate"}


def test_a_pruned_large_model_is_known_without_its_name(tmp_path, digits, monkeypatch):
    class V3:
        is_multilingual, n_mels = True, 128

    class Model:
        model, supported_languages, hf_tokenizer = V3, ["en"], digits.decoder.model.hf_tokenizer

    for heads, translates in (([[2, 4], [3, 11]], False), ([[7, 0], [25, 6]], True)):
        (tmp_path / "config.json").write_text(f'{{"alignment_heads": {heads}}}')
        assert ("translate" in _knows("model", tmp_path, Model)[0]) is translates


def test_a_distilled_model_is_never_asked_for_its_language(spy, digits):
    english = FasterWhisper("faster_whisper:distil", digits.decoder.model, digits.can, frozenset({"en"}), 1)
    ((segment,),) = english.transcribe_batch([ONE], [Options()])
    assert (segment.language, segment.language_probability) == ("en", None)


# Devices


@pytest.mark.parametrize(
    ("asked", "says"),
    [("tpu", "There is no device"), ("cpu/float16", "cannot compute"), ("cuda", "no CUDA device")],
)
def test_a_device_that_cannot_be_used_is_refused(monkeypatch, asked, says):
    monkeypatch.setattr(ctranslate2, "get_cuda_device_count", lambda: 0)
    with pytest.raises(BackendUnavailable, match=says):
        backends.load(f"faster_whisper:{DIGITS}", asked)


@pytest.mark.parametrize(
    ("asked", "offered", "free", "place"),
    [
        ("cpu", {"int8", "float32"}, None, ("cpu", "int8")),
        ("cpu/float32", {"int8", "float32"}, None, ("cpu", "float32")),
        ("auto", {"float16", "int8_float16"}, 24 * 1024**3, ("cuda", "float16")),
        ("cuda", {"float16", "int8_float16"}, 4 * 1024**3, ("cuda", "int8_float16")),
        ("auto", {"int8_float32", "float32"}, None, ("cuda", "int8_float32")),
        ("auto", {"float16"}, None, ("cuda", "float16")),
        ("cuda/int8_float16", {"float16", "int8_float16"}, 99 * 1024**3, ("cuda", "int8_float16")),
    ],
)
def test_the_arithmetic_fits_the_machine(monkeypatch, asked, offered, free, place):
    monkeypatch.setattr(ctranslate2, "get_cuda_device_count", lambda: 1)
    monkeypatch.setattr(ctranslate2, "get_supported_compute_types", lambda _: offered)
    monkeypatch.setattr(device, "_free_gpu_memory", lambda: free)
    monkeypatch.setattr(device, "_load_cublas", lambda: None)
    assert device.place_of(asked, 3 * 1024**3) == place


@pytest.mark.parametrize(
    ("place", "layers", "width", "fits"),
    [
        ("cpu", 4, 384, 8),
        ("cpu", 12, 768, 2),
        ("cpu", 24, 1024, 1),
        ("cpu", 4, 1280, 4),
        ("cuda", 32, 1280, 16),
    ],
)  # tiny, small, medium, turbo, large-v3
def test_a_batch_takes_a_bounded_share_of_memory(tmp_path, place, layers, width, fits):
    class Encoded:
        shape = (1, 50, width)

    class Whisper:
        device, n_mels = place, 80

    class Model:
        model = Whisper

        def encode(self, features):
            return Encoded

    (tmp_path / "config.json").write_text(f'{{"alignment_heads": [[{layers - 2}, 0], [{layers - 1}, 3]]}}')
    assert device.batch_size(Model(), tmp_path) == fits


def test_encoding_one_by_one_changes_nothing(digits):
    features = [digits.prepare(ONE), digits.prepare(TWO)]
    together = digits.decoder.model.encode(np.stack([padded(f, digits.decoder.frames) for f in features]))
    np.testing.assert_allclose(np.array(digits.decoder._encode(features)), np.array(together), atol=1e-4)


def test_a_missing_cuda_library_is_named_with_the_line_that_installs_it(monkeypatch):
    monkeypatch.setattr(device, "CUBLAS", "libcublas-is-not-here.so.12")
    with pytest.raises(BackendUnavailable, match=r"pip install nvidia-cublas-cu12"):
        device._load_cublas()


@pytest.mark.parametrize(
    "said", ["Library libcublas.so.12 is not found or cannot be loaded", "CUDA failed with error x"]
)
def test_what_the_gpu_says_is_passed_on_with_a_fix(said):
    error = device._explained(RuntimeError(said), DIGITS, "cuda")
    assert said in str(error) and "cpu" in error.fix


def test_a_driver_that_is_too_old_means_the_cpu_and_is_logged(monkeypatch, caplog):
    def old():
        raise RuntimeError("CUDA driver version is insufficient for CUDA runtime version")

    monkeypatch.setattr(ctranslate2, "get_cuda_device_count", old)
    with caplog.at_level(logging.WARNING):
        assert device.place_of("auto", 0) == ("cpu", "int8")
    assert "too old" in caplog.text
