"""`diarized_json`: who says what, and which of them is known by a reference clip.

As with OpenAI, speakers are called A, B, ... in the order in which they first speak, or by the names in
`known_speaker_names[]`. Who cannot be told is "unknown".
"""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count, product
from pathlib import Path
from string import ascii_uppercase
from typing import BinaryIO

import anyio
import numpy as np

from asr.api.errors import Refused
from asr.api.schema import Transcription
from asr.api.server import Server
from asr.audio import SAMPLE_RATE, Limits, Recording, decode
from asr.diarize import diarize, enrolment
from asr.errors import AudioError
from asr.speakers import assign, merged, names
from asr.types import Segment
from asr.vad.spans import FRAME, THRESHOLD

SHORTEST, LONGEST = 2.0, 10.0  # seconds of a reference clip, as with OpenAI
TOLERANCE = 0.1  # seconds: encoders pad
BYTES = 4 * 2**20  # of one clip: 10 s of stereo at 96 kHz and 16 bits
REFERENCES = "known_speaker_references[]"


@dataclass(frozen=True, slots=True)
class Known:
    """What a request says about who speaks."""

    clips: dict[str, np.ndarray]  # speech of people, by name: float32 (n,)
    source: Path | None  # the file as it was sent: its channels may be speakers


async def known(server: Server, ask: object, file: BinaryIO) -> Known:
    """The reference clips, decoded, and where the file can be opened once more. Raises Refused."""
    source = Path(f"/proc/self/fd/{file.fileno()}")  # it has no name, and only Linux gives it one
    clips = {}
    if isinstance(ask, Transcription):
        for name, url in zip(ask.known_speaker_names, ask.known_speaker_references, strict=True):
            clips[name] = await anyio.to_thread.run_sync(_clip, server, name, url)
    return Known(clips, source if source.exists() else None)


async def told_apart(
    server: Server, recording: Recording, heard: Sequence[Segment], known: Known
) -> tuple[Segment, ...]:
    """The segments with speakers, as OpenAI names them. Whoever stops waiting stops the work."""
    if not heard:
        return ()
    return await anyio.to_thread.run_sync(partial(_told_apart, server, recording, heard, known))


def _told_apart(server, recording, heard, known: Known) -> tuple[Segment, ...]:
    found = diarize(
        recording,
        source=known.source,
        config=server.config,
        progress=lambda _: anyio.from_thread.check_cancelled(),
    )
    clips, segments = known.clips, assign(heard, found)
    for speaker, name in enrolment.known(recording, found.exclusive, clips).items():
        segments = merged(segments, {speaker}, name)
    letters = _letters(besides=clips)
    for speaker in [s for s in names(segments) if s not in clips]:
        segments = merged(segments, {speaker}, next(letters))
    return segments


def _letters(besides: Collection[str]) -> Iterator[str]:
    """A, B, ... Z, AA, AB, ..., without those that are names already."""
    made = ("".join(letters) for length in count(1) for letters in product(ascii_uppercase, repeat=length))
    return (letter for letter in made if letter not in besides)


def _clip(server: Server, name: str, url: str) -> np.ndarray:
    """The speech in a data URL."""
    try:
        with decode(io.BytesIO(_data(url)), Limits(BYTES, LONGEST + TOLERANCE)) as recording:
            audio = recording.read(0, recording.duration)
    except AudioError as e:
        raise _refused(name, f"cannot be used. {e.what}") from e
    if recording.duration < SHORTEST - TOLERANCE:
        raise _refused(name, f"is {recording.duration:.1f} seconds long.")
    whole = len(audio) // FRAME
    frames = audio[: whole * FRAME].reshape(-1, FRAME)
    speech = frames[server.vad()(audio)[:whole] >= THRESHOLD].ravel()
    if len(speech) < enrolment.LEAST * SAMPLE_RATE:
        raise _refused(name, "has less than a second of speech in it.")
    return speech


def _data(url: str) -> bytes:
    """What stands in a data URL (RFC 2397); its media type is not believed anyway."""
    head, comma, data = url.partition(",")
    if not head.startswith("data:") or not head.endswith(";base64") or not comma:
        what = "A reference must be a data URL: data:audio/wav;base64,..."
        raise Refused(what, param=REFERENCES, code="invalid_value")
    if len(data) > 4 * BYTES // 3 + 4:
        raise Refused(f"A reference is larger than {BYTES} bytes.", param=REFERENCES, code="string_too_long")
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise Refused("A reference is not Base64.", param=REFERENCES, code="invalid_value") from None


def _refused(name: str, why: str) -> Refused:
    return Refused(
        f"The reference for '{name}' {why}",
        f"Send {SHORTEST:.0f} to {LONGEST:.0f} seconds of one person speaking.",
        param=REFERENCES,
        code="invalid_value",
    )
