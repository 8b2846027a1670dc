"""What is said on stderr meanwhile: on a terminal a line drawn again and again, elsewhere what stays."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TextIO

from asr.formats import timestamp
from asr.text.pieces import clean, columns

REDRAW = 0.1  # seconds


class Progress:
    """Of one thing with a title. `say` leaves a line; everything else shows only on a terminal."""

    def __init__(self, title: str, stream: TextIO | None = None):
        self.title, self.stream = clean(title), stream or sys.stderr
        self._live, self._drawn, self._text = self.stream.isatty(), 0.0, ""
        self._since = time.monotonic()

    def decoded(self, seconds: float) -> None:
        self.show(f"reading, {clock(seconds)} so far")

    def recognised(self, seconds: float, duration: float) -> None:
        """`seconds` of `duration` are done; the call with 0 starts the clock that the ETA goes by."""
        if not seconds:
            self._since = time.monotonic()
            return self.show(f"0 % of {clock(duration)}")
        speed = seconds / max(1e-3, time.monotonic() - self._since)
        left = max(0.0, duration - seconds) / speed
        part = min(100, round(100 * seconds / duration))
        self.show(f"{part} % of {clock(duration)}, {speed:.1f}x real time, {clock(left)} left")

    def clear(self) -> None:
        """Make room for other output; the next report draws the line again."""
        if self._text:
            self.stream.write(f"\r{' ' * columns(self._text)}\r")
            self.stream.flush()
            self._text, self._drawn = "", 0.0

    def say(self, text: str) -> None:
        """A line that stays."""
        self.clear()
        print(clean(f"{self.title}: {text}"), file=self.stream, flush=True)

    def show(self, text: str) -> None:
        """A line that the next one replaces, cut on its left to fit the terminal."""
        if not self._live or time.monotonic() - self._drawn < REDRAW:
            return
        line, room = f"{self.title}: {text}", shutil.get_terminal_size().columns - 1
        while columns(line) > room:
            line = line[1:]
        self.stream.write(f"\r{line}{' ' * max(0, columns(self._text) - columns(line))}")
        self.stream.flush()
        self._text, self._drawn = line, time.monotonic()


def clock(seconds: float) -> str:
    """`1:02:03`, or `2:03` below an hour."""
    return timestamp(round(seconds), ".").removesuffix(".000").removeprefix("00:").removeprefix("0")


def length(seconds: float) -> str:
    """`4.2 s`, or as `clock` from a minute up."""
    return f"{seconds:.1f} s" if seconds < 60 else clock(seconds)
