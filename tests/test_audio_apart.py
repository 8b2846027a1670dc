"""FFmpeg in a process of its own: whatever a file does to it, we live on, say so, and leave nothing."""

import io
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from asr.audio import SAMPLE_RATE, Limits, apart, decode
from asr.errors import ASRError, AudioError, TooLarge
from tests import hostile
from tests.hostile import HEARD, signed, tone, wav

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
LONG = signed(wav(tone(1200).tobytes()))  # decoded for long enough to be met at it


@pytest.fixture(autouse=True)
def nothing_left(tmp_path, monkeypatch):
    """No file, no descriptor and no process but the one that waits for recordings."""
    decode(io.BytesIO(signed(wav()))).close()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = len(os.listdir("/proc/self/fd"))
    yield
    assert os.listdir(tmp_path) == [] and len(os.listdir("/proc/self/fd")) == before
    end = time.monotonic() + 5  # a watcher has told all a moment before it is gone
    while decoders() and time.monotonic() < end:
        time.sleep(0.01)
    assert decoders() == []
    with decode(io.BytesIO(signed(wav()))) as recording:  # it lives on
        assert len(recording) == SAMPLE_RATE


def parents() -> dict[int, int]:
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            *_, rest = path.read_text().rpartition(")")
        except OSError:  # it ended meanwhile
            continue
        if rest.split()[0] != "Z":
            found[int(path.parent.name)] = int(rest.split()[1])
    return found


def decoders() -> list[int]:
    """The processes below the one that forks: watchers, and what they watch, last."""
    up, forker = parents(), apart.FORKER._process.pid
    watchers = [pid for pid, parent in up.items() if parent == forker]
    return watchers + [pid for pid, parent in up.items() if parent in watchers]


def at_work(do):
    """A `progress` that does something to the decoder once."""
    done = []

    def progress(_: float) -> None:
        if not done:
            done.append(True)
            do(decoders()[-1])

    return progress


@pytest.mark.parametrize("sign", ["SIGKILL", "SIGSEGV", "SIGABRT", "SIGTERM"])
def test_a_decoder_that_dies_costs_a_sentence(sign, tmp_path):
    into = tmp_path / "kept" / "audio.pcm"
    into.parent.mkdir()
    with pytest.raises(ASRError) as refused:
        decode(io.BytesIO(LONG), into=into, progress=at_work(lambda pid: os.kill(pid, getattr(signal, sign))))
    by_the_file = sign in ("SIGSEGV", "SIGABRT")
    assert (f"crashed on it ({sign})" if by_the_file else "stopped from outside") in refused.value.what
    assert isinstance(refused.value, AudioError) == by_the_file and refused.value.fix.endswith(".")
    assert list(into.parent.iterdir()) == []
    into.parent.rmdir()


def test_a_decoder_that_hangs_is_waited_for_so_long_and_no_longer():
    begun = time.monotonic()
    with pytest.raises(AudioError, match="took longer than the 0"):
        stop = at_work(lambda pid: os.kill(pid, signal.SIGSTOP))
        decode(io.BytesIO(LONG), Limits(patience=1.0), progress=stop)
    assert time.monotonic() - begun > 1


def test_who_goes_away_is_noticed_while_the_decoder_hangs():
    class Gone(Exception):
        pass

    told = []

    def progress(seconds):
        if not told:
            os.kill(decoders()[-1], signal.SIGSTOP)
        told.append(seconds)
        if len(told) > 30_000 or time.monotonic() - begun > 5 * apart.BEAT:
            raise Gone

    begun = time.monotonic()
    with pytest.raises(Gone):
        decode(io.BytesIO(LONG), progress=progress)


def test_a_watcher_that_dies_takes_nothing_with_it():
    """What it watched goes on to the end; only how it ended is not known, and that is no success."""
    with pytest.raises(ASRError, match="stopped from outside"):
        decode(io.BytesIO(LONG), progress=at_work(lambda _: os.kill(decoders()[0], signal.SIGKILL)))


def test_where_the_process_that_forks_was_killed_there_is_another():
    apart.FORKER._process.kill()
    apart.FORKER._process.wait()
    with decode(io.BytesIO(signed(wav()))) as recording:
        assert len(recording) == SAMPLE_RATE


def test_more_memory_than_allowed_is_a_sentence():
    hungry = hostile._id3(bytes(60_000_000)) + hostile.mp3(1)  # its cover
    with pytest.raises(TooLarge, match="more than the 280 MB of memory"):
        decode(io.BytesIO(hungry), Limits(memory=280 << 20))


