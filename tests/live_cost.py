"""python -m tests.live_cost [base]: what a live pass costs, part by part. No test; prints a table.

Windows of 3 s in calls of 1, 2, 4 and 8, the encoder at its whole length and at 5 s. Milliseconds, the least
of several calls of each part: what else the machine does only makes them longer.
"""

import sys
import tempfile
import time
from pathlib import Path

from asr import backends  # before numpy, whose threads it switches off

import numpy as np  # isort: skip
from asr.bench.shapes import stretched
from asr.types import Options
from tests import speech
from tests.conftest import DIGITS

PARTS = ("features", "_encode", "_generate", "_words")
SECONDS = 3


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        model = stretched(DIGITS, sys.argv[1], Path(folder)) if sys.argv[1:] else DIGITS
        backend = backends.load(f"faster_whisper:{model}", "cpu")
    spent: dict[str, float] = {}
    for part in PARTS:
        _watch(backend.decoder, part, spent)
    audio, _ = speech.digits("nine eight five four one seven two six three zero five one" * 2, gap=0.15)
    print("encoder  windows  features  encoder  decoder  words  together, ms")
    for encoder in (None, 5.0):
        for count in (1, 2, 4, 8):
            least = _least(backend, audio, count, encoder, spent)
            figures = [*least.values(), sum(least.values())]
            print(f"{encoder or backend.window:6.0f} s{count:9}", *(f"{1000 * f:8.1f}" for f in figures))


def _watch(decoder, part: str, spent: dict[str, float]) -> None:
    work = getattr(decoder, part)

    def timed(*args, **kwargs):
        began = time.perf_counter()
        try:
            return work(*args, **kwargs)
        finally:
            spent[part] = spent.get(part, 0.0) + time.perf_counter() - began

    setattr(decoder, part, timed)


def _least(backend, audio: np.ndarray, count: int, encoder: float | None, spent: dict) -> dict[str, float]:
    windows = [audio[i * 8000 : i * 8000 + SECONDS * 16_000] for i in range(count)]
    options = Options("en", word_timestamps=True, beam_size=1, temperature=0.0, encoder_seconds=encoder)
    least = dict.fromkeys(PARTS, float("inf"))
    until = time.monotonic() + 4.0
    while time.monotonic() < until:
        spent.clear()
        backend.transcribe_batch(windows, [options] * count)
        least = {part: min(least[part], spent[part]) for part in PARTS}
    return least


if __name__ == "__main__":
    main()
