"""Too long for the test suite: python -m tests.endurance_batch kills | files

kills   an archive of 600 recordings, killed (SIGKILL) at 50 random instants and started again; the outputs
        must be those of a run that nobody killed, byte for byte, and no window heard beyond those in flight
files   10,000 tiny recordings: the time to do them, and to start again when all is done
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from tests.archiving import HEARD, run, save, sentence
from tests.test_batch import archive, check_whole, kill_often, killed_run, starting


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
        {"kills": kills, "files": files}[sys.argv[1]](Path(folder))
