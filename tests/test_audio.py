"""Any recording comes in whole, on time and bounded; no file hurts us, opens another or leaves one behind."""

import io
import os
import struct
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import numpy as np
import pytest

from asr.audio import (
    SAMPLE_RATE,
    Limits,
    Recording,
    Resampler,
    apart,
    decode,
    demuxing,
    from_pcm16,
    load_audio,
    plain,
    to_pcm16,
)
from asr.errors import ASRError, AudioError, TooLarge
from asr.types import Options
from tests import hostile, tones
from tests.hostile import HEARD, RATE, REFUSED, encode, floats, signed, tone, wav

FORMATS = {  # container: codec, its rate
    "wav": ("pcm_s16le", 16_000),
    "aiff": ("pcm_s16be", 44_100),
    "au": ("pcm_mulaw", 8_000),
    "w64": ("pcm_s16le", 48_000),
    "caf": ("alac", 44_100),
    "flac": ("flac", 96_000),
    "wv": ("wavpack", 44_100),
    "tta": ("tta", 44_100),
    "mp3": ("libmp3lame", 44_100),
    "mp2": ("mp2", 48_000),
    "adts": ("aac", 22_050),
    "ipod": ("aac", 44_100),
    "mp4": ("aac", 48_000),
    "mov": ("alac", 48_000),
    "3gp": ("aac", 16_000),
    "ogg": ("libopus", 48_000),
    "webm": ("libopus", 48_000),
    "matroska": ("pcm_s24le", 48_000),
    "avi": ("libmp3lame", 44_100),
    "mpegts": ("aac", 48_000),
    "mpeg": ("mp2", 48_000),
    "flv": ("aac", 44_100),
    "asf": ("aac", 48_000),
    "ac3": ("ac3", 48_000),
    "amr": ("amr_nb", 8_000),
}


@pytest.fixture(autouse=True)
def nothing_left(tmp_path_factory, monkeypatch):
    """Every test ends with no temporary file and no file more open than at its start."""
    decode(io.BytesIO(signed(wav()))).close()  # the process that decodes stays, with one socket to it
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("temporary")))
    fds = Path("/proc/self/fd")
    before = len(list(fds.iterdir())) if fds.exists() else 0
    yield
    assert os.listdir(tempfile.tempdir) == []
    assert not fds.exists() or len(list(fds.iterdir())) <= before


def pitch(audio: np.ndarray) -> float:
    """The loudest frequency, in Hz."""
    return float(np.abs(np.fft.rfft(audio)).argmax() * SAMPLE_RATE / len(audio))


# -- what comes in


