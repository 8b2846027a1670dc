"""The configuration's health, for the owner only: problems first, each with what to do, and no password."""

import asyncio
import threading

from asr.config import Config
from asr.doctor import Finding
from ui import health
from ui.language import speaking

FOUND = [
    Finding("CPU", "4 cores"),
    Finding("setting", "ASR_ENDPOINT_URL=https://me:s3cret@host/v1"),
    Finding("hub", "<b>unreachable</b>", "problem", "Set HTTPS_PROXY; `pip install x`."),
    Finding("models", "little room", "note", "Make room."),
]


def test_problems_come_first_with_what_to_do_and_nothing_is_markup():
    html = health.findings(FOUND)
    assert html.index("hub") < html.index("models") < html.index("<details>") < html.index("4 cores")
    assert "1 thing needs attention." in html and "<code>pip install x</code>" in html
    assert "<b>unreachable" not in html


def test_a_password_in_an_address_is_not_shown():
    html = health.findings(FOUND)
    assert "s3cret" not in html and "https://…@host/v1" in html


def test_it_is_told_in_the_owners_language():
    with speaking("de"):
        assert "1 Punkt braucht Aufmerksamkeit." in health.findings(FOUND)


def test_nothing_wrong_is_said_as_well():
    assert "Nothing is in the way." in health.findings(FOUND[:2])


def test_those_who_ask_at_once_get_one_look(monkeypatch):
    looks, go = [], threading.Event()

    def examine(config, machine):
        looks.append(config)
        go.wait(10)
        return iter(FOUND)

    monkeypatch.setattr(health.doctor, "examine", examine)
    monkeypatch.setattr(health.machine, "look", lambda: None)

    async def ask():
        look = health.Look(Config())
        asked = [asyncio.ensure_future(look.found(fresh)) for fresh in (600.0, 0.0)]
        await asyncio.sleep(0.05)
        go.set()
        both = await asyncio.gather(*asked)
        return [*both, await look.found(600.0)]

    assert asyncio.run(ask()) == [FOUND] * 3
    assert len(looks) == 1


def test_the_servers_own_servers_are_a_secret():
    config = Config(ice_servers='[{"urls": "turn:a", "credential": "s3cret"}]')
    assert "s3cret" not in repr(config)
