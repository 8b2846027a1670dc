"""Who may call: API keys, and the one case in which none is needed.

Without `ASR_API_KEYS` the API answers this machine only: bound to a loopback address, asked
by a loopback peer, under a loopback name, from no foreign web page and through no proxy.
The name is checked because a web page can point its own host name at 127.0.0.1 (DNS
rebinding); the origin, because any page may post a form or open a WebSocket to localhost.
Everywhere else the answer is 401 until the owner sets keys, or the word `open`.
"""

from __future__ import annotations

import hmac
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from asr.api.errors import Refused
from asr.config import Config

OPEN = "open"
_SUBPROTOCOL = (
    "openai-insecure-api-key."  # how browsers, which cannot set headers, send a key to /v1/realtime
)
_PROXIED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")


def keys(config: Config) -> tuple[str, ...]:
    return tuple(key for key in (k.strip() for k in config.api_keys.split(",")) if key)


def policy(config: Config) -> str:
    """One sentence for the owner, printed at the start: who may call the API."""
    if OPEN in keys(config):
        return "The API is open to everybody who can reach this address (ASR_API_KEYS=open)."
    if keys(config):
        return f"The API asks for one of {len(keys(config))} keys (ASR_API_KEYS)."
    if is_loopback(config.host):
        return "The API needs no key and answers this machine only. Set ASR_API_KEYS to serve others."
    return (
        f"The API is closed: on {config.host} it needs keys. Set ASR_API_KEYS=key1,key2 to use it, "
        "or ASR_API_KEYS=open if everybody may. The page works without."
    )


def admit(connection: HTTPConnection, config: Config) -> None:
    """Raise Refused (401) unless this request or WebSocket may use the API."""
    known = keys(config)
    if OPEN in known:
        return
    if not known:
        return _admit_local(connection, config)
    given = _given(connection)
    if not given:
        raise Refused(
            "You didn't provide an API key.",
            "Send it as a header: Authorization: Bearer YOUR_KEY.",
            status=401,
        )
    if held(connection, config) is None:
        raise Refused(
            "Incorrect API key provided.",
            "Ask this server's owner for one.",
            status=401,
            code="invalid_api_key",
        )


def held(connection: HTTPConnection, config: Config) -> int | None:
    """Which of the keys this request carries; None: none that is right."""
    given = _given(connection).encode()
    # Every key is compared, so that the time taken tells nothing about which one was close.
    right = [hmac.compare_digest(given, key.encode()) for key in keys(config)]
    return right.index(True) if given and True in right else None


def _given(connection: HTTPConnection) -> str:
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    offered = connection.headers.get("sec-websocket-protocol", "").split(",")
    return next(
        (p.strip().removeprefix(_SUBPROTOCOL) for p in offered if p.strip().startswith(_SUBPROTOCOL)), ""
    )


def is_local(connection: HTTPConnection, config: Config) -> bool:
    """Whether it comes from this machine itself, and the server is for this machine only."""
    peer = connection.client.host if connection.client else ""
    name = _host_of(f"//{connection.headers.get('host', '')}")
    origin = connection.headers.get("origin")
    return (
        is_loopback(config.host)
        and is_loopback(peer)
        and is_loopback(name)
        and not any(header in connection.headers for header in _PROXIED)
        and (origin is None or is_loopback(_host_of(origin)))
    )


def _host_of(url: str) -> str:
    """Empty where there is none, or it is no address at all."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _admit_local(connection: HTTPConnection, config: Config) -> None:
    if not is_local(connection, config):
        raise Refused(
            "Without API keys this server's API answers programs on its own machine only.",
            "Its owner can set ASR_API_KEYS=key1,key2 and give you one, or ASR_API_KEYS=open for everybody.",
            status=401,
        )


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() in ("localhost", "localhost.")
