"""What every backend promises: each option reaches its engine or is refused; errors say what to do."""

import sys
from dataclasses import fields
from types import ModuleType

import numpy as np
import pytest

from asr import backends
from asr.errors import BackendUnavailable, UnknownModel, Unsupported
from asr.types import Options
from tests import quirky
from tests.quirky import Server
from tests.tones import say

ASKED = {  # a value for every option, unlike what an engine does when nobody asks
    "language": "en",
    "task": "translate",
    "prompt": "five six",
    "hotwords": "seven",
    "word_timestamps": True,
    "beam_size": 3,
    "temperature": 0.5,
    "encoder_seconds": 5.0,
}
NEEDS = {"word_timestamps": "words", "task": "translate", "beam_size": "beam", "encoder_seconds": "short"}
AUDIO = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)


def faster_whisper(monkeypatch, backend):
    """Tells of each option whether it reached the engine's own calls."""
    decoder, model = backend.decoder, backend.decoder.model
    seen = {"align": 0, "calls": []}
    real_generate, real_words, real_encode = decoder.whisper.generate, model.add_word_timestamps, model.encode

    class Engine:
        def __getattr__(self, name):
            return getattr(model.model, name)

        def generate(self, encoded, prompts, **asked):
            seen["calls"].append((prompts[0], asked))
            return real_generate(encoded, prompts, **asked)

    def words(*args, **kwargs):
        seen["align"] += 1
        return real_words(*args, **kwargs)

    def encode(features):
        seen["frames"] = features.shape[-1]
        return real_encode(features)

    monkeypatch.setattr(decoder, "whisper", Engine())
    monkeypatch.setattr(model, "encode", encode)
    monkeypatch.setattr(model, "add_word_timestamps", words)
    tokens = decoder.tokenizer("en", "translate")
    of = tokens.tokenizer.token_to_id

    def reached(option: str) -> bool:
        prompt, asked = seen["calls"][0]
        return {
            "language": of("<|en|>") in prompt,
            "task": of("<|translate|>") in prompt,
            "prompt": tokens.encode(" five six") == prompt[1:-4],
            "hotwords": tokens.encode(" seven") == prompt[1:-4],
            "word_timestamps": seen["align"] > 0,
            "beam_size": asked["beam_size"] == 3,
            "temperature": asked["sampling_temperature"] == 0.5,
            "encoder_seconds": seen["frames"] == 500,
        }[option]

    return reached


def pocketsphinx(monkeypatch, backend):
    return {"language": True, "word_timestamps": True}.get  # it knows one language, and always times words


SERVER = Server(quirky.openai, ["whisper-1"])


@pytest.fixture(scope="module")
def endpoint():
    """A server with OpenAI's audio API, as a backend."""
    with pytest.MonkeyPatch.context() as patch, quirky.quirky(SERVER) as url:
        patch.setenv("ASR_ENDPOINT_URL", url)
        yield backends.load("remote:auto")


def remote(monkeypatch, backend):
    SERVER.calls.clear()

    def reached(option: str) -> bool:
        form = SERVER.calls[-1].form
        if option == "word_timestamps":
            return "word" in SERVER.calls[-1].fields["timestamp_granularities[]"]
        return form.get(option) == str(ASKED[option])

    return reached


def onnx(monkeypatch, backend):
    return {"language": True, "word_timestamps": True}.get  # it knows one language, and always times words


def onnx_canary(monkeypatch, backend):
    """What the decoder was told before it wrote anything."""
    seen, real = [], backend.asr._decode

    def decode(written, *rest):
        seen.append([backend.asr._vocab[i] for i in written[0][:10]])
        return real(written, *rest)

    monkeypatch.setattr(backend.asr, "_decode", decode)
    return lambda option: {"language": ["<|en|>"] * 2, "task": ["<|de|>", "<|en|>"]}[option] == seen[0][4:6]


def transformers(monkeypatch, backend):
    """What `generate` was told, and whether the words were looked for."""
    from asr.backends.transformers import decode

    decoder, model = backend.decoder, backend.decoder.model
    asked, real, aligned, align = [], model.generate, [], decode.words
    monkeypatch.setattr(decode, "words", lambda *given: aligned.append(given) or align(*given))
    monkeypatch.setattr(model, "generate", lambda **how: asked.append(how) or real(**how))
    of = decoder.tokenizer

    def reached(option: str) -> bool:
        how = asked[0]
        before = of.decode(how.get("prompt_ids", []))
        return {
            "language": how["language"] == ["en"],
            "task": how["task"] == "translate",
            "prompt": before == "<|startofprev|> five six",
            "hotwords": before == "<|startofprev|> seven",
            "word_timestamps": bool(
                decoder.heads
            ),  # every transcript's words are timed: test_transformers.py
            "beam_size": how["num_beams"] == 3,
            "temperature": (how.get("temperature"), how["do_sample"]) == (0.5, True),
        }[option]

    return reached


