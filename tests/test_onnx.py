"""onnx-asr through tiny models with the signatures of NeMo's exports: text, times, languages, files."""

import json
import logging
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx_asr.adapters import TextResultsAsrAdapter
from onnx_asr.asr import TimestampedResult

from asr import backends, pipeline
from asr.audio import Recording, to_pcm16
from asr.backends.onnx import Onnx, files, sessions
from asr.backends.onnx.languages import spoken as languages
from asr.backends.onnx.words import words
from asr.catalogue import CARDS
from asr.errors import BackendUnavailable, UnknownModel, Unsupported
from asr.types import Options
from tests import onnx_models
from tests.hub import hub, lead_to
from tests.onnx_models import slots, spoken
from tests.tones import loud, silence

TIMED = Options(word_timestamps=True)


ONE, TWO = spoken("not and your for"), spoken("my americans can not")
HEARD = ["not andhing For", "my americans. not"]  # one token is no word's beginning, one is a full stop


def text(segments) -> str:
    return "".join(s.text for s in segments).strip()


@pytest.fixture
def many(parakeet, canary, monkeypatch):
    """As on a GPU: several windows to a call."""
    monkeypatch.setattr(parakeet, "batch_size", 8)
    monkeypatch.setattr(canary, "batch_size", 8)


# What is heard


@pytest.mark.parametrize("kind", ["tdt", "rnnt", "ctc"])
def test_every_kind_of_parakeet_hears_the_words(tmp_path, kind):
    backend = backends.load(f"onnx:{onnx_models.parakeet(tmp_path / 'parakeet', kind)}")
    assert [text(backend.transcribe(audio, TIMED)) for audio in (ONE, TWO)] == HEARD


def test_a_batch_hears_what_each_window_alone_would_say(parakeet, many):
    windows = [ONE, TWO, ONE[:0], TWO[:1599], TWO]
    together = parakeet.transcribe_batch(windows, [TIMED] * 5)
    assert [text(s) for s in together] == [*HEARD, "", "", HEARD[1]]
    assert together[1] == list(parakeet.transcribe(TWO, TIMED))


def test_words_stand_where_they_were_said(parakeet):
    (segment,) = parakeet.transcribe(ONE, TIMED)
    starts = [0.4, 0.8, 1.6]
    assert [w.start for w in segment.words] == pytest.approx(starts, abs=0.1)
    assert segment.text == "".join(w.word for w in segment.words)
    assert all(a.end <= b.start and a.start < a.end for a, b in pairwise(segment.words))
    assert all(0 < w.probability <= 1 for w in segment.words) and segment.avg_logprob < 0


def test_sentences_make_segments(parakeet):
    first, second = parakeet.transcribe(spoken("my and can for not"), TIMED)
    assert (first.text, second.text) == (" my and.", " For not")


def test_nobody_gets_words_who_did_not_ask(parakeet):
    (segment,) = parakeet.transcribe(ONE, Options())
    assert segment.words == () and segment.text == f" {HEARD[0]}" and segment.start > 0.3


@pytest.mark.parametrize("samples", [0, 1, 100, 1599, 1600, 1601])
def test_next_to_nothing_is_no_error(parakeet, canary, samples):
    for backend in (parakeet, canary):
        list(backend.transcribe(np.zeros(samples, np.float32), Options(language="en")))


def test_audio_longer_than_a_window_is_heard_to_its_end(parakeet):
    audio = np.concatenate([ONE, silence(6)] * 4)
    heard = list(parakeet.transcribe(audio, TIMED))
    assert len(audio) > 32 * 16_000 and text(heard) == " ".join([HEARD[0]] * 4)
    assert heard[-1].end > len(audio) / 16_000 - 8


def test_a_recording_goes_through_the_pipeline(parakeet):
    audio = np.concatenate([np.concatenate([spoken(s, word=0.5), silence(1)]) for s in ("and not", "my for")])
    found = pipeline.transcribe(Recording(to_pcm16(audio)), parakeet, TIMED, vad=lambda: loud)
    starts = {w.word.strip(): w.start for s in found for w in s.words}
    assert starts == pytest.approx({"and": 0.4, "not": 1.0, "my": 3.4, "For": 4.0}, abs=0.15)


# Canary: one language to another


