"""Which STUN and TURN servers browsers get: WebRTC needs them when no direct way leads to the server.

Credentials for TURN are asked for, kept until shortly before they run out, and asked for
again. Whatever goes wrong there is logged and yields the servers that are known without
asking: a page that cannot relay its audio still has its WebSocket.

Sources (checked against their documentation):
    hf          https://fastrtc.org/deployment/: Cloudflare's relays, paid for by Hugging Face
    cloudflare  https://developers.cloudflare.com/realtime/turn/generate-credentials/
    twilio      https://www.twilio.com/docs/stun-turn/api
    own         the TURN REST API, draft-uberti-behave-turn-rest, coturn's `use-auth-secret`
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import time
from collections.abc import Callable
from urllib.parse import quote

import httpx
from huggingface_hub import get_token

from asr.config import Config
from asr.errors import ConfigError

HF_URL = "https://turn.fastrtc.org/credentials"
CLOUDFLARE_URL = "https://rtc.live.cloudflare.com/v1/turn/keys/{}/credentials/generate-ice-servers"
TWILIO_URL = "https://api.twilio.com/2010-04-01/Accounts/{}/Tokens.json"
TTL = 12 * 3600  # seconds credentials are asked for: longer than any session
FRESH = 0.5  # of the TTL: so much of it is left at least for whoever gets them
RETRY = 60.0  # seconds until a provider that failed is asked again
TIMEOUT = 4.0  # seconds a page may have to wait for a provider

Server = dict[str, object]  # WebRTC's RTCIceServer: urls, username, credential
log = logging.getLogger(__name__)


class IceServers:
    """Call `get` for every connection. Raises ConfigError at once when the settings make no sense."""

    def __init__(self, config: Config, client: Callable[[], httpx.AsyncClient] | None = None):
        self._own, self._secret = own(config.ice_servers), config.turn_secret
        self._request = _provider(config)
        self._client = client or (lambda: httpx.AsyncClient(timeout=TIMEOUT))
        self._found: list[Server] = []
        self._renew, self._expires = 0.0, 0.0  # wall clock
        self._asking = asyncio.Lock()

    async def get(self) -> list[Server]:
        """The servers as RTCPeerConnection takes them; never raises, never takes long."""
        own = [_signed(server, self._secret) if self._secret else server for server in self._own]
        if self._request is None:
            return own
        async with self._asking:
            if time.time() >= self._renew:
                await self._refresh()
        return own + (self._found if time.time() < self._expires else [])

    async def _refresh(self) -> None:
        try:
            async with self._client() as client:
                answer = await asyncio.wait_for(client.send(self._request), TIMEOUT)
            self._found = _listed(answer.raise_for_status().json())
            self._renew, self._expires = time.time() + TTL * FRESH, time.time() + TTL
        except Exception as e:  # a relay that cannot be had must not cost the page
            # The class and the status only: an exception's text may quote the request and its token.
            status = e.response.status_code if isinstance(e, httpx.HTTPStatusError) else ""
            log.warning("No TURN credentials (%s %s): no relay for live audio.", type(e).__name__, status)
            self._renew = time.time() + RETRY


def own(text: str) -> list[Server]:
    """`ASR_ICE_SERVERS`: WebRTC's JSON list, or URLs separated by commas or spaces."""
    if not text.strip():
        return []
    try:
        if text.lstrip().startswith("["):
            return _listed({"iceServers": json.loads(text)})
        return _listed({"iceServers": [{"urls": url} for url in text.replace(",", " ").split()]})
    except (ValueError, TypeError, AttributeError):
        raise ConfigError(
            "ASR_ICE_SERVERS is no list of STUN and TURN servers.",
            'Write stun:host:port, or [{"urls": "turn:host:port", "username": "u", "credential": "c"}].',
        ) from None


def _listed(answer: dict) -> list[Server]:
    """Any provider's answer in WebRTC's one form; raises ValueError when it has no servers."""
    found = answer.get("iceServers") or answer.get("ice_servers")
    servers = []
    for server in found if isinstance(found, list) else [found]:
        urls = server.get("urls") or server.get("url")
        urls = [urls] if isinstance(urls, str) else list(urls)
        if not urls or not all(u.startswith(("stun:", "stuns:", "turn:", "turns:")) for u in urls):
            raise ValueError("no STUN or TURN URL")
        login = {k: server[k] for k in ("username", "credential") if server.get(k)}
        servers.append({"urls": urls, **login})
    return servers


def _signed(server: Server, secret: str) -> Server:
    """A TURN server with a login made from the secret it shares with us, good for TTL."""
    if not server["urls"][0].startswith("turn"):
        return server
    username = f"{int(time.time()) + TTL}:parlance"
    digest = hmac.new(secret.encode(), username.encode(), hashlib.sha1).digest()
    return {"urls": server["urls"], "username": username, "credential": base64.b64encode(digest).decode()}


def _provider(config: Config) -> httpx.Request | None:
    """The request that the configured provider answers with its servers; None where there is none."""
    if not config.turn:
        return None
    requests = {"hf": _hf, "cloudflare": _cloudflare, "twilio": _twilio}
    if config.turn not in requests:
        raise ConfigError(f"ASR_TURN={config.turn!r} is no provider.", f"There are: {', '.join(requests)}.")
    return requests[config.turn](config)


def _hf(config: Config) -> httpx.Request:
    token = get_token()  # HF_TOKEN, or what `hf auth login` left
    _need(config, HF_TOKEN=token)
    return httpx.Request("GET", HF_URL, headers={"Authorization": f"Bearer {token}"}, params={"ttl": TTL})


def _cloudflare(config: Config) -> httpx.Request:
    key, token = config.cloudflare_turn_key_id, config.cloudflare_turn_key_api_token
    _need(config, ASR_CLOUDFLARE_TURN_KEY_ID=key, ASR_CLOUDFLARE_TURN_KEY_API_TOKEN=token)
    login = {"Authorization": f"Bearer {token}"}
    return httpx.Request("POST", CLOUDFLARE_URL.format(quote(key, "")), headers=login, json={"ttl": TTL})


def _twilio(config: Config) -> httpx.Request:
    sid, token = config.twilio_account_sid, config.twilio_auth_token
    _need(config, ASR_TWILIO_ACCOUNT_SID=sid, ASR_TWILIO_AUTH_TOKEN=token)
    login = {"Authorization": "Basic " + base64.b64encode(f"{sid}:{token}".encode()).decode()}
    return httpx.Request("POST", TWILIO_URL.format(quote(sid, "")), headers=login, data={"Ttl": str(TTL)})


def _need(config: Config, **settings: str | None) -> None:
    if missing := " and ".join(name for name, value in settings.items() if not value):
        raise ConfigError(f"ASR_TURN={config.turn} needs {missing}.", "Set it, or leave ASR_TURN empty.")
