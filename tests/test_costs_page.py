"""The owner's costs on the page: the command's figures, for the owner's eyes only."""

import json

import pytest

from asr.cost import prices
from tests.browser import browser, playwright, serve, tab  # noqa: F401
from ui import costs


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    data = tmp_path_factory.mktemp("data")
    (data / "bench").mkdir()
    bench = {"rtfx": 25, "model": "faster_whisper:small", "machine": {"gpus": []}}
    (data / "bench" / "speed.json").write_text(json.dumps(bench))
    with serve(ASR_MODEL="pocketsphinx:", ASR_DATA_DIR=str(data)) as url:
        yield url


def test_the_owner_sees_what_hours_cost_at_the_speed_of_the_last_benchmark(app, tab):  # noqa: F811
    page = tab(app)
    page.get_by_role("tab", name="Costs").click()
    page.get_by_text("Whisper small, by the benchmark of").wait_for()
    assert page.get_by_label("Speed").input_value() == "25"
    page.get_by_label("Its price").fill("0.9")
    row = page.get_by_role("row", name="yours, on demand")
    row.get_by_role("cell", name="3.60", exact=True).wait_for()
    page.get_by_text("cheaper than openai").first.wait_for()


def test_a_visitor_sees_neither_costs_nor_configuration(app, tab):  # noqa: F811
    page = tab(app, extra_http_headers={"X-Forwarded-For": "10.0.0.7"})
    page.get_by_text("is ready").wait_for()
    page.wait_for_load_state("networkidle")  # what comes with the page's load has come
    for name in ("Costs", "Configuration"):
        assert not page.get_by_role("tab", name=name).is_visible()
    assert "HF_HUB_OFFLINE" not in page.content()  # which the owner is told about


def test_what_a_price_list_says_is_escaped():
    table = prices()
    hostile = costs.Machine("<b>x", "<i>y", "", 1.0, 1.0, "<script>")
    shown = costs.told(table, hostile, 10.0)
    assert "<script>" not in shown and "<b>" not in shown and "&lt;b&gt;x, on demand" in shown
