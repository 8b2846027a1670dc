"""The automatic choice: a table of machines, and what must be said about each."""

import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from asr import catalogue, models
from asr.choice import Choice, choose, get_whisper, instead_of
from asr.config import Config
from asr.errors import BackendUnavailable, UnknownModel
from asr.machine import GPU, Hub, Machine

ONLINE, OFFLINE = Hub(True, "The hub answers."), Hub(False, "The hub cannot be reached.")
MACHINE = Machine("A CPU", 8, 16 << 30, (), (), (), False, Path("/cache"), 10**12, lambda: ONLINE)
A100 = GPU("NVIDIA A100", 40 << 30)


AUTO = Config()


def chosen(cached=(), config=AUTO, hub=ONLINE, **facts):
    return choose(
        config, replace(MACHINE, hub=lambda: hub, **facts), lambda card: card.spec.partition(":")[2] in cached
    )


@pytest.mark.parametrize(
    "facts, cached, spec, device",
    [
        # with the hub: what suits the machine
        ({"gpus": (A100,)}, (), "faster_whisper:large-v3-turbo", "cuda"),
        ({"cores": 16}, (), "faster_whisper:small", "cpu"),
        ({"cores": 4}, (), "faster_whisper:small", "cpu"),
        ({"cores": 2}, (), "faster_whisper:base", "cpu"),
        ({"cores": 1}, (), "faster_whisper:tiny", "cpu"),
        # what is here already goes first, if it is good enough and keeps up
        ({"cores": 8}, ("base",), "faster_whisper:base", "cpu"),
        ({"cores": 8}, ("base", "small"), "faster_whisper:small", "cpu"),
        ({"cores": 8}, ("tiny",), "faster_whisper:small", "cpu"),
        ({"cores": 2}, ("small", "large-v3"), "faster_whisper:base", "cpu"),
        # without the hub: whatever is here, else the engine that needs no download
        ({"hub": OFFLINE, "cores": 2}, ("small", "large-v3"), "faster_whisper:small", "cpu"),
        ({"hub": OFFLINE, "gpus": (A100,)}, ("small", "large-v3"), "faster_whisper:large-v3", "cuda"),
        ({"hub": OFFLINE}, ("tiny.en", "medium"), "faster_whisper:medium", "cpu"),
        ({"hub": OFFLINE}, ("tiny.en",), "faster_whisper:tiny.en", "cpu"),
        ({"hub": OFFLINE}, (), catalogue.FALLBACK, "cpu"),
        ({"hub": OFFLINE, "gpus": (A100,)}, (), catalogue.FALLBACK, "cpu"),
    ],
)  # fmt: skip
def test_the_model_suits_the_machine(facts, cached, spec, device):
    choice = chosen(cached, **facts)
    assert (choice.spec, choice.device) == (spec, device)
    assert choice.fallback is (spec == catalogue.FALLBACK)


@pytest.mark.parametrize(
    "language, cached, facts, chooses",
    [
        # where the language is known, what errs least in it
        ("en", ("parakeet-tdt-0.6b-v2", "parakeet-tdt-0.6b-v3", "small"), {}, "onnx:parakeet-tdt-0.6b-v2"),
        ("de", ("parakeet-tdt-0.6b-v2", "parakeet-tdt-0.6b-v3", "small"), {}, "onnx:parakeet-tdt-0.6b-v3"),
        ("ja", ("parakeet-tdt-0.6b-v2", "parakeet-tdt-0.6b-v3", "small"), {}, "faster_whisper:small"),
        ("ja", ("parakeet-tdt-0.6b-v3",), {}, "faster_whisper:small"),
        # where it is not, a model that detects it, unless that would have to be downloaded first
        ("", ("parakeet-tdt-0.6b-v3", "small"), {}, "faster_whisper:small"),
        ("", ("parakeet-tdt-0.6b-v3",), {}, "onnx:parakeet-tdt-0.6b-v3"),
        ("", ("parakeet-tdt-0.6b-v2",), {}, "faster_whisper:small"),
        ("", ("parakeet-tdt-0.6b-v2",), {"hub": OFFLINE}, "onnx:parakeet-tdt-0.6b-v2"),
        # only on a CPU, and on one that keeps up
        ("en", ("parakeet-tdt-0.6b-v2",), {"gpus": (A100,)}, "faster_whisper:large-v3-turbo"),
        ("en", ("parakeet-tdt-0.6b-v2",), {"cores": 1}, "faster_whisper:tiny"),
        # never by itself: Canary without a language, the engine for comparisons before its faster sister
        ("", ("canary-1b-v2", "tiny.en"), {"hub": OFFLINE}, "faster_whisper:tiny.en"),
        ("", ("openai/whisper-small", "medium"), {"hub": OFFLINE}, "faster_whisper:medium"),
        ("", ("openai/whisper-small",), {"hub": OFFLINE}, "transformers:openai/whisper-small"),
    ],
)  # fmt: skip
def test_parakeet_is_taken_where_it_is_downloaded_and_hears_the_language(language, cached, facts, chooses):
    choice = chosen(cached, Config(language=language), **facts)
    assert choice.spec == chooses and not choice.fallback


def test_every_choice_says_why_in_a_sentence():
    for facts in ({}, {"gpus": (A100,)}, {"hub": OFFLINE}, {"cores": 1}):
        why = chosen(**facts).why
        assert chosen(("parakeet-tdt-0.6b-v3",), **facts).why.endswith(".")
        assert why[0].isupper() and why.endswith(".")