def test_canary_writes_the_language_it_is_told_and_translates_to_english(canary, many):
    audio = slots("my and for")
    asked = [Options(language="de"), Options(language="en"), Options(language="de", task="translate")]
    heard = canary.transcribe_batch([audio] * 3, asked)
    german, english = "my-de and-de for-de", "my and for"
    assert [text(s) for s in heard] == [german, english, english]
    assert [s[0].language for s in heard] == ["de", "en", "de"]


def test_canary_writes_nothing_after_its_end(canary, many):
    windows = [slots("and not"), slots("my americans and can")]
    heard = canary.transcribe_batch(windows, [Options(language="en")] * 2)
    assert [text(s) for s in heard] == ["and not", "my americans and can"]


def test_the_library_alone_would_write_on_after_the_end(tmp_path):
    """When this fails, `stop_at_the_end` can go."""
    import onnx_asr

    model = onnx_asr.load_model("nemo-conformer-aed", onnx_models.canary(tmp_path))
    short, long = model.recognize([slots("and not"), slots("my americans and can")])
    assert short.startswith("and not and") and long.startswith("my americans and can")


def test_canary_asks_for_the_language_rather_than_guess_it(canary):
    with pytest.raises(Unsupported, match=r"does not detect.*ASR_LANGUAGE"):
        list(canary.transcribe(ONE, Options()))


def test_canary_promises_no_word_times(canary):
    assert canary.can == {"batch", "translate"}
    (segment,) = canary.transcribe(slots("and for"), Options(language="en"))
    assert (segment.start, segment.end, segment.words) == (0.0, pytest.approx(0.96), ())


# Tokens to words


def told(*tokens: str) -> list[str]:
    times = [0.08 * i for i in range(len(tokens))]
    return [w.word for w in words(TimestampedResult("", times, [*tokens], [-0.1] * len(tokens)), 9.0)]


def test_tokens_make_words_and_punctuation_clings_to_them():
    assert told(" thir", "teen", " ", "9", ".", " Oh", " ", "?") == [" thirteen", " 9.", " Oh?"]
    assert told("be", "gun", " ", " on", "<unk>", "ce") == [" begun", " once"]
    assert told(" п", "р", "и", "в", "е", "т", " ", "м", "и", "р") == [" привет", " мир"]
    assert told(" costs", " $", "5", ",", " “", "so", "”") == [" costs", " $5,", " “so”"]
    assert told() == [] == told("<unk>", " ")


def test_a_word_ends_where_the_next_begins_or_soon_after_its_last_token():
    result = TimestampedResult("", [0.0, 0.2, 5.0, 8.9], [" a", " b", " c", "d"], [0.0] * 4)
    assert [(w.start, w.end) for w in words(result, 9.0)] == [(0.0, 0.2), (0.2, 0.7), (5.0, 9.0)]


# Languages


@pytest.mark.parametrize(
    ("name", "size", "known"),
    [
        ("parakeet-tdt-0.6b-v2", 1025, {"en"}),
        ("parakeet-tdt-0.6b-v3-onnx", 8193, 25),
        ("parakeet-tdt-1.1b", 1025, {"en"}),
        ("gigaam-v3-e2e-rnnt", 257, {"ru"}),
        ("vosk-model-small-ru", 500, {"ru"}),
        ("stt_ru_fastconformer_hybrid_large_pc_onnx", 513, {"ru"}),
        ("my-model", 100, 100),
    ],
)
def test_languages_are_known_by_name_and_vocabulary(name, size, known):
    class Model:
        _vocab = {i: str(i) for i in range(size)}  # noqa: RUF012

    found = languages(name, Model())
    assert found == known if isinstance(known, set) else len(found) == known


def test_canary_knows_what_it_was_trained_on_not_what_it_has_marks_for(canary):
    assert canary.languages == {"en", "de", "fr", "es"}, "its vocabulary has <|it|> as well"


def test_a_model_of_many_languages_writes_down_the_one_it_is_told(parakeet):
    european = Onnx(
        "onnx:parakeet-v3",
        TextResultsAsrAdapter(parakeet.asr, parakeet.model.resampler),
        languages("parakeet-v3", parakeet.asr),
        "cpu",
    )
    for options, language in ((Options(), None), (Options(language="de"), "de")):
        backends.check(european, options)
        assert {s.language for s in european.transcribe(ONE, options)} == {language}


# Files: local, cached, downloaded


@pytest.fixture(scope="session")
def export(tmp_path_factory) -> Path:
    return onnx_models.parakeet(tmp_path_factory.mktemp("exported") / "parakeet-tdt-1.1b")


