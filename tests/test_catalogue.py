"""The catalogue: names people type, and what counts as downloaded."""

from dataclasses import replace

import pytest
from huggingface_hub import constants

from asr import catalogue
from asr.catalogue import CARDS, card
from asr.errors import UnknownModel


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty hub cache; call it to put files of a model there as the hub's client would."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))

    def put(repo: str, *files: str):
        home = tmp_path / f"models--{repo.replace('/', '--')}"
        snapshot = home / "snapshots" / "c0ffee"
        snapshot.mkdir(parents=True, exist_ok=True)
        (home / "refs").mkdir(exist_ok=True)
        (home / "refs" / "main").write_text("c0ffee")
        for file in files:
            (snapshot / file).write_bytes(b"x")

    put.folder = tmp_path
    return put


def test_the_cards_cover_every_model_faster_whisper_knows_at_its_own_repository():
    from faster_whisper.utils import _MODELS

    assert {name: card(name).repo for name in _MODELS} == _MODELS


def test_no_two_cards_share_a_name():
    names = [name for c in CARDS for name in {c.spec, *c.also}]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    "typed", ["turbo", "large-v3-turbo", "faster_whisper:turbo", " faster_whisper:large-v3-turbo "]
)
def test_one_model_has_one_spec_however_it_is_typed(typed):
    assert catalogue.spec_of(typed) == "faster_whisper:large-v3-turbo"


def test_a_directory_and_any_backend_s_model_need_no_card(tmp_path):
    assert catalogue.spec_of(str(tmp_path)) == f"faster_whisper:{tmp_path}"
    assert catalogue.spec_of("onnx:some/model") == "onnx:some/model"


def test_a_name_nobody_knows_is_refused_with_the_way_to_the_list():
    with pytest.raises(UnknownModel, match="models lists"):
        catalogue.spec_of("whisper-9")


def test_only_a_whole_download_counts_as_cached(cache):
    base = card("base")
    assert not catalogue.cached(base) and not catalogue.begun(base, cache.folder)
    cache(base.repo, "config.json", "tokenizer.json", "vocabulary.txt")
    assert not catalogue.cached(base) and catalogue.begun(base, cache.folder)
    cache(base.repo, "model.bin")
    assert catalogue.cached(base)


def test_large_v3_is_not_whole_without_its_mel_bands(cache):
    turbo = card("turbo")
    cache(turbo.repo, "config.json", "tokenizer.json", "vocabulary.json", "model.bin")
    assert not catalogue.cached(turbo)
    cache(turbo.repo, "preprocessor_config.json")
    assert catalogue.cached(turbo)


def test_an_engine_without_its_library_is_not_here():
    assert catalogue.cached(card("pocketsphinx"))
    assert not catalogue.cached(replace(card("pocketsphinx"), library="no_such_library"))


def test_a_directory_goes_to_the_engine_its_files_are_made_for(tmp_path):
    for file, engine in (("model.onnx", "onnx"), ("model.safetensors", "transformers")):
        folder = tmp_path / engine
        folder.mkdir()
        (folder / file).write_bytes(b"x")
        assert catalogue.spec_of(str(folder)) == f"{engine}:{folder}" and catalogue.missing(folder) == []


def test_only_a_model_s_own_files_are_fetched_from_a_repository_that_holds_more(cache):
    parakeet = card("parakeet-tdt-0.6b-v3")
    line = catalogue.fetch(parakeet)
    assert line.startswith("hf download istupakov/parakeet-tdt-0.6b-v3-onnx config.json")
    cache(parakeet.repo, *line.split()[3:])
    assert catalogue.cached(parakeet)


@pytest.mark.parametrize("name", ["parakeet-tdt-0.6b-v2", "canary-1b-v2", "openai/whisper-small"])
def test_other_engines_models_have_short_names_too(name):
    assert catalogue.spec_of(name) == card(name).spec and card(name).spec.endswith(f":{name}")


def test_what_a_directory_lacks_is_named(tmp_path):
    (tmp_path / "model.bin").write_bytes(b"x")
    assert catalogue.missing(tmp_path) == ["config.json", "tokenizer.json", "vocabulary.json"]
    for file in ("config.json", "tokenizer.json", "vocabulary.txt"):
        (tmp_path / file).write_text("")
    assert catalogue.missing(tmp_path) == []