def test_the_fallback_is_labelled_and_says_how_to_get_whisper():
    choice = chosen(hub=OFFLINE)
    assert choice.why.startswith("Offline fallback, English, low accuracy")
    assert "hf download Systran/faster-whisper-small" in choice.fix and "ASR_MODEL=" in choice.fix


@pytest.mark.parametrize(
    "facts, config, said",
    [
        ({}, Config(), "no GPU was found"),
        ({"gpus": (A100,)}, Config(device="cpu"), "ASR_DEVICE asks for the CPU"),
        ({"gpus": (A100,), "missing_cuda": ("libcublas.so.12",)}, Config(), "the GPU needs libcublas.so.12"),
        ({"gpus": (GPU("Old", 2 << 30),)}, Config(), "Old has less than 4 GB"),
    ],
)
def test_a_gpu_that_is_not_used_is_explained(facts, config, said):
    choice = chosen(config=config, **facts)
    assert choice.device == "cpu" and said in choice.why


def test_the_device_that_was_asked_for_is_kept():
    assert chosen(config=Config(device="cpu/float32")).device == "cpu/float32"
    assert chosen(config=Config(device="cuda/int8_float16")).device == "cuda/int8_float16"


def test_a_gpu_that_was_asked_for_is_not_answered_with_the_fallback():
    choice = chosen(config=Config(device="cuda"), hub=OFFLINE)
    assert choice.spec == "faster_whisper:large-v3-turbo" and choice.device == "cuda" and not choice.fallback


def test_the_hub_is_not_asked_where_a_good_model_is_here():
    def asked():
        raise AssertionError("the network was asked for nothing")

    machine = replace(MACHINE, hub=asked)
    assert choose(Config(), machine, lambda card: True).spec == "faster_whisper:small"


def test_asr_model_decides_and_is_not_second_guessed():
    assert chosen(config=Config(model="turbo"), hub=OFFLINE).spec == "faster_whisper:large-v3-turbo"
    assert chosen(config=Config(model="onnx:a/b", device="cuda")).device == "cuda"
    with pytest.raises(UnknownModel):
        chosen(config=Config(model="nonsense"))


def test_the_line_that_gets_a_model_names_the_engine_that_it_is_for():
    line = get_whisper("onnx:parakeet-tdt-0.6b-v3")
    assert "hf download istupakov/parakeet-tdt-0.6b-v3-onnx config.json" in line
    assert line.endswith("ASR_MODEL=onnx:/path/to/model")


def test_what_could_not_be_loaded_is_named_with_its_reason():
    failed = {"faster_whisper:small": BackendUnavailable("The download broke off.", "Try again.")}
    choice = instead_of(failed, AUTO, MACHINE, lambda card: False)
    assert choice.spec == catalogue.FALLBACK and choice.fallback
    assert "faster_whisper:small could not be loaded. The download broke off." in choice.why
    assert choice.fix == "Try again."


@pytest.mark.parametrize(
    "failed, cached, spec",
    [
        (("onnx:parakeet-tdt-0.6b-v2",), ("parakeet-tdt-0.6b-v2", "small", "tiny"), "faster_whisper:small"),
        (("onnx:parakeet-tdt-0.6b-v2", "faster_whisper:small"), ("small", "tiny"), "faster_whisper:tiny"),
        (("faster_whisper:small",), ("parakeet-tdt-0.6b-v2",), "onnx:parakeet-tdt-0.6b-v2"),
        (("onnx:parakeet-tdt-0.6b-v2",), (), catalogue.FALLBACK),
    ],
)
def test_the_next_best_on_the_disk_goes_before_the_fallback_and_says_why(failed, cached, spec):
    def here(card):
        return card.spec.partition(":")[2] in cached

    errors = {name: BackendUnavailable(f"{name} is broken.", f"Mend {name}.") for name in failed}
    machine = replace(MACHINE, hub=lambda: pytest.fail("the network was asked for nothing"))
    choice = instead_of(errors, Config(language="en"), machine, here)
    assert (choice.spec, choice.stands_in, choice.fallback) == (
        spec,
        spec != catalogue.FALLBACK,
        spec == catalogue.FALLBACK,
    )
    assert all(f"{name} could not be loaded. {name} is broken." in choice.why for name in failed)
    assert choice.fix == f"Mend {failed[0]}."


def test_a_broken_parakeet_gives_way_to_whisper_until_it_is_mended(monkeypatch):
    def load(spec, device):
        if "parakeet" in spec and broken:
            raise RuntimeError("Protobuf parsing failed.")
        return spec

    broken, now = [True], [0.0]
    parakeet = Choice("onnx:parakeet-tdt-0.6b-v2", "cpu", "It is downloaded already.")
    whisper = partial(instead_of, cached=lambda card: card.spec == "faster_whisper:base")
    monkeypatch.setattr(models, "instead_of", whisper)
    here = models.Models(Config(device="cpu"), load=load, choice=lambda: parakeet, clock=lambda: now[0])
    assert here.get() == "faster_whisper:base"
    assert "parakeet-tdt-0.6b-v2 could not be loaded: Protobuf parsing failed." in here.choice.why
    broken.clear()
    now[0] = models.RETRY + 1
    assert here.get() == "faster_whisper:base", "who asks is served by what there is"
    until = time.monotonic() + 10
    while here.choice != parakeet:
        assert time.monotonic() < until
        time.sleep(0.01)
