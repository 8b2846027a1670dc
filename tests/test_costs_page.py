"""The owner's costs on the page: the command's figures, for the owner's eyes only."""

import json

import pytest

from asr import locales
from asr.cost import advice, prices
from tests.browser import browser, playwright, serve, tab  # noqa: F401
from tests.test_language import BROWSERS, OTHERS, left_in_english
from ui import costs, language


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


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("rtfx, streams", [(0.5, None), (25.0, 4), (2000.0, 16)])
def test_the_advice_is_given_in_every_language(name, rtfx, streams):
    table = prices()
    machine = costs.Machine("mine", "", "", 0.9, 0.4, "given")
    with language.speaking(name):
        shown = costs.told(table, machine, rtfx, streams)
    for said in (*advice(machine, rtfx, table, streams), "mine, on demand"):
        assert locales.sentence(name, said) != said and said not in shown
    assert shown.count(" class=mine") == 2  # found by its name, whatever that is called there


@pytest.mark.parametrize("name", OTHERS)
def test_nothing_on_the_tab_is_left_in_english(app, tab, name):  # noqa: F811
    page = tab(app, locale=BROWSERS[name])
    page.get_by_role("tab", name=locales.text(name, "page.costs"), exact=True).click()
    page.get_by_label(locales.text(name, "costs.price"), exact=False).first.fill("0.9")
    page.locator(".advice li").first.wait_for()
    assert left_in_english(page, name) == []
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
