"""python -m tests.decoding_cost: what it costs to decode in a process of its own. No test; prints a table."""

import tempfile
import time
from pathlib import Path

import numpy as np

from asr.audio import apart, decode
from tests.hostile import encode, tone, wav


def main() -> None:
    noise = (np.random.default_rng(0).standard_normal(600 * 44_100) * 3000).astype("<i2")
    mp3 = encode("mp3", ("libmp3lame", noise, 44_100))
    made = {"10 min of MP3": mp3, "2 s of WAV": wav(tone(2).tobytes())}
    for name, data in made.items():
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            there, here = [], []
            for _ in range(9 if len(data) > 1_000_000 else 60):
                for apart.FORKS, times in ((True, there), (False, here)):
                    times.append(_taken(Path(file.name)))
            a, b = 1000 * min(there), 1000 * min(here)  # what else the machine does only makes it longer
            print(f"{name}: {a:.1f} ms apart, {b:.1f} ms in this process, {a / b:.2f} times")


def _taken(path: Path) -> float:
    begun = time.perf_counter()
    decode(path).close()
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
