"""Which languages a model in ONNX format recognises; the files themselves seldom say."""

from __future__ import annotations

import re

from onnx_asr.asr import Asr
from onnx_asr.models.nemo import NemoConformerAED
from onnx_asr.models.whisper import WhisperHf, WhisperOrt

from asr.languages import EUROPEAN, NAMES

FLASH = frozenset({"de", "en", "es", "fr"})  # the first Canary and the two flash ones
RUSSIAN = re.compile(r"gigaam-v|vosk|t-one|[-_]ru([-_]|$)")
MANY = 4000  # tokens: NVIDIA's vocabularies have 1,025 for English alone, 8,193 or more for many languages


def spoken(name: str, asr: Asr) -> frozenset[str]:
    """ISO 639-1 codes, by the model's name and vocabulary; all of Whisper's where neither tells."""
    name, tokens = name.lower(), set(getattr(asr, "_vocab", {}).values())
    marked = {code for code in NAMES if f"<|{code}|>" in tokens}
    if isinstance(asr, NemoConformerAED):
        large = (
            len(tokens) > 2 * MANY or "v2" in name
        )  # its vocabulary has marks for languages it never heard
        return (EUROPEAN if large else FLASH) & marked
    if isinstance(asr, (WhisperHf, WhisperOrt)):
        return frozenset({"en"} if name.endswith(".en") else marked)
    if "parakeet" in name:
        return EUROPEAN if len(tokens) > MANY or "v3" in name else frozenset({"en"})
    return frozenset({"ru"} if RUSSIAN.search(name) else NAMES)
