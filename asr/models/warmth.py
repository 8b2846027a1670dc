"""What a first request would wait for beside its own work, done before: libraries that set themselves up
at the first use, the decoder's process, the voice detector.

    models = Models(config, warm=warm)     # a server's; a command that hears once has nothing of it
"""

from __future__ import annotations

import io
import logging
import time
import wave
from functools import cache

import numpy as np

from asr import audio, backends
from asr.audio import SAMPLE_RATE
from asr.backends import Backend
from asr.errors import ASRError
from asr.types import Options
from asr.vad import Silero

SECONDS = 1.0  # of sound; also what the window is padded to, where the engine lets us
FAINT = 1e-3  # its loudness: engines may make anything of the same value over and over

log = logging.getLogger(__name__)


def warm(backend: Backend) -> None:
    """Let it hear a second of next to nothing, as a request would.

    What an engine says it cannot (memory that does not suffice for a single window) is raised, for every
    request would end so. Anything else is logged, and the model is as good as it was.
    """
    if backend.device not in ("cpu", "cuda"):  # a server elsewhere: its owner may pay for each request
        return
    began = time.monotonic()
    _surroundings()
    try:
        _hear(backend, _wishes(backend))
    except ASRError:
        raise
    except Exception:
        log.warning("%s could not be warmed up: its first request will tell why", backend.spec, exc_info=True)
    else:
        log.debug("warmed up", extra={"model": backend.spec, "took": round(time.monotonic() - began, 3)})


def _hear(backend: Backend, options: Options) -> None:
    sound = np.random.default_rng(0).normal(0.0, FAINT, round(SECONDS * SAMPLE_RATE)).astype(np.float32)
    if "batch" in backend.can:  # what live speech and recordings go through, where there is one
        backend.transcribe_batch([backend.prepare(sound)], [options])
    else:
        next(iter(backend.transcribe(sound, options)), None)


def _wishes(backend: Backend) -> Options:
    """The dearest that is usual, and nothing twice: no second try at noise that fails by its scores."""
    known = backend.languages
    options = Options(
        language=None if "detect" in backend.can else "en" if "en" in known else min(known, default=None),
        word_timestamps="words" in backend.can,
        temperature=0.0 if "temperature" in backend.can else None,
        encoder_seconds=SECONDS if "short" in backend.can else None,
    )
    backends.check(backend, options)
    return options


@cache
def _surroundings() -> None:
    """What all engines share, once for this process."""
    try:
        Silero()(np.zeros(SAMPLE_RATE, np.float32))
        with audio.decode(_recording()):
            pass
    except Exception:
        log.warning("decoder and voice detector could not be warmed up", exc_info=True)


def _recording() -> io.BytesIO:
    """A tenth of a second that a decoder is needed for: our own rate would need none."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(1600))
    return file
