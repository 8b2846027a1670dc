"""Too long for the test suite: python -m tests.endurance_batch kills | long | files

kills   an archive of 600 recordings, killed (SIGKILL) at 50 random instants and started again; the outputs
        must be those of a run that nobody killed, byte for byte, and no window heard beyond those in flight
long    one recording of an hour and a half, killed at 50 random instants, of the start or of its recognition;
        its text and its JSON must be those of a run that nobody killed
files   10,000 tiny recordings: the time to do them, and to start again when all is done
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.archiving import HEARD, run, save, sentence
from tests.test_batch import archive, check_whole, kill_often, killed_run, starting, until


def kills(folder: Path) -> None:
    source, whole, out = archive(folder / "in", 600), folder / "whole", folder / "out"
    began = time.monotonic()
    assert killed_run(source, whole, None)
    begin, least = time.monotonic() - began, starting()
    killed = kill_often(source, out, 50, seed=7, least=0.9 * least, most=least + 0.06 * (begin - least))
    check_whole(out, 600)
    for path in whole.rglob("*.txt"):
        for suffix in (".txt", ".json"):
            same = path.with_suffix(suffix).relative_to(whole)
            assert (whole / same).read_bytes() == (out / same).read_bytes(), same
    heard = (out / HEARD).read_text().splitlines()
    print(f"killed {killed} times; 600 recordings whole, equal to those of a run that nobody killed")
    print(f"windows heard: {len(heard)}, {len(heard) - 600} of them again (their text was not safe yet)")


def long(folder: Path) -> None:
    source, whole, out = folder / "in", folder / "whole", folder / "out"
    save(source / "long.wav", " ".join(sentence(i % 2700) for i in range(3100)), gap=0.27)
    assert killed_run(source, whole, None)
    rng, killed = random.Random(7), 0
    while killed < 50:
        command = [sys.executable, "-m", "tests.archiving", str(source), str(out), "0.4"]
        process = subprocess.Popen(command)
        heard = _windows(out)
        if rng.random() < 0.25:
            until(lambda h=heard, p=process: _windows(out) > h or p.poll() is not None)
        time.sleep(rng.uniform(0, 2))
        if process.poll() is None:
            process.kill()
            killed += 1
        process.wait()
        if (out / "long.txt").exists():
            break
    assert killed_run(source, out, None)
    for name in ("long.txt", "long.json"):
        assert (out / name).read_bytes() == (whole / name).read_bytes(), name
    alone = _windows(whole)
    print(f"killed {killed} times; text and JSON equal to those of a run that nobody killed")
    print(f"windows heard: {_windows(out)} of {alone}, so {_windows(out) - alone} again")


def _windows(out: Path) -> int:
    return len((out / HEARD).read_text().splitlines()) if (out / HEARD).exists() else 0


def files(folder: Path) -> None:
    source, out = folder / "in", folder / "out"
    first = save(source / "0000.wav", sentence(0)).read_bytes()
    for i in range(10_000):  # of a few bytes' difference each, so that none is another's copy
        content = bytearray(first)
        content[1000:1004] = i.to_bytes(4, "little")
        path = source / f"{i // 100:04d}" / f"{i:05d}.wav"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    (source / "0000.wav").unlink()
    for name in ("first run", "start again"):
        began = time.monotonic()
        events = run(source, out, formats=("txt", "json"))
        print(f"{name}: {len(events):,} recordings in {time.monotonic() - began:.2f} s", flush=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        {"kills": kills, "long": long, "files": files}[sys.argv[1]](Path(folder))
