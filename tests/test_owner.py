"""Who counts as the owner: asked through the gate itself, and nobody by default."""

from __future__ import annotations

import asyncio

import gradio as gr
import pytest
from starlette.requests import Request

from asr import gate
from asr.config import Config
from asr.gate.owner import is_owner

HERE = ("127.0.0.1", 5)


def asked(config: Config, client=HERE, **headers: str) -> list:
    """The request that reached what is behind the gate; none where it did not get through."""
    seen = []

    async def page(scope, receive, send):
        seen.append(Request(scope))

    async def nothing():
        return {"type": "http.request"}

    async def send(message):
        pass

    headers = {"host": "127.0.0.1:7860"} | headers
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": pairs}
    scope |= {"client": client, "server": ("127.0.0.1", 7860), "scheme": "http", "root_path": ""}
    asyncio.run(gate.Gate(page, config, frozenset({"live"}))(scope, nothing, send))
    return seen


def test_without_a_password_the_owner_sits_at_this_machine():
    (request,) = asked(Config())
    assert is_owner(request) and is_owner(gr.Request(request))


@pytest.mark.parametrize("config, client, headers", [
    (Config(host="0.0.0.0"), HERE, {}),  # a Space, a container
    (Config(), ("10.0.0.7", 5), {}),
    (Config(), HERE, {"x_forwarded_for": "10.0.0.7"}),
    (Config(), HERE, {"host": "rebound.example"}),
    (Config(), HERE, {"origin": "https://evil.example"}),
])  # fmt: skip
def test_visitors_are_not_the_owner(config, client, headers):
    (request,) = asked(config, client, **headers)
    assert not is_owner(request) and not is_owner(gr.Request(request))


def test_with_a_password_whoever_logged_in_is_the_owner_from_anywhere(tmp_path):
    config = Config(host="0.0.0.0", password="open sesame", data_dir=tmp_path)
    assert not asked(config)
    made = gate.login.Login(config.password, tmp_path, framed=False)
    cookie = f"{gate.login.COOKIE}=9999999999.{made._sign(9999999999)}"
    (request,) = asked(config, ("10.0.0.7", 5), cookie=cookie)
    assert is_owner(request)


def test_what_has_not_come_through_the_gate_is_nobodys():
    assert not is_owner(Request({"type": "http", "headers": []}))
    assert not is_owner(None) and not is_owner(gr.Request())
