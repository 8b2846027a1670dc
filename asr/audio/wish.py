"""What is asked of the process that decodes, in one message of one size."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from struct import Struct
from typing import Literal

MOST = 8  # channels or files: one more has no speaker of its own
WISH = Struct("5sdqd")


@dataclass(frozen=True, slots=True)
class Wish:
    how: Literal["mix", "split", "count"]  # all channels to one, each for itself, only how many there are
    seconds: float  # of audio, at most
    memory: int  # bytes of address space
    patience: float  # seconds that it may take

    def packed(self) -> bytes:
        how, *limits = astuple(self)
        return WISH.pack(how.encode(), *limits)

    @classmethod
    def unpacked(cls, message: bytes) -> Wish:
        how, *limits = WISH.unpack(message)
        return cls(how.rstrip(b"\0").decode(), *limits)
