"""whisperX's aligner as one call: audio and its text go in, the time of each character comes out."""

from __future__ import annotations

import logging
import sys
import unicodedata
from contextlib import redirect_stdout
from types import ModuleType

import numpy as np

from asr.align.weights import find
from asr.audio import SAMPLE_RATE
from asr.errors import BackendUnavailable

Times = list[tuple[float, float] | None]  # start and end in seconds; None where nothing was heard
log = logging.getLogger(__name__)


class Aligner:
    """One loaded model. `says` is a sentence once something about it has to be known, "" until then."""

    def __init__(self, language: str | None, model: str = "", device: str = "auto"):
        """Raises BackendUnavailable where there is no such model or it cannot be had now."""
        if not language:
            raise BackendUnavailable("The language is not known.", "Say which one is spoken.")
        self._whisperx, self.says = _whisperx(), ""
        self._device = _device(device)
        name = find(language, model, self._whisperx)
        try:
            with redirect_stdout(sys.stderr):  # whisperX prints why it fails
                loaded = self._whisperx.load_align_model(language, self._device, str(name))
        except (ValueError, OSError, RuntimeError) as e:
            raise BackendUnavailable(
                f"The alignment model {name} cannot be loaded.",
                "Is it a whole wav2vec2 model, with its vocabulary of letters?",
            ) from e
        self._model, self._metadata = loaded

    def letters(self, audio: np.ndarray, text: str) -> Times:
        """One entry per character of `text`, which `audio` (float32 at 16 kHz) says, from its start."""
        plain = "".join(map(_plain, text))
        try:
            chars = self._aligned(audio, plain)
        except Exception:  # its arithmetic fails on some odd texts; one segment must not cost the others
            log.warning("a segment could not be aligned", exc_info=True)
            chars = []
        if len(chars) != len(text):
            return [None] * len(text)
        known = self._metadata["dictionary"]
        return [
            (float(c["start"]), float(c["end"])) if "start" in c and c["char"].lower() in known else None
            for c in chars
        ]

    def _aligned(self, audio: np.ndarray, text: str) -> list[dict]:
        import torch

        segment = {"start": 0.0, "end": len(audio) / SAMPLE_RATE, "text": text}
        try:
            found = self._whisperx.align(
                [segment], self._model, self._metadata, audio, self._device, return_char_alignments=True
            )
        except torch.cuda.OutOfMemoryError:
            torch.cuda.empty_cache()
            self._model, self._device = self._model.to("cpu"), "cpu"
            self.says = "The GPU's memory was full, so words were aligned on the CPU."
            return self._aligned(audio, text)
        return [c for s in found["segments"] for c in s["chars"] or ()]


class _Whole:
    """Stands for nltk's splitter, whose data would be downloaded: a segment is one sentence to us."""

    def span_tokenize(self, text: str) -> list[tuple[int, int]]:
        return [(0, len(text))]


def _whisperx() -> ModuleType:
    import whisperx.alignment

    logging.getLogger("whisperx").setLevel(logging.ERROR)  # its warnings quote what was said
    whisperx.alignment.nltk_load = lambda _: _Whole()
    return whisperx.alignment


def _device(asked: str) -> str:
    import torch

    kind = asked.partition("/")[0]
    return ("cuda" if torch.cuda.is_available() else "cpu") if kind == "auto" else kind


def _plain(char: str) -> str:
    """A character that stays one in lower case, which whisperX takes for granted; every space a plain one."""
    if char.isspace():
        return " "
    return char if len(char.lower()) == 1 else unicodedata.normalize("NFD", char)[0]