@pytest.mark.parametrize("container", FORMATS)
def test_every_container_gives_the_same_sound(container):
    codec, rate = FORMATS[container]
    audio = load_audio(io.BytesIO(encode(container, (codec, tone(2, rate), rate))))
    assert audio.dtype == np.float32
    assert len(audio) == pytest.approx(2 * SAMPLE_RATE, abs=0.1 * SAMPLE_RATE)  # codecs pad their last frame
    assert pitch(audio) == pytest.approx(440, abs=2)
    assert np.sqrt(np.mean(audio[4000:-4000] ** 2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.2)


def test_a_path_an_open_file_bytes_and_a_pipe_give_the_same(tmp_path):
    # An MP4 has its index at the end: a pipe cannot be wound back to find it.
    (path := tmp_path / "a.mp4").write_bytes(data := hostile.mp4())
    read, write = os.pipe()
    with os.fdopen(write, "wb") as end:
        end.write(data)
    with open(path, "rb") as opened, os.fdopen(read, "rb") as pipe, tempfile.SpooledTemporaryFile() as upload:
        upload.write(data)
        heard = [load_audio(source) for source in (path, str(path), opened, io.BytesIO(data), pipe, upload)]
        assert not opened.closed
    for audio in heard[1:]:
        np.testing.assert_array_equal(audio, heard[0])


def test_a_stream_is_read_from_its_start():
    (stream := io.BytesIO(wav())).seek(1000)
    assert len(load_audio(stream)) == SAMPLE_RATE


def test_words_survive_the_way_in():
    said = tones.say("ask not what your country can do for you")
    heard = load_audio(io.BytesIO(encode("webm", ("libopus", np.repeat(to_pcm16(said), 3), 48_000))))
    assert [s.text.strip() for s in tones.Tones().transcribe(heard, Options())] == [
        "ask not what your country can do for you"
    ]


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000])
def test_nothing_drifts(rate):
    """Five minutes: the count of samples is exact, and a click near the end is where it was."""
    samples = np.zeros(300 * rate, "<i2")
    samples[299 * rate : 299 * rate + rate // 100] = 20_000
    with decode(io.BytesIO(wav(samples.tobytes(), rate=rate))) as recording:
        assert abs(len(recording) - 300 * SAMPLE_RATE) <= 1
        near = recording.read(298, 300)
    assert np.flatnonzero(np.abs(near) > 0.3)[0] == pytest.approx(SAMPLE_RATE, abs=3)


def chunks(*more: bytes) -> bytes:
    """A WAV with further chunks before its samples; whoever wrote it counted right."""
    body = wav()[12:36] + b"".join(more) + wav()[36:]
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body


@pytest.mark.parametrize("data", [wav(), wav(tone(70).tobytes()), chunks(b"JUNK\x03\0\0\0abc\0")])
def test_what_is_as_we_keep_it_needs_no_decoder_and_is_what_ffmpeg_makes_of_it(data, monkeypatch):
    with decode(io.BytesIO(signed(data))) as recording:
        by_ffmpeg = recording.samples.copy()
    monkeypatch.setattr("asr.audio.apart.run", lambda *_: pytest.fail("FFmpeg was asked"))
    with decode(io.BytesIO(data)) as recording:
        assert np.array_equal(recording.samples, by_ffmpeg)


@pytest.mark.parametrize(
    "data",
    [
        signed(wav()),
        wav()[:-2],
        wav()[:44],
        wav()[:30],
        b"RIFF",
        wav(b"\1"),
        wav(size=0xFFFFFFFF),
        wav(size=1000),
        wav(rate=8_000),
        wav(bits=8),
        wav(tag=3, bits=16),
        wav(np.zeros((99, 2), "<i2").tobytes(), channels=2),
        chunks(*[b"JUNK\0\0\0\0"] * 16),
        chunks(b"JUNK\xff\xff\xff\x7f"),
        chunks(wav()[12:36]).replace(b"fmt \x10", b"fmt \x12", 1),
        wav()[:12] + wav()[36:],
    ],
)
def test_at_the_first_oddity_a_wav_is_left_to_ffmpeg(data):
    assert plain.samples(io.BytesIO(data)) is None


def test_channels_are_mixed_without_wrapping_or_losing_one():
    both = np.stack([np.full(RATE, 32_000), np.full(RATE, 32_000)], 1).astype("<i2")
    left = np.stack([np.full(RATE, 32_000), np.zeros(RATE)], 1).astype("<i2")
    for samples, level in ((both, 32_000), (left, 16_000)):
        with decode(io.BytesIO(wav(samples.tobytes(), channels=2))) as recording:
            assert recording.samples[1000:-1000] == pytest.approx(level, abs=200)


def test_every_microphone_of_an_array_is_heard():
    channels = np.zeros((SAMPLE_RATE, 24), "<i2")
    channels[:, 23] = tone()
    audio = load_audio(io.BytesIO(wav(channels.tobytes(), channels=24)))
    assert pitch(audio) == pytest.approx(440, abs=2)
    assert np.abs(audio).max() == pytest.approx(0.5 / 24, rel=0.1)


def test_loud_float_samples_are_clipped_and_impossible_ones_silenced():
    assert load_audio(io.BytesIO(floats("<f4", 1e30))).min() > 0.99
    assert np.abs(load_audio(io.BytesIO(floats("<f4", np.nan, np.inf, -np.inf)))).max() == 0
    assert load_audio(io.BytesIO(floats("<f8", np.nan, 0.5))).max() > 0.2


def test_an_array_is_taken_as_it_is():
    said = tones.say("ask not")
    with decode(said) as recording:
        assert len(recording) == len(said)
        np.testing.assert_allclose(recording.read(0, 9), said, atol=1 / 32768)


@pytest.mark.parametrize(
    "array", [np.zeros((2, 9), np.float32), np.zeros(9, np.int16), np.array([0, np.nan]), np.array(1.0)]
)
def test_an_array_that_is_no_audio_is_refused(array):
    with pytest.raises(AudioError):
        decode(array)


def test_the_default_track_of_several_is_heard():
    audio = load_audio(io.BytesIO(HEARD["languages.mkv"][1]()))
    assert pitch(audio) == pytest.approx(300, abs=3)


def test_times_are_those_of_a_player():
    """Silence where a track starts late or pauses, so a line can be clicked and heard."""
    late = load_audio(io.BytesIO(HEARD["late sound.mkv"][1]()))
    assert np.abs(late[: 2 * RATE - 800]).max() == 0 and pitch(late[2 * RATE :]) == pytest.approx(440, abs=2)
    pause = load_audio(io.BytesIO(HEARD["pause.mkv"][1]()))
    assert np.abs(pause[RATE + 800 : 11 * RATE - 800]).max() == 0
    assert pitch(pause[11 * RATE :]) == pytest.approx(440, abs=2)


# -- hostile files


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_recording_is_refused_in_plain_words(name, tmp_path):
    for source in (hostile.write(tmp_path, name), io.BytesIO(REFUSED[name]())):
        with pytest.raises(AudioError) as refused:
            decode(source)
        assert refused.value.what.endswith(".") and refused.value.fix.endswith(".")
        assert "<none>" not in str(refused.value) and "errno" not in str(refused.value).lower()


SILENT = ("silence.wav", "one sample.wav", "reference.mov")


@pytest.mark.parametrize("name", HEARD)
def test_what_is_odd_is_heard(name, tmp_path):
    seconds, _ = HEARD[name]
    with decode(hostile.write(tmp_path, name)) as recording:
        assert recording.duration == pytest.approx(seconds, abs=0.3 + 0.03 * seconds)
        assert np.abs(recording.samples).max() > 1000 or name in SILENT


def test_what_was_cut_off_or_damaged_is_said():
    def damage(name):
        with decode(io.BytesIO(HEARD[name][1]())) as recording:
            return recording.damage

    assert "says that it lasts 10 s, but ends after 4 s" in damage("cut off.flac")
    assert "skipped" in damage("hurt.mp3")
    for name in ("silence.wav", "surround.mp4", "clock set.mkv", "late sound.mkv", "chained.ogg"):
        assert damage(name) == "", name


@pytest.mark.parametrize("container", ["ogg", "mp4", "webm", "mpegts"])
def test_what_comes_after_a_long_damage_is_heard_at_its_time(container):
    """Eight of sixty seconds are noise; FFmpeg gives up an Ogg file 64 KB into it unless asked again."""
    codec, rate = FORMATS[container]
    sound = np.r_[tone(57, rate), tone(3, rate, hz=1000)]
    data = hostile.hurt(encode(container, (codec, sound, rate)), share=8 / 60)
    with decode(io.BytesIO(data)) as recording:
        assert recording.duration == pytest.approx(60, abs=0.2)
        assert pitch(recording.read(57.3, 59.8)) == pytest.approx(1000, abs=3)
        assert pitch(recording.read(54, 56.7)) == pytest.approx(440, abs=3)


@pytest.mark.parametrize("container", FORMATS)
def test_damage_anywhere_is_survived(container):
    codec, rate = FORMATS[container]
    data = encode(container, (codec, tone(1, rate), rate))
    for seed in range(6):
        with suppress(AudioError):
            decode(io.BytesIO(hostile.fuzzed(data, seed)), Limits(seconds=600)).close()


@pytest.fixture
def spy():
    """An HTTP server on this machine, and the paths it was asked for."""
    asked = []

    class Spy(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(404)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Spy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/secret.wav", asked
    server.shutdown()
    server.server_close()


@pytest.fixture
def attack(tmp_path, spy, monkeypatch):
    """Writes a file that leads to a recording beside it and to the spy."""
    monkeypatch.chdir(tmp_path)
    (secret := tmp_path / "secret.ts").write_bytes(hostile.ts(5))

    def write(name) -> Path:
        (path := tmp_path / name).write_bytes(hostile.playlists(str(secret), spy[0])[name])
        return path

    return write


@pytest.mark.parametrize("everything_allowed", [False, True], ids=["as it is", "with every demuxer"])
@pytest.mark.parametrize("name", hostile.playlists())
def test_a_file_opens_no_other_file_and_no_address(name, everything_allowed, attack, spy, monkeypatch):
    """Twice: as it is, and without our list of demuxers and the process, where only one wall is left."""
    if everything_allowed:
        monkeypatch.setattr(demuxing, "CONTAINERS", "hls,concat,dash,sdp,asx,mov,mp4,mpegts,wav,mp3")
        monkeypatch.setattr(apart, "FORKS", False)  # the third wall, a process that can open nothing
    with suppress(AudioError):
        assert not decode(attack(name)).samples.any()  # the film that points elsewhere is silent itself
    assert spy[1] == []


@pytest.mark.parametrize("name", ["local.m3u8", "list.ffconcat"])
def test_those_attacks_are_real(name, attack):
    with av.open(str(attack(name))) as unguarded:
        assert sum(frame.samples for frame in unguarded.decode(audio=0)) > 4 * 48_000


def test_a_name_is_a_name_and_no_protocol(tmp_path, spy, monkeypatch):
    url, asked = spy
    monkeypatch.chdir(tmp_path)
    Path("secret.wav").write_bytes(wav())
    for name in (url, "concat:secret.wav|secret.wav", "file:secret.wav", "pipe:0", "data:audio/wav,", "\0"):
        with pytest.raises(AudioError):
            decode(name)
    Path("a:b.wav").write_bytes(wav())
    assert len(load_audio("a:b.wav")) == RATE
    assert asked == []


@pytest.mark.parametrize("path", ["/", "/nowhere/a.wav", "/dev/zero", "/dev/null"])
def test_paths_that_are_no_files_are_refused(path):
    with pytest.raises(AudioError):
        decode(path)


# -- limits


def test_too_many_bytes_are_refused_before_they_are_decoded():
    with pytest.raises(TooLarge, match="MiB"):
        decode(io.BytesIO(wav()), Limits(bytes=1000))


def test_a_stream_without_end_is_refused():
    class Endless(io.RawIOBase):
        given = 0

        def readable(self):
            return True

        def read(self, n=-1):
            self.given += n
            return bytes(n)

    with pytest.raises(TooLarge):
        decode(endless := Endless(), Limits(bytes=10 << 20))
    assert endless.given < 16 << 20


def test_a_small_file_of_many_hours_is_refused_while_it_is_decoded():
    """Silence packs well. The header, which may lie, is not believed: it is removed here."""
    data = bytearray(hostile.flac(np.zeros(600 * RATE, "<i2")))
    assert len(data) < 120_000
    data[21:26] = bytes([data[21] & 0xF0]) + bytes(4)  # "total samples: unknown"
    told = []
    with pytest.raises(TooLarge, match="hours"):
        decode(io.BytesIO(bytes(data)), Limits(seconds=60), progress=told.append)
    assert 55 < max(told) <= 60


def test_a_file_that_admits_to_be_too_long_is_refused_at_once():
    told = []
    with pytest.raises(TooLarge):
        long = encode("mov", ("pcm_s16le", tone(90), RATE))
        decode(io.BytesIO(long), Limits(seconds=60), progress=told.append)
    assert told == []


def test_a_long_array_is_refused():
    with pytest.raises(TooLarge):
        decode(np.zeros(61 * RATE, np.float32), Limits(seconds=60))


def test_ten_minutes_take_no_more_memory_than_one():
    program = (
        "import io, resource, sys\n"
        "from asr.audio import decode\n"
        "from tests.hostile import wav\n"
        "data = wav(bytes(2 * 16_000 * int(sys.argv[1])))\n"
        "with decode(io.BytesIO(data)) as r:\n"
        "    assert sum(len(b) for b in r.blocks()) == len(r)\n"
        "    r.read(0, 60)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - len(data) / 2**20)\n"
    )

    def peak(seconds):
        return float(subprocess.check_output([sys.executable, "-c", program, str(seconds)], text=True))

    assert peak(600) < peak(60) + 8  # MB besides the file; the samples alone would be 19


# -- stopping, keeping, reading again


class Stop(Exception):
    pass


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("finish", [bytes, signed], ids=["plain", "decoded"])
def test_the_caller_can_stop_and_nothing_is_left(tmp_path, kept, finish):
    def progress(seconds):
        told.append(seconds)
        if seconds > 5:
            raise Stop

    told, into = [], tmp_path / "audio.pcm" if kept else None
    with pytest.raises(Stop):
        decode(io.BytesIO(finish(wav(tone(60).tobytes()))), into=into, progress=progress)
    assert sorted({round(t) for t in told})[:5] == [1, 2, 3, 4, 5] and told[-1] < 6.5
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_what_was_kept_before(tmp_path):
    (into := tmp_path / "audio.pcm").write_bytes(b"\1\0" * 100)
    with pytest.raises(AudioError):
        decode(io.BytesIO(b"no audio"), into=into)
    assert list(tmp_path.iterdir()) == [into] and len(into.read_bytes()) == 200


def test_a_full_disk_is_said(monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(apart, "run", full)
    with pytest.raises(ASRError, match="disk is full"):
        decode(io.BytesIO(signed(wav())))


def test_samples_kept_in_a_file_can_be_opened_again(tmp_path):
    for source in (io.BytesIO(wav(tone(3).tobytes())), from_pcm16(tone(3))):
        with decode(source, into=tmp_path / "audio.pcm") as recording:
            first = recording.read(0, 3)
        with Recording.open(tmp_path / "audio.pcm") as again:
            assert again.duration == 3
            np.testing.assert_array_equal(again.read(0, 3), first)
    assert (tmp_path / "audio.pcm").stat().st_size == 2 * 3 * RATE
    with pytest.raises(AudioError, match="gone"):
        Recording.open(tmp_path / "nothing.pcm")


@pytest.mark.parametrize("in_memory", [True, False])
def test_reading_is_by_the_second_and_clipped(in_memory):
    ramp = np.arange(-RATE, RATE).astype(np.int16)
    with decode(from_pcm16(ramp) if in_memory else io.BytesIO(wav(ramp.tobytes()))) as recording:
        assert len(recording) == 2 * RATE and recording.duration == 2 and recording.samples.dtype == np.int16
        np.testing.assert_array_equal(to_pcm16(recording.read(0.5, 1.25)), ramp[RATE // 2 : RATE * 5 // 4])
        for start, stop, length in ((-5, 1, RATE), (1, 99, RATE), (3, 4, 0), (1, 0.5, 0), (-9, -8, 0)):
            assert len(recording.read(start, stop)) == length
        (copy := recording.read(0, 1))[:] = 0  # is the caller's own
        assert recording.read(0, 1).any() and copy.dtype == np.float32
        blocks = list(recording.blocks(0.3))
        assert [len(b) for b in blocks[:-1]] == [4800] * (len(blocks) - 1)
        np.testing.assert_array_equal(to_pcm16(np.concatenate(blocks)), ramp)


def test_many_threads_read_one_recording():
    ramp = np.arange(30 * RATE).astype(np.int16)
    failures = []
    with decode(io.BytesIO(wav(ramp.tobytes()))) as recording:

        def reader(seed):
            for start in np.random.default_rng(seed).integers(0, 29, 50):
                heard = to_pcm16(recording.read(start, start + 1))
                if not np.array_equal(heard, ramp[start * RATE : (start + 1) * RATE]):
                    failures.append(start)

        threads = [threading.Thread(target=reader, args=(i,)) for i in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    assert failures == []


# -- numbers


def test_int16_and_back_changes_nothing():
    every = np.arange(-32768, 32768).astype(np.int16)
    np.testing.assert_array_equal(to_pcm16(from_pcm16(every)), every)
    assert from_pcm16(every).dtype == np.float32 and from_pcm16(every).min() == -1
    np.testing.assert_array_equal(to_pcm16(np.array([2.0, 1.0, -1.0, -2.0])), [32767, 32767, -32768, -32768])
    np.testing.assert_allclose(from_pcm16(np.array([[16384] * 3, [0] * 3], np.int16)), [0.25] * 3)


@pytest.mark.parametrize(
    "rate, to", [(8_000, RATE), (16_000, RATE), (24_000, RATE), (48_000, RATE), (RATE, 24_000)]
)
def test_a_live_stream_is_resampled_without_seams(rate, to):
    whole, pieces = Resampler(rate, to), Resampler(rate, to)
    sound = tone(3, rate)
    cuts = np.sort(np.random.default_rng(0).integers(0, len(sound), 40))
    expected = whole(sound)
    heard = np.concatenate([pieces(p) for p in np.split(sound, cuts)])
    np.testing.assert_allclose(heard, expected[: len(heard)], atol=1e-4)
    assert len(heard) == pytest.approx(3 * to, abs=0.02 * to)
    assert pitch(heard) * to / RATE == pytest.approx(440, abs=2)
