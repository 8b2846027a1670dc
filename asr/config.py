"""Every setting there is, read from the environment once.

`Config` is the only reader of the environment, and the one list of limits that an owner may have a
reason to move; what a protocol, an attack or a machine sets stands where it is used, with the reason.
Each field is the variable `ASR_<NAME>`; `says` is what the documentation says of it. An unknown
ASR_* variable is an error: a setting nobody reads is a promise nobody keeps.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from math import inf
from pathlib import Path

from asr.errors import ConfigError

# A server for strangers forgets; the Space's own proxy hands requests on, its page is in a frame.
ON_A_SPACE = {
    "keep_hours": 24.0,
    "proxies": "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,100.64.0.0/10,127.0.0.0/8,::1",
    "embed": "https://huggingface.co",
}
_BOOLEAN = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


def setting(default, says: str, secret: bool = False):
    """A field of Config: its default value and one line for people. A secret is not in its repr."""
    return field(default=default, repr=not secret, metadata={"says": says, "secret": secret})


@dataclass(frozen=True, slots=True)
class Config:
    model: str = setting("auto", "backend:model, say faster_whisper:small; auto chooses for this machine")
    device: str = setting("auto", "auto, cpu or cuda; with a compute type if you insist: cuda/int8_float16")
    model_idle_minutes: float = setting(
        0.0, "minutes without use after which a model gives its memory back until it is needed; 0: never"
    )
    language: str = setting("", "two-letter code of the language spoken; empty means detect")
    align_model: str = setting(
        "",
        "what aligns words: a wav2vec2 model on the hub or a directory; empty: whisperX's for the language",
    )
    endpoint_url: str = setting(
        "", "a server with OpenAI's audio API that recognises for us: https://host/v1"
    )
    endpoint_token: str = setting("", "the endpoint's token", secret=True)
    endpoint_model: str = setting("", "the model the endpoint shall use; empty: the one it has, or its first")
    endpoint_at_once: int = setting(4, "requests to the endpoint at the same time")
    endpoint_patience: float = setting(300.0, "seconds to wait for the endpoint, with its waking up")
    endpoint_stream: bool = setting(
        False, "live speech goes through the endpoint's Realtime API: sent once, drafts come later"
    )
    log: str = setting("text", "log lines as text or json; never what was said, tokens or addresses")
    log_level: str = setting("info", "debug tells of every request, info of work and errors, or warning")
    host: str = setting("127.0.0.1", "address to listen on; 0.0.0.0 for all")
    port: int = setting(7860, "port of the page and the API")
    memory_floor_mb: int = setting(
        256, "memory in MiB that must be free, or no new work is begun; the container's limit counts; 0: any"
    )
    disk_floor_mb: int = setting(
        256, "disk space in MiB that must be free for recordings, or no new work is begun; 0: any"
    )
    max_upload_mb: int = setting(2048, "largest recording accepted, in MiB")
    max_audio_hours: float = setting(12.0, "longest recording accepted, in hours of decoded audio")
    decoding_mb: int = setting(1024, "memory that decoding one recording may take, in MiB")
    decoding_minutes: float = setting(60.0, "how long decoding one recording may take, in minutes")
    api_keys: str = setting(
        "", "API keys, separated by commas; empty: this machine only; open: everybody", secret=True
    )
    api_models: str = setting("", "further models API clients may name, separated by commas: backend:model")
    api_at_once: int = setting(2, "API requests recognised at the same time; of up to 1 MiB, as many again")
    api_waiting: int = setting(16, "further API requests that may wait for their turn")
    api_patience: float = setting(60.0, "seconds an API request waits for a model that is being loaded")
    realtime_idle_minutes: float = setting(
        10.0, "minutes without a message after which a Realtime session ends; 0: any number"
    )
    recordings_at_once: int = setting(2, "recordings on the page recognised at the same time")
    recordings_waiting: int = setting(200, "further recordings on the page that may wait for their turn")
    pyannote_model: str = setting(
        "community-1", "how pyannote tells speakers apart: community-1, 3.1 or a local directory"
    )
    password: str = setting("", "the page's password; empty: it asks for none", secret=True)
    login_days: float = setting(30.0, "days after which the page asks for its password again")
    requests_per_minute: int = setting(1200, "requests a minute from one address; 0: any number")
    key_requests_per_minute: int = setting(1200, "requests a minute with one API key; 0: any number")
    sockets_per_address: int = setting(32, "WebSockets open from one address; 0: any number")
    connections: int = setting(1000, "connections of everybody together; 0: any number")
    proxies: str = setting(
        "127.0.0.1,::1", "reverse proxies whose X-Forwarded-For counts; on a Space, its own network"
    )
    cors: str = setting("", "sites whose pages may call the API, https://a.org,https://b.org; *: all")
    embed: str = setting("", "sites that may show the page in a frame; on a Space, https://huggingface.co")
    data_dir: Path = setting(Path("data"), "where recordings and their texts are kept")  # noqa: RUF009
    keep_hours: float = setting(
        0.0, "hours after which recordings and their texts are deleted; 0: never; on a Space, 24 unless set"
    )
    keep_recordings: int = setting(500, "most recordings of one browser; 0: any number")
    keep_gb: float = setting(50.0, "most disk space for the recordings of one browser, in GB; 0: any")
    keep_recordings_in_all: int = setting(5000, "most recordings of all browsers; 0: any number")
    keep_gb_in_all: float = setting(200.0, "most disk space for all recordings, in GB; 0: any")
    live_sessions: int = setting(16, "live sessions at the same time")
    live_hours: float = setting(4.0, "longest live session, in hours")
    live_pause: float = setting(0.6, "seconds of silence that end an utterance of a live session")
    live_encoder_seconds: float = setting(
        0.0,
        "pad short passes to so much, not to the model's own length: faster on CPUs, "
        "if the model bears it; 0: off",
    )
    live_behind_minutes: float = setting(
        10.0, "how far the model may fall behind a live session before that ends, at 4 MB a minute; 0: any"
    )
    live_resume_minutes: float = setting(15.0, "how long a live session that ended can be continued")
    live_keep_hours: float = setting(24.0, "how long the text of a live session is kept on disk")
    turn: str = setting("", "who relays audio to browsers far away: hf, cloudflare or twilio")
    ice_servers: str = setting(
        "", "STUN and TURN servers of your own: URLs with commas, or WebRTC's JSON", secret=True
    )
    turn_secret: str = setting("", "the static-auth-secret of your own TURN servers (coturn)", secret=True)
    cloudflare_turn_key_id: str = setting("", "for turn=cloudflare: the id of your TURN key")
    cloudflare_turn_key_api_token: str = setting("", "for turn=cloudflare: its API token", secret=True)
    twilio_account_sid: str = setting("", "for turn=twilio: the account's SID")
    twilio_auth_token: str = setting("", "for turn=twilio: its auth token", secret=True)

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Config:
        """The settings in `env`; raises ConfigError for an unknown name or an unusable value."""
        known = {f"ASR_{f.name.upper()}": f for f in fields(cls)}
        for name in env:
            if name.startswith("ASR_") and name not in known:
                near = get_close_matches(name, known, 1)
                raise ConfigError(
                    f"There is no setting {name}.",
                    f"Did you mean {near[0]}?" if near else f"There are: {', '.join(known)}.",
                )
        # An empty variable is one that was not set: compose files write them.
        values = {f.name: _parse(name, env[name], f.default) for name, f in known.items() if env.get(name)}
        # Gradio's own names count where ours are silent: images and Spaces set them.
        for ours, theirs in (("host", "GRADIO_SERVER_NAME"), ("port", "GRADIO_SERVER_PORT")):
            if ours not in values and env.get(theirs):
                values[ours] = _parse(theirs, env[theirs], getattr(cls(), ours))
        return cls(**{**(ON_A_SPACE if env.get("SPACE_ID") else {}), **values})


def space(env: Mapping[str, str] = os.environ) -> str:
    """The Hugging Face Space this runs as, owner/name; empty: it is none."""
    return env.get("SPACE_ID", "")


def on_zerogpu(env: Mapping[str, str] = os.environ) -> bool:
    """Whether this Space borrows its GPU."""
    return env.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def _parse(name: str, text: str, default):
    """`text` as the type of `default`; numbers from 0 up."""
    kind = type(default)
    try:
        value = _BOOLEAN[text.lower()] if kind is bool else kind(text)
        if isinstance(value, (int, float)) and not 0 <= value < inf:
            raise ValueError
        return value
    except (ValueError, KeyError):
        is_not = {bool: "yes or no", int: "a whole number from 0 up", float: "a number from 0 up"}
        raise ConfigError(f"{name}={text!r} is not {is_not[kind]}.", f"The default is {default}.") from None
