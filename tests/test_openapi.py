"""The OpenAPI page is right: schemathesis asks everything it promises, and much that it does not."""

from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, settings

from tests.house import House
from tests.test_api import wav
from tests.tones import say

schemathesis = pytest.importorskip("schemathesis")
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance  # noqa: E402

SPEECH = wav(say("ask not"))


schema = schemathesis.openapi.from_asgi("/v1/openapi.json", House(api_keys="key").app)


@schema.parametrize()
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
def test_answers_are_as_the_page_says(case):
    id = unquote((case.path_parameters or {}).get("id", ""))
    if ".." in id or "\n" in id:  # another path to clients, and none of ours to Starlette
        return
    # The page cannot say which fields go together, nor what is audio: valid forms may be refused.
    unfair = [positive_data_acceptance]
    how = (getattr(case.meta.phase.data, "description", None) or "").lower()
    if case.meta.generation.mode.is_positive or "type" in how:  # a form is all text: 5 is a fine keyword
        unfair.append(negative_data_rejection)
    if case.meta.generation.mode.is_positive and isinstance(case.body, dict) and "file" in case.body:
        case.body |= {"file": SPEECH, "model": "whisper-1"}  # what is valid then is even recognised
    case.call_and_validate(headers={"Authorization": "Bearer key"}, excluded_checks=unfair)


def test_the_page_names_every_field_as_it_is_sent():
    with House() as house:
        page = house.client.get("/v1/openapi.json").json()
        shown = house.client.get("/v1/docs").text
    assert "http" not in shown, "the page must not ask other hosts for anything"
    assert all(
        word in shown for word in ("timestamp_granularities[]", "/v1/audio/translations", "from 0 to 1")
    )
    form = page["components"]["schemas"]["Transcription"]
    assert form["required"] == ["file", "model"]
    assert set(form["properties"]) == {
        "file",
        "model",
        "prompt",
        "response_format",
        "temperature",
        "language",
        "languages[]",
        "keywords[]",
        "timestamp_granularities[]",
        "include[]",
        "stream",
        "chunking_strategy",
        "known_speaker_names[]",
        "known_speaker_references[]",
    }
    assert form["properties"]["file"]["format"] == "binary"
    assert page["servers"] == [{"url": "/v1"}]
    assert set(page["paths"]) == {"/audio/transcriptions", "/audio/translations", "/models", "/models/{id}"}
