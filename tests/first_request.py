"""What a first recording waits for, warmed up or not: python -m tests.first_request

Each figure is the median of so many processes: a recording of three words (44.1 kHz, stereo) decoded and
transcribed by tests/models/whisper-digits, the first time and the second.
"""

from __future__ import annotations

import io
import subprocess
import sys
import time
import wave
from statistics import median

import numpy as np

PROCESSES = 9


def main() -> None:
    runs = {how: [] for how in ("cold", "warm")}
    for _ in range(PROCESSES):
        for how, told in runs.items():
            command = [sys.executable, "-m", "tests.first_request", how]
            told.append(list(map(float, subprocess.check_output(command, text=True).split())))
    for how, told in runs.items():
        first, second = (median(column) for column in zip(*told, strict=True))
        print(f"{how}: first {first:.2f} s, second {second:.2f} s")


def one(how: str) -> None:
    """Print the seconds of the first and the second, in this process."""
    from asr import audio
    from asr.config import Config
    from asr.models import Models
    from asr.models.warmth import warm
    from asr.pipeline import transcribe
    from tests.conftest import DIGITS

    backend = Models(Config(model=str(DIGITS), device="cpu"), warm=warm if how == "warm" else None).get()
    file = spoken()
    for _ in range(2):
        began = time.perf_counter()
        file.seek(0)
        with audio.decode(file) as recording:
            said = "".join(s.text for s in transcribe(recording, backend)).split()
        print(time.perf_counter() - began)
        assert said == ["seven", "three", "one"], said


def spoken() -> io.BytesIO:
    from tests.speech import digits

    sound = digits("seven three one")[0]
    at = np.arange(round(len(sound) * 44_100 / 16_000)) * 16_000 / 44_100
    samples = (np.interp(at, np.arange(len(sound)), sound) * 32767).astype("<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(2)
        out.setsampwidth(2)
        out.setframerate(44_100)
        out.writeframes(np.repeat(samples, 2).tobytes())
    return file


if __name__ == "__main__":
    one(sys.argv[1]) if sys.argv[1:] else main()