ENGINES = {  # the fixture that gives a backend, and what tells whether an option reached its engine
    "faster_whisper": ("digits", faster_whisper),
    "onnx": ("parakeet", onnx),
    "onnx, Canary": ("canary", onnx_canary),
    "pocketsphinx": ("sphinx", pocketsphinx),
    "remote": ("endpoint", remote),
    "transformers": ("hf_digits", transformers),
}
MUST = {"onnx, Canary": {"language": "de"}}  # what a model will not work without


@pytest.fixture(params=ENGINES)
def engine(request):
    return request.param


@pytest.fixture
def backend(request, engine):
    return request.getfixturevalue(ENGINES[engine][0])


@pytest.mark.parametrize("name", backends.available())
def test_somebody_looks_into_the_engine_of_every_backend(name):
    assert name in ENGINES, f"tell this test how to see that an option reached the engine of {name}"


def test_every_option_has_a_value_to_ask_for():
    assert set(ASKED) == {f.name for f in fields(Options)}
    assert all(value != getattr(Options(), name) for name, value in ASKED.items())


@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize("option", ASKED)
def test_every_option_reaches_its_engine_or_is_refused(monkeypatch, engine, backend, option, batched):
    reached = ENGINES[engine][1](monkeypatch, backend)
    options = Options(**MUST.get(engine, {}) | {option: ASKED[option]})
    if option != "language" and NEEDS.get(option, option) not in backend.can:
        with pytest.raises(Unsupported, match=NEEDS.get(option, option)):
            backends.check(backend, options)
        return
    if batched and "batch" not in backend.can:
        pytest.skip(f"{engine} takes one window at a time")
    backends.check(backend, options)
    if batched:
        backend.transcribe_batch([AUDIO], [options])
    else:
        list(backend.transcribe(AUDIO, options))
    assert reached(option), f"{option} did not reach the engine of {engine}"


def test_every_backend_is_what_it_says(backend):
    promised = {"batch": "transcribe_batch", "detect": "detect", "stream": "stream"}
    for ability, method in promised.items():
        # What a server can is known when it was asked; its methods are there before.
        assert hasattr(backend, method) or ability not in backend.can
        assert ability in backend.can or not hasattr(backend, method) or backend.spec.startswith("remote:")
    assert ("batch" in backend.can) == hasattr(backend, "prepare")
    assert backend.can <= set(backends.Ability.__args__) and backend.languages
    assert backend.spec.partition(":")[0] in backends.available() and backend.device


def test_a_language_that_a_model_does_not_know_is_refused(tones):
    with pytest.raises(Unsupported, match="'de'"):
        backends.check(tones, Options(language="de"))


def test_the_fixture_is_loaded_like_any_backend(tones):
    assert backends.load("tones:pure") is tones and "tones" in backends.available()
    assert [s.text for s in tones.transcribe(say("ask not"), Options())] == [" ask not"]


def test_no_test_backend_is_left_behind():
    assert "tones" not in backends.available()


@pytest.mark.parametrize(
    "spec", ["", "nothing", "nothing:small", ":small", "faster-whisper:small", "../asr:x", "types:x"]
)
def test_an_unknown_backend_names_those_there_are(spec):
    with pytest.raises(UnknownModel) as e:
        backends.load(spec)
    assert "faster_whisper" in e.value.fix


def test_a_missing_library_is_named_with_the_line_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    monkeypatch.delitem(sys.modules, "asr.backends.pocketsphinx", raising=False)
    with pytest.raises(BackendUnavailable, match="pip install pocketsphinx"):
        backends.load("pocketsphinx:en-us")


def test_an_error_inside_a_backend_is_not_taken_for_a_missing_library(monkeypatch):
    broken = ModuleType("asr.backends.tones")
    broken.load = lambda model, device: (_ for _ in ()).throw(KeyError("a bug"))
    monkeypatch.setitem(sys.modules, broken.__name__, broken)
    monkeypatch.setattr(backends, "available", lambda: ["tones"])
    with pytest.raises(KeyError):
        backends.load("tones:x")
