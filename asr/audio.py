"""Audio in, one shape out: mono, 16 kHz; int16 while it is kept, float32 in [-1, 1) when it is read.

Nothing past this module knows about containers, codecs, sample rates, channels or int16. A recording
is decoded once, block by block, into a file of bare int16 samples, so ten hours of it never stand in
memory. FFmpeg only ever sees bytes that we hand it: it opens no file and no address by itself.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np

from asr.errors import AudioError, TooLarge

SAMPLE_RATE = 16_000
RATES = range(1_000, 1_000_001)  # samples per second that a real recording may have; DSD needs 352,800

# The demuxers that read recordings. What is absent is absent on purpose: playlists, scripts and
# session descriptions (hls, concat, dash, sdp, ...) name other files, images and text are no sound.
CONTAINERS = (
    "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,dsf,dss,dts,eac3,flac,flv,gsm,ircam,loas,"
    "matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpc,mpc8,mpeg,mpegts,mxf,nistsphere,nut,ogg,oma,qcp,"
    "rm,shn,sox,tak,truehd,tta,voc,w64,wav,wtv,wv,xwma"
)
GAP = 0.2  # seconds: timestamps of sound recordings wobble by less
LONGEST_GAP = 3600.0  # seconds: a longer jump is a clock that was set anew, not a pause
KNOWN = "WAV, MP3, M4A, OGG, FLAC, WebM, MP4 and MKV always work"


@dataclass(frozen=True, slots=True)
class Limits:
    """What `decode` accepts: bytes of the file, and seconds of the audio in it."""

    bytes: int = 2 * 1024**3
    seconds: float = 12 * 3600.0


class Recording:
    """Decoded audio: int16 mono 16 kHz in memory or in a file. Reading is safe from many threads.

    `damage` says what could not be read of the source; it is empty when all was well.
    """

    def __init__(self, source: np.ndarray | BinaryIO, damage: str = ""):
        self._source, self.damage = source, damage
        if isinstance(source, np.ndarray):
            self._length = len(source)
        else:
            self._length = os.fstat(source.fileno()).st_size // 2

    @classmethod
    def open(cls, path: str | Path) -> Recording:
        """The file that an earlier `decode(..., into=path)` left; closing does not delete it."""
        return cls(open(path, "rb"))

    def __len__(self) -> int:
        """Samples."""
        return self._length

    @property
    def duration(self) -> float:
        """Seconds."""
        return self._length / SAMPLE_RATE

    @property
    def samples(self) -> np.ndarray:
        """All of it: int16 (n,), memory-mapped and read-only when it lies in a file."""
        return self._view(0, self._length)

    def read(self, start: float, stop: float) -> np.ndarray:
        """A copy of the seconds from `start` to `stop`, clipped to what there is: float32 (n,)."""
        first, last = (min(max(round(t * SAMPLE_RATE), 0), self._length) for t in (start, stop))
        return from_pcm16(self._view(first, max(first, last)))

    def blocks(self, seconds: float = 30.0) -> Iterator[np.ndarray]:
        """All of it in order, as float32 pieces of `seconds`; the last one is shorter."""
        step = max(1, round(seconds * SAMPLE_RATE))
        for first in range(0, self._length, step):
            yield from_pcm16(self._view(first, min(first + step, self._length)))

    def _view(self, first: int, last: int) -> np.ndarray:
        # Each piece is mapped afresh: pages of one lasting map would count as our memory once read.
        if isinstance(self._source, np.ndarray):
            return self._source[first:last]
        if first == last:
            return np.zeros(0, np.int16)
        return np.memmap(self._source, np.int16, "r", 2 * first, last - first)

    def close(self) -> None:
        """Let go of the audio; a temporary file is deleted by this."""
        if not isinstance(self._source, np.ndarray):
            self._source.close()

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *_) -> None:
        self.close()


def from_pcm16(samples: np.ndarray) -> np.ndarray:
    """int16 (n,) or (channels, n), as WAV and WebRTC deliver them, to float32 (n,) in [-1, 1)."""
    mono = samples.mean(axis=0, dtype=np.float32) if samples.ndim == 2 else samples.astype(np.float32)
    return mono / np.float32(32768)


def to_pcm16(audio: np.ndarray) -> np.ndarray:
    """float (n,) to int16 (n,); what is louder than full scale is clipped, never wrapped."""
    return np.clip(np.rint(audio * 32768), -32768, 32767).astype(np.int16)


class Resampler:
    """The pieces of one live stream, int16 mono (n,) at `rate`, to float32 mono 16 kHz.

    Keeps its place between pieces, so they come out without seams, some milliseconds late.
    Raises AudioError for a rate no recording has.
    """

    def __init__(self, rate: int):
        if rate not in RATES:
            raise AudioError(f"Nothing records {rate} samples per second.", "Send 16000, 24000 or 48000.")
        self._rate = rate
        self._resampler = av.AudioResampler("s16", "mono", SAMPLE_RATE) if rate != SAMPLE_RATE else None

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        if self._resampler is None or not len(samples):
            return from_pcm16(samples)
        frame = av.AudioFrame.from_ndarray(samples[None], "s16", "mono")
        frame.sample_rate = self._rate
        pieces = [out.to_ndarray()[0] for out in self._resampler.resample(frame)]
        return from_pcm16(np.concatenate(pieces) if pieces else samples[:0])


def load_audio(source: str | Path | BinaryIO | np.ndarray) -> np.ndarray:
    """All of a short recording: float32 (n,). Raises what `decode` raises."""
    with decode(source) as recording:
        return recording.read(0, recording.duration)


def decode(
    source: str | Path | BinaryIO | np.ndarray,
    limits: Limits = Limits(),
    into: Path | None = None,
    progress: Callable[[float], None] | None = None,
) -> Recording:
    """Decode any recording once. The default audio track is taken, its channels are mixed to one.

    `source` is a path, a binary stream (read from its start, left open) or float32 mono 16 kHz
    samples (n,). With `into`, the int16 samples are kept in that file; otherwise they disappear
    with the Recording. `progress` is told the seconds decoded so far, about once per second of
    audio; whatever it raises stops the decoding and comes through. Nothing is left behind then.

    Raises AudioError when there is no audio in it that we can decode, TooLarge beyond `limits`.
    """
    if isinstance(source, np.ndarray):
        samples = _checked(source)
        if into is None:
            _refuse_longer(len(samples), limits)
            return Recording(samples)
        return _keep(iter([samples]), limits, into, progress, [])
    damage: list[str] = []
    with _opened(source, limits.bytes) as file, _demuxed(file) as container:
        return _keep(_decoded(container, damage), limits, into, progress, damage)


def _checked(audio: np.ndarray) -> np.ndarray:
    if audio.ndim != 1 or audio.dtype.kind != "f" or not np.isfinite(audio).all():
        raise AudioError(
            f"These samples are {audio.dtype} with the shape {audio.shape}, or not all are numbers.",
            "Give finite float32 samples (n,), mono, at 16 kHz.",
        )
    return to_pcm16(audio)


def _refuse_longer(samples: int, limits: Limits) -> None:
    if samples > limits.seconds * SAMPLE_RATE:
        raise TooLarge(
            f"The audio is longer than the {limits.seconds / 3600:.3g} hours allowed here.",
            "Cut it into shorter recordings, or raise ASR_MAX_AUDIO_HOURS.",
        )


@contextmanager
def _opened(source: str | Path | BinaryIO, most: int) -> Iterator[BinaryIO]:
    """`source` as a seekable stream at its start, of at most `most` bytes."""
    try:
        file = source if hasattr(source, "read") else open(source, "rb")  # noqa: SIM115
    except (OSError, ValueError) as e:
        raise AudioError(f"{source} cannot be opened: {_reason(e)}.", "Check the path.") from e
    try:
        if file.seekable():
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            _refuse_bigger(size, most)
            yield file
        else:
            with tempfile.TemporaryFile() as copy:
                _copy(file, copy, most)
                yield copy
    finally:
        if file is not source:
            file.close()


def _copy(stream: BinaryIO, copy: BinaryIO, most: int) -> None:
    """A pipe cannot be wound back, and many containers keep their index at the end."""
    size = 0
    while piece := stream.read(1 << 20):
        size += len(piece)
        _refuse_bigger(size, most)
        copy.write(piece)
    copy.seek(0)


def _refuse_bigger(size: int, most: int) -> None:
    if size == 0:
        raise AudioError("The file is empty.", "Was it uploaded or recorded completely? Try again.")
    if size > most:
        raise TooLarge(
            f"The file is larger than the {most / 2**20:.4g} MiB allowed here.",
            "Send only the sound (M4A or MP3 are small), or raise ASR_MAX_UPLOAD_MB.",
        )


class _Bytes:
    """All that FFmpeg gets to see of a file: no name, no descriptor."""

    def __init__(self, file: BinaryIO):
        self.read, self.seek, self.tell = file.read, file.seek, file.tell


@contextmanager
def _demuxed(file: BinaryIO) -> Iterator[av.container.InputContainer]:
    try:
        container = av.open(
            _Bytes(file),
            io_open=_nothing_else,
            metadata_errors="replace",
            container_options={"format_whitelist": CONTAINERS, "protocol_whitelist": "none"},
        )
    except (av.FFmpegError, ValueError) as e:
        raise AudioError(f"This is no recording that we can read ({_reason(e)}).", f"{KNOWN}.") from e
    with container:
        yield container


def _nothing_else(url: str, flags: int, options: dict):
    raise PermissionError("a recording may not open other files")


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _decoded(container: av.container.InputContainer, damage: list[str]) -> Iterator[np.ndarray]:
    """int16 blocks of the default audio track, silence where its timestamps leave gaps."""
    track = container.streams.best("audio")
    if track is None or track.codec_context is None:
        raise AudioError("There is no sound in this file.", "Choose a recording with an audio track.")
    zero, heard, mixer = (container.start_time or 0) / 1e6, 0.0, _Mixer()
    for frame in _frames(container, track, damage):
        late = 0.0 if frame.time is None else frame.time - zero - heard
        if GAP < late <= LONGEST_GAP:
            yield from mixer.flush()
            yield np.zeros(round(late * SAMPLE_RATE), np.int16)
            heard += late
        elif late > LONGEST_GAP or late < -10:
            zero += late
        heard += frame.samples / frame.sample_rate
        yield from mixer.mix(frame)
    yield from mixer.flush()


def _frames(container, track, damage: list[str]) -> Iterator[av.AudioFrame]:
    """Every frame that decodes; packets that do not are skipped and counted in `damage`."""
    bad = 0
    packets = container.demux(track)
    while True:
        try:
            frames = next(packets).decode()
        except StopIteration:
            break
        except av.InvalidDataError:
            bad += 1
            continue
        except av.FFmpegError as e:
            damage.append(f"reading stopped early: {_reason(e)}")
            break
        for frame in frames:
            if frame.sample_rate not in RATES:
                raise AudioError(
                    f"The file says it has {frame.sample_rate} samples per second; no recording has.",
                    "Export it again as WAV or MP3.",
                )
            yield frame
    if bad:
        damage.append(f"{bad} damaged packets were skipped")


class _Mixer:
    """Frames of any format to int16 mono 16 kHz; made anew whenever the format changes."""

    def __init__(self):
        self._resampler, self._shape = None, None

    def mix(self, frame: av.AudioFrame) -> Iterator[np.ndarray]:
        _numbers_only(frame)
        shape = frame.format.name, frame.layout.name, frame.sample_rate
        if shape != self._shape:
            yield from self.flush()
            self._resampler = av.AudioResampler("s16", "mono", SAMPLE_RATE)
            self._shape = shape
        frame.pts = None
        yield from self._blocks(frame)

    def flush(self) -> Iterator[np.ndarray]:
        if self._resampler:
            yield from self._blocks(None)
        self._resampler, self._shape = None, None

    def _blocks(self, frame: av.AudioFrame | None) -> Iterator[np.ndarray]:
        for out in self._resampler.resample(frame):
            if out is not None:
                yield out.to_ndarray()[0]


def _numbers_only(frame: av.AudioFrame) -> None:
    """Float formats can hold NaN and infinity, which would spoil all that the resampler makes."""
    kind = {"flt": np.float32, "dbl": np.float64}.get(frame.format.packed.name)
    if kind:
        for plane in frame.planes:
            values = np.frombuffer(plane, kind)
            if not np.isfinite(values).all():
                np.nan_to_num(values, copy=False, nan=0.0, posinf=0.0, neginf=0.0)


def _keep(
    blocks: Iterable[np.ndarray], limits: Limits, into: Path | None, progress, damage: list[str]
) -> Recording:
    """Write the blocks to a file that vanishes when closed, or to `into`, whole or not at all."""
    if into is None:
        file = tempfile.TemporaryFile()  # noqa: SIM115
    else:
        part = tempfile.NamedTemporaryFile(dir=Path(into).parent, suffix=".part", delete=False)  # noqa: SIM115
        file = part.file
    try:
        _write(blocks, file, limits, progress)
        file.flush()
        if into is not None:
            file.close()
            os.replace(part.name, into)
            file = open(into, "rb")  # noqa: SIM115
        return Recording(file, "; ".join(damage))
    except BaseException as e:
        file.close()
        if into is not None:
            with suppress(FileNotFoundError):
                os.unlink(part.name)
        if isinstance(e, (av.FFmpegError, ValueError)):
            raise AudioError(f"This recording cannot be decoded ({_reason(e)}).", f"{KNOWN}.") from e
        raise


def _write(blocks: Iterable[np.ndarray], file: BinaryIO, limits: Limits, progress) -> None:
    written = told = 0
    for block in blocks:
        written += len(block)
        _refuse_longer(written, limits)
        file.write(block.tobytes())
        if progress and written - told >= SAMPLE_RATE:
            progress(written / SAMPLE_RATE)
            told = written
    if not written:
        raise AudioError("Nothing in this file could be decoded.", "It may be cut off: get it again.")
