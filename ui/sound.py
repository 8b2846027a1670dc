"""A recording's sound for an <audio> element, which asks for ranges of bytes.

What browsers play is sent as it came. Of anything else they get the decoded audio as a WAV that is
nowhere on disk: 44 bytes of header, then the bytes of the file that we decoded it into.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path

from starlette.responses import FileResponse, Response, StreamingResponse

from asr.audio import SAMPLE_RATE

HEAD = 44
BLOCK = 2**16
_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")


def original(path: Path) -> Response:
    """The recording as it came."""
    response = FileResponse(path)
    return _as_sound(response)


def wav(pcm: Path, range_asked: str = "") -> Response:
    """`pcm` (int16 mono 16 kHz, without a header) as a WAV file, or the range of it that was asked for."""
    total = HEAD + pcm.stat().st_size
    span = _span(range_asked, total)
    if span is None:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{total}"})
    first, last = span
    headers = {"Accept-Ranges": "bytes", "Content-Length": str(last - first + 1)}
    if range_asked:
        headers["Content-Range"] = f"bytes {first}-{last}/{total}"
    sound = StreamingResponse(
        _bytes(pcm, first, last), 206 if range_asked else 200, headers, media_type="audio/wav"
    )
    return _as_sound(sound)


def _as_sound(response: Response) -> Response:
    """Whatever somebody uploaded, no browser shall take it for a page."""
    kind = response.headers.get("content-type", "")
    if not kind.startswith(("audio/", "video/")):
        response.headers["Content-Type"] = "application/octet-stream"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "private, no-cache"
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return response


def _span(asked: str, total: int) -> tuple[int, int] | None:
    """First and last byte; None where there is no such range (RFC 9110, 14.1.2). One range only."""
    if not asked:
        return 0, total - 1
    found = _RANGE.fullmatch(asked.replace(" ", ""))
    if not found or found[1] == found[2] == "":
        return None
    if not found[1]:
        return (max(0, total - int(found[2])), total - 1) if int(found[2]) else None
    first, last = int(found[1]), min(int(found[2] or total), total - 1)
    return (first, last) if first <= last else None


def _bytes(pcm: Path, first: int, last: int) -> Iterator[bytes]:
    if first < HEAD:
        yield header(pcm.stat().st_size)[first : last + 1]
    with open(pcm, "rb") as file:
        file.seek(max(0, first - HEAD))
        left = last + 1 - max(first, HEAD)
        while left > 0 and (block := file.read(min(BLOCK, left))):
            left -= len(block)
            yield block


def header(size: int) -> bytes:
    """The head of a WAV file with `size` bytes of int16 mono 16 kHz; its lengths end at 4 GiB."""
    size = min(size, 2**32 - HEAD)
    chunk = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, SAMPLE_RATE, 2 * SAMPLE_RATE, 2, 16)
    return (
        struct.pack("<4sI4s", b"RIFF", size + HEAD - 8, b"WAVE") + chunk + struct.pack("<4sI", b"data", size)
    )
