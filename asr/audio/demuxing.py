"""What FFmpeg finds in a file, and the frames of its sound. FFmpeg is trusted in nothing.

It sees only the bytes that we hand it: it opens no file and no address by itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import av
from av.container import InputContainer

from asr.audio.pcm import RATES
from asr.errors import AudioError

# The demuxers that read recordings. What is absent is absent on purpose: playlists, scripts and session
# descriptions (hls, concat, dash, sdp, ...) name other files; images and text are no sound.
CONTAINERS = (
    "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,dsf,dss,dts,eac3,flac,flv,gsm,ircam,loas,"
    "matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpc,mpc8,mpeg,mpegts,mxf,nistsphere,nut,ogg,oma,qcp,"
    "rm,shn,sox,tak,truehd,tta,voc,w64,wav,wtv,wv,xwma"
)
PATIENCE = 1000  # errors without a packet between them; an Ogg file takes one to skip 64 KB of damage
TRAILER = 1 << 20  # bytes: what follows the sound in a WAV, titles and covers, is shorter
COMMON = "WAV, MP3, M4A, OGG, FLAC, WebM, MP4 and MKV all work."


class _Bytes:
    """All that FFmpeg gets to see of a file: no name, no descriptor."""

    def __init__(self, file: BinaryIO):
        self.read, self.seek, self.tell = file.read, file.seek, file.tell


@contextmanager
def demuxed(file: BinaryIO) -> Iterator[InputContainer]:
    """The file as a container of tracks; raises AudioError where it is none that we read."""
    rules = {"format_whitelist": CONTAINERS, "protocol_whitelist": "none"}
    if _outgrew_its_header(file):
        rules["ignore_length"] = "1"
    try:
        container = av.open(
            _Bytes(file), io_open=_nothing_else, metadata_errors="replace", container_options=rules
        )
    except MemoryError:  # is an FFmpegError as well, and no fault that can be skipped
        raise
    except (av.FFmpegError, OSError, ValueError) as e:
        fix = f"If it is one, it was cut off or damaged on its way: get it again. {COMMON}"
        raise AudioError("This is not an audio or video file that can be read.", fix) from e
    with container:
        yield container


def _outgrew_its_header(file: BinaryIO) -> bool:
    """Whether this is a WAV longer than it says: above 4 GiB, or of a recorder that was switched off."""
    head = file.read(8)
    size = file.seek(0, os.SEEK_END) or file.tell()
    file.seek(0)
    return head[:4] == b"RIFF" and int.from_bytes(head[4:], "little") + TRAILER < size


def _nothing_else(url: str, flags: int, options: dict):
    raise PermissionError("it wants to open other files")


def reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()


def track(container: InputContainer) -> av.AudioStream:
    """The audio track a player would choose."""
    if not container.streams.audio:
        raise AudioError("There is no sound in this file.", "Choose a recording with an audio track.")
    best = container.streams.best("audio")
    if best is None or best.codec_context is None:
        raise AudioError("Its sound is in a format that cannot be decoded.", COMMON)
    return best


def claimed(container: InputContainer, audio: av.AudioStream) -> float:
    """Seconds that the file says its sound lasts; 0 where FFmpeg could only guess."""
    kind = container.format.name
    if audio.duration and kind.startswith(("mov", "flac")):
        return float(audio.duration * audio.time_base)
    if container.duration and len(container.streams) == 1 and kind.startswith("matroska"):
        return container.duration / av.time_base
    return 0.0


def frames(container: InputContainer, audio: av.AudioStream, damage: list[str]) -> Iterator[av.AudioFrame]:
    """Every frame that decodes. What does not is skipped and counted; `damage` says so."""
    bad = 0
    for packet in _packets(container, audio, damage):
        if packet.has_sidedata("encryption_info"):
            raise AudioError("The recording is locked (DRM).", "Get a copy without copy protection.")
        try:
            decoded = packet.decode()
        except MemoryError:
            raise
        except av.FFmpegError:
            bad += 1
            continue
        for frame in decoded:
            if frame.sample_rate not in RATES:
                raise AudioError(
                    f"It claims {frame.sample_rate} samples per second, which no recording has.",
                    "Export it again as WAV or MP3.",
                )
            yield frame
    if bad:
        damage.append(f"Damaged pieces of it were skipped ({bad}).")


def _packets(container: InputContainer, audio: av.AudioStream, damage: list[str]) -> Iterator[av.Packet]:
    """Every packet that can be read, also behind a damaged stretch: FFmpeg goes on if asked again."""
    failed = 0
    while failed < PATIENCE:
        try:
            for packet in container.demux(audio):
                failed = 0
                yield packet
            return
        except IndexError:  # PyAV, at the end, over tracks that appeared on the way
            return
        except MemoryError:
            raise
        except (av.FFmpegError, OSError) as e:
            failed, error = failed + 1, e
            if failed == 1:
                damage.append("A damaged stretch of it was skipped.")
    damage.append(f"Reading it stopped early: {reason(error)}.")
