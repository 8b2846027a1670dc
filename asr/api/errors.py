"""Errors as OpenAI words them: `{"error": {message, type, param, code}}` with the right status.

The shape and the codes are those of OpenAI's own answers (its error guide, and what its API
sends): SDKs read them, and retry 429 and 5xx after the seconds that Retry-After says.
"""

from __future__ import annotations

import logging

from fastapi.responses import JSONResponse
from pydantic import ValidationError

from asr import logs
from asr.errors import (
    ASRError,
    AudioError,
    BackendUnavailable,
    Busy,
    Cancelled,
    TooLarge,
    UnknownModel,
    Unsupported,
)

log = logging.getLogger(__name__)

# The most particular class comes first: the first that fits gives the code and the parameter.
_CODES: list[tuple[type[ASRError], str, str | None]] = [
    (TooLarge, "file_too_large", "file"),
    (AudioError, "invalid_value", "file"),
    (UnknownModel, "model_not_found", "model"),
    (Unsupported, "unsupported_value", None),
    (BackendUnavailable, "model_unavailable", "model"),
    (Busy, "overloaded", None),
    (Cancelled, "client_closed_request", None),
]


class Refused(ASRError):
    """A request the API does not serve, and which parameter is to blame."""

    def __init__(
        self, what: str, fix: str = "", *, status=400, param: str | None = None, code: str | None = None
    ):
        super().__init__(what, fix)
        self.status, self.param, self.code = status, param, code


def status_of(error: Exception) -> int:
    return error.status if isinstance(error, ASRError) else 500


def described(error: Exception) -> dict:
    """The `error` object. What we did not raise on purpose is logged, and its text kept to ourselves."""
    if isinstance(error, Refused):
        param, code = error.param, error.code
    else:
        param, code = next(((p, c) for kind, c, p in _CODES if isinstance(error, kind)), (None, None))
    if not isinstance(error, ASRError):
        log.error("The request failed.", exc_info=error)
    known = str(error) if isinstance(error, ASRError) else f"Something went wrong on our side. {logs.seen()}"
    return {"message": known, "type": _type(status_of(error)), "param": param, "code": code}


def response(error: Exception) -> JSONResponse:
    headers = {"Retry-After": str(getattr(error, "retry_after", 5))} if status_of(error) in (429, 503) else {}
    if status_of(error) == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse({"error": described(error)}, status_of(error), headers)


def sentence(error: ASRError) -> JSONResponse:
    """For our own page, which shows it to people: what happened, and the fix."""
    headers = {"Cache-Control": "no-store"}
    if wait := getattr(error, "retry_after", None):
        headers["Retry-After"] = str(wait)
    return JSONResponse({"error": {"what": error.what, "fix": error.fix}}, error.status, headers)


def refusal(error: ValidationError, names: dict[str, str], prefix: str = "") -> Refused:
    """The first thing pydantic found, as OpenAI would say it. `names`: field -> its name on the wire."""
    first = error.errors(include_url=False, include_input=False)[0]
    head, *rest = [str(part) for part in first["loc"]] or [""]
    rest = [
        part for part in rest if part.isidentifier() and part.islower()
    ]  # no indices, no names of our classes
    param = prefix + ".".join([names.get(head, head), *rest])
    match first["type"]:
        case "missing":
            what, code = f"Missing required parameter: '{param}'.", "missing_required_parameter"
        case "extra_forbidden":
            what, code = f"Unknown parameter: '{param}'.", "unknown_parameter"
        case "literal_error" | "enum":
            what = f"Invalid value for '{param}'. Supported values are: {first['ctx']['expected']}."
            code = "invalid_value"
        case _:
            what, code = f"Invalid value for '{param}': {first['msg']}.", "invalid_value"
    return Refused(what, param=param, code=code)


def _type(status: int) -> str:
    if status == 429:
        return "rate_limit_error"
    return "invalid_request_error" if status < 500 else "server_error"
