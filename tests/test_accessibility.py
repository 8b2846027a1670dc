"""Nobody is kept out: axe-core finds nothing serious on any page, light or dark, wide or narrow."""

import pytest
from axe_playwright_python.sync_playwright import Axe

from asr.locales import text
from tests import browser as chromium
from tests.browser import serve
from tests.conftest import DIGITS
from tests.studio import SECRET, studio

pytestmark = pytest.mark.browser
playwright, browser, tab = chromium.playwright, chromium.browser, chromium.tab
LOOKS = pytest.mark.parametrize("scheme", ["light", "dark"])
SIZES = pytest.mark.parametrize("width", [1280, 390])


@pytest.fixture(scope="module")
def app():
    with serve(ASR_MODEL=f"faster_whisper:{DIGITS}") as url:
        yield url


def look(scheme: str, width: int) -> dict:
    # The checker comes in by means of eval, which our policy forbids.
    return {"color_scheme": scheme, "viewport": {"width": width, "height": 900}, "bypass_csp": True}


def serious(page) -> list[str]:
    """What axe calls serious or critical, with the first place of each."""
    found = Axe().run(page).response["violations"]
    grave = [v for v in found if v["impact"] in ("serious", "critical")]
    return [f"{v['id']}: {v['nodes'][0]['html'][:160]}" for v in grave]


@LOOKS
@SIZES
def test_the_page_has_no_serious_finding(app, tab, scheme, width):
    every_tab(tab(app, **look(scheme, width)), "en")


def test_the_page_in_another_language_has_no_serious_finding(app, tab):
    every_tab(tab(app, locale="de-DE", **look("light", 390)), "de")


def every_tab(page, language: str) -> None:
    page.wait_for_selector(".dot.ready")
    for key in ("live", "recording", "recordings", "configuration"):
        name = text(language, f"page.{key}")
        button = page.locator(f"button[role=tab]:text-is('{name}'):visible")
        if not button.count():
            page.locator(".overflow-menu > button:visible").first.click()
            button = page.locator(f".overflow-menu button:text-is('{name}'):visible")
        button.first.click()
        page.wait_for_timeout(500)  # until what fades in is there
        assert serious(page) == [], name


@LOOKS
@SIZES
def test_the_editor_has_no_serious_finding(tmp_path, tab, scheme, width):
    with studio(tmp_path) as house:
        storage = [{"name": "parlance-browser", "value": SECRET}]
        origin = {"origin": house.url.rstrip("/"), "localStorage": storage}
        state = {"storage_state": {"cookies": [], "origins": [origin]}}
        page = tab(house.page(house.meeting()), **look(scheme, width), **state)
        page.wait_for_selector("body[data-open]")
        assert serious(page) == []
