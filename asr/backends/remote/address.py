"""Where the server is and what opens it: the owner's settings, checked before anything is sent."""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx

from asr.config import Config
from asr.errors import BackendUnavailable, ConfigError


def address(config: Config) -> str:
    """The URL of the configuration, checked; without a slash at its end."""
    url = config.endpoint_url.strip().rstrip("/").removesuffix("/audio/transcriptions")
    if not url:
        raise BackendUnavailable("No endpoint is configured.", "Set ASR_ENDPOINT_URL to its address.")
    try:
        parts = urlsplit(url)
        wrong = parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0
        httpx.URL(url)
    except (ValueError, httpx.InvalidURL):
        wrong = True
    if wrong:
        raise ConfigError("ASR_ENDPOINT_URL is no web address.", "Write it like https://host/v1.")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigError(
            "ASR_ENDPOINT_URL holds more than an address.",
            "Put the token into ASR_ENDPOINT_TOKEN, and end at the path.",
        )
    return url


def token(config: Config) -> str:
    """The token; what cannot stand in a header must not come near an error message of the HTTP library."""
    found = config.endpoint_token.strip()
    if not found.isascii() or not found.isprintable() or " " in found:
        raise ConfigError("ASR_ENDPOINT_TOKEN has characters that no token has.", "Copy it again.")
    return found
