"""Files that must not hurt us, and odd ones that people really have. All are made here, none is stored.

    path = write(tmp_path, "cover.mp3")

`REFUSED` must end in an AudioError; `HEARD` must give about so many seconds of sound. Each value makes
the bytes of the file that the key names.
"""

from __future__ import annotations

import gzip
import io
import json
import struct
import zipfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

RATE = 16_000
SECRET, SPY = "/tmp/secret.ts", "http://127.0.0.1:9/secret.ts"  # where the playlists lead unless told


def write(folder: Path, name: str) -> Path:
    """The file of that name, from REFUSED or HEARD, in `folder`."""
    make = REFUSED[name] if name in REFUSED else HEARD[name][1]
    (path := folder / name).write_bytes(make())
    return path


# -- sound, and containers for it


def tone(seconds: float = 1.0, rate: int = RATE, hz: float = 440.0) -> np.ndarray:
    """int16 (n,) at half of full scale."""
    return (16_384 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype("<i2")


def wav(data: bytes | None = None, *, channels=1, rate=RATE, bits=16, tag=1, size: int = -1) -> bytes:
    """A WAV whose header may say anything; a tone of one second if no `data` is given."""
    data = tone().tobytes() if data is None else data
    align = channels * bits // 8 & 0xFFFF
    form = struct.pack("<HHIIHH", tag, channels, rate, rate * align & 0xFFFFFFFF, align, bits)
    head = b"WAVEfmt " + struct.pack("<I", len(form)) + form
    head += b"data" + struct.pack("<I", len(data) if size < 0 else size)
    return b"RIFF" + struct.pack("<I", len(head) + len(data)) + head + data


def signed(wav: bytes) -> bytes:
    """The same sound with a few bytes after its end, so that only FFmpeg takes it."""
    return wav + b"JUNK\0\0\0\0"


def floats(kind: str, *values: float) -> bytes:
    """A WAV of one second, whose float samples repeat `values`."""
    data = np.resize(np.array(values, kind), RATE)
    return wav(data.tobytes(), bits=data.itemsize * 8, tag=3)


def encode(container: str, *tracks: tuple[str, np.ndarray, int], film: float = 0.0, **more) -> bytes:
    """Tracks (codec, int16 (n,), rate) in a container.

    `film`: seconds of picture. `more`: layout, metadata, options (the muxer's), later (seconds that a track
    starts late), jump (what becomes of a packet's time).
    """
    out = io.BytesIO()
    with av.open(out, "w", format=container, container_options=more.get("options", {})) as f:
        f.metadata.update(more.get("metadata", {}))
        layout = more.get("layout", "mono")
        streams = [f.add_stream(codec, rate=rate, layout=layout) for codec, _, rate in tracks]
        picture = f.add_stream("mpeg4", rate=10, width=32, height=32) if film else None
        packets = [p for s, track in zip(streams, tracks, strict=True) for p in _packets(s, track[1])]
        move = more.get("jump", lambda t: t + more.get("later", 0.0))
        for p in packets:
            p.pts = p.dts = round(move(float(p.pts * p.time_base)) / p.time_base)
        packets += _film(picture, film) if picture else []
        for p in packets if "jump" in more else sorted(packets, key=lambda p: p.pts * p.time_base):
            f.mux(p)
    return out.getvalue()


def _packets(stream, samples: np.ndarray) -> list[av.Packet]:
    spread = np.repeat(samples, stream.layout.nb_channels)[None]
    frame = av.AudioFrame.from_ndarray(spread, "s16", stream.layout)
    frame.rate, frame.pts, frame.time_base = stream.rate, 0, Fraction(1, stream.rate)
    stream.codec_context.open()
    size = stream.codec_context.frame_size or 1024
    resampler = av.AudioResampler(stream.format, stream.layout, stream.rate, frame_size=size)
    pieces = [piece for piece in [*resampler.resample(frame), *resampler.resample(None)] if piece]
    return [p for piece in [*pieces, None] for p in stream.encode(piece) if p.pts is not None]


def _film(stream, seconds: float) -> list[av.Packet]:
    pictures = [av.VideoFrame(32, 32, "yuv420p") for _ in range(round(10 * seconds))]
    for i, picture in enumerate(pictures):
        picture.pts = i
    return [p for picture in [*pictures, None] for p in stream.encode(picture)]


def mp3(seconds: float = 1.0, rate: int = 44_100) -> bytes:
    return encode("mp3", ("libmp3lame", tone(seconds, rate), rate))


def ogg(seconds: float = 1.0, serial: int = 1, hz: float = 440.0) -> bytes:
    options = {"serial_offset": str(serial)}
    return encode("ogg", ("libopus", tone(seconds, 48_000, hz), 48_000), options=options)


def flac(samples: np.ndarray, rate: int = RATE) -> bytes:
    return encode("flac", ("flac", samples, rate))


def mp4(seconds: float = 1.0, **more) -> bytes:
    return encode("mp4", ("aac", tone(seconds, 48_000), 48_000), **more)


def mkv(seconds: float = 1.0, **more) -> bytes:
    return encode("matroska", ("pcm_s16le", tone(seconds), RATE), **more)


def ts(seconds: float = 1.0, later: float = 0.0) -> bytes:
    return encode("mpegts", ("aac", tone(seconds, 48_000), 48_000), later=later)


# -- harm


def _outgrown(data: bytes) -> bytes:
    """A WAV whose header knows of its first half second only."""
    return data[:4] + struct.pack("<I", 16_036) + data[8:40] + struct.pack("<I", 16_000) + data[44:]


def hurt(data: bytes, share: float = 0.03, seed: int = 0) -> bytes:
    """The same file with a stretch in its middle overwritten by noise."""
    middle, length = len(data) // 2, int(len(data) * share)
    return data[:middle] + np.random.default_rng(seed).bytes(length) + data[middle + length :]


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def fuzzed(data: bytes, seed: int) -> bytes:
    """The same file with some bytes changed, a piece lost or a piece twice."""
    rng, out = np.random.default_rng(seed), bytearray(data)
    for at in rng.integers(0, len(out), rng.integers(1, 30)):
        out[at] = rng.integers(256)
    first, last = sorted(int(n) for n in rng.integers(0, len(out), 2))
    return bytes([out, out[:first] + out[last:], out[:last] + out[first:]][rng.integers(3)])


def playlists(secret: str = SECRET, spy: str = SPY) -> dict[str, bytes]:
    """Files that ask their reader to open other files and addresses."""
    end = "#EXT-X-ENDLIST\n"
    m3u8 = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:9\n#EXT-X-MEDIA-SEQUENCE:0\n"
    mpd = (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'mediaPresentationDuration="PT9S" profiles="urn:mpeg:dash:profile:isoff-main:2011"><Period>'
        '<AdaptationSet mimeType="audio/mp4"><Representation id="1" bandwidth="1">'
        "<BaseURL>{}</BaseURL></Representation></AdaptationSet></Period></MPD>"
    )
    sdp = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n"
    return {
        "local.m3u8": f"{m3u8}#EXTINF:9,\n{secret}\n{end}".encode(),
        "spy.m3u8": f"{m3u8}#EXTINF:9,\n{spy}\n{end}".encode(),
        "key.m3u8": f'{m3u8}#EXT-X-KEY:METHOD=AES-128,URI="{spy}"\n#EXTINF:9,\n{secret}\n{end}'.encode(),
        "recording.mp3": f"{m3u8}#EXTINF:9,\nconcat:{secret}|{secret}\n{end}".encode(),
        "list.ffconcat": f"ffconcat version 1.0\nfile {Path(secret).name}\n".encode(),
        "local.mpd": mpd.format(f"file://{secret}").encode(),
        "spy.mpd": mpd.format(spy).encode(),
        "session.sdp": sdp.encode(),
        "radio.asx": f'<asx version="3.0"><entry><ref href="{spy}"/></entry></asx>'.encode(),
        "radio.pls": f"[playlist]\nFile1={spy}\nFile2={secret}\nNumberOfEntries=2\n".encode(),
        "reference.mov": _reference(secret),
    }


def _reference(path: str) -> bytes:
    """A QuickTime film that is silent itself and says that its sound lies in another file, at `path`."""
    name = path.encode()
    alias = bytes(10) + b"\x01x" + bytes(26 + 12) + b"\x01x" + bytes(62 + 16)
    alias += struct.pack(">HH", 1, 1) + bytes(16) + struct.pack(">HH", 18, len(name)) + name
    entry = b"alis" + bytes(4) + alias + bytes(len(name) % 2) + b"\xff\xff\0\0"
    dref = bytes(4) + struct.pack(">II", 1, len(entry) + 4) + entry
    film = encode("mov", ("pcm_s16le", 0 * tone(), RATE))
    return _replaced(film, ["moov", "trak", "mdia", "minf", "dinf", "dref"], dref)


def _replaced(data: bytes, path: list[str], content: bytes) -> bytes:
    """QuickTime boxes, with what is in the box at `path` replaced."""
    out, at = b"", 0
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        inside = data[at + 8 : at + size]
        if path and kind == path[0].encode():
            inside = _replaced(inside, path[1:], content) if path[1:] else content
        out += struct.pack(">I4s", len(inside) + 8, kind) + inside
        at += size
    return out


def _picture(codec: str, form: str) -> bytes:
    encoder = av.CodecContext.create(codec, "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 16, 16, form, Fraction(1, 1)
    return b"".join(bytes(p) for p in [*encoder.encode(av.VideoFrame(16, 16, form)), *encoder.encode(None)])


def _id3(picture: bytes, claims: int | None = None) -> bytes:
    """An ID3 tag that holds a cover; `claims`: the size it gives itself."""
    body = b"\0image/png\0\x03\0" + picture
    frame = b"APIC" + struct.pack(">IH", len(body), 0) + body
    size = len(frame) if claims is None else claims
    return b"ID3\x03\0\0" + bytes(size >> s & 0x7F for s in (21, 14, 7, 0)) + frame


def _nested(depth: int) -> bytes:
    """Boxes in boxes in boxes."""
    data = b""
    for _ in range(depth):
        data = struct.pack(">I4s", len(data) + 8, b"moov") + data
    return struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 0) + data


def _zip() -> bytes:
    with zipfile.ZipFile(out := io.BytesIO(), "w") as z:
        z.writestr("recording.wav", wav())
    return out.getvalue()


def _locked() -> bytes:
    options = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": "76" * 16, "encryption_kid": "a7" * 16}
    return mp4(3, options=options)


def _midi() -> bytes:
    track = b"\0\x90\x3c\x40\x60\x80\x3c\x40\0\xff\x2f\0"
    return b"MThd\0\0\0\x06\0\0\0\x01\0\x60MTrk" + struct.pack(">I", len(track)) + track


REFUSED: dict[str, Callable[[], bytes]] = {
    "empty.wav": lambda: b"",
    "one byte.wav": lambda: b"R",
    "zeros.wav": lambda: bytes(1 << 20),
    "noise.ogg": lambda: np.random.default_rng(0).bytes(1 << 18),
    "text.mp3": lambda: b"So this is what she said, and then she left. " * 200,
    "page.m4a": lambda: b"<!doctype html><html><body>404 Not Found</body></html>",
    "answer.json": lambda: json.dumps({"error": {"message": "expired"}}).encode(),
    "subtitles.srt": lambda: b"1\n00:00:00,000 --> 00:00:01,000\nhello\n\n" * 9,
    "archive.zip": _zip,
    "archive.wav.gz": lambda: gzip.compress(wav()),
    "paper.pdf": lambda: b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\n%%EOF",
    "program.wav": lambda: b"\x7fELF\x02\x01\x01" + bytes(2000),
    "song.mid": _midi,
    "photo.png": lambda: _picture("png", "rgb24"),
    "photo.jpg": lambda: _picture("mjpeg", "yuvj420p"),
    "drawing.svg": lambda: f'<svg xmlns="http://www.w3.org/2000/svg"><image href="file://{SECRET}"/></svg>'.encode(),
    "cover.mp3": lambda: _id3(_picture("png", "rgb24")),
    "endless tag.mp3": lambda: _id3(_picture("png", "rgb24"), claims=(1 << 28) - 1),
    "silent film.mp4": lambda: encode("mp4", film=1.0),
    "silent film.mkv": lambda: encode("matroska", film=1.0),
    "header only.wav": lambda: wav(b""),
    "half a header.wav": lambda: wav()[:30],
    "no index.mp4": lambda: half(mp4(3)),
    "locked.mp4": _locked,
    "boxes.mp4": lambda: _nested(5000),
    "no channels.wav": lambda: wav(channels=0),
    "channels.wav": lambda: wav(channels=65535),
    "no rate.wav": lambda: wav(rate=0),
    "slow.wav": lambda: wav(rate=1),
    "fast.wav": lambda: wav(rate=2**31 - 1),
    "faster.wav": lambda: wav(rate=2**32 - 1),
    "no bits.wav": lambda: wav(bits=0),
    "bits.wav": lambda: wav(bits=1000),
    "unknown codec.wav": lambda: wav(tag=0x7777),
    **{name: lambda name=name: playlists()[name] for name in playlists() if name != "reference.mov"},
}

HEARD: dict[str, tuple[float, Callable[[], bytes]]] = {
    "silence.wav": (2, lambda: wav(bytes(4 * RATE))),
    "one sample.wav": (0, lambda: wav(b"\1\0")),
    "half a sample.wav": (1, lambda: wav(tone().tobytes() + b"x")),
    "size unknown.wav": (1, lambda: wav(size=2**32 - 1)),
    "size zero.wav": (1, lambda: wav(size=0)),
    "size too large.wav": (1, lambda: wav(size=10**9)),
    "size too small.wav": (40, lambda: _outgrown(wav(tone(40).tobytes()))),
    "cut off.wav": (1, lambda: wav(tone(2).tobytes())[: 2 * RATE + 44]),
    "cut off.mp3": (5, lambda: half(mp3(10))),
    "cut off.ogg": (5, lambda: half(ogg(10))),
    "cut off.flac": (4.3, lambda: half(flac(tone(10)))),
    "cut off.mkv": (5, lambda: half(mkv(10))),
    "cut off.mp4": (5, lambda: half(mp4(10, options={"movflags": "empty_moov", "frag_duration": "200000"}))),
    "hurt.mp3": (3, lambda: hurt(mp3(3))),
    "hurt.aac": (3, lambda: hurt(encode("adts", ("aac", tone(3), RATE)))),
    "hurt.ogg": (3, lambda: hurt(ogg(3))),
    "hurt.flac": (3, lambda: hurt(flac(tone(3)))),
    "hurt.mp4": (3, lambda: hurt(mp4(3))),
    "hurt.mkv": (30, lambda: hurt(mkv(30))),
    "hurt.webm": (30, lambda: hurt(encode("webm", ("libopus", tone(30, 48_000), 48_000)))),
    "hurt.ts": (3, lambda: hurt(encode("mpegts", ("aac", tone(3, 48_000), 48_000)))),
    "not numbers.wav": (1, lambda: floats("<f4", np.nan, 0.5, np.inf, -np.inf, -0.5)),
    "too loud.wav": (1, lambda: floats("<f4", 1e30, -1e30, 1e30)),
    "not numbers 64.wav": (1, lambda: floats("<f8", np.nan, 0.5, np.inf, 1e300)),
    "three channels.wav": (1, lambda: wav(np.repeat(tone(), 3).tobytes(), channels=3)),
    "array.wav": (1, lambda: wav(np.repeat(tone(), 64).tobytes(), channels=64)),
    "surround.mp4": (1, lambda: mp4(layout="5.1")),
    "telephone.wav": (1, lambda: wav(tone(1, 4000).tobytes(), rate=4000)),
    "studio.wav": (1, lambda: wav(tone(1, 384_000).tobytes(), rate=384_000)),
    "chained.ogg": (3, lambda: ogg(1, 1) + ogg(2, 2, 880)),
    "joined.mp3": (2, lambda: mp3(1, 44_100) + mp3(1, 16_000)),
    "junk first.mp3": (2, lambda: np.random.default_rng(0).bytes(3000) + mp3(2)),
    "long tag.mp3": (1, lambda: _id3(bytes(5_000_000)) + mp3(1)),
    "long title.mp4": (1, lambda: mp4(metadata={"title": "x" * 3_000_000})),
    "odd title.mp3": (1, lambda: b"ID3\x03\0\0\0\0\0\x10TIT2\0\0\0\x06\0\0\0\xff\xfe\xff\xd8z" + mp3(1)),
    "languages.mkv": (
        1,
        lambda: encode("matroska", *(("flac", tone(hz=hz), RATE) for hz in (300, 600)), film=1),
    ),
    "late sound.mkv": (3, lambda: mkv(1, film=3.0, later=2.0)),
    "pause.mkv": (12, lambda: mkv(2, jump=lambda t: t + 10 * (t >= 1))),
    "clock set.mkv": (2, lambda: mkv(2, jump=lambda t: t + 36_000 * (t >= 1))),
    "joined.ts": (3, lambda: ts(1, 50) + ts(2, 0)),
    "reference.mov": (1, lambda: playlists()["reference.mov"]),
    "film.mp3": (1, lambda: mp4(film=1.0)),
}
