"""What a server's refusals mean to people: a sentence for what happened, and one for what to do."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from time import time

from asr.errors import ASRError, BackendUnavailable, UnknownModel, Unsupported

SAID = 200  # characters of a server's own words that are passed on
_WRONG = "not exist|not found|not have|unknown|invalid|required|missing|no such"
_NO_MODEL = re.compile(rf"(?i)model\b.{{0,80}}({_WRONG})|({_WRONG}).{{0,20}}\bmodel")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: read to its end, and no larger than we allow."""

    status: int
    media: str  # lower case, without parameters
    body: bytes = field(repr=False)
    retry_after: str = ""
    location: str = ""

    @property
    def is_page(self) -> bool:
        """Whether this is a web page, which no API sends."""
        begins = self.body[:64].lstrip().lower()
        return self.media == "text/html" or begins.startswith((b"<!doctype", b"<html"))


def said(answer: Answer, secret: str = "") -> str:
    """The server's own words, short, on one line and without `secret`; "" for a web page."""
    if answer.is_page:
        return ""
    text = _message(answer.body.decode("utf-8", "replace"))
    text = text.replace(secret, "…") if secret else text
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:SAID]


def _message(text: str) -> str:
    """The message in the shapes of OpenAI, of FastAPI and of plain text."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text
    for key in ("error", "detail", "message"):
        if isinstance(found, dict) and key in found:
            found = found[key]
    if isinstance(found, list) and found and isinstance(found[0], dict):  # FastAPI: what is wrong, and where
        where = ".".join(str(part) for part in found[0].get("loc", []))
        found = f"{where}: {found[0].get('msg', '')}"
    return found if isinstance(found, str) else text


def retry_after(answer: Answer) -> float:
    """Seconds the server asks us to wait; 0 where it does not say. Both forms of RFC 9110, 10.2.3."""
    text = answer.retry_after.strip()
    if re.fullmatch(r"\d{1,9}(\.\d+)?", text):
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time())
    except (ValueError, TypeError):
        return 0.0


def refusal(answer: Answer, host: str, token: str, model: str = "") -> ASRError:
    """The error for an answer that trying again does not change."""
    words = said(answer, token)
    quoted = f" It says: {words}" if words else ""
    match answer.status:
        case 401 | 403 if not token:
            return BackendUnavailable(f"{host} asks for a token.{quoted}", "Set ASR_ENDPOINT_TOKEN.")
        case 401 | 403:
            return BackendUnavailable(
                f"{host} does not accept the token ({answer.status}).{quoted}",
                "Set ASR_ENDPOINT_TOKEN to one that may use this endpoint.",
            )
        case _ if answer.is_page and answer.status in (200, 404, 405):
            return BackendUnavailable(
                f"{host} answers with a web page where its API should be.",
                "Set ASR_ENDPOINT_URL to the address of the API, up to and with its /v1.",
            )
        case 400 | 404 | 422 if _NO_MODEL.search(words):
            named = f"the model {model!r}" if model else "a model of no name"
            fix = "Set ASR_ENDPOINT_MODEL to one it has."
            return UnknownModel(f"{host} does not have {named}.{quoted}", fix)
        case 404 | 405:
            return BackendUnavailable(
                f"There is no transcription API at this address of {host} ({answer.status}).",
                "Set ASR_ENDPOINT_URL to the address up to and with its /v1.",
            )
        case 413:
            return BackendUnavailable(
                f"{host} does not take uploads as large as 30 s of audio (413).{quoted}",
                "Raise the limit of the server, or of the proxy before it, to 2 MB.",
            )
        case 415:
            return BackendUnavailable(
                f"{host} takes neither FLAC nor WAV (415).{quoted}", "Use a server that reads one of them."
            )
        case status if 300 <= status < 400:
            return BackendUnavailable(
                f"{host} sends us on to another address ({status}).",
                "Set ASR_ENDPOINT_URL to where it leads: the token is not sent anywhere else.",
            )
        case 400 | 422:
            return Unsupported(
                f"{host} refuses the request ({answer.status}).{quoted}", "Leave out what it names."
            )
    return BackendUnavailable(
        f"{host} failed ({answer.status}).{quoted}", "The log of that server says more."
    )
