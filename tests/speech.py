"""English speech for the tests, by the eSpeak NG in the wheel `espeakng-loader`: no system package is needed.

    audio = speak("seven three")                                  # float32 mono 16 kHz
    audio, words = digits("seven three", voice="en-gb+f3", gap=0.5)
    words == [("seven", 0.3, 0.74), ("three", 1.24, 1.61)]        # seconds

A voice is an accent ("en-us") or an accent and a variant of it ("en-us+f3"): see `ACCENTS` and `variants()`.
"""

import _ctypes
import ctypes
import threading
from collections.abc import Sequence
from contextlib import contextmanager
from itertools import count as count_up
from itertools import takewhile
from pathlib import Path

import espeakng_loader
import numpy as np

SAMPLE_RATE = 16_000
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
ACCENTS = (
    "en-us",
    "en-gb",
    "en-gb-scotland",
    "en-gb-x-rp",
    "en-gb-x-gbclan",
    "en-gb-x-gbcwmd",
    "en-029",
    "en-us-nyc",
)
Word = tuple[str, float, float]  # the word, its start and its end in seconds

_SYNCHRONOUS, _RATE, _PITCH, _UTF8, _NO_EVENT, _WORD = 2, 1, 3, 1, 0, 1  # as in espeak-ng's speak_lib.h


class _Event(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_int)
        for name in ("type", "utterance", "text_position", "length", "milliseconds", "sample")
    ]
    _fields_ += [("user_data", ctypes.c_void_p), ("detail", ctypes.c_char * 8)]


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)
_lock = threading.Lock()  # the library has one voice for the whole process
_heard: list[np.ndarray] = []
_word_starts: list[int] = []


@_Callback
def _hear(samples, count, events) -> int:
    if samples and count:
        _heard.append(np.ctypeslib.as_array(samples, (count,)).copy())
    for event in takewhile(lambda e: e.type != _NO_EVENT, (events[i] for i in count_up())):
        if event.type == _WORD:
            _word_starts.append(event.sample)
    return 0


@contextmanager
def _engine():
    """The library and its sample rate. Loaded afresh each time (2 ms), for what it said before changes how
    its voice wavers."""
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    try:
        rate = library.espeak_Initialize(_SYNCHRONOUS, 0, espeakng_loader.get_data_path().encode(), 0)
        if rate <= 0:
            raise RuntimeError("eSpeak NG did not start")
        library.espeak_SetSynthCallback(_hear)
        yield library, rate
    finally:
        library.espeak_Terminate()
        _ctypes.dlclose(library._handle)


def variants() -> list[str]:
    """Names that change an accent's voice when added to it as "+name"."""
    names = (Path(espeakng_loader.get_data_path()) / "voices" / "!v").iterdir()
    return sorted(p.name for p in names if " " not in p.name)


def speak(text: str, voice: str = "en-us", rate: int = 150, pitch: int = 50) -> np.ndarray:
    """`rate` is in words per minute, `pitch` from 0 to 99. The same arguments give the same samples."""
    return _synthesize(text, voice, rate, pitch)[0]


def phrase(
    text: str, voice: str = "en-us", rate: int = 150, pitch: int = 50
) -> tuple[np.ndarray, list[Word]]:
    """Words spoken in one breath, each ending where the next begins."""
    audio, starts = _synthesize(text, voice, rate, pitch)
    end = float(np.flatnonzero(_loud(audio))[-1]) / SAMPLE_RATE
    return audio, list(zip(text.split(), starts, [*starts[1:], end], strict=True))


def digits(
    text: str,
    voice: str = "en-us",
    gap: float | Sequence[float] = 0.25,
    lead: float = 0.3,
    tail: float = 0.5,
    rate: int = 150,
    pitch: int = 50,
) -> tuple[np.ndarray, list[Word]]:
    """Each word spoken by itself, so its start and end are known. `gap`, one for all or a list, is the
    silence between two words."""
    spoken = text.split()
    gaps = [gap] * (len(spoken) - 1) if isinstance(gap, (int, float)) else list(gap)
    pieces, words, at = [_silence(lead)], [], len(_silence(lead))
    for word, pause in zip(spoken, [*gaps, tail], strict=True):
        sound = _trim(speak(word, voice, rate, pitch))
        words.append((word, at / SAMPLE_RATE, (at + len(sound)) / SAMPLE_RATE))
        pieces += [sound, _silence(pause)]
        at += len(sound) + len(pieces[-1])
    return np.concatenate(pieces), words


def _synthesize(text: str, voice: str, rate: int, pitch: int) -> tuple[np.ndarray, list[float]]:
    """Samples, and where each word starts in seconds."""
    accent, plus, variant = voice.partition("+")
    accent = "en" if accent == "en-gb" else accent  # the library files British English under "en"
    data = text.encode() + b"\0"
    with _lock, _engine() as (library, native):
        if library.espeak_SetVoiceByName((accent + plus + variant).encode()) != 0:
            raise ValueError(f"no eSpeak NG voice is called {voice!r}")
        library.espeak_SetParameter(_RATE, rate, 0)
        library.espeak_SetParameter(_PITCH, pitch, 0)
        _heard.clear()
        _word_starts.clear()
        ctypes.CDLL(None).srand(1)  # a few variants hiss by the C library's random numbers
        library.espeak_Synth(data, ctypes.c_size_t(len(data)), 0, 1, 0, _UTF8, None, None)
        samples = np.concatenate([np.zeros(0, np.int16), *_heard]).astype(np.float32) / 32768
        return _resample(samples, native), [sample / native for sample in _word_starts]


def _silence(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * SAMPLE_RATE), np.float32)


def _resample(samples: np.ndarray, rate: int) -> np.ndarray:
    """By cutting the spectrum off at half the new rate: exact for a sound that begins and ends in silence."""
    count = len(samples) * SAMPLE_RATE // rate
    if not count:
        return samples
    return (np.fft.irfft(np.fft.rfft(samples), count) * count / len(samples)).astype(np.float32)


def _loud(sound: np.ndarray, below_peak_db: float = 40) -> np.ndarray:
    return np.abs(sound) > np.abs(sound).max() * 10 ** (-below_peak_db / 20)


def _trim(sound: np.ndarray) -> np.ndarray:
    """Without the near-silence that the synthesizer puts before and after a word."""
    loud = np.flatnonzero(_loud(sound))
    return sound[loud[0] : loud[-1] + 1]