@pytest.fixture
def folder(export, tmp_path) -> Path:
    return shutil.copytree(export, tmp_path / "parakeet")


@pytest.mark.parametrize(
    ("device", "files_left", "taken"),
    [
        ("cpu", None, "int8"),
        ("auto", None, "int8"),
        ("cpu/float32", None, None),
        ("cpu", "*.int8.onnx", None),
        ("cpu/int8", None, "int8"),
    ],
)
def test_the_cpu_takes_int8_where_it_is_and_what_it_is_told(folder, device, files_left, taken):
    for path in folder.glob(files_left or "nothing"):
        path.unlink()
    _, precisions = sessions.place_of(device)
    found = files.find(str(folder), precisions)
    assert found.precision == taken
    assert text(backends.load(f"onnx:{folder}", device).transcribe(ONE, TIMED)) == HEARD[0]


@pytest.mark.parametrize("lost", ["vocab.txt", "encoder-model.onnx", "decoder_joint-model.onnx"])
def test_a_directory_that_is_not_whole_says_what_it_lacks(folder, lost):
    (folder / lost).unlink()
    with pytest.raises(BackendUnavailable, match=lost):
        backends.load(f"onnx:{folder}", "cpu/float32")


def test_weights_that_lie_beside_a_model_are_missed(folder):
    encoder = onnx.load(folder / "encoder-model.onnx")
    big = onnx.numpy_helper.from_array(np.zeros(2000, np.float32), "big")
    encoder.graph.initializer.append(big)
    onnx.save(encoder, folder / "encoder-model.onnx", save_as_external_data=True,
              location="encoder-model.onnx.data", size_threshold=0)  # fmt: skip
    assert files.lacking(folder, "nemo-conformer-tdt", None) == []
    (folder / "encoder-model.onnx.data").unlink()
    assert files.lacking(folder, "nemo-conformer-tdt", None) == ["encoder-model.onnx.data"]


@pytest.mark.parametrize("config", [None, "{}", "[]", "no json", '{"model_type": "bert"}'])
def test_a_directory_that_does_not_say_what_it_holds_gets_the_line_to_write(folder, config):
    if config is None:
        (folder / "config.json").unlink()
    else:
        (folder / "config.json").write_text(config)
    with pytest.raises(UnknownModel, match="nemo-conformer-tdt"):
        backends.load(f"onnx:{folder}")


@pytest.mark.parametrize("damage", [b"", b"version https://git-lfs.github.com/spec/v1", b"\x08\x07" * 99])
def test_damaged_files_are_called_what_they_are(folder, damage):
    (folder / "encoder-model.int8.onnx").write_bytes(damage)
    with pytest.raises(BackendUnavailable, match="git lfs pull"):
        backends.load(f"onnx:{folder}")


def test_the_first_canary_is_said_to_be_for_no_commerce(tmp_path, caplog):
    folder = onnx_models.canary(tmp_path / "canary-1b")
    with caplog.at_level(logging.WARNING):
        backends.load(f"onnx:{folder}")
    assert "CC-BY-NC-4.0" in caplog.text


@pytest.mark.parametrize("name", ["", "parakeet", "nowhere/at/all", "/nowhere", "whisper-9"])
def test_a_wrong_name_says_what_there_is(name):
    with pytest.raises(UnknownModel) as e:
        backends.load(f"onnx:{name}")
    assert e.value.fix


def test_a_typing_error_is_answered_with_the_name_meant():
    with pytest.raises(UnknownModel, match=r"Did you mean onnx:parakeet-tdt-0\.6b-v3"):
        backends.load("onnx:parakeet-tdt-0.6-v3")


def test_a_model_is_downloaded_once_and_then_needs_no_hub(export, tmp_path, monkeypatch):
    repository = "istupakov/parakeet-tdt-0.6b-v2-onnx"
    with hub(monkeypatch, tmp_path, {repository: export}) as asked:
        backend = backends.load("onnx:parakeet-tdt-0.6b-v2")
    assert text(backend.transcribe(ONE, TIMED)) == HEARD[0] and asked
    assert not any("encoder-model.onnx" in path for path in asked), "float32 was not asked for"
    for name in ("parakeet-tdt-0.6b-v2", "nemo-parakeet-tdt-0.6b-v2", repository):
        assert files.find(name, ("int8", None)).folder.is_dir(), "the server is gone, the model is not"


