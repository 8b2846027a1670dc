"""What goes wrong with recordings and models, as it is really raised: told in its reader's language."""

from __future__ import annotations

import io

import numpy as np
import pytest

from asr import audio, locales
from asr.audio import apart
from asr.audio.source import Limits
from asr.config import Config
from asr.errors import ASRError, BackendUnavailable, QuotaExceeded
from asr.jobs import Quota, Store
from asr.jobs.worker import _broken
from asr.models import Models
from asr.zerogpu import Borrowed, _lent
from tests.hostile import wav
from tests.test_language import OTHERS


def raised(work) -> ASRError:
    with pytest.raises(ASRError) as told:
        work()
    return told.value


def a_recording_that_is_too_long():
    return raised(lambda: audio.decode(np.zeros(32_000, np.float32), Limits(seconds=1)))


def a_file_that_is_too_large():
    return raised(lambda: audio.decode(io.BytesIO(wav()), Limits(bytes=1000)))


def a_file_without_a_sample():
    return raised(lambda: audio.decode(io.BytesIO(wav(b""))))


def a_decoder_that_was_killed():
    return apart._gone()


def more_than_may_be_kept(tmp_path):
    store = Store(tmp_path, Quota.of(Config(keep_gb=0.001)))
    try:
        with pytest.raises(QuotaExceeded) as told:
            store.expect("me", "long.wav", 10**7)
        return told.value
    finally:
        store.close()


def a_model_that_breaks():
    def broken(*_):
        raise RuntimeError("Unsupported model binary version")

    return raised(lambda: Models(Config(model="small"), load=broken).get("small"))


def what_nobody_foresaw():
    return _broken(KeyError("what was said"))


def no_gpu_to_lend():
    class Full(Exception):
        message = "The quota is used up."

    Full.__module__ = "gradio.exceptions"

    def lend(*_):
        raise Full

    borrowed = Borrowed("faster_whisper:small", frozenset(), frozenset())
    return raised(lambda: _lent(lend, np.zeros(1), borrowed, None))


MET = (
    a_recording_that_is_too_long,
    a_file_that_is_too_large,
    a_file_without_a_sample,
    a_decoder_that_was_killed,
    more_than_may_be_kept,
    a_model_that_breaks,
    what_nobody_foresaw,
    no_gpu_to_lend,
)


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("met", MET, ids=lambda met: met.__name__)
def test_both_sentences_are_told_in_every_language(met, name, tmp_path):
    error = met(tmp_path) if met is more_than_may_be_kept else met()
    for said in (error.what, error.fix):
        assert locales.sentence(name, said) != said, said


@pytest.mark.parametrize("name", OTHERS)
def test_why_a_model_is_not_there_is_one_text_on_the_page(name):
    def broken(*_):
        raise RuntimeError("Unsupported model binary version")

    models = Models(Config(), load=broken)
    with pytest.raises(BackendUnavailable):
        models.get("small")
    told = locales.sentence(name, models.status("small").says)
    assert "could not be loaded" not in told and "looks for" not in told
    assert "Unsupported model binary version" in told and "python -m asr doctor" in told
