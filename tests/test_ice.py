"""ICE servers: every provider's own request and answer, and a page that never waits or breaks."""

import asyncio
import base64
import hashlib
import hmac
import json
import time

import httpx
import pytest

from asr import ice
from asr.config import Config
from asr.errors import ConfigError

STUN, RELAY = (
    {"urls": ["stun:a:3478"]},
    {"urls": ["turn:b:443?transport=tcp"], "username": "u", "credential": "c"},
)
CLOUDFLARE = {"iceServers": [STUN, RELAY]}
TWILIO = {
    "ttl": "43200",
    "ice_servers": [{"url": "stun:a:3478", **STUN}, {**RELAY, "urls": RELAY["urls"][0]}],
}
SECRET = "s3cret-token"
SETTINGS = {
    "cloudflare": {"cloudflare_turn_key_id": "key1", "cloudflare_turn_key_api_token": SECRET},
    "twilio": {"twilio_account_sid": "AC1", "twilio_auth_token": SECRET},
    "hf": {},
}


class Provider:
    """A provider that answers from here instead of from the Internet."""

    def __init__(self, *answers):
        self.answers, self.requests = list(answers), []

    def __call__(self):
        return httpx.AsyncClient(transport=httpx.MockTransport(self.answer))

    async def answer(self, request):
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, float):
            await asyncio.sleep(answer)
        return answer if isinstance(answer, httpx.Response) else httpx.Response(201, json=answer)


def servers(provider, turn="cloudflare", **settings):
    return ice.IceServers(Config(turn=turn, **SETTINGS[turn], **settings), provider)


@pytest.fixture(autouse=True)
def token(monkeypatch):
    monkeypatch.setattr(ice, "get_token", lambda: SECRET)


def test_nothing_configured_asks_nobody():
    assert asyncio.run(ice.IceServers(Config()).get()) == []


LISTS = ["stun:a:3478, turn:b:3478", '[{"urls": "stun:a:3478"}, {"urls": ["turn:b:3478"]}]']
BROKEN = ["example.org", "http://a", "[1]", "[{}]", "[", '[{"urls": []}]', '[{"urls": 5}]']


@pytest.mark.parametrize("text", LISTS)
def test_a_plain_list_is_given_as_webrtc_wants_it(text):
    found = asyncio.run(ice.IceServers(Config(ice_servers=text)).get())
    assert found == [{"urls": ["stun:a:3478"]}, {"urls": ["turn:b:3478"]}]


def test_a_login_in_the_list_is_kept():
    text = json.dumps([{"urls": "turn:b:3478", "username": "u", "credential": "c", "junk": 1}])
    assert ice.own(text) == [{"urls": ["turn:b:3478"], "username": "u", "credential": "c"}]


@pytest.mark.parametrize("text", BROKEN)
def test_a_list_that_is_none_stops_the_start(text):
    with pytest.raises(ConfigError, match="ASR_ICE_SERVERS"):
        ice.IceServers(Config(ice_servers=text))


def test_logins_for_our_own_relay_are_what_coturn_checks():
    config = Config(ice_servers="stun:a:1, turn:b:2", turn_secret=SECRET)
    stun, turn = asyncio.run(ice.IceServers(config).get())
    assert stun == {"urls": ["stun:a:1"]}
    assert time.time() < int(turn["username"].split(":")[0]) <= time.time() + ice.TTL
    digest = hmac.new(SECRET.encode(), turn["username"].encode(), hashlib.sha1).digest()
    assert base64.b64decode(turn["credential"]) == digest


def test_cloudflare_is_asked_as_it_documents():
    provider = Provider(CLOUDFLARE)
    assert asyncio.run(servers(provider).get()) == [STUN, RELAY]
    (request,) = provider.requests
    assert request.method == "POST" and json.loads(request.content) == {"ttl": ice.TTL}
    assert str(request.url) == ice.CLOUDFLARE_URL.format("key1")
    assert request.headers["authorization"] == f"Bearer {SECRET}"


def test_twilio_is_asked_as_it_documents():
    provider = Provider(TWILIO)
    assert asyncio.run(servers(provider, "twilio").get()) == [STUN, RELAY]
    (request,) = provider.requests
    assert request.method == "POST" and request.content == b"Ttl=43200"
    assert base64.b64decode(request.headers["authorization"].split()[1]).decode() == f"AC1:{SECRET}"


def test_hugging_face_is_asked_with_the_token():
    provider = Provider({"iceServers": RELAY})  # one object, as older answers have it
    assert asyncio.run(servers(provider, "hf").get()) == [RELAY]
    assert provider.requests[0].headers["authorization"] == f"Bearer {SECRET}"


def test_credentials_are_asked_for_once_and_renewed_in_time(monkeypatch):
    provider = Provider(CLOUDFLARE)
    found, now = servers(provider), time.time()

    async def pages():
        await asyncio.gather(*(found.get() for _ in range(20)))
        assert len(provider.requests) == 1
        monkeypatch.setattr(ice.time, "time", lambda: now + ice.TTL * ice.FRESH + 5)
        await found.get()
        assert len(provider.requests) == 2

    asyncio.run(pages())


FAULTS = [
    httpx.ConnectError(SECRET),
    httpx.Response(401, text=SECRET),
    httpx.Response(200, text="<html>"),
    {"iceServers": []},
    {"iceServers": [{"urls": "javascript:x"}]},
    [],
    "no",
    9.0,  # seconds until it answers
]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_provider_that_fails_costs_the_relay_only(fault, monkeypatch, caplog):
    monkeypatch.setattr(ice, "TIMEOUT", 0.2)
    provider = Provider(fault)
    found = servers(provider, ice_servers="stun:a:1")

    async def pages():
        assert await found.get() == [{"urls": ["stun:a:1"]}]
        assert await found.get() == [{"urls": ["stun:a:1"]}]

    asyncio.run(pages())
    assert len(provider.requests) == 1, "a provider in trouble is left alone for a while"
    assert SECRET not in caplog.text and "TURN" in caplog.text


def test_old_credentials_serve_while_the_provider_is_down(monkeypatch):
    provider, now = Provider(CLOUDFLARE, httpx.ConnectError("down")), time.time()
    found = servers(provider)

    async def pages():
        await found.get()
        monkeypatch.setattr(ice.time, "time", lambda: now + ice.TTL * 0.75)
        assert await found.get() == [STUN, RELAY]
        monkeypatch.setattr(ice.time, "time", lambda: now + ice.TTL + 5)
        assert await found.get() == [], "what has run out is not handed out"

    asyncio.run(pages())


@pytest.mark.parametrize("turn", ["cloudflare", "twilio", "hf", "carrier-pigeon"])
def test_a_provider_without_its_keys_stops_the_start_and_names_them(turn, monkeypatch):
    monkeypatch.setattr(ice, "get_token", lambda: None)
    with pytest.raises(ConfigError, match="no provider" if turn == "carrier-pigeon" else "needs"):
        ice.IceServers(Config(turn=turn))