@pytest.mark.parametrize("name", HEARD)
def test_whatever_people_record_needs_a_third_of_the_memory_allowed(name):
    decode(io.BytesIO(HEARD[name][1]()), Limits(memory=350 << 20)).close()


def test_a_small_file_of_many_hours_is_refused_while_it_is_decoded():
    bomb = bytearray(hostile.flac(np.zeros(600 * SAMPLE_RATE, "<i2")))
    bomb[21:26] = bytes([bomb[21] & 0xF0]) + bytes(4)  # its header does not tell how long it is
    with pytest.raises(TooLarge, match="hours allowed"):
        decode(io.BytesIO(bytes(bomb)), Limits(seconds=60))


def test_the_decoder_has_no_secret_and_can_open_nothing(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_only_for_us")
    apart.FORKER._stop()
    seen = {}

    def look(pid: int) -> None:
        for what in ("environ", "limits", "oom_score_adj"):
            seen[what] = Path(f"/proc/{pid}/{what}").read_text()
        seen["open"] = [os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir()]

    decode(io.BytesIO(LONG), progress=at_work(look)).close()
    assert "PATH=" in seen["environ"] and "hf_only_for_us" not in seen["environ"]
    limits = {line[:25].strip(): line[25:].split()[:2] for line in seen["limits"].splitlines()}
    assert limits["Max open files"] == ["0", "0"] and limits["Max core file size"] == ["0", "0"]
    assert limits["Max address space"] == [str(1 << 30)] * 2
    assert seen["oom_score_adj"].strip() == "1000"  # where memory runs out it goes, not the server
    assert not any(name.startswith("socket:") for name in seen["open"])


def test_what_binds_the_decoder_holds():
    """Tried from inside, in a process that is bound as it is."""
    program = (
        "import errno, os, socket, sys\n"
        "from asr.audio.process import _bind\n"
        "from asr.audio.wish import Wish\n"
        "def said(do):\n"
        "    try: do()\n"
        "    except OSError as e: return errno.errorcode[e.errno]\n"
        "    except MemoryError: return 'MemoryError'\n"
        "out = open(sys.argv[1], 'wb', 0)\n"
        "_bind(Wish('mix', 1.0, 1 << 30, 60.0))\n"
        "print(said(lambda: open('/etc/passwd')), said(lambda: os.pipe()), said(socket.socket),\n"
        "      said(lambda: [out.write(bytes(1 << 20)) for _ in range(9)]), said(lambda: bytes(2 << 30)))\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", program, f"{folder}/out"]
        said = subprocess.check_output(command, text=True, cwd=apart.ROOT)
        assert os.path.getsize(f"{folder}/out") <= 61 * 2 * SAMPLE_RATE
    assert said.split() == ["EMFILE", "EMFILE", "EMFILE", "EFBIG", "MemoryError"]


def test_several_are_decoded_at_the_same_time():
    heard = []

    def one(seconds: int) -> None:
        with decode(io.BytesIO(signed(wav(tone(seconds).tobytes())))) as recording:
            heard.append(len(recording) - seconds * SAMPLE_RATE)

    threads = [threading.Thread(target=one, args=(n,)) for n in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert heard == [0] * 8


def test_a_file_stands_afterwards_where_it_stood(tmp_path):
    """The decoder reads the very same open file."""
    (path := tmp_path / "a.wav").write_bytes(data := signed(wav()))
    with open(path, "rb") as file:
        file.read(10)
        decode(file).close()
        file.seek(4)
        assert file.read() == data[4:]
    path.unlink()


def test_where_the_server_is_killed_nobody_goes_on_decoding():
    program = (
        "import io, os, time, threading\n"
        "from asr.audio import apart, decode\n"
        "from tests.hostile import signed, tone, wav\n"
        "long = signed(wav(tone(1800).tobytes()))\n"
        "def tell(_):\n"
        "    print(apart.FORKER._process.pid, flush=True)\n"
        "    time.sleep(60)\n"
        "decode(io.BytesIO(long), progress=tell)\n"
    )
    server = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=apart.ROOT
    )
    forker = int(server.stdout.readline())
    below = [pid for pid, parent in parents().items() if parent == forker]
    server.kill()
    server.wait()
    server.stdout.close()
    end = time.monotonic() + 20
    left = {*below, forker}
    while left & set(parents()) and time.monotonic() < end:
        time.sleep(0.05)
    assert below and not left & set(parents())