def test_what_is_cached_goes_before_what_would_be_better(export, tmp_path, monkeypatch):
    with hub(monkeypatch, tmp_path, {"me/parakeet": export}):
        backends.load("onnx:me/parakeet", "cpu/float32")
    assert files.find("me/parakeet", ("int8", None)).precision is None


def test_a_half_downloaded_model_is_not_taken_for_a_whole_one(export, tmp_path, monkeypatch):
    with hub(monkeypatch, tmp_path, {"me/parakeet": export}):
        found = files.find("me/parakeet", ("int8",))
        (found.folder / "vocab.txt").unlink()
        assert (files.find("me/parakeet", ("int8",)).folder / "vocab.txt").is_file()
        (found.folder / "vocab.txt").unlink()
    with pytest.raises(BackendUnavailable, match=r"not whole in the cache.*onnx:/path/to/model"):
        files.find("me/parakeet", ("int8",))


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("me/nothing", UnknownModel, "HF_TOKEN"),
        ("me/gated", BackendUnavailable, "Accept them at"),
        ("me/docs", UnknownModel, "no config.json"),
        ("me/half", UnknownModel, "no nemo-conformer-tdt model in int8 or float32"),
    ],
)
def test_what_the_hub_has_not_is_said_with_its_fix(tmp_path, monkeypatch, name, error, says):
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "config.json").write_text(json.dumps({"model_type": "nemo-conformer-tdt"}))
    offered = {"me/gated": (403, "GatedRepo"), "me/docs": Path(__file__).parent, "me/half": tmp_path / "half"}
    with hub(monkeypatch, tmp_path, offered), pytest.raises(error, match=says):
        backends.load(f"onnx:{name}")


def test_a_hub_that_cannot_be_reached_fails_at_once(tmp_path, monkeypatch):
    lead_to(monkeypatch, "http://127.0.0.1:9", tmp_path)
    with pytest.raises(BackendUnavailable, match=r"cannot be reached.*copy a model's directory"):
        backends.load("onnx:parakeet-tdt-0.6b-v3")


def test_every_card_names_a_model_that_the_library_has():
    cards = [card for card in CARDS if card.spec.startswith("onnx:")]
    assert len(cards) >= 5
    for card in cards:
        name = card.spec.partition(":")[2]
        full = name if name in files.NAMES else f"nemo-{name}"
        assert card.repo == (files.model_repos.get(full) or files.ALSO.get(name))
        kind = full if full in files.NAMES else "nemo-conformer-aed"
        assert set(card.files) == {"config.json", *(f.replace("?", ".") for f in files._files(kind, "int8"))}


# Devices


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("tpu", "There is no device"),
        ("cpu/int4", r"There are: float16, float32, int8"),
        ("cuda", "pip install onnxruntime-gpu"),
    ],
)
def test_a_device_that_cannot_be_used_is_refused(monkeypatch, asked, says):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(BackendUnavailable, match=says):
        backends.load("onnx:parakeet-tdt-0.6b-v3", asked)


def test_a_gpu_that_onnx_runtime_leaves_in_silence_is_missed(folder, monkeypatch, caplog):
    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: [sessions.CUDA, "CPUExecutionProvider"]
    )
    with pytest.raises(BackendUnavailable, match="could not use the GPU"):
        backends.load(f"onnx:{folder}", "cuda")
    monkeypatch.setattr(sessions, "place_of", lambda _: ("cuda", (None,)))
    with caplog.at_level(logging.WARNING):
        assert backends.load(f"onnx:{folder}").device == "cpu"
    assert "The CPU is used" in caplog.text


def test_a_full_gpu_gets_smaller_batches_and_loses_nothing(parakeet, many, monkeypatch):
    real, sizes = parakeet.model.recognize, []

    def recognize(windows, **wish):
        sizes.append(len(windows))
        if len(windows) > 2:
            raise RuntimeError("BFCArena::AllocateRawInternal Failed to allocate memory")
        return real(windows, **wish)

    monkeypatch.setattr(parakeet.model, "recognize", recognize)
    heard = parakeet.transcribe_batch([ONE, TWO] * 3, [TIMED] * 6)
    assert [text(s) for s in heard] == HEARD * 3 and sizes == [6, 3, 1, 1, 1, 1, 1, 1]


def test_a_gpu_too_small_for_one_window_says_what_to_do(parakeet, monkeypatch):
    def recognize(windows, **wish):
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(parakeet.model, "recognize", recognize)
    with pytest.raises(BackendUnavailable, match="free the GPU"):
        list(parakeet.transcribe(ONE, TIMED))
