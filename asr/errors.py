"""Everything this package raises on purpose.

Each error says what happened and, where somebody can do something about it, the fix;
each knows the HTTP status it deserves.

    ASRError                  500
    ├── ConfigError           500   a setting that cannot be used; the app does not start
    ├── AudioError            400   the bytes are not audio we can decode
    │   └── TooLarge          413   more bytes or more seconds than the limits allow
    ├── Unsupported           400   this backend cannot do what was asked
    ├── UnknownModel          404   no such backend or model
    ├── UnknownSession        404   no live session of that id, or no more
    ├── SessionOver           410   a live session that takes no more audio
    ├── UnknownJob            404   no recording of that id, or not this person's
    ├── Conflict              409   somebody else changed it meanwhile, or it is being worked on
    ├── QuotaExceeded         413   more recordings, or more bytes of them, than may be kept
    ├── BackendUnavailable    503   its library, weights or server cannot be had now
    ├── Busy                  503   every place is taken; try again later
    └── Cancelled             499   whoever asked has gone away
"""

from __future__ import annotations


class ASRError(Exception):
    """`what` happened, and the `fix`: what to do about it. Both are sentences."""

    status = 500

    def __init__(self, what: str, fix: str = ""):
        super().__init__(f"{what} {fix}".strip())
        self.what, self.fix = what, fix


class ConfigError(ASRError):
    pass


class AudioError(ASRError):
    status = 400


class TooLarge(AudioError):
    status = 413


class Unsupported(ASRError):
    status = 400


class UnknownModel(ASRError):
    status = 404


class UnknownSession(ASRError):
    status = 404


class SessionOver(ASRError):
    status = 410


class UnknownJob(ASRError):
    status = 404


class Conflict(ASRError):
    status = 409


class QuotaExceeded(ASRError):
    status = 413


class BackendUnavailable(ASRError):
    status = 503


class Busy(ASRError):
    status = 503


class Cancelled(ASRError):
    status = 499
