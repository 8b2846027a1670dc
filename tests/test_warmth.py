"""A model that is loaded before somebody needs it is warm when they do, whatever its engine."""

from __future__ import annotations

import json
import logging
import subprocess

import numpy as np
import pytest

from asr.audio import apart
from asr.choice import Choice
from asr.config import Config
from asr.errors import BackendUnavailable
from asr.models import Models, warmth
from asr.models.warmth import warm
from asr.types import Options
from tests.browser import serve
from tests.conftest import DIGITS
from tests.speech import digits
from tests.test_backends import SERVER, backend, endpoint, engine  # noqa: F401
from tests.test_models import SMALL, until
from tests.test_operations import transcribed
from tests.tones import Tones

WHISPER = Choice(SMALL, "cpu", "It keeps up.")


@pytest.fixture
def anew(monkeypatch):
    """As in a process that has warmed up nothing yet."""
    monkeypatch.setattr(warmth, "_surroundings", lambda: None)


class Weak(Tones):
    """Loads, and cannot hear."""

    def __init__(self, error: Exception):
        super().__init__()
        self.error = error

    def transcribe_batch(self, windows, options):
        raise self.error


SMALL_GPU = BackendUnavailable("The GPU has not enough memory for one window.", "Choose a smaller model.")


def test_every_engine_is_warmed_up_by_its_own_call_and_no_server_is_asked(engine, backend, caplog):  # noqa: F811
    SERVER.calls.clear()
    with caplog.at_level(logging.DEBUG, "asr.models"):
        warm(backend)
    assert not SERVER.calls
    assert [r.message for r in caplog.records] == ([] if engine == "remote" else ["warmed up"])


def test_it_hears_a_second_of_next_to_nothing_the_way_requests_do(tones):
    warm(tones)
    (asked,) = tones.calls
    assert tones.batches == [1] and asked.word_timestamps and asked.temperature == 0.0
    assert asked.language is None  # detecting it is warmed up as well


def test_what_all_engines_share_is_there_afterwards():
    warmth._surroundings.cache_clear()
    apart.FORKER._stop()
    warm(Tones())
    process = apart.FORKER._process
    assert process.poll() is None
    warm(Tones())
    assert apart.FORKER._process is process  # once


def test_a_decoder_that_does_not_start_takes_nothing_from_a_model(monkeypatch, caplog):
    def gone(*args, **kwargs):
        raise OSError("no more processes")

    warmth._surroundings.cache_clear()
    apart.FORKER._stop()
    monkeypatch.setattr(subprocess, "Popen", gone)
    warm(heard := Tones())
    warmth._surroundings.cache_clear()
    assert len(heard.calls) == 1 and "could not be warmed up" in caplog.text


@pytest.mark.parametrize("idle", [0.0, 1.0])
def test_who_waits_for_a_model_is_not_kept_longer_and_who_does_not_finds_it_warm(anew, idle):
    loaded = {}

    def load(spec, device):
        return loaded.setdefault(spec, Tones())

    models = Models(Config(model_idle_minutes=idle), load=load, warm=warm, choice=lambda: WHISPER)
    models.get("base")
    models.start()
    models.start_loading("tiny")
    until(lambda: models.status("tiny").state == models.status().state == "ready")
    calls = {spec.partition(":")[2]: len(one.calls) for spec, one in loaded.items()}
    assert calls == {"base": 0, "small": 1, "tiny": 1}


def test_it_is_ready_when_it_is_warm(anew):
    said = []

    def tell(_):
        said.append(models.status().state)

    models = Models(Config(), load=lambda *_: Tones(), warm=tell, choice=lambda: WHISPER)
    models.start()
    models.get()
    assert said == ["loading"] and models.status().state == "ready"


def test_a_model_that_has_no_memory_to_hear_with_is_not_loaded_and_says_so(anew):
    models = Models(Config(model="small"), load=lambda *_: Weak(SMALL_GPU), warm=warm)
    models.start()
    until(lambda: models.status().state == "failed")
    assert models.status().says == "The GPU has not enough memory for one window. Choose a smaller model."


def test_where_nobody_named_it_another_takes_its_place_and_says_why(anew):
    def load(spec, device):
        return Weak(SMALL_GPU) if spec == SMALL else Tones()

    models = Models(Config(), load=load, warm=warm, choice=lambda: WHISPER)
    models.start()
    models.get()
    assert models.choice.spec != SMALL and "not enough memory for one window" in models.choice.why


def test_any_other_trouble_is_logged_and_the_model_is_there(anew, caplog):
    models = Models(Config(model="small"), load=lambda *_: Weak(KeyError("what")), warm=warm)
    models.start()
    until(lambda: models.status().state == "ready")
    assert "its first request will tell why" in caplog.text


def test_the_real_whisper_hears_the_same_after_it():
    hears = Models(Config(model=str(DIGITS), device="cpu"), warm=warm).get()
    audio = digits("seven three one")[0].astype(np.float32)
    (segments,) = hears.transcribe_batch([audio], [Options(language="en")])
    assert "".join(s.text for s in segments).split() == ["seven", "three", "one"]


def test_the_app_is_warm_before_its_first_request(tmp_path):
    log = tmp_path / "log"
    with serve(log, ASR_MODEL=f"faster_whisper:{DIGITS}", ASR_LOG="json", ASR_LOG_LEVEL="debug") as url:
        assert transcribed(url)[0] == 200
    told = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    said = [line["says"] for line in told if line.get("route", "/v1/audio/transcriptions").startswith("/v1")]
    assert said.index("warmed up") < said.index("request")
